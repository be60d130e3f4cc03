//! The messages of chat rooms, from real sockets: one MSRP engine for all shards of a server, from when somebody calls the
//! first room.
//!
//! ```text
//!   shard 0 ──┐ orders                          events ┌──► inbox 0, and shard 0 is woken
//!   shard 1 ──┼────────► MsrpEngine (a thread) ────────┼──► inbox 1
//!   …       ──┘                                        └──► …
//! ```
//!
//! A stream's key names the shard whose it is.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use applications::chat_room::room::ParticipantId;
use applications::chat_room::{Happening, Opened, Plan, Switchboard};
use bytes::Bytes;
use msrp::chunk::TransactionId;
use msrp::cpim;
use msrp::description::{Description, Role, Setup, answer_setup, offer_setup, role_of_answerer, role_of_offerer};
use msrp::driver::{ChatPlan, MsrpCommand, MsrpEngine, MsrpError, MsrpEvent, MsrpSettings, Remote, StreamKey};
use msrp::endpoint::{Limits, MessageId, OutgoingMessage, Verdict};
use sdp::{Attribute, MediaDescription, MediaType, Protocol, Token};

/// The bits of a stream's key that number the sessions of one shard.
const SESSION_BITS: u32 = 48;

/// Messages of one participant that wait for the room at a time, and those that come in pieces.
const MESSAGES: usize = 16;

/// The rooms of a server.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Exchange>);

struct Exchange {
    settings: MsrpSettings,
    /// What our URIs say instead of an address.
    host: Option<Arc<str>>,
    /// `None` inside: it could not be started, which was logged.
    engine: OnceLock<Option<MsrpEngine>>,
    inboxes: Arc<[Mutex<Inbox>]>,
}

/// What has happened in the sessions of a shard, and whom to tell.
#[derive(Default)]
struct Inbox {
    events: VecDeque<(ParticipantId, MsrpEvent)>,
    waker: Option<Waker>,
}

/// How rooms are reached.
pub(super) struct RoomsSettings {
    /// The ports to listen at; 0: any.
    pub(super) ports: (u16, u16),
    /// The longest message, in octets.
    pub(super) max_message: usize,
    /// The name or address that others reach us by.
    pub(super) host: Option<String>,
    /// Certificates.
    pub(super) tls: msrp::driver::TlsSettings,
}

impl Rooms {
    /// For so many shards. Nothing is listened at before somebody calls.
    pub(super) fn new(settings: RoomsSettings, shards: u16) -> Rooms {
        let RoomsSettings { ports, max_message, host, tls } = settings;
        let limits = Limits {
            messages: MESSAGES,
            verdicts: MESSAGES,
            octets: max_message.saturating_mul(MESSAGES),
            ..Limits::default()
        };
        let settings = MsrpSettings { ports, limits, tls, ..MsrpSettings::default() };
        let inboxes = (0..shards).map(|_| Mutex::default()).collect();
        Rooms(Arc::new(Exchange { settings, host: host.map(Arc::from), engine: OnceLock::new(), inboxes }))
    }

    /// What the chat rooms of a shard find in their container.
    pub(super) fn resource(&self, shard: u16) -> Rc<Box<dyn Switchboard>> {
        Rc::new(Box::new(ShardSwitchboard {
            exchange: self.0.clone(),
            shard,
            setups: RefCell::default(),
            delayed: RefCell::default(),
            is_late: Cell::new(false),
        }))
    }
}

impl Exchange {
    fn engine(&self) -> Option<&MsrpEngine> {
        let start = || {
            let inboxes = self.inboxes.clone();
            let engine = MsrpEngine::start(self.settings.clone(), move |event| deliver(&inboxes, event));
            engine.inspect_err(|error| tracing::error!(%error, "chat rooms can't be served")).ok()
        };
        self.engine.get_or_init(start).as_ref()
    }

    fn inbox(&self, shard: u16) -> MutexGuard<'_, Inbox> {
        locked(&self.inboxes[usize::from(shard)])
    }
}

/// On the engine's thread.
fn deliver(inboxes: &[Mutex<Inbox>], event: MsrpEvent) {
    let Some(StreamKey(key)) = stream_of(&event) else { return };
    let Some(inbox) = inboxes.get((key >> SESSION_BITS) as usize) else { return };
    let waker = {
        let mut inbox = locked(inbox);
        inbox.events.push_back((ParticipantId(key & ((1 << SESSION_BITS) - 1)), event));
        inbox.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn locked(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rooms of one shard.
struct ShardSwitchboard {
    exchange: Arc<Exchange>,
    shard: u16,
    /// What was offered by peers, and answered or offered by us.
    setups: RefCell<HashMap<ParticipantId, Setups>>,
    /// Orders that the engine was too busy for.
    delayed: RefCell<VecDeque<MsrpCommand>>,
    is_late: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Setups {
    WeOffered,
    WeAnswered(Setup),
}

impl Switchboard for ShardSwitchboard {
    fn open(&self, session: ParticipantId, plan: Plan) {
        let peer = plan.peer.as_deref();
        let setups = match peer.map(|peer| peer.attributes.value("setup").and_then(Setup::parse)) {
            Some(offered) => Setups::WeAnswered(answer_setup(offered, true)),
            None => Setups::WeOffered,
        };
        self.setups.borrow_mut().insert(session, setups);
        let plan = ChatPlan {
            host: self.exchange.host.clone(),
            is_secure: peer.is_some_and(|peer| peer.protocol == Protocol::TcpTlsMsrp),
            max_message: plan.max_message as u64,
            asks: true,
            gives_nicknames: true,
            ..ChatPlan::new(plan.local)
        };
        self.order(MsrpCommand::Prepare { stream: self.stream(session), plan });
    }

    fn connect(&self, session: ParticipantId, peer: &MediaDescription) {
        let stream = self.stream(session);
        let setups = self.setups.borrow().get(&session).copied();
        let (Some(peer), Some(setups)) = (read(peer), setups) else {
            let reason = "the peer's description can't be used".into();
            return self.tell(session, MsrpEvent::Failed { stream, reason });
        };
        let role = match setups {
            Setups::WeOffered => role_of_offerer(peer.setup),
            Setups::WeAnswered(answered) => role_of_answerer(answered),
        };
        let remote = Remote {
            path: peer.path,
            we_connect: role == Role::Active,
            next_hop: None,
            fingerprints: peer.fingerprints.into_iter().map(Arc::from).collect(),
        };
        self.order(MsrpCommand::Apply { stream, remote });
    }

    fn send(&self, session: ParticipantId, copy: u64, content: Bytes) {
        let message = OutgoingMessage::whole(name_of(copy), cpim::CONTENT_TYPE, content, false);
        self.order(MsrpCommand::Send { stream: self.stream(session), message });
    }

    fn answer(&self, session: ParticipantId, message: &str, verdict: Result<(), (u16, &'static str)>) {
        let verdict = match verdict {
            Ok(()) => Verdict::Deliver,
            Err((code, reason)) => Verdict::Refuse(code, reason.into()),
        };
        self.order(MsrpCommand::Answer { stream: self.stream(session), id: MessageId::from(message), verdict });
    }

    fn answer_nickname(&self, session: ParticipantId, transaction: &str, verdict: Result<(), (u16, &'static str)>) {
        let (code, reason) = verdict.err().unwrap_or((200, "OK"));
        let Some(transaction) = TransactionId::parse(transaction.as_bytes()) else { return };
        let (stream, reason) = (self.stream(session), reason.into());
        self.order(MsrpCommand::AnswerNickname { stream, transaction, code, reason });
    }

    fn close(&self, session: ParticipantId) {
        self.setups.borrow_mut().remove(&session);
        self.order(MsrpCommand::Close { stream: self.stream(session) });
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<(ParticipantId, Happening)> {
        self.catch_up();
        loop {
            let (session, event) = {
                let mut inbox = self.exchange.inbox(self.shard);
                match inbox.events.pop_front() {
                    Some(event) => event,
                    None => {
                        inbox.waker = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                }
            };
            // What has come of a session that was closed in between is for nobody.
            let setups = self.setups.borrow().get(&session).copied();
            if let Some(happening) = setups.and_then(|setups| happening(event, setups)) {
                return Poll::Ready((session, happening));
            }
        }
    }
}

impl ShardSwitchboard {
    fn stream(&self, session: ParticipantId) -> StreamKey {
        StreamKey(u64::from(self.shard) << SESSION_BITS | session.0)
    }

    /// Orders in their order, whatever the engine has to do.
    fn order(&self, order: MsrpCommand) {
        self.delayed.borrow_mut().push_back(order);
        self.catch_up();
    }

    fn catch_up(&self) {
        let mut delayed = self.delayed.borrow_mut();
        while let Some(order) = delayed.front() {
            let engine = self.exchange.engine();
            match engine.map(|engine| engine.handle().send(order.clone())) {
                Some(Ok(())) => drop(delayed.pop_front()),
                Some(Err(MsrpError::Busy)) => {
                    if !self.is_late.replace(true) {
                        tracing::warn!(orders = delayed.len(), "chat rooms are late");
                    }
                    return;
                }
                Some(Err(_)) | None => {
                    if let Some(MsrpCommand::Prepare { stream, .. }) = delayed.pop_front() {
                        let reason = "there is no MSRP engine".into();
                        self.tell(session_of(stream), MsrpEvent::Failed { stream, reason });
                    }
                }
            }
        }
        self.is_late.set(false);
    }

    /// As if the engine had said it.
    fn tell(&self, session: ParticipantId, event: MsrpEvent) {
        let waker = {
            let mut inbox = self.exchange.inbox(self.shard);
            inbox.events.push_back((session, event));
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn session_of(StreamKey(key): StreamKey) -> ParticipantId {
    ParticipantId(key & ((1 << SESSION_BITS) - 1))
}

/// The m-line of a peer, as MSRP reads it.
fn read(peer: &MediaDescription) -> Option<Description> {
    let host = peer.connections.first().map_or("", |connection| connection.host());
    let attributes = peer.attributes.iter().map(|attribute| (attribute.name(), attribute.value()));
    Description::parse(host, peer.port, peer.protocol.as_str(), attributes).ok()
}

/// What an event is to a room.
fn happening(event: MsrpEvent, setups: Setups) -> Option<Happening> {
    match event {
        MsrpEvent::Prepared { path, address, fingerprint, .. } => {
            let is_secure = path.first().is_secure();
            let protocol = if is_secure { Protocol::TcpTlsMsrp } else { Protocol::TcpMsrp };
            let setup = match setups {
                Setups::WeOffered => offer_setup(true),
                Setups::WeAnswered(setup) => setup,
            };
            let fingerprint = fingerprint.filter(|_| is_secure);
            let said = [
                Some(("path", path.to_string())),
                Some(("setup", setup.as_str().to_owned())),
                fingerprint.map(|fingerprint| ("fingerprint", fingerprint.to_string())),
            ];
            let mut media = MediaDescription::new(MediaType::Message, address.port(), protocol);
            media.formats.extend(Token::new("*").ok());
            for (name, value) in said.into_iter().flatten() {
                // None of them has a line break.
                if let Ok(attribute) = Attribute::new(name, value) {
                    media.attributes.push(attribute);
                }
            }
            Some(Happening::Opened(Box::new(Opened { address: address.ip(), media })))
        }
        MsrpEvent::Got { message, .. } => Some(Happening::Said {
            message: message.id.0,
            content_type: message.content_type,
            content: message.content,
        }),
        MsrpEvent::Nickname { transaction, nickname, .. } => {
            Some(Happening::Nickname { transaction: transaction.as_str().into(), nickname })
        }
        MsrpEvent::Delivered { id, .. } | MsrpEvent::NotDelivered { id, .. } => {
            copy_of(&id).map(|copy| Happening::Settled { copy })
        }
        MsrpEvent::Failed { reason, .. } => Some(Happening::Ended { reason }),
        MsrpEvent::Closed { reason, .. } => Some(Happening::Ended { reason: reason.to_string().into() }),
        MsrpEvent::Bound { .. } => Some(Happening::Connected),
        // Rooms ask for no nicknames and have no files.
        MsrpEvent::NicknameAnswered { .. } | MsrpEvent::FileProgress { .. } | MsrpEvent::FileEnded { .. } => None,
    }
}

fn stream_of(event: &MsrpEvent) -> Option<StreamKey> {
    match event {
        MsrpEvent::Prepared { stream, .. }
        | MsrpEvent::Failed { stream, .. }
        | MsrpEvent::Bound { stream }
        | MsrpEvent::Got { stream, .. }
        | MsrpEvent::Delivered { stream, .. }
        | MsrpEvent::NotDelivered { stream, .. }
        | MsrpEvent::Nickname { stream, .. }
        | MsrpEvent::NicknameAnswered { stream, .. }
        | MsrpEvent::Closed { stream, .. } => Some(*stream),
        MsrpEvent::FileProgress { .. } | MsrpEvent::FileEnded { .. } => None,
    }
}

/// The Message-ID of a copy; RFC 4975 §9 wants four letters at least.
fn name_of(copy: u64) -> MessageId {
    MessageId(format!("copy{copy}").into())
}

fn copy_of(id: &MessageId) -> Option<u64> {
    id.as_str().strip_prefix("copy")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_name() {
        for copy in [1, 42, u64::MAX] {
            assert_eq!(copy_of(&name_of(copy)), Some(copy));
        }
        assert_eq!(copy_of(&MessageId::from("99s9s2")), None);
    }
}
