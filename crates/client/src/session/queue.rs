//! Commands that need a re-INVITE wait for each other and for the peer's, in their order: none is lost.
//!
//! ```text
//!   hold, unhold, add, remove ──► queue ──► running ──┬── Preparing ──► Ready ──► Sent ──► its outcome
//!                                   ▲                 │  (a new stream)   ▲         │
//!                                   │                 └───────────────────┘         │ 491: once more (RFC 3261 §14.1)
//!                                   └── an INVITE is in progress, or has changed ◄──┘
//!                                       what this one was made for
//! ```

use std::time::Duration;

use sip_dialog::invite::Input;
use sip_message::{Response, StatusCode};

use super::core::Session;
use super::work::{Alarm, Work};
use super::{CommandId, State, renegotiation::Reinvite};
use crate::error::ClientError;
use crate::streams::StreamKind;

/// A command that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    /// Who hears of its outcome; nobody, when the session itself has asked for it.
    pub(super) id: Option<CommandId>,
    pub(super) command: Command,
    /// Whether it was begun anew after the peer had changed what it was made for.
    renewed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Hold,
    Unhold,
    Add(StreamKind),
    Remove(StreamKind),
    /// Offer again what there is: it has changed.
    Refresh,
}

/// The command that is being carried out.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) queued: Queued,
    pub(super) stage: Stage,
    /// Why it is being called off.
    pub(super) stop: Option<Stop>,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The media side makes a stream for it.
    Preparing,
    /// It waits until no INVITE is in progress.
    Ready,
    /// Its re-INVITE is on its way.
    Sent,
    /// Its re-INVITE has met one of the peer's and will be sent again.
    Glare,
}

/// Why a command is called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    TimedOut,
    Cancelled,
}

/// What beginning a command has come to.
enum Begun {
    /// It is on its way.
    Running,
    /// It has to wait, and is put back.
    Waits,
    /// There is nothing to do, or it can't be done.
    Done(Result<(), ClientError>),
}

impl Session {
    /// Takes a command in.
    pub(super) fn enqueue(&mut self, work: &mut Work<'_>, command: Command) -> CommandId {
        let id = work.new_command_id();
        self.queue.push_back(Queued { id: Some(id), command, renewed: false });
        id
    }

    /// Takes a command of the session's own in, before all others.
    pub(super) fn enqueue_own(&mut self, command: Command) {
        self.queue.push_front(Queued { id: None, command, renewed: false });
    }

    /// Whether a command waits or is being carried out.
    pub(super) fn is_queued(&self, command: Command) -> bool {
        let running = self.running.as_ref().map(|running| &running.queued);
        running.into_iter().chain(&self.queue).any(|queued| queued.command == command)
    }

    /// Begins what can be begun.
    pub(super) fn pump(&mut self, work: &mut Work<'_>) {
        let ready = self.running.as_ref().is_some_and(|running| running.stage == Stage::Ready);
        if ready && self.state == State::Proposing {
            self.send_ready(work);
        }
        while self.running.is_none() && self.state == State::Established {
            let Some(queued) = self.queue.pop_front() else { return };
            let id = queued.id;
            match self.begin(work, queued.clone()) {
                Begun::Running => {}
                Begun::Waits => return self.queue.push_front(queued),
                Begun::Done(result) => tell(work, id, result),
            }
        }
    }

    fn begin(&mut self, work: &mut Work<'_>, queued: Queued) -> Begun {
        match queued.command {
            Command::Hold | Command::Unhold => {
                let wanted = queued.command == Command::Hold;
                if self.on_hold_by_local == wanted {
                    return Begun::Done(Ok(()));
                }
                self.wants_hold = wanted;
                let begun = self.begin_reinvite(work, queued);
                if !matches!(begun, Begun::Running) {
                    self.wants_hold = self.on_hold_by_local;
                }
                begun
            }
            Command::Add(kind) => {
                if self.active_streams().has(kind) {
                    return Begun::Done(Err(ClientError::StreamExists(kind)));
                }
                self.running = Some(Running { queued, stage: Stage::Preparing, stop: None });
                self.begin_proposal(work, kind);
                Begun::Running
            }
            Command::Remove(kind) => {
                self.stop_stream(work, kind);
                if !self.has_line(kind) {
                    return Begun::Done(Ok(()));
                }
                self.begin_reinvite(work, queued)
            }
            Command::Refresh => self.begin_reinvite(work, queued),
        }
    }

    fn begin_reinvite(&mut self, work: &mut Work<'_>, queued: Queued) -> Begun {
        let timeout = self.timeout_of(work, queued.command);
        self.running = Some(Running { queued, stage: Stage::Sent, stop: None });
        match self.send_reinvite(work) {
            Reinvite::Sent => {
                if self.running.is_some() {
                    self.set_alarm(work, Alarm::Command, timeout);
                }
                Begun::Running
            }
            Reinvite::Busy => {
                self.running = None;
                Begun::Waits
            }
            Reinvite::Failed(error) => {
                self.running = None;
                Begun::Done(Err(error))
            }
        }
    }

    /// Sends the re-INVITE of a proposal whose streams are prepared.
    pub(super) fn send_ready(&mut self, work: &mut Work<'_>) {
        let Some(running) = &mut self.running else { return };
        running.stage = Stage::Sent;
        match self.send_reinvite(work) {
            Reinvite::Sent => {}
            Reinvite::Busy => {
                if let Some(running) = &mut self.running {
                    running.stage = Stage::Ready;
                }
            }
            Reinvite::Failed(error) => self.could_not_propose(work, error.to_string().into()),
        }
    }

    /// How long a command may take.
    pub(super) fn timeout_of(&self, work: &Work<'_>, command: Command) -> Duration {
        match command {
            Command::Add(_) => work.settings.sip.proposal_timeout,
            _ => work.settings.sip.reinvite_timeout,
        }
    }

    // ----- what happens to it -----

    /// A re-INVITE of the command's is being sent.
    pub(super) fn reinvite_is_sent(&mut self) {
        if let Some(running) = self.running.as_mut().filter(|running| running.stage == Stage::Glare) {
            running.stage = Stage::Sent;
        }
    }

    /// The re-INVITE has met one of the peer's; the usage sends it again after this time.
    pub(super) fn glare_waits(&mut self, work: &mut Work<'_>, wait: Duration) {
        let Some(running) = &mut self.running else { return };
        running.stage = Stage::Glare;
        let stopped = running.stop.is_some();
        let timeout = self.timeout_of_running(work);
        self.set_alarm(work, Alarm::Command, wait + timeout);
        if stopped {
            self.call_off(work);
        }
    }

    fn timeout_of_running(&self, work: &Work<'_>) -> Duration {
        self.running.as_ref().map(|running| self.timeout_of(work, running.queued.command)).unwrap_or_default()
    }

    /// The command takes too long: its re-INVITE is cancelled, and what comes of that is its outcome.
    pub(super) fn command_took_too_long(&mut self, work: &mut Work<'_>) {
        self.stop_running(work, Stop::TimedOut);
    }

    /// Calls the command off that is being carried out.
    pub(super) fn stop_running(&mut self, work: &mut Work<'_>, why: Stop) {
        let Some(running) = &mut self.running else { return };
        running.stop.get_or_insert(why);
        self.call_off(work);
    }

    fn call_off(&mut self, work: &mut Work<'_>) {
        let Some(stage) = self.running.as_ref().map(|running| running.stage) else { return };
        match stage {
            Stage::Preparing | Stage::Ready => self.command_failed(work, StatusCode::REQUEST_TERMINATED, None),
            // The usage takes back what it has not sent again, without a word.
            Stage::Glare => {
                self.cancel_reinvite(work);
                self.command_failed(work, StatusCode::REQUEST_TERMINATED, None);
            }
            Stage::Sent => self.cancel_reinvite(work),
        }
    }

    /// The peer has added or removed a stream while our re-INVITE waits to be sent again: what it offers is of yesterday, and
    /// is made anew.
    pub(super) fn renew_after_glare(&mut self, work: &mut Work<'_>) {
        let waits = |running: &Running| running.stage == Stage::Glare && running.stop.is_none();
        let Some(command) =
            self.running.as_ref().filter(|running| waits(running)).map(|running| running.queued.command)
        else {
            return;
        };
        self.cancel_reinvite(work);
        if is_proposal(command) {
            let timeout = self.timeout_of(work, command);
            self.set_alarm(work, Alarm::Command, timeout);
            if let Some(running) = &mut self.running {
                running.stage = Stage::Ready;
            }
        } else if let Some(running) = self.running.take() {
            self.clear_alarm(work, Alarm::Command);
            self.wants_hold = self.on_hold_by_local;
            self.queue.push_front(Queued { renewed: true, ..running.queued });
        }
    }

    pub(super) fn cancel_reinvite(&mut self, work: &mut Work<'_>) {
        if let Some(dialog) = self.dialog {
            // Its final response may be on the way; then that is the outcome.
            let _ = self.step(work, Input::CancelReinvite(dialog));
        }
    }

    /// The re-INVITE of the command was answered.
    pub(super) fn reinvite_was_answered(&mut self, work: &mut Work<'_>, response: &Response) {
        if self.running.is_none() {
            return;
        }
        self.clear_alarm(work, Alarm::Command);
        if response.status().is_success() {
            return self.command_succeeded(work);
        }
        if response.status() == StatusCode::REQUEST_PENDING && self.begin_anew(response) {
            self.wants_hold = self.on_hold_by_local;
            return;
        }
        self.command_failed(work, response.status(), Some(response));
    }

    /// Whether the command is put back because what it offered does not fit any more after the peer's own change. Such a
    /// 491 the usage has made itself; it has no Via.
    fn begin_anew(&mut self, response: &Response) -> bool {
        let made_here = !response.headers().contains(sip_message::HeaderName::Via);
        let Some(running) = self.running.take_if(|running| {
            made_here && running.stop.is_none() && !running.queued.renewed && !is_proposal(running.queued.command)
        }) else {
            return false;
        };
        self.queue.push_front(Queued { renewed: true, ..running.queued });
        true
    }

    fn command_succeeded(&mut self, work: &mut Work<'_>) {
        let Some(running) = self.running.take() else { return };
        let result = match running.queued.command {
            Command::Hold | Command::Unhold => self.hold_was_accepted(work),
            Command::Add(kind) => self.proposal_was_answered(work, kind, running.stop),
            Command::Remove(_) | Command::Refresh => Ok(()),
        };
        tell(work, running.queued.id, result);
    }

    /// The command has come to nothing.
    pub(super) fn command_failed(&mut self, work: &mut Work<'_>, status: StatusCode, response: Option<&Response>) {
        let Some(running) = self.running.take() else { return };
        self.clear_alarm(work, Alarm::Command);
        let error = match running.stop {
            Some(Stop::TimedOut) => ClientError::TimedOut,
            Some(Stop::Cancelled) => ClientError::Dropped,
            None => ClientError::Refused(status),
        };
        let result = match running.queued.command {
            Command::Hold | Command::Unhold => {
                self.wants_hold = self.on_hold_by_local;
                Err(error)
            }
            Command::Add(_) => {
                self.proposal_failed(work, running.stop, status, response);
                Err(error)
            }
            // What is removed is gone here, whatever the peer says to it.
            Command::Remove(_) | Command::Refresh => Ok(()),
        };
        tell(work, running.queued.id, result);
    }
}

fn is_proposal(command: Command) -> bool {
    matches!(command, Command::Add(_))
}

/// Tells the caller of a command how it ended.
pub(super) fn tell(work: &mut Work<'_>, id: Option<CommandId>, result: Result<(), ClientError>) {
    if let Some(id) = id {
        work.books.outcomes.push_back((id, result));
    }
}
