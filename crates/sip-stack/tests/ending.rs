//! How a stack ends.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, TransactionUser};
use support::start;

struct Idle;

impl TransactionUser for Idle {
    type Message = ();

    fn event(&mut self, _now: Instant, _endpoint: &mut Endpoint, _event: Event, _peers: &mut Vec<()>) {}

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

/// An engine's last handle may be anywhere, so that its stack may end in a task.
#[test]
fn a_stack_that_is_dropped_in_a_task_lets_go_of_its_sockets() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (stack, addr) = start(2, |_| Idle);
    runtime.block_on(async { drop(stack) });
    let patience = Instant::now() + Duration::from_secs(5);
    while UdpSocket::bind(addr).is_err() {
        assert!(Instant::now() < patience, "{addr} is still bound");
        std::thread::sleep(Duration::from_millis(10));
    }
}
