//! Handles of sessions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use client::account::AccountId;
use client::media::AudioStatistics;
use client::session::{Route, SessionId, SessionInfo, State};
use client::{ClientError, Streams};
use sip_message::StatusCode;
use tokio::sync::watch;

use super::chat;
use super::hub::Line;
use super::notifications::Notifications;
use super::{Engine, EngineError};

/// The sessions of an engine.
#[derive(Clone)]
pub struct SessionManager {
    engine: Engine,
}

impl SessionManager {
    pub(super) fn new(engine: Engine) -> SessionManager {
        SessionManager { engine }
    }

    /// All sessions that are neither `NULL` nor `TERMINATED`.
    pub async fn sessions(&self) -> Result<Vec<Session>, EngineError> {
        let known = self.engine.desk.ask(|worker, _, _| {
            let client = &worker.client;
            let infos = client.sessions().into_iter().filter_map(|id| client.session(id));
            infos.map(|info| (info.id, info.account)).collect::<Vec<_>>()
        });
        let known = known.await?;
        Ok(known.into_iter().filter_map(|(id, account)| Session::known(self.engine.clone(), account, id)).collect())
    }

    /// The session that a notification names.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, EngineError> {
        let account = self.engine.desk.ask(move |worker, _, _| worker.client.session(id).map(|info| info.account));
        Ok(account.await?.and_then(|account| Session::known(self.engine.clone(), account, id)))
    }

    /// Lets two sessions hear each other, beside our own user: a conference of three; or no longer.
    pub async fn bridge(&self, one: &Session, other: &Session, together: bool) -> Result<(), EngineError> {
        let (one, other) = (one.id()?, other.id()?);
        self.engine.desk.tell(move |worker, _, _| worker.bridge(one, other, together)).await;
        Ok(())
    }
}

/// A session: a call with its streams. Its attributes are as they were after the last change that was told; its methods
/// are those of the reference. Cheap to clone; a clone reads the notifications from now on, beside this one.
pub struct Session {
    engine: Engine,
    account: AccountId,
    id: Arc<OnceLock<SessionId>>,
    /// Its line, until the hub has it, which closes it when the session ends.
    unconnected: Arc<Mutex<Option<Line>>>,
    info: watch::Receiver<Option<SessionInfo>>,
    notifications: Notifications,
}

impl Clone for Session {
    fn clone(&self) -> Session {
        Session {
            engine: self.engine.clone(),
            account: self.account,
            id: self.id.clone(),
            unconnected: self.unconnected.clone(),
            info: self.info.clone(),
            notifications: self.notifications.beginning_now(),
        }
    }
}

impl Session {
    pub(super) fn of_account(engine: Engine, account: AccountId) -> Session {
        let line = Line::new();
        let (info, notifications) = (line.info(), line.notifications());
        let unconnected = Arc::new(Mutex::new(Some(line)));
        Session { engine, account, id: Arc::default(), unconnected, info, notifications }
    }

    fn known(engine: Engine, account: AccountId, id: SessionId) -> Option<Session> {
        let line = engine.desk.hub().line(id)?;
        let (info, notifications) = (line.info(), line.notifications());
        let id = Arc::new(OnceLock::from(id));
        Some(Session { engine, account, id, unconnected: Arc::default(), info, notifications })
    }

    /// Its number, which notifications name; it has none before [`Session::connect`].
    pub fn id(&self) -> Result<SessionId, EngineError> {
        self.id.get().copied().ok_or(EngineError::Client(ClientError::NoSuchSession))
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// All attributes; `None` before [`Session::connect`].
    pub fn info(&self) -> Option<SessionInfo> {
        self.info.borrow().clone()
    }

    /// The state.
    pub fn state(&self) -> State {
        self.info.borrow().as_ref().map_or(State::Null, |info| info.state)
    }

    /// What this session tells, from when this handle was made. All that this returns read from the same queue.
    pub fn notifications(&self) -> Notifications {
        self.notifications.clone()
    }

    /// Calls somebody: a SIP address, or the user of one in the account's domain. The account's proxy, or the address
    /// itself, says where to (RFC 3263).
    pub async fn connect(&self, callee: &str, streams: Streams) -> Result<(), EngineError> {
        self.connect_by(callee, Vec::new(), streams).await
    }

    /// Calls over these routes, tried in order until one answers.
    pub async fn connect_by(&self, callee: &str, routes: Vec<Route>, streams: Streams) -> Result<(), EngineError> {
        self.is_unused("connect")?;
        let callee = callee.to_owned();
        self.begin(move |client, now, endpoint, account| {
            client.connect(now, endpoint, account, &callee, routes, streams)
        })
        .await
    }

    fn is_unused(&self, method: &'static str) -> Result<(), EngineError> {
        match self.id.get() {
            Some(_) => Err(ClientError::IllegalState { method, state: self.state() }.into()),
            None => Ok(()),
        }
    }

    async fn begin(
        &self,
        begin: impl FnOnce(
            &mut client::Client,
            std::time::Instant,
            &mut sip_endpoint::Endpoint,
            AccountId,
        ) -> Result<SessionId, ClientError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        let account = self.account;
        let (slot, line) = (self.id.clone(), self.unconnected.clone());
        let called = self.engine.desk.ask(move |worker, now, endpoint| {
            let id = begin(&mut worker.client, now, endpoint, account)?;
            // Before the notifications are taken out of the client, so that none goes to another line.
            if let Some(line) = line.lock().unwrap_or_else(PoisonError::into_inner).take() {
                worker.hub.open(id, line);
            }
            let _ = slot.set(id);
            Ok::<_, ClientError>(())
        });
        Ok(called.await??)
    }

    /// Accepts the call with these of the streams that were proposed.
    pub async fn accept(&self, streams: Streams) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.accept(now, endpoint, id, streams)).await
    }

    /// Rejects the call with 603.
    pub async fn reject(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.reject(now, endpoint, id, None)).await
    }

    /// Rejects the call with this status.
    pub async fn reject_with(&self, status: StatusCode) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.reject(now, endpoint, id, Some(status))).await
    }

    /// Says that we ring, where the settings leave that to the application.
    pub async fn send_ring_indication(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.ring(now, endpoint, id)).await
    }

    /// Holds; returns when the peer has answered.
    pub async fn hold(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.hold(now, endpoint, id)).await
    }

    /// Holds no longer; returns when the peer has answered.
    pub async fn unhold(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.unhold(now, endpoint, id)).await
    }

    /// Records what both say, to this file or to the reference's default name.
    pub async fn start_recording_audio(&self, file_name: Option<PathBuf>) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.start_recording_audio(now, endpoint, id, file_name)).await
    }

    /// Closes the file.
    pub async fn stop_recording_audio(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.stop_recording_audio(now, endpoint, id)).await
    }

    /// Sends a digit: one of `0`–`9`, `*`, `#`, `A`–`D`. Digits queue.
    pub async fn send_dtmf(&self, digit: char) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.send_dtmf(now, endpoint, id, digit)).await
    }

    /// Sends a message to the peer and returns its id, which ends in exactly one of `SIPSessionDidDeliverMessage` and
    /// `SIPSessionDidNotDeliverMessage`.
    pub async fn send_message(&self, content: &str, content_type: &str) -> Result<Arc<str>, EngineError> {
        let id = self.id()?;
        let (content, content_type) = (bytes::Bytes::from(content.to_owned()), content_type.to_owned());
        let sent = self
            .engine
            .desk
            .ask(move |worker, now, endpoint| worker.client.send_message(now, endpoint, id, content, &content_type));
        Ok(sent.await??)
    }

    /// Sends a message to one of those in a room alone (RFC 7701 §6): to an address, as it stands in the `From` of what came
    /// from them.
    pub async fn send_private_message(
        &self,
        recipient: &str,
        content: &str,
        content_type: &str,
    ) -> Result<Arc<str>, EngineError> {
        let id = self.id()?;
        let content = bytes::Bytes::from(content.to_owned());
        let (recipient, content_type) = (recipient.to_owned(), content_type.to_owned());
        let sent = self.engine.desk.ask(move |worker, now, endpoint| {
            worker.client.send_private_message(now, endpoint, id, &recipient, content, &content_type)
        });
        Ok(sent.await??)
    }

    /// Tells the peer that our user writes, or has given it up (RFC 3994). To be said with every key: it is sent as often as
    /// is due.
    pub async fn set_composing(&self, is_active: bool) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.set_composing(now, endpoint, id, is_active)).await
    }

    /// Tells whoever sent this message that our user has seen it, if it asked for that and the settings allow it (RFC 5438).
    pub async fn message_was_displayed(&self, message_id: &str) -> Result<(), EngineError> {
        let message_id = message_id.to_owned();
        self.order(move |client, now, endpoint, id| client.message_was_displayed(now, endpoint, id, &message_id)).await
    }

    /// Asks the room to know us by this nickname, or by none if it is empty (RFC 7701 §7). One of `ChatStreamDidSetNickname`
    /// and `ChatStreamDidNotSetNickname` follows.
    pub async fn set_nickname(&self, nickname: &str) -> Result<(), EngineError> {
        let nickname = nickname.to_owned();
        self.order(move |client, now, endpoint, id| client.set_nickname(now, endpoint, id, &nickname)).await
    }

    /// Sends somebody a file, in this session, which is for that alone (RFC 5547). Reads it through before, for its hash.
    /// `FileTransferHandlerProgress` and one `FileTransferHandlerDidEnd` tell how it goes.
    pub async fn send_file(&self, callee: &str, path: impl AsRef<Path>) -> Result<(), EngineError> {
        self.send_file_by(callee, Vec::new(), path).await
    }

    /// Sends a file over these routes, tried in order until one answers.
    pub async fn send_file_by(
        &self,
        callee: &str,
        routes: Vec<Route>,
        path: impl AsRef<Path>,
    ) -> Result<(), EngineError> {
        self.is_unused("send_file")?;
        let path = path.as_ref().to_owned();
        let (told, tell) = tokio::sync::oneshot::channel();
        let of = path.clone();
        // As long as the disk takes; whoever called may be one that must not wait.
        std::thread::spawn(move || drop(told.send(chat::described_file(&of))));
        let described = tell.await.map_err(|_| EngineError::Stopped)?;
        let file = described.map_err(|error| EngineError::File(path.clone(), error.to_string().into()))?;
        let callee = callee.to_owned();
        self.begin(move |client, now, endpoint, account| {
            client.send_file(now, endpoint, account, &callee, routes, file, path)
        })
        .await
    }

    /// Proposes audio; returns when the peer has answered.
    pub async fn add_audio(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.add_audio(now, endpoint, id)).await
    }

    /// Takes audio out; returns when the peer has answered.
    pub async fn remove_audio(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.remove_audio(now, endpoint, id)).await
    }

    /// Proposes chat; returns when the peer has answered.
    pub async fn add_chat(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.add_chat(now, endpoint, id)).await
    }

    /// Takes chat out; returns when the peer has answered.
    pub async fn remove_chat(&self) -> Result<(), EngineError> {
        self.command(|client, now, endpoint, id| client.remove_chat(now, endpoint, id)).await
    }

    /// Accepts these of the streams that the peer proposes.
    pub async fn accept_proposal(&self, streams: Streams) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.accept_proposal(now, endpoint, id, streams)).await
    }

    /// Rejects what the peer proposes.
    pub async fn reject_proposal(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.reject_proposal(now, endpoint, id, None)).await
    }

    /// Takes our proposal back before the peer has answered.
    pub async fn cancel_proposal(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.cancel_proposal(now, endpoint, id)).await
    }

    /// Asks the peer to call somebody else instead of us (blind transfer).
    pub async fn transfer(&self, target: &str) -> Result<(), EngineError> {
        let target = target.to_owned();
        self.order(move |client, now, endpoint, id| client.transfer(now, endpoint, id, &target, None)).await
    }

    /// Connects the peer with the peer of another session of ours (attended transfer).
    pub async fn transfer_to_session(&self, other: &Session) -> Result<(), EngineError> {
        let replaced = other.id()?;
        let target = other.info().and_then(|info| info.remote_uri().map(|uri| uri.to_string()));
        let target = target.ok_or(ClientError::NoSuchSession)?;
        self.order(move |client, now, endpoint, id| client.transfer(now, endpoint, id, &target, Some(replaced))).await
    }

    /// Makes the call that the peer asks for, in a session of its own.
    pub async fn accept_transfer(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.accept_transfer(now, endpoint, id).map(drop)).await
    }

    /// Refuses the call that the peer asks for.
    pub async fn reject_transfer(&self) -> Result<(), EngineError> {
        self.order(|client, now, endpoint, id| client.reject_transfer(now, endpoint, id, None)).await
    }

    /// Sends silence instead of what our device gives, or no longer.
    pub async fn set_muted(&self, muted: bool) -> Result<(), EngineError> {
        self.order(move |client, now, endpoint, id| client.set_muted(now, endpoint, id, muted)).await
    }

    /// Plays a WAV file to the peer. `WavePlayerDidEnd` tells that it is through.
    pub async fn play(&self, file: impl AsRef<Path>) -> Result<(), EngineError> {
        let (id, file) = (self.id()?, file.as_ref().to_owned());
        self.engine.desk.ask(move |worker, _, _| worker.play(id, file)).await?
    }

    /// Lets the peer hear himself, or no longer.
    pub async fn set_mirrored(&self, mirrored: bool) -> Result<(), EngineError> {
        let id = self.id()?;
        self.engine.desk.tell(move |worker, _, _| worker.mirror(id, mirrored)).await;
        Ok(())
    }

    /// How the audio is doing; `None` without audio.
    pub async fn audio_statistics(&self) -> Result<Option<AudioStatistics>, EngineError> {
        let id = self.id()?;
        self.engine.desk.ask(move |worker, _, _| worker.statistics(id)).await
    }

    /// Ends it, whatever state it is in.
    pub async fn end(&self) -> Result<(), EngineError> {
        match self.id.get() {
            Some(_) => self.order(|client, now, endpoint, id| client.end(now, endpoint, id)).await,
            None => Ok(()),
        }
    }

    /// Waits until it is over, at most so long, and says whether it is.
    pub async fn ended(&self, within: Duration) -> bool {
        let mut info = self.info.clone();
        let over = info.wait_for(|info| info.as_ref().is_some_and(|info| info.state == State::Terminated));
        tokio::time::timeout(within, over).await.is_ok()
    }

    /// Something that is done at once.
    async fn order(
        &self,
        order: impl FnOnce(
            &mut client::Client,
            std::time::Instant,
            &mut sip_endpoint::Endpoint,
            SessionId,
        ) -> Result<(), ClientError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        let id = self.id()?;
        Ok(self.engine.desk.ask(move |worker, now, endpoint| order(&mut worker.client, now, endpoint, id)).await??)
    }

    /// Something that takes until the peer has answered.
    async fn command(
        &self,
        command: impl FnOnce(
            &mut client::Client,
            std::time::Instant,
            &mut sip_endpoint::Endpoint,
            SessionId,
        ) -> Result<client::session::CommandId, ClientError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        let id = self.id()?;
        let (told, tell) = tokio::sync::oneshot::channel();
        self.engine
            .desk
            .tell(move |worker, now, endpoint| match command(&mut worker.client, now, endpoint, id) {
                Ok(command) => worker.await_outcome(command, told),
                Err(error) => {
                    let _ = told.send(Err(error));
                }
            })
            .await;
        Ok(tell.await.map_err(|_| EngineError::Stopped)??)
    }
}
