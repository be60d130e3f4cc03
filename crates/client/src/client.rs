//! The client: one for each engine, the transaction user of its endpoint.
//!
//! ```text
//!   application ──► connect, accept, hold, end … ──►┌────────┐──► poll_notification, poll_outcome ──► application
//!                                                   │ Client │
//!   endpoint ─────► event ─────────────────────────►│        │──► respond, send, set_timer ─────────► endpoint
//!   media side ───► media_event ───────────────────►└────────┘──► poll_media ───────────────────────► media side
//! ```
//!
//! What comes in goes to whom it belongs: a session ([`crate::session`]) or an account ([`crate::account`]). After each
//! call whoever drives the client empties the three queues.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::StatusCode;

use crate::account::{AccountId, AccountManager};
use crate::desk::{Desk, Epoch, Notices};
use crate::error::ClientError;
use crate::media::{FileDescription, MediaCommand, MediaEvent};
use crate::notification::Notification;
use crate::session::Wanted;
use crate::session::work::{Books, Work};
use crate::session::{CommandId, Route, SessionId, SessionInfo, Sessions};
use crate::settings::Settings;
use crate::streams::{StreamKind, Streams};

/// Accounts and sessions on one endpoint.
pub struct Client {
    settings: Settings,
    notices: Notices,
    accounts: AccountManager,
    sessions: Sessions,
    books: Books,
}

impl Client {
    /// A client without accounts and sessions. `epoch`: what its timestamps are computed from. `instance`: the `urn:uuid:`
    /// that names this engine for as long as it is installed (RFC 5626 §4.1).
    pub fn new(settings: Settings, epoch: Epoch, instance: &str) -> Client {
        let accounts = AccountManager::new(&settings, instance);
        Client {
            settings,
            notices: Notices::new(epoch),
            accounts,
            sessions: Sessions::default(),
            books: Books::default(),
        }
    }

    /// The general settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes other general settings for what begins from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The accounts.
    pub fn accounts(&self) -> &AccountManager {
        &self.accounts
    }

    /// Lets the accounts do something: be added, be removed, register, send a message.
    pub(crate) fn with_accounts<R>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        act: impl FnOnce(&mut AccountManager, &mut Desk<'_>) -> R,
    ) -> R {
        act(&mut self.accounts, &mut Desk { now, endpoint, notices: &mut self.notices })
    }

    // ----- what comes of it -----

    /// The next order to the media side.
    pub fn poll_media(&mut self) -> Option<MediaCommand> {
        self.books.media.pop_front()
    }

    /// The next notification.
    pub fn poll_notification(&mut self) -> Option<Notification> {
        self.notices.poll()
    }

    /// How a command ended that took its time.
    pub fn poll_outcome(&mut self) -> Option<(CommandId, Result<(), ClientError>)> {
        self.books.outcomes.pop_front()
    }

    /// Whether nothing is left of any session or account, not even what still repeats its last word.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.books.is_empty() && self.accounts.is_idle()
    }

    /// The next session of which something has changed that no notification tells: mute, route, addresses, codec. What it is
    /// now [`Client::session`] says.
    pub fn take_changed(&mut self) -> Option<SessionId> {
        self.books.changed.pop_first()
    }

    /// Takes news of the media side.
    pub fn media_event(&mut self, now: Instant, endpoint: &mut Endpoint, event: MediaEvent) {
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.media_event(&mut work, event);
    }

    // ----- sessions -----

    /// Calls somebody. `callee`: an address, which the account's domain completes. `routes` are tried in order until one
    /// answers; when there is none, the account's proxy or RFC 3263 finds the way.
    pub fn connect(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        account: AccountId,
        callee: &str,
        routes: Vec<Route>,
        streams: Streams,
    ) -> Result<SessionId, ClientError> {
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.connect(&mut work, account, callee, routes, Wanted::Streams(streams))
    }

    /// Sends somebody a file, in a session of its own (RFC 5547). `file`: what the peer is told of it; `path`: where it is.
    /// How it goes is told by `FileTransferHandlerProgress` and `FileTransferHandlerDidEnd`.
    #[expect(clippy::too_many_arguments, reason = "those of connect, and the file")]
    pub fn send_file(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        account: AccountId,
        callee: &str,
        routes: Vec<Route>,
        file: FileDescription,
        path: PathBuf,
    ) -> Result<SessionId, ClientError> {
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.connect(&mut work, account, callee, routes, Wanted::File(file, path))
    }

    /// What is to be known of a session; of one that is over, too, for a while.
    pub fn session(&self, id: SessionId) -> Option<SessionInfo> {
        self.sessions.info(id)
    }

    /// The sessions that have begun and are not over.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.sessions.current()
    }

    /// Says that the callee is being alerted; done by itself where the settings say so.
    pub fn ring(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.ring(work))
    }

    /// Accepts an incoming session with these of its streams.
    pub fn accept(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        streams: Streams,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.accept(work, streams))
    }

    /// Rejects an incoming session: 603, or the status that is given.
    pub fn reject(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        code: Option<StatusCode>,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.reject(work, code))
    }

    /// Puts the peer on hold. How it ends is told by [`Client::poll_outcome`].
    pub fn hold(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.hold(work))
    }

    /// Takes the peer back from hold. How it ends is told by [`Client::poll_outcome`].
    pub fn unhold(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.unhold(work))
    }

    /// Records the audio stream: to a file of this name in the account's folder of recordings, or of the usual name.
    pub fn start_recording_audio(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        file_name: Option<PathBuf>,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.start_recording(work, file_name))
    }

    /// Ends the recording.
    pub fn stop_recording_audio(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.stop_recording(work))
    }

    /// Sends a digit: one of `0`–`9`, `*`, `#`, `A`–`D`.
    pub fn send_dtmf(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        digit: char,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.send_dtmf(work, digit))
    }

    /// Sends a message within the session: on its chat stream, if it has one or is to have one, where it waits until that
    /// is up; else as a MESSAGE. Gives its id. Exactly one of `SIPSessionDidDeliverMessage` and
    /// `SIPSessionDidNotDeliverMessage` follows.
    pub fn send_message(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        content: Bytes,
        content_type: &str,
    ) -> Result<Arc<str>, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.send_message(work, content, content_type))
    }

    /// Sends a message to one of those in a room alone (RFC 7701 §6), as [`Client::send_message`] does to all.
    /// `recipient`: an address, as the `From` of what came from them.
    pub fn send_private_message(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        recipient: &str,
        content: Bytes,
        content_type: &str,
    ) -> Result<Arc<str>, ClientError> {
        self.in_session(now, endpoint, id, |session, work| {
            session.send_private_message(work, recipient, content, content_type)
        })
    }

    /// Our user writes in the chat, or has given it up (RFC 3994). To be said with every key: the peer is told as often as
    /// is due, and by itself that nobody writes any more.
    pub fn set_composing(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        is_active: bool,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.set_composing(work, is_active))
    }

    /// Our user has seen the message with this `imdn.Message-ID`; who has sent it is told, if it wants that and the settings
    /// allow it (RFC 5438).
    pub fn message_was_displayed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        message_id: &str,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.message_was_displayed(work, message_id))
    }

    /// Asks the room to know us by this nickname (RFC 7701 §7), or by none if it is empty. One of `ChatStreamDidSetNickname`
    /// and `ChatStreamDidNotSetNickname` follows.
    pub fn set_nickname(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        nickname: &str,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.set_nickname(work, nickname))
    }

    /// Proposes audio to a session that has none. How it ends is told by [`Client::poll_outcome`].
    pub fn add_audio(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
    ) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.add_stream(work, StreamKind::Audio))
    }

    /// Removes audio from a session that has something else. How it ends is told by [`Client::poll_outcome`].
    pub fn remove_audio(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
    ) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.remove_stream(work, StreamKind::Audio))
    }

    /// Proposes chat to a session that has none. How it ends is told by [`Client::poll_outcome`].
    pub fn add_chat(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.add_stream(work, StreamKind::Chat))
    }

    /// Removes chat from a session that has something else. How it ends is told by [`Client::poll_outcome`].
    pub fn remove_chat(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
    ) -> Result<CommandId, ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.remove_stream(work, StreamKind::Chat))
    }

    /// Accepts what the peer proposes, with these of its streams.
    pub fn accept_proposal(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        streams: Streams,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.accept_proposal(work, streams))
    }

    /// Rejects what the peer proposes: 488, or the status that is given.
    pub fn reject_proposal(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        code: Option<StatusCode>,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.reject_proposal(work, code))
    }

    /// Takes our own proposal back.
    pub fn cancel_proposal(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.cancel_proposal(work))
    }

    /// Asks the peer to call somebody else: `target`, or, with `replaced`, the peer of that session of ours, in whose place
    /// the new call comes (RFC 5589).
    pub fn transfer(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        target: &str,
        replaced: Option<SessionId>,
    ) -> Result<(), ClientError> {
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.transfer(&mut work, id, target, replaced)
    }

    /// Calls whom the peer asks us to call.
    pub fn accept_transfer(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.accept_transfer(work))
    }

    /// Does not call whom the peer asks us to call: 603, or the status that is given.
    pub fn reject_transfer(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        code: Option<StatusCode>,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.reject_transfer(work, code))
    }

    /// Sends silence instead of what the device gives, or no longer.
    pub fn set_muted(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        muted: bool,
    ) -> Result<(), ClientError> {
        self.in_session(now, endpoint, id, |session, work| session.set_muted(work, muted))
    }

    /// Ends a session, in whatever state it is. One that is over already stays so.
    pub fn end(&mut self, now: Instant, endpoint: &mut Endpoint, id: SessionId) -> Result<(), ClientError> {
        if self.sessions.is_over(id) {
            return Ok(());
        }
        self.in_session(now, endpoint, id, |session, work| {
            session.end(work, None);
            Ok(())
        })
    }

    fn in_session<R>(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: SessionId,
        act: impl FnOnce(&mut crate::session::Session, &mut Work<'_>) -> Result<R, ClientError>,
    ) -> Result<R, ClientError> {
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.with(&mut work, id, act).unwrap_or(Err(ClientError::NoSuchSession))
    }

    fn work<'a>(&'a mut self, now: Instant, endpoint: &'a mut Endpoint) -> (&'a mut Sessions, Work<'a>) {
        let Client { settings, notices, accounts, sessions, books } = self;
        (sessions, Work { now, endpoint, notices, accounts, settings, books })
    }
}

impl TransactionUser for Client {
    type Message = Infallible;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<Infallible>) {
        let event = match event {
            Event::Request { server, request, flow } => {
                let (sessions, mut work) = self.work(now, endpoint);
                match sessions.request(&mut work, server, request, flow) {
                    Some(request) => Event::Request { server, request, flow },
                    None => return,
                }
            }
            event => event,
        };
        // The accounts take what is theirs; a request that no session has taken is answered by them.
        let Some(event) = self.with_accounts(now, endpoint, |accounts, desk| accounts.event(desk, event)) else {
            return;
        };
        let (sessions, mut work) = self.work(now, endpoint);
        sessions.event(&mut work, event);
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, message: Infallible) {
        match message {}
    }

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.sessions.drain();
        self.with_accounts(now, endpoint, |accounts, desk| accounts.drain(desk));
    }

    /// A session that only repeats its ACK if a 2xx comes again is not waited for: half a minute is long for who wants to go.
    fn is_idle(&self) -> bool {
        self.sessions.current().is_empty() && self.accounts.is_idle()
    }
}
