//! One session: what it consists of, and the small steps that all the others share.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sdp::Agreement;
use sip_dialog::invite::DialogKey;
use sip_dialog::subscription::Notifier;
use sip_endpoint::TimerId;
use sip_message::{NameAddrBuf, UriBuf};

use super::call::Call;
use super::file::FileTransfer;
use super::incoming::Invitation;
use super::media_side::Stream;
use super::messages::Delivery;
use super::proposal::RemoteProposal;
use super::queue::{Queued, Running};
use super::recording::Recording;
use super::referred::TransferCall;
use super::restart::Restart;
use super::transfer::Transfer;
use super::work::{Alarm, Work};
use super::{CallDirection, Route, SessionId, SessionInfo, State};
use crate::account::AccountId;
use crate::error::ClientError;
use crate::media::{MediaCommand, Sound};
use crate::notification::Data;
use crate::streams::{StreamKind, Streams};

/// One session.
pub(crate) struct Session {
    pub(super) id: SessionId,
    pub(super) account: AccountId,
    pub(super) state: State,
    pub(super) direction: CallDirection,
    pub(super) start_time: Option<SystemTime>,
    pub(super) stop_time: Option<SystemTime>,

    // Who talks to whom.
    pub(super) local_identity: Option<NameAddrBuf>,
    pub(super) remote_identity: Option<NameAddrBuf>,
    /// Where requests of the dialog reach us.
    pub(super) contact: Option<NameAddrBuf>,
    pub(super) remote_user_agent: Option<Arc<str>>,
    pub(super) remote_focus: bool,
    watches_conference: bool,
    pub(super) call_id: Option<Arc<str>>,
    /// Whom we call.
    pub(super) target: Option<UriBuf>,
    pub(super) routes: Vec<Route>,
    pub(super) route: Option<Route>,

    // The signalling of it.
    pub(super) call: Option<Call>,
    /// The dialog that is the session's, of all forks.
    pub(super) dialog: Option<DialogKey>,
    /// The INVITE that wants an answer of ours.
    pub(super) invitation: Option<Invitation>,
    /// Why we gave up on our own: it then ends as a failure of ours.
    pub(super) given_up: Option<(Option<sip_message::StatusCode>, Arc<str>)>,
    /// What our BYE says of its reason, and `SIPSessionDidEnd` with it.
    pub(super) end_reason: Option<Arc<str>>,
    /// The session whose place this one takes (RFC 3891).
    pub(super) replaces: Option<SessionId>,

    // The media of it.
    pub(super) streams: Vec<Stream>,
    /// Which kinds the application knows to be active.
    pub(super) told_streams: Streams,
    pub(super) local_address: IpAddr,
    pub(super) sdp_id: u64,
    /// The agreement that the media side runs by.
    pub(super) applied: Option<Agreement>,
    /// Whether our offers hold the peer.
    pub(super) wants_hold: bool,
    pub(super) on_hold_by_local: bool,
    pub(super) on_hold_by_remote: bool,
    pub(super) muted: bool,
    pub(super) recording: Option<Recording>,
    pub(super) sound: Sound,

    // What goes on in it.
    pub(super) queue: VecDeque<Queued>,
    pub(super) running: Option<Running>,
    pub(super) proposal: Option<RemoteProposal>,
    /// An offer of the peer's that is answered when the media side is ready for it.
    pub(super) restart: Option<Restart>,
    /// A stream whose connection is lost, and why; what follows waits for what the peer says.
    pub(super) lost: Option<(StreamKind, Arc<str>)>,
    /// The file that the session is for.
    pub(super) file: Option<FileTransfer>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) transfer: Option<Transfer>,
    /// What tells the peer the end of a transfer that is over for us.
    pub(super) last_notifier: Option<Box<Notifier>>,
    /// The session whose peer has asked for this call.
    pub(super) transfer_call: Option<TransferCall>,
    alarms: BTreeMap<Alarm, TimerId>,
    /// What was to be known of it after the last step.
    pub(super) shown: Option<Box<SessionInfo>>,
    /// Whether it is found by its Call-ID.
    pub(super) is_indexed: bool,
}

impl Session {
    pub(super) fn new(work: &mut Work<'_>, account: AccountId, direction: CallDirection) -> Session {
        Session {
            id: work.new_session_id(),
            account,
            state: State::Null,
            direction,
            start_time: None,
            stop_time: None,
            local_identity: None,
            remote_identity: None,
            contact: None,
            remote_user_agent: None,
            remote_focus: false,
            watches_conference: false,
            call_id: None,
            target: None,
            routes: Vec::new(),
            route: None,
            call: None,
            dialog: None,
            invitation: None,
            given_up: None,
            end_reason: None,
            replaces: None,
            streams: Vec::new(),
            told_streams: Streams::NONE,
            local_address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            // RFC 8866 §5.2 wants a number; some peers read it as one of 63 bits.
            sdp_id: work.endpoint.random() >> 2,
            applied: None,
            wants_hold: false,
            on_hold_by_local: false,
            on_hold_by_remote: false,
            muted: false,
            recording: None,
            sound: Sound::Silence,
            queue: VecDeque::new(),
            running: None,
            proposal: None,
            restart: None,
            lost: None,
            file: None,
            deliveries: Vec::new(),
            transfer: None,
            last_notifier: None,
            transfer_call: None,
            alarms: BTreeMap::new(),
            shown: None,
            is_indexed: false,
        }
    }

    pub(super) fn post(&self, work: &mut Work<'_>, data: Data) {
        work.post(self.id, data);
    }

    /// Changes the state and tells it, before anything that is specific to the step.
    pub(super) fn set_state(&mut self, work: &mut Work<'_>, state: State) {
        let prev_state = std::mem::replace(&mut self.state, state);
        if prev_state != state {
            self.post(work, Data::SessionChangedState { prev_state, state });
        }
    }

    /// Lets our user hear something else.
    pub(super) fn play(&mut self, work: &mut Work<'_>, sound: Sound) {
        if self.sound != sound {
            self.sound = sound;
            work.order(MediaCommand::Play { session: self.id, sound });
        }
    }

    /// Refuses what can't be asked in this state.
    pub(super) fn illegal(&self, method: &'static str) -> ClientError {
        ClientError::IllegalState { method, state: self.state }
    }

    /// Whether the session is up, whatever is being proposed.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Established | State::Proposing | State::Proposed)
    }

    // ----- alarms -----

    /// Sets an alarm, in the place of one of the same name.
    pub(super) fn set_alarm(&mut self, work: &mut Work<'_>, alarm: Alarm, after: Duration) {
        self.clear_alarm(work, alarm);
        let timer = work.set_timer(self.id, after, alarm);
        self.alarms.insert(alarm, timer);
    }

    pub(super) fn clear_alarm(&mut self, work: &mut Work<'_>, alarm: Alarm) {
        if let Some(timer) = self.alarms.remove(&alarm) {
            work.cancel_timer(timer);
        }
    }

    /// Stops every alarm but those of the signalling, which goes on a while after the session.
    pub(super) fn clear_alarms(&mut self, work: &mut Work<'_>) {
        let others = self.alarms.keys().copied().filter(|alarm| *alarm != Alarm::Usage);
        for alarm in others.collect::<Vec<_>>() {
            self.clear_alarm(work, alarm);
        }
    }

    /// Stops the alarm of the signalling, which is over, too.
    pub(super) fn clear_usage_alarm(&mut self, work: &mut Work<'_>) {
        self.clear_alarms(work);
        self.clear_alarm(work, Alarm::Usage);
    }

    /// An alarm has gone off.
    pub(super) fn alarm(&mut self, work: &mut Work<'_>, alarm: Alarm) {
        self.alarms.remove(&alarm);
        match alarm {
            Alarm::Usage => self.usage_is_due(work),
            Alarm::Ringing => self.rang_too_long(work),
            Alarm::Preparation => self.preparation_took_too_long(work),
            Alarm::Command => self.command_took_too_long(work),
            Alarm::Proposal => self.proposal_was_not_answered(work),
            Alarm::NoAudio => self.nothing_was_heard(work),
            Alarm::Transfer => self.transfer_took_too_long(work),
            Alarm::Notifier => self.notifier_is_due(work),
            Alarm::Composing => self.composing_is_due(work),
            Alarm::Restart => self.restart_took_too_long(work),
            Alarm::Farewell => self.end(work, None),
            Alarm::Loss => self.loss_stands(work),
        }
    }

    // ----- streams -----

    /// The kinds that are active.
    pub(super) fn active_streams(&self) -> Streams {
        let active = self.streams.iter().filter(|stream| stream.is_active());
        active.fold(Streams::NONE, |streams, stream| streams.with(stream.kind, true))
    }

    /// The kinds that something can go over now.
    pub(super) fn running_streams(&self) -> Streams {
        let running = self.streams.iter().filter(|stream| stream.is_running());
        running.fold(Streams::NONE, |streams, stream| streams.with(stream.kind, true))
    }

    /// The audio stream, if it is active.
    pub(super) fn audio(&self) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == StreamKind::Audio && stream.is_active())
    }

    /// Sends silence instead of what the device gives, or no longer.
    pub(crate) fn set_muted(&mut self, work: &mut Work<'_>, muted: bool) -> Result<(), ClientError> {
        if matches!(self.state, State::Terminating | State::Terminated) {
            return Err(self.illegal("set_muted"));
        }
        self.muted = muted;
        let audio = self.streams.iter().filter(|stream| stream.kind == StreamKind::Audio);
        for stream in audio.filter(|stream| !stream.closed && stream.line().is_some()) {
            work.order(MediaCommand::Mute { stream: stream.id, muted });
        }
        Ok(())
    }

    // ----- conference -----

    /// Asks a conference who takes part in it (RFC 4579 §3.3).
    pub(super) fn watch_conference(&mut self, work: &mut Work<'_>) {
        let dialog = self.dialog.and_then(|key| self.call.as_ref()?.usage.dialog(key));
        let Some(focus) = dialog.filter(|_| self.remote_focus).map(|dialog| dialog.remote_target.clone()) else {
            return;
        };
        let (account, id) = (self.account, self.id);
        self.watches_conference = true;
        work.with_accounts(|accounts, desk| accounts.watch_conference(desk, account, id, &focus));
    }

    pub(super) fn forget_conference(&mut self, work: &mut Work<'_>) {
        if std::mem::take(&mut self.watches_conference) {
            let id = self.id;
            work.with_accounts(|accounts, desk| accounts.unwatch_conference(desk, id));
        }
    }

    pub(super) fn on_hold(&self) -> bool {
        self.on_hold_by_local || self.on_hold_by_remote
    }
}
