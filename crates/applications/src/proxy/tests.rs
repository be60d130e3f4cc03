//! RFC 3261 §16.5 and who may be forwarded where; without a container.

use std::borrow::Cow;
use std::time::Instant;

use super::targets::Found;
use super::*;
use crate::domains::tests::At;
use crate::location::{Bindings, Draft, LocationSettings, gruu};
use crate::testing::{request, udp};

const INSTANCE: &str = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";

struct World {
    settings: ProxySettings,
    table: Bindings,
    now: Instant,
    invited: bool,
    registers: u32,
}

impl Default for World {
    fn default() -> World {
        let domains = Domains::new(["example.com"]);
        World {
            settings: ProxySettings { domains, ..ProxySettings::default() },
            table: Bindings::new(LocationSettings::default()),
            now: Instant::now(),
            invited: false,
            registers: 0,
        }
    }
}

impl World {
    /// A binding of bob's, which is later than those before.
    fn bind(&mut self, contact: &str, change: impl FnOnce(&mut Draft<'_>)) {
        self.now += Duration::from_secs(1);
        self.registers += 1;
        let call_id = self.registers.to_string();
        let mut draft = Draft {
            contact,
            params: Cow::Borrowed(""),
            call_id: &call_id,
            cseq: 1,
            expires: Some(self.now + Duration::from_secs(600)),
            q: 1000,
            path: Cow::Borrowed(""),
            instance: Cow::Borrowed(""),
            reg_id: 0,
            wants_gruu: true,
            flow: None,
            user_agent: "",
        };
        change(&mut draft);
        self.table.update(self.now, &mut || 77, "bob@example.com", &[draft]).unwrap();
    }

    fn find(&self, uri: &str, lines: &str) -> Result<Found, u16> {
        let own = At(&["sip:192.0.2.1"]);
        let finder = Finder { settings: &self.settings, location: &self.table, own: &own, invited: self.invited };
        let request = request(&format!("INVITE {uri} SIP/2.0\n{lines}"));
        finder.find(self.now, &request).map_err(|refusal| refusal.status.code())
    }

    #[track_caller]
    fn targets(&self, uri: &str) -> Vec<Target> {
        match self.find(uri, "") {
            Ok(Found::Located(targets)) => targets.into_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn uris(&self, uri: &str) -> Vec<String> {
        self.targets(uri).iter().map(|target| target.uri.to_string()).collect()
    }
}

#[test]
fn targets_stand_in_the_order_of_their_preference_the_latest_first() {
    let mut world = World::default();
    world.bind("sip:low@h", |draft| draft.q = 300);
    world.bind("sip:old@h", |_| {});
    world.bind("sip:new@h", |_| {});
    assert_eq!(world.uris("sip:bob@example.com"), ["sip:new@h", "sip:old@h", "sip:low@h"]);
    assert_eq!(world.uris("sip:%62ob@192.0.2.1;x=y"), ["sip:new@h", "sip:old@h", "sip:low@h"]);
}

/// §16.6 step 2: "If the URI contains any parameters not allowed in a Request-URI, they MUST be removed."
#[test]
fn a_target_is_a_request_uri() {
    let mut world = World::default();
    world.bind("sip:a@h;method=INVITE;x=1?Subject=hi", |_| {});
    world.bind("tel:+12015550123", |_| {});
    assert_eq!(world.uris("sip:bob@example.com"), ["sip:a@h;x=1"]);
}

/// §16.5: "If a target URI is already present in the set …, it MUST NOT be added again"; over two flows it is two.
#[test]
fn a_target_that_is_there_is_not_added_again() {
    let mut world = World::default();
    let flow = |port: u16| Some(SipFlow::from(udp(&format!("203.0.113.5:{port}"))));
    for (reg_id, port) in [(1, 40_001), (2, 40_002), (3, 40_002)] {
        world.bind("sip:bob@10.0.0.1", |draft| {
            (draft.instance, draft.reg_id, draft.flow) = (Cow::Borrowed(INSTANCE), reg_id, flow(port));
        });
    }
    let flows: Vec<_> = world.targets("sip:bob@example.com").iter().map(|target| target.flow).collect();
    assert_eq!(flows, [flow(40_002), flow(40_001)]);
}

#[test]
fn a_request_has_so_many_targets_and_no_more() {
    let mut world = World::default();
    world.settings.max_targets = 2;
    for contact in ["sip:a@h", "sip:b@h", "sip:c@h"] {
        world.bind(contact, |_| {});
    }
    assert_eq!(world.uris("sip:bob@example.com"), ["sip:c@h", "sip:b@h"]);
}

#[test]
fn a_user_who_is_not_there_is_unavailable_and_one_that_is_none_is_not_found() {
    let mut world = World::default();
    assert_eq!(world.find("sip:bob@example.com", ""), Err(480));
    world.settings.users = KnownUsers::only(["bob"]);
    assert_eq!(world.find("sip:bob@example.com", ""), Err(480));
    assert_eq!(world.find("sip:eve@example.com", ""), Err(404));
    world.bind("sip:a@h", |_| {});
    world.now += Duration::from_secs(600);
    assert_eq!(world.find("sip:bob@example.com", ""), Err(480));
}

/// We are no open relay.
#[test]
fn what_is_not_ours_is_forwarded_only_where_that_is_wanted_or_invited() {
    let mut world = World::default();
    world.bind("sip:a@h", |_| {});
    let foreign = [
        ("sip:x@example.net", ""),
        ("sip:bob@example.com;maddr=198.51.100.9", ""),
        ("tel:+12015550123", "Route: <sip:gateway.example.net;lr>"),
    ];
    for (uri, lines) in foreign {
        assert_eq!(world.find(uri, lines), Err(403), "{uri}");
    }
    assert_eq!(world.find("sip:bob@example.com", "Route: <sip:victim.example.net;lr>"), Err(403));
    assert_eq!(world.find("tel:+12015550123", ""), Err(416));
    for (relay, invited) in [(Relay::Any, false), (Relay::None, true)] {
        world.settings.relay = relay;
        world.invited = invited;
        for (uri, lines) in foreign {
            assert_eq!(world.find(uri, lines), Ok(Found::AsItSays), "{uri}");
        }
    }
}

/// RFC 3327 §5.4; RFC 5627 §6.1: "If the received request has Route header field values beyond the one pointing to the
/// authoritative proxy itself …, the Path URI MUST be discarded."
#[test]
fn the_path_leads_unless_a_route_does() {
    let mut world = World::default();
    world.settings.relay = Relay::Any;
    world.bind("sip:a@10.0.0.1", |draft| draft.path = Cow::Borrowed("<sip:p3;lr>, <sip:a,b@p1;lr>"));
    let path = &world.targets("sip:bob@example.com")[0].path;
    let routes: Vec<String> = routes(path).iter().map(Address::to_string).collect();
    assert_eq!(routes, ["<sip:p3;lr>", "<sip:a,b@p1;lr>"]);
    match world.find("sip:bob@example.com", "Route: <sip:203.0.113.31;lr>") {
        Ok(Found::Located(targets)) => assert_eq!(&*targets[0].path, ""),
        other => panic!("{other:?}"),
    }
}

/// RFC 5627 §6.1.
#[test]
fn a_gruu_leads_to_its_instance_only() {
    let mut world = World::default();
    world.bind("sip:one@h", |draft| draft.instance = Cow::Borrowed(INSTANCE));
    world.bind("sip:two@h", |draft| draft.instance = Cow::Borrowed("<urn:uuid:2>"));
    world.bind("sip:three@h", |_| {});
    let aor = sip_message::SipUri::parse("sip:bob@example.com").unwrap();
    let public = gruu::public(&aor, INSTANCE).unwrap();
    assert_eq!(world.uris(public.as_str()), ["sip:one@h"]);
    let secret = world.table.settings().secret;
    let temporary = |number| gruu::temporary(&secret, &aor, number, 5).unwrap().to_string();
    assert_eq!(world.uris(&temporary(77)).len(), 1);
    assert_eq!(world.find(&temporary(78), ""), Err(404));
    for uri in ["sip:bob@example.com;gr", "sip:tgruu.123@example.com;gr"] {
        assert_eq!(world.find(uri, ""), Err(404), "{uri}");
    }
    // §5.3: a public one of an instance that is gone is unavailable, a temporary one is no more.
    world.now += Duration::from_secs(600);
    assert_eq!(world.find(public.as_str(), ""), Err(480));
    assert_eq!(world.find(&temporary(77), ""), Err(404));
}

#[test]
fn a_register_takes_our_address_along_when_nothing_else_leads_back() {
    let tcp = |transport| Some(SipFlow::from(sip_message::Flow { transport, ..udp("203.0.113.5:50000") }));
    let register = |lines: &str| request(&format!("REGISTER sip:example.org SIP/2.0\n{lines}"));
    let knows = "Supported: path\nContact: <sip:bob@h>";
    assert!(wants_path(&register(knows), tcp(Transport::Ws)));
    assert!(!wants_path(&register(knows), tcp(Transport::Tcp)));
    assert!(wants_path(&register(&format!("{knows};reg-id=1")), tcp(Transport::Tcp)));
    assert!(!wants_path(&register("Contact: <sip:bob@h>"), tcp(Transport::Ws)));
    let second_hop = format!("Via: SIP/2.0/TCP p;branch=z9hG4bK1, SIP/2.0/TCP u;branch=z9hG4bK2\n{knows}");
    assert!(!wants_path(&register(&second_hop), tcp(Transport::Ws)));
    assert!(!wants_path(&register(knows), None));
}
