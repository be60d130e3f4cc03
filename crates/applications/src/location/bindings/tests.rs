//! RFC 3261 §10.3 step 7 and what keeps the table small.

use std::borrow::Cow;
use std::time::Duration;

use sip_message::{Flow, ListenerId, Transport};

use super::*;
use crate::location::Secret;

const BOB: &str = "bob@example.com";

struct World {
    table: Bindings,
    now: Instant,
    last: u64,
}

impl World {
    fn new(settings: LocationSettings) -> World {
        World { table: Bindings::new(settings), now: Instant::now(), last: 0 }
    }

    fn update(&mut self, aor: &str, drafts: &[Draft<'_>]) -> Result<Option<Change>, Refused> {
        let last = &mut self.last;
        let mut random = || {
            *last += 2;
            *last
        };
        self.table.update(self.now, &mut random, aor, drafts)
    }

    fn contacts(&self, aor: &str) -> Vec<String> {
        self.table.of(self.now, aor).map(|b| b.contact.to_string()).collect()
    }

    fn for_seconds<'a>(&self, contact: &'a str, seconds: u64) -> Draft<'a> {
        Draft { expires: Some(self.now + Duration::from_secs(seconds)), ..gone(contact) }
    }
}

impl Default for World {
    fn default() -> World {
        World::new(LocationSettings { secret: Secret([1, 2]), ..LocationSettings::default() })
    }
}

fn shared() -> World {
    World::new(LocationSettings { shared: true, ..LocationSettings::default() })
}

/// A draft that removes a binding, with the contact as Call-ID.
fn gone(contact: &str) -> Draft<'_> {
    Draft {
        contact,
        params: Cow::Borrowed(""),
        call_id: contact,
        cseq: 1,
        expires: None,
        q: 1000,
        path: Cow::Borrowed(""),
        instance: Cow::Borrowed(""),
        reg_id: 0,
        wants_gruu: false,
        flow: None,
        user_agent: "",
    }
}

fn over(connection: u64) -> Option<SipFlow> {
    let addr = "192.0.2.1:5060".parse().unwrap();
    let (transport, listener) = (Transport::Tcp, ListenerId(0));
    let connection = Some(ConnectionId(connection));
    Some(SipFlow::from(Flow { transport, listener, local: addr, remote: addr, connection }))
}

#[test]
fn a_location_service_that_has_emptied_is_small_again() {
    let mut world = World::default();
    let name = |n: u32| format!("user{n}@example.com");
    for n in 0..5000 {
        world.update(&name(n), &[world.for_seconds("sip:a@192.0.2.9", 60)]).unwrap();
    }
    assert_eq!((world.table.len(), world.table.due.len()), (5000, 5000));
    // All but one go, in an order that leaves holes everywhere.
    for n in (0..5000).step_by(2).chain((1..5000).step_by(2)).filter(|n| *n != 7) {
        world.update(&name(n), &[Draft { cseq: 2, ..gone("sip:a@192.0.2.9") }]).unwrap();
    }
    assert_eq!((world.table.len(), world.table.due.len()), (1, 1));
    assert!(world.table.addresses.capacity() <= 64);
    assert_eq!(world.contacts(&name(7)).len(), 1);
    for n in 0..100 {
        world.update(&name(n), &[world.for_seconds("sip:b@192.0.2.9", 60)]).unwrap();
    }
    assert_eq!(world.table.len(), 101);
    assert!((0..100).all(|n| world.contacts(&name(n)).contains(&"sip:b@192.0.2.9".to_owned())));
}

#[test]
fn what_has_expired_is_not_seen_and_is_swept_by_what_others_do() {
    let mut world = World::default();
    for n in 0..100 {
        world.update(&format!("{n}@x"), &[world.for_seconds("sip:a@192.0.2.9", 60)]).unwrap();
    }
    world.now += Duration::from_secs(60);
    assert!(world.contacts("1@x").is_empty());
    assert_eq!(world.table.len(), 100);
    for n in 0..4 {
        world.update(&format!("new{n}@x"), &[world.for_seconds("sip:a@192.0.2.9", 60)]).unwrap();
    }
    assert_eq!((world.table.len(), world.table.due.len()), (4, 4));
}

#[test]
fn a_binding_that_is_refreshed_again_and_again_stands_in_the_queue_once() {
    let mut world = World::default();
    for cseq in 1..50 {
        let draft = Draft { cseq, ..world.for_seconds("sip:a@192.0.2.9", 60) };
        world.update(BOB, &[draft]).unwrap();
        world.now += Duration::from_secs(50);
        assert_eq!((world.table.len(), world.table.due.len()), (1, 1));
    }
    world.now += Duration::from_secs(11);
    assert!(!world.table.expire_some(world.now, STEP));
    assert_eq!((world.table.len(), world.table.due.len()), (0, 0));
}

/// The shorter of two expiries is noted even when the longer one came first.
#[test]
fn a_shorter_registration_is_looked_at_earlier() {
    let mut world = World::default();
    world.update(BOB, &[world.for_seconds("sip:a@192.0.2.9", 3600)]).unwrap();
    world.update(BOB, &[world.for_seconds("sip:b@192.0.2.9", 60)]).unwrap();
    world.now += Duration::from_secs(61);
    world.table.expire_some(world.now, STEP);
    assert_eq!(world.table.len(), 1);
    assert_eq!(world.contacts(BOB), ["sip:a@192.0.2.9"]);
}

#[test]
fn a_full_table_refuses_and_evicts_nobody_but_what_has_expired() {
    let mut world = World::new(LocationSettings { max_total: 2, ..LocationSettings::default() });
    world.update("a@x", &[world.for_seconds("sip:a@192.0.2.9", 60)]).unwrap();
    world.update("b@x", &[world.for_seconds("sip:b@192.0.2.9", 600)]).unwrap();
    let third = world.for_seconds("sip:c@192.0.2.9", 60);
    assert_eq!(world.update("c@x", &[third]).unwrap_err(), Refused::Full);
    let again = Draft { cseq: 2, ..world.for_seconds("sip:b@192.0.2.9", 700) };
    assert!(world.update("b@x", &[again]).is_ok());
    world.now += Duration::from_secs(61);
    assert!(world.update("c@x", &[world.for_seconds("sip:c@192.0.2.9", 60)]).is_ok());
}

#[test]
fn there_are_ten_bindings_to_an_address_of_record_and_no_more() {
    let mut world = World::default();
    let contacts: Vec<String> = (0..11).map(|n| format!("sip:{n}@192.0.2.9")).collect();
    for contact in &contacts[..10] {
        world.update(BOB, &[world.for_seconds(contact, 60)]).unwrap();
    }
    let eleventh = world.for_seconds(&contacts[10], 60);
    assert_eq!(world.update(BOB, std::slice::from_ref(&eleventh)).unwrap_err(), Refused::TooManyBindings);
    let one_for_the_other = [Draft { cseq: 2, ..gone(&contacts[3]) }, eleventh];
    assert!(world.update(BOB, &one_for_the_other).is_ok());
    assert_eq!(world.contacts(BOB).len(), 10);
}

/// "If the value is higher … it MUST update or remove the binding … If not, the update MUST be aborted"; all or nothing.
#[test]
fn a_register_out_of_order_changes_nothing_at_all() {
    let mut world = World::default();
    let of = |contact, cseq, world: &World| Draft { call_id: "same", cseq, ..world.for_seconds(contact, 60) };
    world.update(BOB, &[of("sip:a@192.0.2.9", 5, &world)]).unwrap();
    let late = [of("sip:new@192.0.2.9", 4, &world), of("sip:a@192.0.2.9", 4, &world)];
    assert_eq!(world.update(BOB, &late).unwrap_err(), Refused::OutOfOrder);
    assert_eq!(world.contacts(BOB), ["sip:a@192.0.2.9"]);
    assert_eq!(world.table.clear(world.now, BOB, "same", 5).unwrap_err(), Refused::OutOfOrder);
    assert!(world.table.clear(world.now, BOB, "same", 6).is_ok());
    assert_eq!(world.table.len(), 0);
}

/// §17.1.2.2: over UDP a REGISTER comes again until its answer arrives; another one with its CSeq is out of order.
#[test]
fn a_register_that_is_repeated_changes_nothing_and_does_not_fail() {
    let mut world = World::default();
    let draft = |world: &World, seconds| Draft { call_id: "same", ..world.for_seconds("sip:a@192.0.2.9", seconds) };
    world.update(BOB, &[draft(&world, 600)]).unwrap();
    world.now += Duration::from_secs(1);
    assert!(world.update(BOB, &[draft(&world, 600)]).is_ok());
    assert_eq!(world.update(BOB, &[draft(&world, 601)]).unwrap_err(), Refused::OutOfOrder);
}

#[test]
fn contacts_are_compared_as_uris_and_not_as_text() {
    let mut world = World::default();
    for contact in ["sip:%61lice@PHONE.example.net;transport=TCP", "sip:alice@phone.example.net;Transport=tcp"] {
        world.update(BOB, &[world.for_seconds(contact, 60)]).unwrap();
    }
    assert_eq!(world.contacts(BOB), ["sip:alice@phone.example.net;Transport=tcp"]);
    world.update(BOB, &[world.for_seconds("sip:alice@phone.example.net:5060;transport=tcp", 60)]).unwrap();
    assert_eq!(world.contacts(BOB).len(), 2);
}

#[test]
fn the_index_of_connections_follows_the_bindings() {
    let mut world = World::default();
    let bound = |world: &World, connection, cseq| Draft {
        flow: over(connection),
        cseq,
        ..world.for_seconds("sip:a@192.0.2.9", 60)
    };
    world.update("a@x", &[bound(&world, 1, 1)]).unwrap();
    assert_eq!(world.table.by_connection.len(), 1);
    world.update("a@x", &[bound(&world, 2, 2)]).unwrap();
    assert_eq!(world.table.by_connection.len(), 1);
    world.table.flow_ended(world.now, &over(1).unwrap());
    assert_eq!(world.table.len(), 1);
    world.table.flow_ended(world.now, &over(2).unwrap());
    assert_eq!((world.table.len(), world.table.by_connection.len(), world.table.due.len()), (0, 0, 0));
    world.update("a@x", &[bound(&world, 3, 1)]).unwrap();
    world.update("a@x", &[Draft { expires: None, ..bound(&world, 3, 2) }]).unwrap();
    assert_eq!((world.table.len(), world.table.by_connection.len()), (0, 0));
}

/// RFC 5626 §6: "the combination of the instance-id … and the value of reg-id".
#[test]
fn there_is_one_binding_to_an_instance_and_reg_id() {
    let mut world = World::default();
    let flow = |world: &World, contact, reg_id| Draft {
        instance: Cow::Borrowed("<urn:uuid:1>"),
        reg_id,
        ..world.for_seconds(contact, 60)
    };
    world.update(BOB, &[flow(&world, "sip:a@192.0.2.9", 1)]).unwrap();
    world.update(BOB, &[flow(&world, "sip:a@192.0.2.9", 2)]).unwrap();
    world.update(BOB, &[flow(&world, "sip:moved@192.0.2.9", 1)]).unwrap();
    assert_eq!(world.contacts(BOB), ["sip:moved@192.0.2.9", "sip:a@192.0.2.9"]);
}

/// RFC 5627 §5.1: with a new Call-ID the temporary GRUUs of before are no more.
#[test]
fn a_client_that_begins_anew_makes_its_old_temporary_gruus_invalid() {
    let mut world = World::default();
    let of = |world: &World, call_id| Draft {
        instance: Cow::Borrowed("<urn:uuid:1>"),
        wants_gruu: true,
        call_id,
        ..world.for_seconds("sip:a@192.0.2.9", 60)
    };
    world.update(BOB, &[of(&world, "one")]).unwrap();
    let number = |world: &World| world.table.of(world.now, BOB).next().unwrap().gruu;
    let first = number(&world);
    assert_eq!(world.table.of_gruu(world.now, first), Some((BOB, "<urn:uuid:1>")));
    world.update(BOB, &[Draft { cseq: 2, ..of(&world, "one") }]).unwrap();
    assert_eq!(number(&world), first);
    world.update(BOB, &[of(&world, "two")]).unwrap();
    assert_eq!(world.table.of_gruu(world.now, first), None);
    let second = number(&world);
    world.now += Duration::from_secs(60);
    assert_eq!(world.table.of_gruu(world.now, second), None);
}

mod workers {
    use super::*;

    fn tell(change: Option<Change>, to: &mut World) {
        to.table.apply(to.now, &change.expect("there is something to tell"));
    }

    #[test]
    fn a_registration_is_known_to_the_other_workers_and_so_is_its_end() {
        let (mut one, mut two) = (shared(), shared());
        two.now = one.now;
        let draft = one.for_seconds("sip:a@192.0.2.9", 60);
        tell(one.update(BOB, &[draft]).unwrap(), &mut two);
        assert_eq!(two.contacts(BOB), ["sip:a@192.0.2.9"]);
        tell(one.update(BOB, &[Draft { cseq: 2, ..gone("sip:a@192.0.2.9") }]).unwrap(), &mut two);
        assert_eq!((two.table.len(), two.table.due.len()), (0, 0));
    }

    #[test]
    fn a_change_that_comes_late_from_another_worker_is_left_out() {
        let (mut one, mut two) = (shared(), shared());
        two.now = one.now;
        let of = |world: &World, cseq, seconds| Draft { cseq, ..world.for_seconds("sip:a@192.0.2.9", seconds) };
        let early = one.update(BOB, &[of(&one, 1, 100)]).unwrap();
        two.update(BOB, &[of(&two, 2, 900)]).unwrap();
        tell(early, &mut two);
        let binding = two.table.of(two.now, BOB).next().unwrap();
        assert_eq!(binding.expires - two.now, Duration::from_secs(900));
    }

    #[test]
    fn a_copied_binding_expires_too() {
        let (mut one, mut two) = (shared(), shared());
        two.now = one.now;
        let draft = one.for_seconds("sip:a@192.0.2.9", 60);
        tell(one.update(BOB, &[draft]).unwrap(), &mut two);
        two.now += Duration::from_secs(61);
        assert!(two.contacts(BOB).is_empty());
    }

    #[test]
    fn nobody_is_told_where_there_is_nobody() {
        let mut world = World::default();
        assert!(world.update(BOB, &[world.for_seconds("sip:a@192.0.2.9", 60)]).unwrap().is_none());
    }
}
