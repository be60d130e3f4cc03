//! RFC 3261 §10.3: what a registrar does with a REGISTER, step by step.

mod server_world;

use std::time::Duration;

use cordboard::config::UserConfig;
use server_world::{CALLER, World, config, invite, one, register, request, stream, udp, users};
use sip_message::{HeaderName, Transport};

const BOB: &str = "203.0.113.5:5060";

fn send(world: &mut World, text: &str) -> server_world::Sent {
    world.receive(&udp(BOB), text);
    world.only()
}

fn contact(value: &str) -> String {
    format!("Contact: {value}\n")
}

/// §10.3 step 8: "The response MUST contain Contact header field values enumerating all current bindings. Each Contact
/// value MUST feature an "expires" parameter … The response SHOULD include a Date header field."
#[test]
fn a_registration_is_answered_with_all_bindings_and_a_date() {
    let mut world = World::default();
    let ok = world.register("bob", "<sip:bob@203.0.113.5>", BOB);
    assert_eq!(ok.start_line(), "SIP/2.0 200 OK");
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:bob@203.0.113.5>;expires=3600"]);
    assert_eq!(ok.first(HeaderName::Date), "Sat, 13 Nov 2010 23:29:00 GMT");
    let ok = world.register("bob", "<sip:bob@198.51.100.9>;q=0.5;expires=120", BOB);
    assert_eq!(
        ok.all(HeaderName::Contact),
        ["<sip:bob@203.0.113.5>;expires=3600", "<sip:bob@198.51.100.9>;expires=120;q=0.500"]
    );
}

/// §10.3 step 6: without Contact the bindings are only listed.
#[test]
fn a_register_without_contact_asks_for_the_bindings() {
    let mut world = World::default();
    assert_eq!(send(&mut world, &register("bob", "q", 1, "", BOB)).all(HeaderName::Contact).len(), 0);
    world.register("bob", "<sip:bob@203.0.113.5>", BOB);
    world.advance(Duration::from_secs(600));
    let ok = send(&mut world, &register("bob", "q2", 1, "", BOB));
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:bob@203.0.113.5>;expires=3000"]);
}

/// §10.3 step 7: the parameter before the header, the header before the default.
#[test]
fn the_expiry_is_the_parameter_else_the_header_else_the_default() {
    let mut world = World::default();
    let more = "Expires: 300\nContact: <sip:a@203.0.113.5>;expires=200, <sip:b@203.0.113.5>\n";
    let ok = send(&mut world, &register("bob", "1", 1, more, BOB));
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=200", "<sip:b@203.0.113.5>;expires=300"]);
}

/// §20.19: "Malformed values SHOULD be treated as equivalent to 3600."
#[test]
fn a_malformed_expiry_is_an_hour() {
    let mut world = World::default();
    let more = format!("Expires: soon\n{}", contact("<sip:a@203.0.113.5>"));
    let ok = send(&mut world, &register("bob", "1", 1, &more, BOB));
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=3600"]);
}

/// §10.3 step 7: "The registrar MAY choose an expiration less than the requested expiration interval."
#[test]
fn a_long_expiry_is_cut() {
    let mut world = World::default();
    let ok = world.register("bob", "<sip:a@203.0.113.5>;expires=4294967295", BOB);
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=86400"]);
}

/// §10.3 step 7: 423 "MUST contain a Min-Expires header field".
#[test]
fn a_short_expiry_is_refused_with_what_is_enough() {
    let mut world = World::default();
    let refused = world.register("bob", "<sip:a@203.0.113.5>;expires=59", BOB);
    assert_eq!((refused.status(), refused.first(HeaderName::MinExpires)), (423, "60"));
    assert_eq!(world.bindings(), 0);
    assert_eq!(world.register("bob", "<sip:a@203.0.113.5>;expires=60", BOB).status(), 200);
}

/// §10.3 step 7: an expiry of zero removes the binding.
#[test]
fn an_expiry_of_zero_removes_the_binding() {
    let mut world = World::default();
    world.register("bob", "<sip:a@203.0.113.5>", BOB);
    world.register("bob", "<sip:b@203.0.113.5>", BOB);
    let ok = world.register("bob", "<sip:a@203.0.113.5>;expires=0", BOB);
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:b@203.0.113.5>;expires=3600"]);
}

/// §10.3 step 6: `*` with Expires 0 removes them all.
#[test]
fn a_star_with_expires_zero_removes_all_bindings() {
    let mut world = World::default();
    world.register("bob", "<sip:a@203.0.113.5>", BOB);
    world.register("bob", "<sip:b@203.0.113.5>", BOB);
    let ok = send(&mut world, &register("bob", "star", 1, "Expires: 0\nContact: *\n", BOB));
    assert_eq!((ok.status(), ok.all(HeaderName::Contact).len()), (200, 0));
    assert_eq!(world.bindings(), 0);
}

/// §10.3 step 6: "If the request has additional Contact fields or an expiration time other than zero, the request is
/// invalid, and the server MUST return a 400".
#[test]
fn a_star_with_anything_else_is_a_bad_request() {
    let mut world = World::default();
    world.register("bob", "<sip:a@203.0.113.5>", BOB);
    for (n, more) in [
        "Contact: *\n",
        "Expires: 1\nContact: *\n",
        "Expires: 0\nContact: *\nContact: <sip:b@203.0.113.5>\n",
        "Expires: 0\nContact: *, *\n",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(send(&mut world, &register("bob", &format!("star{n}"), 1, more, BOB)).status(), 400, "{more}");
    }
    assert_eq!(world.bindings(), 1);
}

/// §10.3 step 6: with the Call-ID of a binding the CSeq must be higher.
#[test]
fn a_star_that_comes_late_removes_nothing() {
    let mut world = World::default();
    send(&mut world, &register("bob", "same", 5, &contact("<sip:a@203.0.113.5>"), BOB));
    let late = send(&mut world, &register("bob", "same", 4, "Expires: 0\nContact: *\n", BOB));
    assert_eq!((late.status(), world.bindings()), (500, 1));
    let next = send(&mut world, &register("bob", "same", 6, "Expires: 0\nContact: *\n", BOB));
    assert_eq!((next.status(), world.bindings()), (200, 0));
}

/// §10.3 step 7: "If they are the same, the registrar compares the CSeq value. If the value is higher … it MUST update or
/// remove the binding … If not, the update MUST be aborted and the request fails."
#[test]
fn a_register_out_of_order_fails_and_changes_nothing() {
    let mut world = World::default();
    send(&mut world, &register("bob", "same", 5, &contact("<sip:a@203.0.113.5>;expires=600"), BOB));
    let late = send(&mut world, &register("bob", "same", 4, &contact("<sip:a@203.0.113.5>;expires=0"), BOB));
    assert_eq!((late.status(), world.bindings()), (500, 1));
    let next = send(&mut world, &register("bob", "same", 6, &contact("<sip:a@203.0.113.5>;expires=700"), BOB));
    assert_eq!(next.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=700"]);
}

/// §17.1.2.2: over UDP a REGISTER comes again until its answer arrives. The same REGISTER once more is no REGISTER out
/// of order; another one with its CSeq is.
#[test]
fn a_register_that_is_repeated_gets_its_answer_again() {
    let mut world = World::default();
    let text = register("bob", "same", 5, &contact("<sip:a@203.0.113.5>;expires=600"), BOB);
    for seconds in [0, 1, 40] {
        world.advance(Duration::from_secs(seconds));
        let ok = send(&mut world, &text);
        assert_eq!((ok.status(), ok.all(HeaderName::Contact).len()), (200, 1));
    }
    let gone = register("bob", "same", 6, &contact("<sip:a@203.0.113.5>;expires=0"), BOB);
    assert_eq!(send(&mut world, &gone).status(), 200);
    assert_eq!(send(&mut world, &gone).status(), 200);
    let star = register("bob", "same", 7, "Expires: 0\nContact: *\n", BOB);
    assert_eq!(send(&mut world, &star).status(), 200);
    assert_eq!(send(&mut world, &star).status(), 200);
    send(&mut world, &register("bob", "same", 8, &contact("<sip:a@203.0.113.5>;expires=600"), BOB));
    let other = register("bob", "same", 8, &contact("<sip:a@203.0.113.5>;expires=601"), BOB).replace("same-8", "x");
    assert_eq!(send(&mut world, &other).status(), 500);
}

/// §10.3 step 7: another Call-ID updates whatever its CSeq.
#[test]
fn a_client_that_was_started_again_takes_its_binding_over() {
    let mut world = World::default();
    send(&mut world, &register("bob", "before", 500, &contact("<sip:a@203.0.113.5>;expires=600"), BOB));
    let ok = send(&mut world, &register("bob", "after", 1, &contact("<sip:a@203.0.113.5>;expires=700"), BOB));
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=700"]);
}

/// §10.3 step 7: "The binding updates MUST be committed … if and only if all binding updates and additions succeed."
#[test]
fn one_contact_that_fails_leaves_all_bindings_as_they_were() {
    let mut world = World::default();
    send(&mut world, &register("bob", "same", 5, &contact("<sip:a@203.0.113.5>;expires=600"), BOB));
    let more = contact("<sip:new@203.0.113.5>, <sip:a@203.0.113.5>");
    assert_eq!(send(&mut world, &register("bob", "same", 4, &more, BOB)).status(), 500);
    let more = contact("<sip:new@203.0.113.5>, <sip:a@203.0.113.5>;expires=5");
    assert_eq!(send(&mut world, &register("bob", "same", 7, &more, BOB)).status(), 423);
    let now = send(&mut world, &register("bob", "ask", 1, "", BOB));
    assert_eq!(now.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=600"]);
}

/// §10.3 step 7: bindings are found "using the URI comparison rules" of §19.1.4.
#[test]
fn contacts_are_compared_as_uris_and_not_as_text() {
    let mut world = World::default();
    world.register("bob", "<sip:%61lice@PHONE.example.net;transport=TCP>", BOB);
    let ok = world.register("bob", "<sip:alice@phone.example.net;Transport=tcp>;expires=100", BOB);
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:alice@phone.example.net;Transport=tcp>;expires=100"]);
    let ok = world.register("bob", "<sip:alice@phone.example.net:5060;transport=tcp>", BOB);
    assert_eq!(ok.all(HeaderName::Contact).len(), 2);
}

/// §10.3 step 5: the address-of-record in canonical form, "all URI parameters MUST be removed … escaped characters MUST
/// be converted to their unescaped form".
#[test]
fn an_address_of_record_has_one_form() {
    let mut world = World::default();
    world.register("bob", "<sip:a@203.0.113.5>", BOB);
    let text =
        register("bob", "other", 1, "", BOB).replace("To: <sip:bob@example.com>", "To: <sip:%62ob@EXAMPLE.com;x=y>");
    assert_eq!(send(&mut world, &text).all(HeaderName::Contact).len(), 1);
}

/// §10.3 step 2 and §8.2.2.3.
#[test]
fn an_extension_that_is_required_and_unknown_is_named() {
    let mut world = World::default();
    let refused = send(&mut world, &register("bob", "1", 1, "Require: path, teleport, gruu\n", BOB));
    assert_eq!((refused.status(), refused.first(HeaderName::Unsupported)), (420, "teleport"));
}

/// §10.3 step 5: "If the address-of-record is not valid for the domain in the Request-URI, the registrar MUST send a
/// 404".
#[test]
fn an_address_of_record_of_another_domain_is_not_found() {
    let mut world = World::default();
    let text = register("bob", "1", 1, "", BOB).replace("To: <sip:bob@example.com>", "To: <sip:bob@example.net>");
    assert_eq!(send(&mut world, &text).status(), 404);
    let text = register("bob", "2", 1, "", BOB).replace("To: <sip:bob@example.com>", "To: <tel:+12015550123>");
    assert_eq!(send(&mut world, &text).status(), 404);
}

/// §10.3 step 5, where users are known.
#[test]
fn a_user_that_does_not_exist_is_not_found() {
    let mut config = config();
    config.user = users(&["bob"]);
    let mut world = World::new(config);
    assert_eq!(world.register("bob", "<sip:a@203.0.113.5>", BOB).status(), 200);
    assert_eq!(world.register("eve", "<sip:a@203.0.113.5>", BOB).status(), 404);
}

/// §10.3 step 1: a domain that is not ours is the proxy's business, which relays nothing here.
#[test]
fn a_register_for_a_foreign_domain_is_not_ours() {
    let mut world = World::default();
    let text = register("bob", "1", 1, "", BOB).replacen("sip:example.com", "sip:example.net", 1);
    assert_eq!(send(&mut world, &text).status(), 403);
}

/// §8.2.2.1 has no REGISTER for a scheme that we do not know: §21.4.14.
#[test]
fn a_register_to_a_scheme_that_is_not_sip_is_refused() {
    let mut world = World::default();
    let text = register("bob", "1", 1, "", BOB).replacen("sip:example.com", "nobodyKnows:example.com", 1);
    assert_eq!(send(&mut world, &text).status(), 416);
}

#[test]
fn a_contact_that_cannot_be_read_is_a_bad_request() {
    let mut world = World::default();
    assert_eq!(world.register("bob", "<sip:a@203.0.113.5", BOB).status(), 400);
    assert_eq!(world.bindings(), 0);
}

/// A binding ends by itself when its time has come.
#[test]
fn a_binding_expires() {
    let mut world = World::default();
    world.register("bob", "<sip:a@203.0.113.5>;expires=60", BOB);
    world.register("bob", "<sip:b@203.0.113.5>;expires=120", BOB);
    world.advance(Duration::from_secs(59));
    assert_eq!(world.bindings(), 2);
    world.advance(Duration::from_secs(2));
    assert_eq!(world.bindings(), 1);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.bindings(), 0);
    assert_eq!(one(world.caller(&invite("sip:bob@example.com", "late"))).status(), 480);
    world.is_empty_after_a_while();
    assert_eq!(world.endpoint.load().timers, 0);
}

#[test]
fn a_binding_that_is_refreshed_does_not_expire() {
    let mut world = World::default();
    for cseq in 1..20 {
        send(&mut world, &register("bob", "same", cseq, &contact("<sip:a@203.0.113.5>;expires=60"), BOB));
        world.advance(Duration::from_secs(50));
    }
    assert_eq!(world.bindings(), 1);
    world.advance(Duration::from_secs(11));
    assert_eq!(world.bindings(), 0);
}

#[test]
fn there_are_ten_bindings_to_an_address_of_record_and_no_more() {
    let mut world = World::default();
    for n in 0..10 {
        assert_eq!(world.register("bob", &format!("<sip:{n}@203.0.113.5>"), BOB).status(), 200);
    }
    assert_eq!(world.register("bob", "<sip:10@203.0.113.5>", BOB).status(), 403);
    assert_eq!(world.register("bob", "<sip:9@203.0.113.5>;expires=0", BOB).status(), 200);
    assert_eq!(world.register("bob", "<sip:10@203.0.113.5>", BOB).status(), 200);
}

/// At a limit new bindings are refused and old ones stay.
#[test]
fn a_full_table_refuses_and_evicts_nobody() {
    let mut config = config();
    config.registrar.max_bindings = 2;
    let mut world = World::new(config);
    assert_eq!(world.register("a", "<sip:a@203.0.113.5>", BOB).status(), 200);
    assert_eq!(world.register("b", "<sip:b@203.0.113.5>", BOB).status(), 200);
    let refused = world.register("c", "<sip:c@203.0.113.5>", BOB);
    assert_eq!((refused.status(), refused.first(HeaderName::RetryAfter)), (503, "10"));
    assert_eq!(world.register("a", "<sip:a@203.0.113.5>;expires=100", BOB).status(), 200);
}

/// §10.3: "Registrars MUST NOT include a Record-Route header field in any response to a REGISTER request."
#[test]
fn a_record_route_in_a_register_is_ignored() {
    let mut world = World::default();
    let more = format!("Record-Route: <sip:p.example.net;lr>\n{}", contact("<sip:a@203.0.113.5>"));
    let ok = send(&mut world, &register("bob", "1", 1, &more, BOB));
    assert_eq!((ok.status(), ok.all(HeaderName::RecordRoute).len()), (200, 0));
}

/// RFC 5627 §5.1, and good sense without GRUUs: the contact would lead back to itself.
#[test]
fn a_contact_that_is_its_own_address_of_record_is_forbidden() {
    let mut world = World::default();
    assert_eq!(world.register("bob", "<sip:bob@example.com>", BOB).status(), 403);
    assert_eq!(world.register("bob", "<sip:bob@192.0.2.1>", BOB).status(), 403);
    assert_eq!(world.register("bob", "<sip:carol@example.com>", BOB).status(), 200);
}

/// Header parameters that we do not rule belong to the binding (RFC 3840 puts a phone's abilities there).
#[test]
fn parameters_of_a_contact_are_kept() {
    let mut world = World::default();
    let ok = world.register("bob", "\"Bob\" <sip:a@203.0.113.5>;audio;methods=\"INVITE,BYE\";expires=100;q=0.7", BOB);
    assert_eq!(ok.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;audio;methods=\"INVITE,BYE\";expires=100;q=0.700"]);
}

/// §10.3 steps 3 and 4, §22.
mod authentication {
    use super::*;

    fn world() -> World {
        let mut config = config();
        config.user = users(&["bob", "carol"]);
        config.registrar.authenticate = Some(true);
        World::new(config)
    }

    /// The Authorization that answers a challenge.
    fn credentials(challenge: &server_world::Sent, user: &str, password: &str) -> String {
        let value = challenge
            .all(HeaderName::WwwAuthenticate)
            .into_iter()
            .find(|value| value.contains("algorithm=MD5") || !value.contains("algorithm="))
            .expect("an MD5 challenge")
            .to_owned();
        server_world::digest(&value, user, password, "REGISTER", "sip:example.com")
    }

    fn attempt(world: &mut World, user: &str, as_user: &str, password: &str, id: &str) -> server_world::Sent {
        let more = contact("<sip:a@203.0.113.5>");
        let challenge = send(world, &register(user, id, 1, &more, BOB));
        assert_eq!(challenge.status(), 401);
        let authorization = credentials(&challenge, as_user, password);
        let more = format!("{more}Authorization: {authorization}\n");
        send(world, &register(user, id, 2, &more, BOB))
    }

    #[test]
    fn who_proves_who_he_is_is_registered() {
        let mut world = world();
        assert_eq!(attempt(&mut world, "bob", "bob", "secret", "1").status(), 200);
        assert_eq!(world.bindings(), 1);
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_look_alike() {
        let mut world = world();
        let wrong = attempt(&mut world, "bob", "bob", "guess", "1");
        let unknown = attempt(&mut world, "eve", "eve", "guess", "2");
        assert_eq!((wrong.status(), unknown.status()), (401, 401));
        assert_eq!(world.bindings(), 0);
    }

    /// Guessing is slow: a few tries, then one a second.
    #[test]
    fn who_guesses_too_often_has_to_wait() {
        let mut world = world();
        for n in 0..5 {
            assert_eq!(attempt(&mut world, "bob", "bob", "guess", &format!("g{n}")).status(), 401);
        }
        let refused = attempt(&mut world, "bob", "bob", "secret", "more");
        assert_eq!(refused.status(), 503);
        assert!(["1", "2"].contains(&refused.first(HeaderName::RetryAfter)));
        // Another user, and bob elsewhere, are not held up.
        assert_eq!(attempt(&mut world, "carol", "carol", "secret", "carol").status(), 200);
        world.advance(Duration::from_secs(2));
        assert_eq!(attempt(&mut world, "bob", "bob", "secret", "bob").status(), 200);
    }

    /// RFC 7616 §5.5: what was seen on the wire is of no use to another.
    #[test]
    fn credentials_that_were_used_are_stale() {
        let mut world = world();
        let more = contact("<sip:a@203.0.113.5>");
        let challenge = send(&mut world, &register("bob", "1", 1, &more, BOB));
        let more = format!("{more}Authorization: {}\n", credentials(&challenge, "bob", "secret"));
        assert_eq!(send(&mut world, &register("bob", "1", 2, &more, BOB)).status(), 200);
        let replayed = send(&mut world, &register("bob", "eve", 1, &more, "198.51.100.66:5060"));
        assert_eq!(replayed.status(), 401);
        assert!(replayed.first(HeaderName::WwwAuthenticate).contains("stale=true"), "{}", replayed.text);
    }

    /// Many clients can do with one challenge only, and that of MD5; who wants better says so (RFC 8760 §2.3: strongest
    /// first).
    #[test]
    fn one_md5_challenge_is_made_unless_others_are_wanted() {
        let ask = |world: &mut World| {
            let challenge = send(world, &register("bob", "1", 1, &contact("<sip:a@203.0.113.5>"), BOB));
            let all = challenge.all(HeaderName::WwwAuthenticate);
            ["MD5", "SHA-256"].map(|name| all.iter().position(|c| c.contains(&format!("algorithm={name}"))))
        };
        assert_eq!(ask(&mut world()), [Some(0), None]);
        let mut config = config();
        config.user = users(&["bob"]);
        config.registrar.authenticate = Some(true);
        config.registrar.algorithms = vec!["MD5".to_owned(), "SHA-256".to_owned()];
        assert_eq!(ask(&mut World::new(config)), [Some(1), Some(0)]);
    }

    /// The password itself need not be in the configuration.
    #[test]
    fn a_user_may_be_known_by_a_hash() {
        let mut config = config();
        let ha1 = sip_dialog::digest::Secret::Password("secret".into())
            .ha1(sip_dialog::digest::HashFunction::Md5, "bob", "example.com")
            .map(|ha1| ha1.as_str().to_owned());
        config.user = vec![UserConfig { name: "bob".to_owned(), ha1_md5: ha1, ..UserConfig::default() }];
        config.registrar.authenticate = Some(true);
        let mut world = World::new(config);
        assert_eq!(attempt(&mut world, "bob", "bob", "secret", "1").status(), 200);
        assert_eq!(attempt(&mut world, "bob", "bob", "guess", "2").status(), 401);
    }

    /// §10.3 step 4: "If the authenticated user is not authorized to modify bindings, the registrar MUST return a 403".
    #[test]
    fn nobody_registers_for_another_user() {
        let mut world = world();
        assert_eq!(attempt(&mut world, "bob", "carol", "secret", "1").status(), 403);
        assert_eq!(world.bindings(), 0);
    }
}

/// What one shard is told, the others know.
mod shards {
    use super::*;

    fn two_shards() -> (World, World) {
        (World::shard(&config(), 0, 2), World::shard(&config(), 1, 2))
    }

    fn tell(from: &mut World, to: &mut World) {
        for message in from.told.drain(..) {
            to.hear(message);
        }
    }

    #[test]
    fn a_registration_is_known_to_the_other_shards_and_so_is_its_end() {
        let (mut one, mut two) = two_shards();
        one.register("bob", "<sip:a@203.0.113.5>", BOB);
        tell(&mut one, &mut two);
        assert_eq!(two.bindings(), 1);
        assert_eq!(server_world::one(two.caller(&invite("sip:bob@example.com", "1"))).uri(), "sip:a@203.0.113.5");
        one.register("bob", "<sip:a@203.0.113.5>;expires=0", BOB);
        tell(&mut one, &mut two);
        assert_eq!(two.bindings(), 0);
    }

    #[test]
    fn a_change_that_comes_late_from_another_shard_is_left_out() {
        let (mut one, mut two) = two_shards();
        send(&mut one, &register("bob", "same", 1, &contact("<sip:a@203.0.113.5>;expires=100"), BOB));
        send(&mut two, &register("bob", "same", 2, &contact("<sip:a@203.0.113.5>;expires=900"), BOB));
        tell(&mut one, &mut two);
        let now = send(&mut two, &register("bob", "ask", 1, "", BOB));
        assert_eq!(now.all(HeaderName::Contact), ["<sip:a@203.0.113.5>;expires=900"]);
    }

    #[test]
    fn a_copied_binding_expires_too() {
        let (mut one, mut two) = two_shards();
        one.register("bob", "<sip:a@203.0.113.5>;expires=60", BOB);
        tell(&mut one, &mut two);
        two.advance(Duration::from_secs(62));
        assert_eq!(two.bindings(), 0);
    }
}

/// A phone behind an address translator can be reached only where its REGISTER came from.
#[test]
fn a_contact_behind_a_translator_is_called_where_it_came_from() {
    let mut world = World::default();
    let text = register("bob", "nat", 1, &contact("<sip:bob@10.0.0.5:5060>"), "10.0.0.5:5060");
    world.receive(&udp("203.0.113.5:41000"), &text);
    assert_eq!(world.sent().len(), 1);
    let invite = one(world.caller(&invite("sip:bob@example.com", "call")));
    assert_eq!((invite.uri(), invite.to), ("sip:bob@10.0.0.5:5060", server_world::addr("203.0.113.5:41000")));
}

/// RFC 7118 §5: a WebSocket client has no address but its connection.
#[test]
fn a_websocket_client_is_called_over_its_connection_and_is_gone_with_it() {
    let mut world = World::default();
    let flow = stream(Transport::Ws, "203.0.113.5:50000", 7);
    let text =
        register("bob", "ws", 1, &contact("<sip:bob@df7jal23ls0d.invalid;transport=ws>"), "df7jal23ls0d.invalid")
            .replace("SIP/2.0/UDP", "SIP/2.0/WS");
    world.receive(&flow, &text);
    assert_eq!(world.only().status(), 200);
    let invite = one(world.caller(&server_world::invite("sip:bob@example.com", "call")));
    assert_eq!(invite.connection.map(|c| c.0), Some(7));
    world.input(sip_endpoint::Input::ConnectionClosed { flow });
    assert_eq!(world.bindings(), 0);
    assert_eq!(
        one(world.caller(&request("MESSAGE", "sip:bob@example.com", "after", ""))).status(),
        480,
        "from {CALLER}"
    );
}
