//! Users that wait for something which is no message: their wakers, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, SendTo, ServerId, Target, TransactionUser};
use sip_message::{HeaderName, Method, NameAddrBuf, Request, Response, StatusCode, Transport};
use testkit::{NodeId, World};

/// Answers when its door is open and it is told to look.
#[derive(Default)]
struct Doorkeeper {
    waker: Option<Waker>,
    door: Rc<Cell<bool>>,
    waiting: Option<(ServerId, Request)>,
    woken: Vec<Instant>,
    /// Wakes itself so often, from within.
    restless: u32,
}

impl TransactionUser for Doorkeeper {
    type Message = ();

    fn set_waker(&mut self, waker: Waker) {
        assert!(self.waker.is_none(), "once");
        self.waker = Some(waker);
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, _peers: &mut Vec<()>) {
        self.woken.push(now);
        if self.door.get()
            && let Some((server, request)) = self.waiting.take()
        {
            endpoint.respond(now, server, Response::to(&request, StatusCode::OK)).unwrap();
        }
        self.wake_oneself();
    }

    fn event(&mut self, _now: Instant, _endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        if let Event::Request { server, request, .. } = event {
            self.waiting = Some((server, request));
            self.wake_oneself();
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        self.waiting.is_none()
    }
}

impl Doorkeeper {
    fn wake_oneself(&mut self) {
        if self.restless > 0 {
            self.restless -= 1;
            self.waker.as_ref().unwrap().wake_by_ref();
        }
    }
}

/// Asks, and notes when it was answered.
#[derive(Default)]
struct Asker {
    answered: Option<Instant>,
}

impl TransactionUser for Asker {
    type Message = ();

    fn event(&mut self, now: Instant, _endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        if let Event::Response { .. } = event {
            self.answered = Some(now);
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        true
    }
}

struct Pair {
    world: World,
    keeper: NodeId,
    asker: NodeId,
}

impl Pair {
    fn new(keeper: Doorkeeper) -> Pair {
        let mut world = World::new(1, Instant::now());
        let keeper = world.node("keeper.example.org", keeper);
        let asker = world.node("asker.example.org", Asker::default());
        Pair { world, keeper, asker }
    }

    fn ask(&mut self) {
        let addr = self.world.address(self.keeper, Transport::Udp).unwrap();
        self.world.with(self.asker, |_: &mut Asker, now, endpoint| {
            let target = Target { transport: Transport::Udp, addr, server_name: None };
            endpoint.send(now, options(), SendTo::Targets(vec![target]), None).unwrap();
        });
    }

    fn door(&self) -> (Rc<Cell<bool>>, Waker) {
        let keeper: &Doorkeeper = self.world.user(self.keeper);
        (keeper.door.clone(), keeper.waker.clone().expect("a node has its waker from the start"))
    }

    fn keeper(&self) -> &Doorkeeper {
        self.world.user(self.keeper)
    }

    fn answered(&self) -> Option<Instant> {
        self.world.user::<Asker>(self.asker).answered
    }
}

fn options() -> Request {
    let uri = "sip:keeper.example.org".parse().unwrap();
    let mut request = Request::new(Method::Options, &uri);
    let headers = request.headers_mut();
    let from: NameAddrBuf = "<sip:asker.example.org>".parse().unwrap();
    headers.push(HeaderName::From, format_args!("{from};tag=1")).unwrap();
    headers.push(HeaderName::To, "<sip:keeper.example.org>").unwrap();
    headers.push(HeaderName::CallId, "call").unwrap();
    headers.push(HeaderName::Cseq, "1 OPTIONS").unwrap();
    headers.push(HeaderName::MaxForwards, 70).unwrap();
    request
}

#[test]
fn a_user_that_a_script_wakes_goes_on_at_that_instant() {
    let mut pair = Pair::new(Doorkeeper::default());
    pair.ask();
    let (door, waker) = pair.door();
    pair.world.after(Duration::from_secs(3), move |_| {
        door.set(true);
        waker.wake();
    });
    let opens = pair.world.now() + Duration::from_secs(3);
    pair.world.run_until_idle();
    assert_eq!(pair.keeper().woken, [opens]);
    assert_eq!(pair.answered(), Some(opens + Duration::from_millis(10)), "one way over the link");
    assert!(pair.world.leftovers().is_empty());
}

#[test]
fn a_user_that_is_woken_from_outside_goes_on_when_the_world_does() {
    let mut pair = Pair::new(Doorkeeper::default());
    pair.ask();
    pair.world.run_for(Duration::from_secs(1));
    let (door, waker) = pair.door();
    door.set(true);
    waker.wake_by_ref();
    assert!(pair.keeper().woken.is_empty());
    let before = pair.world.now();
    pair.world.run_for(Duration::ZERO);
    assert_eq!(pair.keeper().woken, [before]);
    pair.world.run_until_idle();
    assert!(pair.answered().is_some());
}

#[test]
fn a_user_that_wakes_itself_while_it_handles_an_event_is_woken_behind_it() {
    let mut pair = Pair::new(Doorkeeper { restless: 3, ..Doorkeeper::default() });
    let asked = pair.world.now();
    pair.ask();
    pair.world.run_for(Duration::from_millis(100));
    assert_eq!(pair.keeper().woken, [asked + Duration::from_millis(10); 3]);
}

#[test]
fn waking_often_before_it_is_heard_is_waking_once() {
    let mut pair = Pair::new(Doorkeeper::default());
    let (_, waker) = pair.door();
    for _ in 0..1_000 {
        waker.wake_by_ref();
    }
    pair.world.run_until_idle();
    assert_eq!(pair.keeper().woken.len(), 1);
    waker.wake();
    pair.world.run_until_idle();
    assert_eq!(pair.keeper().woken.len(), 2);
}

#[test]
#[should_panic(expected = "the world turns in a circle")]
fn a_user_that_never_stops_waking_itself_is_found_out() {
    let mut pair = Pair::new(Doorkeeper { restless: u32::MAX, ..Doorkeeper::default() });
    pair.ask();
    pair.world.run_until_idle();
}
