//! An application that keeps what it gets, so that a test can do with it what an application would.

use std::cell::RefCell;

use servlet::prelude::*;
use servlet::{B2buaHelper, SipSessionListener};

use crate::world::{BOB, Sent, World, cancel, invite, one};

/// What has come.
#[derive(Default)]
pub struct Kept {
    pub requests: RefCell<Vec<SipServletRequest>>,
    pub responses: RefCell<Vec<SipServletResponse>>,
    pub sessions: RefCell<Vec<String>>,
}

struct Keeper;

impl SipServlet for Keeper {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        let kept = request.session()?.servlet_context()?.local(Kept::default);
        kept.requests.borrow_mut().push(request);
        Ok(())
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        let kept = response.session()?.servlet_context()?.local(Kept::default);
        kept.responses.borrow_mut().push(response);
        Ok(())
    }
}

impl SipSessionListener for Keeper {
    fn session_created(&self, session: &SipSession) {
        let context = session.servlet_context().unwrap();
        context.local(Kept::default).sessions.borrow_mut().push(session.id());
    }
}

pub fn keeper() -> SipApplication {
    named("keeper")
}

/// The same by another name.
pub fn named(name: &str) -> SipApplication {
    SipApplication::new(name).servlet(Keeper).session_listener(Keeper)
}

/// A world with the keeper in it.
pub struct Stage {
    pub world: World,
}

/// A call that came, and its second leg.
pub struct Legs {
    pub original: SipServletRequest,
    pub helper: B2buaHelper,
    pub a: SipSession,
    pub second: SipServletRequest,
    pub b: SipSession,
    /// The second leg's INVITE as it was sent.
    pub sent: Sent,
}

impl Stage {
    pub fn new() -> Stage {
        Stage { world: World::new(keeper()) }
    }

    /// Does something as the application.
    pub fn act<R>(&mut self, act: impl FnOnce(ServletContext) -> R) -> R {
        self.world.act("keeper", act)
    }

    /// The request that came last.
    #[track_caller]
    pub fn request(&mut self) -> SipServletRequest {
        self.act(|context| context.local(Kept::default).requests.borrow().last().cloned()).expect("a request")
    }

    /// The response that came last.
    #[track_caller]
    pub fn response(&mut self) -> SipServletResponse {
        self.act(|context| context.local(Kept::default).responses.borrow().last().cloned()).expect("a response")
    }

    /// How many responses came.
    pub fn responses(&mut self) -> usize {
        self.act(|context| context.local(Kept::default).responses.borrow().len())
    }

    /// The ids of the sessions that the listener was told of.
    pub fn created(&mut self) -> Vec<String> {
        self.act(|context| context.local(Kept::default).sessions.borrow().clone())
    }

    /// A request comes from Alice, and the application has it.
    #[track_caller]
    pub fn receives(&mut self, text: &str) -> SipServletRequest {
        let sent = self.world.alice(text);
        assert!(sent.is_empty(), "{sent:?}");
        self.request()
    }

    /// A call from Alice to Bob, in two linked legs. The second INVITE was sent.
    #[track_caller]
    pub fn legs(&mut self) -> Legs {
        let original = self.receives(&invite(&bob(), "a"));
        let helper = original.b2bua_helper().unwrap();
        let second = self.act(|_| helper.create_request(&original, true, None).unwrap());
        self.act(|_| second.send().unwrap());
        let (a, b) = (original.session().unwrap(), second.session().unwrap());
        Legs { original, helper, a, second, b, sent: self.world.only() }
    }

    /// A call between Alice and Bob, who has the tag "b", acknowledged on both legs. Gives the 2xx that Alice has.
    #[track_caller]
    pub fn call(&mut self) -> (Legs, Sent) {
        let legs = self.legs();
        self.world.answer(&legs.sent, 200, "b", "");
        let answer = self.response();
        self.act(|_| {
            answer.create_ack().unwrap().send().unwrap();
            legs.original.create_response(StatusCode::OK).unwrap().send().unwrap();
        });
        let sent = self.world.sent();
        let ok = sent.iter().find(|sent| sent.status() == 200).expect("a 2xx").clone();
        self.world.alice(&crate::world::in_dialog("ACK", &ok, 1, ""));
        (legs, ok)
    }

    /// Bob refuses, Alice gives up, and nothing is left.
    #[track_caller]
    pub fn all_give_up(mut self, legs: &Legs) {
        self.world.answer(&legs.sent, 487, "b", "");
        self.gives_up();
    }

    /// Alice gives up, and nothing is left.
    #[track_caller]
    pub fn gives_up(mut self) {
        self.world.alice(&cancel(&bob(), "a"));
        self.forgets();
        self.world.ends();
    }

    /// Lets go of what was kept.
    pub fn forgets(&mut self) {
        self.act(|context| context.local(Kept::default).requests.borrow_mut().clear());
        self.act(|context| context.local(Kept::default).responses.borrow_mut().clear());
    }

    /// Sends a request, and gives it as it went out.
    #[track_caller]
    pub fn sends(&mut self, request: &SipServletRequest) -> Sent {
        self.act(|_| request.send().unwrap());
        self.world.only()
    }

    /// Sends a response, and gives it as it went out.
    #[track_caller]
    pub fn answers(&mut self, response: &SipServletResponse) -> Sent {
        self.act(|_| response.send().unwrap());
        one(self.world.sent())
    }
}

/// Where Bob is.
pub fn bob() -> String {
    format!("sip:bob@{BOB}")
}
