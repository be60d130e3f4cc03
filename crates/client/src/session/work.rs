//! What a session works with in one step, and the books that all sessions keep together.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::invite::{ClientKey, ServerKey};
use sip_endpoint::{ClientId, Endpoint, ServerId, TimerId};
use sip_message::StatusCode;

use super::{CommandId, SessionId};
use crate::account::AccountManager;
use crate::desk::{Desk, Notices};
use crate::error::ClientError;
use crate::media::{MediaCommand, StreamId};
use crate::notification::{Data, Sender};
use crate::settings::Settings;

/// What a session works with in one step.
pub(crate) struct Work<'a> {
    pub(crate) now: Instant,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) notices: &'a mut Notices,
    pub(crate) accounts: &'a mut AccountManager,
    pub(crate) settings: &'a Settings,
    pub(crate) books: &'a mut Books,
}

/// What all sessions keep together: whose a transaction, a timer, a stream is, and what waits to be taken away.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) media: VecDeque<MediaCommand>,
    pub(crate) outcomes: VecDeque<(CommandId, Result<(), ClientError>)>,
    pub(crate) clients: Index<ClientId, (SessionId, ClientKey)>,
    pub(crate) servers: Index<ServerId, (SessionId, ServerKey)>,
    pub(crate) streams: BTreeMap<StreamId, SessionId>,
    pub(crate) errands: VecDeque<Errand>,
    /// Of which something has changed that was not told.
    pub(crate) changed: BTreeSet<SessionId>,
    /// Those that have told something in this step: whoever hears of it looks at them anyway.
    told: BTreeSet<SessionId>,
    timers: Index<TimerId, (SessionId, Alarm)>,
    last_session: u64,
    last_stream: u64,
    last_command: u64,
}

/// Hashed without chance: the keys are the endpoint's own, and no stranger's choice.
pub(crate) type Index<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// What a timer of a session is for. There is one of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// The call usage has something to do.
    Usage,
    /// It rings for too long.
    Ringing,
    /// The media side does not prepare a stream.
    Preparation,
    /// A command of ours takes too long.
    Command,
    /// The peer's proposal was not answered.
    Proposal,
    /// Nothing was heard.
    NoAudio,
    /// The peer's request to call somebody was not answered, or ours comes to no end.
    Transfer,
    /// What follows a REFER has something to do.
    Notifier,
    /// Somebody writes, or does not write any more.
    Composing,
    /// The media side does not say how an offer is to be answered.
    Restart,
    /// A file has come, and its sender does not end the session.
    Farewell,
    /// The connection of a stream is lost, and the peer says nothing of it.
    Loss,
}

/// What a session wants of another one; done when its own step is over.
#[derive(Debug)]
pub(crate) enum Errand {
    /// End this session, because another one has taken its place.
    EndReplaced(SessionId),
    /// Call whom the peer of this session wants us to call.
    CallForTransfer(SessionId),
    /// Tell this session how the call is doing that it was asked to make.
    TransferProgress {
        /// The session in which the REFER came.
        session: SessionId,
        /// The status of the call.
        status: StatusCode,
        /// Its phrase.
        reason: Arc<str>,
    },
}

impl Work<'_> {
    /// The same for the accounts.
    pub(crate) fn with_accounts<R>(&mut self, act: impl FnOnce(&mut AccountManager, &mut Desk<'_>) -> R) -> R {
        let mut desk = Desk { now: self.now, endpoint: self.endpoint, notices: self.notices };
        act(self.accounts, &mut desk)
    }

    pub(crate) fn post(&mut self, session: SessionId, data: Data) {
        self.books.told.insert(session);
        self.notices.post(self.now, Sender::Session(session), data);
    }

    pub(crate) fn order(&mut self, command: MediaCommand) {
        self.books.media.push_back(command);
    }

    pub(crate) fn new_session_id(&mut self) -> SessionId {
        self.books.last_session += 1;
        SessionId(self.books.last_session)
    }

    pub(crate) fn new_command_id(&mut self) -> CommandId {
        self.books.last_command += 1;
        CommandId(self.books.last_command)
    }

    pub(crate) fn new_stream_id(&mut self, session: SessionId) -> StreamId {
        self.books.last_stream += 1;
        let id = StreamId(self.books.last_stream);
        self.books.streams.insert(id, session);
        id
    }

    pub(crate) fn set_timer(&mut self, session: SessionId, after: Duration, alarm: Alarm) -> TimerId {
        let timer = self.endpoint.set_timer(self.now, after, 0);
        self.books.timers.insert(timer, (session, alarm));
        timer
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) {
        self.endpoint.cancel_timer(timer);
        self.books.timers.remove(&timer);
    }
}

impl Books {
    /// Whose timer has fired, and what it was for.
    pub(crate) fn fired(&mut self, timer: TimerId) -> Option<(SessionId, Alarm)> {
        self.timers.remove(&timer)
    }

    /// Whether a session has told something since this was last asked.
    pub(crate) fn has_told(&mut self, session: SessionId) -> bool {
        self.told.remove(&session)
    }

    /// Whether nothing is left of any session. What waits to be taken by the driver does not count.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty() && self.timers.is_empty() && self.streams.is_empty()
    }
}
