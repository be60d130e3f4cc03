//! Somebody with a softphone, and what can be said of them. It concerns their latest session unless another is named.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use client::media::{MediaEvent, StreamId};
use client::session::{CommandId, Route, SessionId, SessionInfo, State};
use client::{Client, ClientError, Sender, Streams};
use sip_endpoint::Endpoint;
use sip_message::{Message, Method, StatusCode, Transport};
use testkit::{NodeId, World};

use crate::softphone::Softphone;
use crate::told;

/// See the module's text.
#[derive(Clone)]
pub struct Person {
    world: Rc<RefCell<World>>,
    node: NodeId,
    name: Rc<str>,
    /// How many notifications were read.
    read: Rc<Cell<usize>>,
}

impl Person {
    pub(crate) fn new(world: Rc<RefCell<World>>, node: NodeId, name: &str) -> Person {
        Person { world, node, name: name.into(), read: Rc::default() }
    }

    /// Their node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// `sip:name@name`.
    pub fn address(&self) -> String {
        format!("sip:{0}@{0}", self.name)
    }

    /// A route to their node.
    pub fn route(&self) -> Route {
        let addr = self.world.borrow().address(self.node, Transport::Udp).expect("every node speaks UDP");
        Route { addr, transport: Transport::Udp, tls_name: None }
    }

    /// Does something with their softphone.
    pub fn does<R>(&self, act: impl FnOnce(&mut Softphone, Instant, &mut Endpoint) -> R) -> R {
        self.world.borrow_mut().with(self.node, |phone: &mut Softphone, now, endpoint| {
            let result = act(phone, now, endpoint);
            phone.attend(now, endpoint);
            result
        })
    }

    /// Looks at their softphone.
    pub fn sees<R>(&self, look: impl FnOnce(&Softphone) -> R) -> R {
        look(self.world.borrow().user::<Softphone>(self.node))
    }

    /// Asks something of their client about the latest session.
    pub fn asks<R>(&self, ask: impl FnOnce(&mut Client, Instant, &mut Endpoint, SessionId) -> R) -> R {
        let id = self.session();
        self.does(|phone, now, endpoint| ask(&mut phone.client, now, endpoint, id))
    }

    // ----- what they do -----

    /// Calls somebody.
    pub fn calls(&self, other: &Person) -> SessionId {
        self.dials(&other.address(), Vec::new()).expect("anybody may be called")
    }

    /// Calls an address by these routes.
    pub fn dials(&self, address: &str, routes: Vec<Route>) -> Result<SessionId, ClientError> {
        self.dials_with(address, routes, Streams::audio())
    }

    /// Calls an address by these routes, with these streams.
    pub fn dials_with(&self, address: &str, routes: Vec<Route>, streams: Streams) -> Result<SessionId, ClientError> {
        self.does(|phone, now, endpoint| {
            let account = phone.account();
            phone.client.connect(now, endpoint, account, address, routes, streams)
        })
    }

    /// Calls somebody with these streams.
    pub fn calls_with(&self, other: &Person, streams: Streams) -> SessionId {
        self.dials_with(&other.address(), Vec::new(), streams).expect("anybody may be called")
    }

    /// Accepts.
    pub fn accepts(&self) {
        self.tries_to_accept(Streams::audio()).expect("it can be accepted");
    }

    /// Accepts these streams, if that can be.
    pub fn tries_to_accept(&self, streams: Streams) -> Result<(), ClientError> {
        self.asks(|client, now, endpoint, id| client.accept(now, endpoint, id, streams))
    }

    /// Rejects.
    pub fn rejects(&self, code: Option<StatusCode>) {
        self.asks(|client, now, endpoint, id| client.reject(now, endpoint, id, code)).expect("it can be rejected");
    }

    /// Hangs up.
    pub fn hangs_up(&self) {
        self.asks(|client, now, endpoint, id| client.end(now, endpoint, id)).expect("it can be ended");
    }

    /// Puts the peer on hold.
    pub fn holds(&self) -> CommandId {
        self.asks(|client, now, endpoint, id| client.hold(now, endpoint, id)).expect("it can be held")
    }

    /// Takes the peer back.
    pub fn unholds(&self) -> CommandId {
        self.asks(|client, now, endpoint, id| client.unhold(now, endpoint, id)).expect("it can be unheld")
    }

    /// Proposes audio.
    pub fn adds_audio(&self) -> CommandId {
        self.asks(|client, now, endpoint, id| client.add_audio(now, endpoint, id)).expect("audio can be added")
    }

    /// Proposes chat.
    pub fn adds_chat(&self) -> CommandId {
        self.asks(|client, now, endpoint, id| client.add_chat(now, endpoint, id)).expect("chat can be added")
    }

    /// Removes chat.
    pub fn removes_chat(&self) -> CommandId {
        self.asks(|client, now, endpoint, id| client.remove_chat(now, endpoint, id)).expect("chat can be removed")
    }

    /// Accepts what the peer proposes.
    pub fn accepts_proposal(&self, streams: Streams) {
        self.asks(|client, now, endpoint, id| client.accept_proposal(now, endpoint, id, streams))
            .expect("the proposal can be accepted");
    }

    /// Says something.
    pub fn says(&self, text: &str) -> Arc<str> {
        self.tries_to_say(text).expect("something can be said")
    }

    /// Says something, if that can be.
    pub fn tries_to_say(&self, text: &str) -> Result<Arc<str>, ClientError> {
        let content = Bytes::copy_from_slice(text.as_bytes());
        self.asks(|client, now, endpoint, id| client.send_message(now, endpoint, id, content, "text/plain"))
    }

    /// Loses the connection of the chat.
    pub fn loses_chat(&self) {
        self.does(|phone, now, endpoint| {
            let stream = phone.media.chats().last().expect("there is a chat");
            let reason = "Connection reset by peer".into();
            phone.media_event(now, endpoint, MediaEvent::Failed { stream, reason });
        });
    }

    /// Hears of something from the media side, about the one stream that there is.
    pub fn media(&self, event: impl FnOnce(StreamId) -> MediaEvent) {
        self.does(|phone, now, endpoint| {
            let stream = phone.media.streams().last().expect("there is a stream");
            phone.media_event(now, endpoint, event(stream));
        });
    }

    // ----- what is so -----

    /// The latest session.
    #[track_caller]
    pub fn session(&self) -> SessionId {
        self.sees(Softphone::latest).expect("there was a session")
    }

    /// What is to be known of the latest session.
    #[track_caller]
    pub fn info(&self) -> SessionInfo {
        let id = self.session();
        self.sees(|phone| phone.client.session(id)).expect("the session is remembered")
    }

    /// The state of the latest session.
    #[track_caller]
    pub fn state(&self) -> State {
        self.info().state
    }

    /// How a command ended, if it has.
    pub fn outcome(&self, command: CommandId) -> Option<Result<(), ClientError>> {
        self.sees(|phone| phone.outcome(command).cloned())
    }

    /// How many messages of this method have gone from them to somebody, with what was repeated.
    pub fn has_sent(&self, other: &Person, method: &Method) -> usize {
        let world = self.world.borrow();
        let between = world.network().trace().between(self.node, other.node);
        between
            .filter(|(message, _)| matches!(message, Message::Request(request) if request.method() == method))
            .count()
    }

    /// What they were told since this was last asked, of all sessions.
    pub fn told(&self) -> Vec<String> {
        let from = self.read.get();

        self.sees(|phone| {
            let news = phone.notifications().get(from..).unwrap_or_default();
            self.read.set(phone.notifications().len());
            let of_sessions = news.iter().filter(|notification| matches!(notification.sender, Sender::Session(_)));
            of_sessions.map(|notification| told::line(&notification.data)).collect::<Vec<_>>()
        })
    }

    /// What they were told of one session, from its beginning.
    pub fn told_of(&self, id: SessionId) -> Vec<String> {
        self.sees(|phone| {
            let of_session =
                phone.notifications().iter().filter(|notification| notification.sender == Sender::Session(id));
            of_session.map(|notification| told::line(&notification.data)).collect()
        })
    }

    /// Fails with the ladder unless they were told exactly this since it was last asked.
    #[track_caller]
    pub fn is_told(&self, lines: &[&str]) {
        let told = self.told();
        if told != lines {
            let (told, lines) = (told.join("\n    "), lines.join("\n    "));
            let why = format!("{} is told\n    {told}\nand should be told\n    {lines}", self.name);
            self.world.borrow().fail(None, &why);
        }
    }
}
