//! One event at a time for each application session: what waits, what goes on meanwhile, and what is refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Poll, Waker};

use container::{Container, Settings};
use servlet::prelude::*;

use crate::world::{World, invite, one, request};

/// A door that handlers wait at.
#[derive(Default)]
struct Door {
    open: RefCell<bool>,
    waiting: RefCell<Vec<Waker>>,
    log: RefCell<Vec<String>>,
}

impl Door {
    async fn pass(self: Rc<Door>) {
        std::future::poll_fn(|context| {
            if *self.open.borrow() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn opens(&self) {
        *self.open.borrow_mut() = true;
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

struct Waits;

impl SipServlet for Waits {
    async fn do_message(&self, message: SipServletRequest) -> Result {
        let door = message.application_session()?.servlet_context()?.local(Door::default);
        let number = message.header("Subject").unwrap_or_default();
        door.log.borrow_mut().push(format!("begins {number}"));
        Rc::clone(&door).pass().await;
        door.log.borrow_mut().push(format!("ends {number}"));
        message.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }

    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        let door = invite.application_session()?.servlet_context()?.local(Door::default);
        door.pass().await;
        invite.create_response(StatusCode::OK)?.send()?;
        Ok(())
    }
}

fn by_user(max_waiting: usize) -> World {
    let key = |request: &SipServletRequest| request.request_uri().as_sip()?.user();
    let application = SipApplication::new("waits").servlet(Waits).application_key(key);
    let settings = Settings { max_waiting, ..Settings::default() };
    World::with(Container::builder().application(application).settings(settings))
}

fn message(user: &str, number: u32) -> String {
    request(
        "MESSAGE",
        &format!("sip:{user}@192.0.2.1"),
        &format!("m-{user}-{number}"),
        &format!("Subject: {user}{number}\n"),
    )
}

fn door(world: &mut World) -> Rc<Door> {
    world.act("waits", |context| context.local(Door::default))
}

#[test]
fn events_of_one_application_session_are_handled_one_after_the_other_while_other_sessions_go_on() {
    let mut world = by_user(100);
    for (user, number) in [("a", 1), ("a", 2), ("b", 1)] {
        assert!(world.alice(&message(user, number)).is_empty());
    }
    let door = door(&mut world);
    assert_eq!(*door.log.borrow(), ["begins a1", "begins b1"]);
    world.act("waits", |_| door.opens());
    let sent = world.sent();
    assert_eq!(sent.iter().filter(|sent| sent.status() == 200).count(), 3);
    assert_eq!(*door.log.borrow(), ["begins a1", "begins b1", "ends a1", "begins a2", "ends a2", "ends b1"]);
    world.ends();
}

#[test]
fn what_begins_something_is_refused_when_too_much_waits_for_a_session() {
    let mut world = by_user(2);
    for number in 1..=3 {
        assert!(world.alice(&message("a", number)).is_empty(), "one runs and two wait");
    }
    let refused = one(world.alice(&message("a", 4)));
    assert_eq!(refused.status(), 503);
    assert!(refused.text.contains("Retry-After: "));
    assert!(world.alice(&message("b", 1)).is_empty(), "another session is not busy");
    let door = door(&mut world);
    world.act("waits", |_| door.opens());
    assert_eq!(world.sent().len(), 4);
    world.ends();
}

#[test]
fn a_session_that_was_invalidated_while_a_request_waited_answers_481() {
    let mut world = by_user(100);
    world.alice(&message("a", 1));
    world.alice(&message("a", 2));
    let session = world
        .act("waits", |context| context.sip_sessions_util().application_session_by_key("a", false))
        .unwrap()
        .expect("the key's session");
    world.act("waits", |_| session.invalidate().unwrap());
    let mut statuses: Vec<u16> = world.sent().iter().map(|sent| sent.status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses.len(), 2, "nobody is left without an answer: {statuses:?}");
    assert!(statuses.iter().all(|status| *status >= 400), "{statuses:?}");
    let door = door(&mut world);
    world.act("waits", |_| door.opens());
    assert!(world.sent().is_empty());
    world.ends();
}

#[test]
fn a_cancel_waits_for_the_handler_of_its_invite_and_its_200_does_not() {
    let mut world = by_user(100);
    world.alice(&invite("sip:a@192.0.2.1", "c1"));
    let sent = world.alice(&crate::world::cancel("sip:a@192.0.2.1", "c1"));
    assert_eq!(one(sent).status(), 200, "the CANCEL's");
    let door = door(&mut world);
    world.act("waits", |_| door.opens());
    let answered = one(world.sent());
    assert_eq!(answered.status(), 200, "the handler was first; the CANCEL came too late");
    assert!(answered.text.contains("INVITE"));
}
