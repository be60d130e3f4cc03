//! RFC 3261 §10.3 step by step, RFC 3327 §5.3, RFC 5626 §6, RFC 5627 §5; without a container.

use std::cell::Cell;
use std::time::UNIX_EPOCH;

use sip_message::{ConnectionId, Flow, Transport};

use super::*;
use crate::domains::tests::At;
use crate::location::LocationSettings;
use crate::testing::{request, udp};

const PHONE: &str = "203.0.113.5:5060";
const INSTANCE: &str = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"";

struct World {
    settings: RegistrarSettings,
    location: SharedLocation,
    now: Instant,
    flow: Flow,
    user: Option<&'static str>,
    random: Cell<u64>,
    registers: Cell<u32>,
}

/// What came of a REGISTER.
struct Answer(Result<Registered, Refusal>);

impl Default for World {
    fn default() -> World {
        let domains = Domains::new(["example.com"]);
        World {
            settings: RegistrarSettings { domains, authenticate: false, ..RegistrarSettings::default() },
            location: SharedLocation::new(LocationSettings::default()),
            now: Instant::now(),
            flow: udp(PHONE),
            user: None,
            random: Cell::new(1),
            registers: Cell::new(0),
        }
    }
}

impl World {
    /// A REGISTER of bob's with these lines, and a Call-ID of its own unless they have one.
    fn register(&self, lines: &str) -> Answer {
        self.registers.set(self.registers.get() + 1);
        let call_id = format!("Call-ID: {}\n", self.registers.get());
        let call_id = if lines.contains("Call-ID:") { "" } else { &call_id };
        self.send(&format!("REGISTER sip:example.com SIP/2.0\n{call_id}{lines}"))
    }

    fn send(&self, text: &str) -> Answer {
        let random = || {
            self.random.set(self.random.get() + 2);
            self.random.get()
        };
        let registration = Registration {
            settings: &self.settings,
            location: &self.location,
            own: &At(&["sip:192.0.2.1"]),
            random: &random,
            now: self.now,
            time: UNIX_EPOCH + Duration::from_secs(1_289_690_940),
            flow: Some(self.flow.into()),
            user: self.user.map(str::to_owned),
        };
        Answer(registration.register(&request(text)))
    }

    fn bindings(&self) -> Vec<String> {
        let bindings = self.location.bindings(self.now, "bob@example.com");
        bindings.iter().map(|binding| binding.contact.to_string()).collect()
    }
}

impl Answer {
    fn status(&self) -> u16 {
        self.0.as_ref().map_or_else(|refusal| refusal.status.code(), |_| 200)
    }

    #[track_caller]
    fn all(&self, name: HeaderName) -> Vec<&str> {
        match &self.0 {
            Ok(registered) => registered.headers.values(name).collect(),
            Err(Refusal { header: Some((of, value)), .. }) if *of == name => vec![value],
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    #[track_caller]
    fn contacts(&self) -> Vec<&str> {
        self.all(HeaderName::Contact)
    }
}

/// Step 8.
#[test]
fn a_registration_is_answered_with_all_bindings_and_a_date() {
    let world = World::default();
    let ok = world.register("Contact: <sip:bob@203.0.113.5>");
    assert_eq!(ok.contacts(), ["<sip:bob@203.0.113.5>;expires=3600"]);
    assert_eq!(ok.all(HeaderName::Date), ["Sat, 13 Nov 2010 23:29:00 GMT"]);
    let ok = world.register("Contact: <sip:bob@198.51.100.9>;q=0.5;expires=120");
    let both = ["<sip:bob@203.0.113.5>;expires=3600", "<sip:bob@198.51.100.9>;expires=120;q=0.500"];
    assert_eq!(ok.contacts(), both);
    assert_eq!(world.register("").contacts(), both);
}

/// Step 7: the parameter before the header, the header before the default; §20.19: what is no number is an hour.
#[test]
fn the_expiry_is_the_parameter_else_the_header_else_the_default() {
    let world = World::default();
    let ok = world.register("Expires: 300\nContact: <sip:a@h>;expires=200, <sip:b@h>");
    assert_eq!(ok.contacts(), ["<sip:a@h>;expires=200", "<sip:b@h>;expires=300"]);
    let world = World::default();
    assert_eq!(world.register("Expires: soon\nContact: <sip:a@h>").contacts(), ["<sip:a@h>;expires=3600"]);
    assert_eq!(world.register("Contact: <sip:a@h>;expires=4294967295").contacts(), ["<sip:a@h>;expires=86400"]);
}

/// Step 7: 423 "MUST contain a Min-Expires header field"; nothing of the request is done.
#[test]
fn a_short_expiry_is_refused_with_what_is_enough() {
    let world = World::default();
    let refused = world.register("Contact: <sip:b@h>, <sip:a@h>;expires=59");
    assert_eq!((refused.status(), refused.all(HeaderName::MinExpires)), (423, vec!["60"]));
    assert!(world.bindings().is_empty());
    assert_eq!(world.register("Contact: <sip:a@h>;expires=60").status(), 200);
}

/// Step 6.
#[test]
fn a_star_stands_alone_and_removes_everything() {
    let world = World::default();
    world.register("Contact: <sip:a@h>, <sip:b@h>");
    for lines in [
        "Contact: *",
        "Expires: 1\nContact: *",
        "Expires: 0\nContact: *\nContact: <sip:b@h>",
        "Expires: 0\nContact: *, *",
    ] {
        assert_eq!(world.register(lines).status(), 400, "{lines}");
    }
    assert_eq!(world.bindings().len(), 2);
    let ok = world.register("Expires: 0\nContact: *");
    assert_eq!((ok.status(), ok.contacts().len(), world.bindings().len()), (200, 0, 0));
}

/// Step 7: "if and only if all binding updates and additions succeed".
#[test]
fn one_contact_that_fails_leaves_all_bindings_as_they_were() {
    let world = World::default();
    world.register("Call-ID: same\nCSeq: 5 REGISTER\nContact: <sip:a@h>;expires=600");
    let late = world.register("Call-ID: same\nCSeq: 4 REGISTER\nContact: <sip:new@h>, <sip:a@h>");
    assert_eq!(late.status(), 500);
    assert_eq!(world.register("Contact: <sip:new@h>, <sip:bob@example.com>").status(), 403);
    assert_eq!(world.register("Contact: <sip:new@h>, <sip:a@h").status(), 400);
    assert_eq!(world.bindings(), ["sip:a@h"]);
    let next = world.register("Call-ID: same\nCSeq: 6 REGISTER\nContact: <sip:a@h>;expires=0");
    assert_eq!((next.status(), world.bindings().len()), (200, 0));
}

/// Step 2; step 5.
#[test]
fn what_is_unknown_is_named_or_not_found() {
    let world = World::default();
    let refused = world.register("Require: path, teleport, gruu");
    assert_eq!((refused.status(), refused.all(HeaderName::Unsupported)), (420, vec!["teleport"]));
    for to in ["<sip:bob@example.net>", "<tel:+12015550123>", "<sip:example.com>"] {
        assert_eq!(world.register(&format!("To: {to}")).status(), 404, "{to}");
    }
    let settings = RegistrarSettings { users: KnownUsers::only(["bob"]), ..World::default().settings };
    let world = World { settings, ..World::default() };
    assert_eq!(world.register("").status(), 200);
    assert_eq!(world.register("To: <sip:eve@example.com>").status(), 404);
}

/// Step 4: "If the authenticated user is not authorized to modify bindings, the registrar MUST return a 403".
#[test]
fn nobody_registers_for_another_user() {
    let world = |user| {
        let settings = RegistrarSettings { authenticate: true, ..World::default().settings };
        World { settings, user, ..World::default() }
    };
    let lines = "Contact: <sip:a@h>";
    assert_eq!(world(Some("bob")).register(lines).status(), 200);
    assert_eq!(world(Some("carol")).register(lines).status(), 403);
    assert_eq!(world(None).register(lines).status(), 403);
}

#[test]
fn a_full_location_service_says_when_to_come_again() {
    let settings = LocationSettings { max_total: 1, ..LocationSettings::default() };
    let world = World { location: SharedLocation::new(settings), ..World::default() };
    assert_eq!(world.register("Contact: <sip:a@h>").status(), 200);
    let refused = world.register("To: <sip:carol@example.com>\nContact: <sip:c@h>");
    assert_eq!((refused.status(), refused.all(HeaderName::RetryAfter)), (503, vec!["10"]));
}

/// RFC 3840 puts a phone's abilities there; a client's own idea of a GRUU is ignored (RFC 5627 §5.1).
#[test]
fn parameters_of_a_contact_are_kept_but_for_those_that_are_ours() {
    let ok = World::default().register(
        "Contact: \"Bob\" <sip:a@h>;audio;methods=\"INVITE,BYE\";expires=100;q=0.7;pub-gruu=\"sip:eve@e;gr=1\"",
    );
    assert_eq!(ok.contacts(), ["<sip:a@h>;audio;methods=\"INVITE,BYE\";expires=100;q=0.700"]);
}

/// RFC 3327 §5.3.
#[test]
fn the_path_is_told_back_to_who_knows_of_it() {
    let world = World::default();
    let ok =
        world.register("Supported: path\nPath: <sip:p3;lr>\nPath: <sip:p1;lr;x=y>, <sip:p0;lr>\nContact: <sip:a@h>");
    assert_eq!(ok.all(HeaderName::Path), ["<sip:p3;lr>", "<sip:p1;lr;x=y>", "<sip:p0;lr>"]);
    let refused = world.register("Path: <sip:p3;lr>\nContact: <sip:a@h>");
    assert_eq!((refused.status(), refused.all(HeaderName::Unsupported)), (420, vec!["path"]));
    for path in ["<sip:p3.example.com>", "<tel:+1>", "<sip:p3;lr"] {
        let lines = format!("Supported: path\nPath: {path}\nContact: <sip:a@h>");
        assert_eq!(world.register(&lines).status(), 400, "{path}");
    }
}

mod outbound {
    use super::*;

    fn world() -> World {
        let flow = Flow { transport: Transport::Tcp, connection: Some(ConnectionId(7)), ..udp(PHONE) };
        World { flow, ..World::default() }
    }

    fn contact() -> String {
        format!("Supported: path, outbound\nContact: <sip:bob@203.0.113.5;transport=tcp;ob>;reg-id=1;{INSTANCE}")
    }

    #[test]
    fn a_flow_is_registered_and_said_to_be_one() {
        let world = world();
        let ok = world.register(&contact());
        assert_eq!((ok.all(HeaderName::Require), ok.all(HeaderName::FlowTimer)), (vec!["outbound"], vec!["120"]));
        assert!(ok.contacts()[0].contains(";reg-id=1"));
        let binding = &world.location.bindings(world.now, "bob@example.com")[0];
        assert_eq!((binding.flow, binding.reg_id), (Some(world.flow.into()), 1));
        world.location.flow_ended(world.now, &world.flow.into());
        assert!(world.bindings().is_empty());
    }

    #[test]
    fn a_reg_id_without_an_instance_is_ignored() {
        let ok = world().register("Supported: outbound\nContact: <sip:bob@203.0.113.5>;reg-id=1");
        assert_eq!((ok.contacts(), ok.all(HeaderName::Require).len()), (vec!["<sip:bob@203.0.113.5>;expires=3600"], 0));
    }

    #[test]
    fn a_flow_is_registered_alone() {
        assert_eq!(world().register(&format!("{}\nContact: <sip:other@h>", contact())).status(), 400);
        assert_eq!(world().register(&format!("{}\nContact: <sip:other@h>;expires=0", contact())).status(), 200);
    }

    #[test]
    fn a_first_hop_that_lacks_support_is_told_of() {
        let world = world();
        let edge = "Via: SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKp, SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKua";
        let without = format!("{edge}\nPath: <sip:edge.example.net;lr>\n{}", contact());
        assert_eq!(world.register(&without).status(), 439);
        let plain = format!("{edge}\n{}", contact().replace("path, outbound", "path"));
        assert!(!world.register(&plain).contacts()[0].contains("reg-id"));
        let with = format!("{edge}\nPath: <sip:token@edge.example.net;lr;ob>\n{}", contact());
        let ok = world.register(&with);
        assert_eq!((ok.all(HeaderName::Require), ok.all(HeaderName::FlowTimer).len()), (vec!["outbound"], 0));
    }

    /// A phone behind an address translator can be reached only where its REGISTER came from.
    #[test]
    fn a_contact_behind_a_translator_is_bound_to_its_flow() {
        let world = World { flow: udp("203.0.113.5:41000"), ..World::default() };
        let lines = "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa\nContact: <sip:bob@10.0.0.5:5060>";
        assert_eq!(world.register(lines).status(), 200);
        let bindings = world.location.bindings(world.now, "bob@example.com");
        assert_eq!(bindings[0].flow, Some(world.flow.into()));
    }
}

mod gruus {
    use super::*;

    fn parameter(value: &str, name: &str) -> String {
        let at = value.find(&format!(";{name}=\"")).unwrap() + name.len() + 3;
        value[at..].split('"').next().unwrap().to_owned()
    }

    /// RFC 5627 §5.2.
    #[test]
    fn an_instance_gets_two_gruus_when_it_knows_what_they_are() {
        let world = World::default();
        let lines = format!("Contact: <sip:bob@203.0.113.5>;{INSTANCE}");
        assert!(!world.register(&lines).contacts()[0].contains("gruu"));
        let ok = world.register(&format!("Supported: gruu\n{lines}"));
        let public = parameter(ok.contacts()[0], "pub-gruu");
        assert_eq!(public, "sip:bob@example.com;gr=urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF");
        let temporary = parameter(ok.contacts()[0], "temp-gruu");
        assert!(temporary.starts_with("sip:tgruu.") && temporary.ends_with("@example.com;gr"), "{temporary}");
        // §5.1: nor may a contact lead back to its own address-of-record, by whatever name.
        for contact in ["sip:bob@example.com", "sip:bob@192.0.2.1", &*public, &*temporary, "mailto:bob@example.com"] {
            let lines = format!("Supported: gruu\nContact: <{contact}>;{INSTANCE}");
            assert_eq!(world.register(&lines).status(), 403, "{contact}");
        }
        assert_eq!(world.bindings(), ["sip:bob@203.0.113.5"]);
    }
}
