//! A hundred thousand timers of the user's that are due at once, and a call that comes meanwhile.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::{Response, StatusCode};
use support::{Client, answer, start, wish, with_answer};

const TIMERS: u64 = 100_000;

/// Arms its timers when it is told to, and answers with how many have fired.
#[derive(Default)]
struct Alarmed {
    fired: u64,
}

impl TransactionUser for Alarmed {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        match event {
            Event::Request { server, request, .. } => {
                if wish(&request) == "arm" {
                    for token in 0..TIMERS {
                        endpoint.set_timer(now, Duration::from_millis(100), token);
                    }
                }
                let response = with_answer(Response::to(&request, StatusCode::OK), self.fired);
                endpoint.respond(now, server, response).unwrap();
            }
            Event::TimerFired { .. } => {
                self.fired += 1;
                // What an application does: two seconds for all of them.
                let done = Instant::now() + Duration::from_micros(20);
                while Instant::now() < done {
                    std::hint::spin_loop();
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

#[test]
fn calls_are_answered_while_they_fire() {
    let (_stack, addr) = start(1, |_| Alarmed::default());
    let client = Client::new(addr);
    client.ask("arm", "arm");
    let mut waits = Vec::new();
    let mut last = 0;
    for number in 0.. {
        let asked = Instant::now();
        let fired: u64 = answer(&client.ask("now", &format!("b{number}"))).parse().unwrap();
        assert!(fired >= last);
        if last > 0 && fired < TIMERS {
            waits.push(asked.elapsed());
        }
        last = fired;
        if fired == TIMERS {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    waits.sort_unstable();
    assert!(waits.len() > 20, "only {} answers came while timers fired", waits.len());
    // All of them take two seconds, which is how long a call would wait behind them. How much less it is on a quiet machine
    // is for a benchmark to say.
    assert!(waits[waits.len() / 2] < Duration::from_millis(200), "{:?}", waits[waits.len() / 2]);
    eprintln!("{} answers while timers fired, the slowest after {:?}", waits.len(), waits[waits.len() - 1]);
}
