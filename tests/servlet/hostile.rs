//! Bad input while calls run: the torture corpora, octets of no meaning, and real messages with octets changed, at every
//! listener. No worker panics, no call is harmed, and nothing stays.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use container::{Container, ContainerLoad};
use servlet::prelude::*;
use sip_endpoint::Input;
use sip_message::{Flow, Limits, StreamItem, StreamParser, parse_datagram};
use testkit::Random;

use crate::world::{ALICE, Sent, World, in_dialog, invite, request, tcp, udp};

/// The vectors beside the checkout, or where `CORDBOARD_VECTORS` says.
fn vectors(folder: &str) -> Vec<Vec<u8>> {
    let root = std::env::var("CORDBOARD_VECTORS")
        .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        eprintln!("no vectors in {}: these messages are not thrown", root.join(folder).display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Answers, proxies or bridges, by the user that is called.
struct Everything;

impl SipServlet for Everything {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        if !request.is_initial() {
            if request.method() == Method::Bye {
                request.create_response(StatusCode::OK)?.send()?;
            }
            return Ok(());
        }
        let user = request.request_uri().as_sip().and_then(SipUri::user).unwrap_or_default();
        match user.len() % 3 {
            0 => {
                let proxy = request.proxy()?;
                proxy.set_record_route(true)?;
                proxy.proxy_to(&request.request_uri())?;
            }
            1 => {
                request.b2bua_helper()?.create_request(&request, true, None)?.send()?;
            }
            _ => {
                request.create_response(StatusCode::RINGING)?.send()?;
                request.create_response(StatusCode::OK)?.send()?;
            }
        }
        Ok(())
    }
}

fn world() -> World {
    World::with(Container::builder().application(SipApplication::new("everything").servlet(Everything)))
}

/// Throws octets at a listener, as a datagram or as a part of a stream.
fn throw(world: &mut World, flow: &Flow, octets: &[u8]) {
    if flow.connection.is_none() {
        let received = parse_datagram(Bytes::copy_from_slice(octets), &Limits::default());
        return world.input(Input::Received { flow: *flow, received });
    }
    let mut parser = StreamParser::new(Limits::default());
    let mut buffer = BytesMut::from(octets);
    while let Some(item) = parser.next(&mut buffer) {
        match item {
            StreamItem::Message(message) => world.input(Input::Received { flow: *flow, received: Ok(message) }),
            StreamItem::Refused(refusal) | StreamItem::Broken(refusal) => {
                world.input(Input::Received { flow: *flow, received: Err(refusal) })
            }
            StreamItem::Ping | StreamItem::Pong => {}
        }
    }
}

/// A call that is up.
fn call(world: &mut World, call_id: &str) -> Sent {
    let sent = world.alice(&invite("sip:ab@192.0.2.1", call_id));
    let answer = sent.into_iter().find(|sent| sent.status() == 200).expect("an answer");
    world.alice(&in_dialog("ACK", &answer, 1, ""));
    answer
}

fn hangs_up(world: &mut World, answer: &Sent) {
    let sent = world.alice(&in_dialog("BYE", answer, 2, ""));
    assert!(sent.iter().any(|sent| sent.status() == 200), "the call is harmed");
}

/// After everything that somebody may still wait for has come to its end.
fn nothing_stays(world: &mut World) {
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(world.load(), ContainerLoad::default());
    let endpoint = world.endpoint.load();
    assert_eq!((endpoint.servers, endpoint.clients, endpoint.timers), (0, 0, 0));
}

#[test]
fn the_torture_corpora_at_every_listener_harm_no_call() {
    let mut world = world();
    let up = call(&mut world, "up");
    let corpora = ["rfc4475", "rfc5118", "attacks"].into_iter().flat_map(vectors);
    for octets in corpora {
        for flow in [udp(ALICE), tcp(ALICE, 7)] {
            throw(&mut world, &flow, &octets);
        }
        world.all_sent();
        world.pass(Duration::from_millis(700));
    }
    world.all_sent();
    hangs_up(&mut world, &up);
    nothing_stays(&mut world);
}

#[test]
fn octets_of_no_meaning_at_every_listener_harm_no_call() {
    let mut random = Random::new(0x0c0d_b0a4_bad0_0001);
    let mut world = world();
    let up = call(&mut world, "up");
    for _ in 0..4_000 {
        let length = random.below(1_500) as usize;
        let octets: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        throw(&mut world, &udp(ALICE), &octets);
        throw(&mut world, &tcp(ALICE, 7), &octets);
    }
    world.all_sent();
    hangs_up(&mut world, &up);
    nothing_stays(&mut world);
}

#[test]
fn messages_with_changed_octets_harm_no_other_call() {
    let mut random = Random::new(0x0c0d_b0a4_bad0_0002);
    let mut world = world();
    let up = call(&mut world, "up");
    let mut answers = Vec::new();
    for number in 0..6_000 {
        let user = ["a", "ab", "abc"][random.below(3) as usize];
        let method =
            *random.pick(&["INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS", "BYE", "PRACK", "PUBLISH"]);
        let more = *random.pick(&[
            "",
            "Require: 100rel\n",
            "Route: <sip:192.0.2.1;lr>\n",
            "Replaces: up;to-tag=x;from-tag=y\n",
            "Replaces: up;to-tag=x;from-tag=y\nJoin: up;to-tag=x;from-tag=y\n",
            "Max-Breadth: 0\n",
            "Session-Expires: 4294967296\n",
        ]);
        let text = match random.below(4) {
            0 => answers.last().map(|answer: &Sent| in_dialog(method, answer, number, more)),
            _ => None,
        };
        let text =
            text.unwrap_or_else(|| request(method, &format!("sip:{user}@192.0.2.1"), &format!("x{number}"), more));
        let mut octets = text.replace('\n', "\r\n").into_bytes();
        for _ in 0..random.below(4) {
            let at = random.below(octets.len() as u64) as usize;
            match random.below(3) {
                0 => octets[at] = random.below(256) as u8,
                1 => drop(octets.remove(at)),
                _ => octets.insert(at, random.below(256) as u8),
            }
        }
        let flow = if random.chance(0.5) { udp(ALICE) } else { tcp(ALICE, 7) };
        throw(&mut world, &flow, &octets);
        answers.extend(world.all_sent().into_iter().filter(|sent| sent.status() >= 180));
        if number % 16 == 0 {
            world.pass(random.duration(Duration::ZERO, Duration::from_secs(3)));
            // What the container sends of its own, garbled, comes back to it.
            for sent in world.all_sent() {
                let mut octets = sent.text.into_bytes();
                let at = random.below(octets.len() as u64) as usize;
                octets[at] = random.below(256) as u8;
                throw(&mut world, &udp(ALICE), &octets);
            }
        }
    }
    world.all_sent();
    hangs_up(&mut world, &up);
    nothing_stays(&mut world);
}
