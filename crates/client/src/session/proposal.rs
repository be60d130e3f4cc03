//! Proposals: a stream that one side wants to add, and the other accepts or not.
//!
//! ```text
//!   ours     PROPOSING  GotStreamProposal(local) ─ prepare ─ re-INVITE ─┬─ streams  ESTABLISHED  Accepted(local)
//!                                                                       └─ ESTABLISHED  Rejected(local)
//!   theirs   – 180 –  PROPOSED  GotStreamProposal(remote) ─┬─ accept ─ prepare ─ 200 ─ ESTABLISHED Accepted(remote) streams
//!                                                          └─ reject, CANCEL, too late ─ ESTABLISHED Rejected(remote)
//! ```

use std::sync::Arc;

use sdp::SessionDescription;
use sip_dialog::invite::ServerKey;
use sip_message::{Request, Response, StatusCode};

use super::core::Session;
use super::incoming::check_accepted;
use super::offered;
use super::queue::{Command, Stage, Stop, tell};
use super::work::{Alarm, Work};
use super::{CommandId, State};
use crate::error::ClientError;
use crate::notification::{Data, Party};
use crate::streams::{StreamKind, Streams};

/// A re-INVITE of the peer's that proposes streams and has no final response.
pub(crate) struct RemoteProposal {
    transaction: ServerKey,
    request: Request,
    offer: SessionDescription,
    pub(super) streams: Streams,
    /// Whether the application has accepted it.
    accepted: bool,
}

impl Session {
    // ----- ours -----

    /// Proposes a stream.
    pub(crate) fn add_stream(&mut self, work: &mut Work<'_>, kind: StreamKind) -> Result<CommandId, ClientError> {
        if kind == StreamKind::File {
            return Err(ClientError::Unsupported(kind));
        }
        if !self.is_up() {
            return Err(self.illegal(if kind == StreamKind::Chat { "add_chat" } else { "add_audio" }));
        }
        if self.active_streams().has(kind) || self.is_queued(Command::Add(kind)) {
            return Err(ClientError::StreamExists(kind));
        }
        Ok(self.enqueue(work, Command::Add(kind)))
    }

    /// Removes a stream; another one has to be left.
    pub(crate) fn remove_stream(&mut self, work: &mut Work<'_>, kind: StreamKind) -> Result<CommandId, ClientError> {
        if !self.is_up() {
            return Err(self.illegal(if kind == StreamKind::Chat { "remove_chat" } else { "remove_audio" }));
        }
        let active = self.active_streams();
        if !active.has(kind) {
            return Err(ClientError::NoStream(kind));
        }
        if active.with(kind, false).is_empty() {
            return Err(ClientError::LastStream);
        }
        Ok(self.enqueue(work, Command::Remove(kind)))
    }

    /// A stream that has failed is removed without being asked.
    pub(super) fn remove_failed_stream(&mut self, work: &mut Work<'_>, kind: StreamKind) {
        self.stop_stream(work, kind);
        self.enqueue_own(Command::Remove(kind));
    }

    pub(super) fn begin_proposal(&mut self, work: &mut Work<'_>, kind: StreamKind) {
        self.set_state(work, State::Proposing);
        let streams = Streams::NONE.with(kind, true);
        self.post(work, Data::SessionGotStreamProposal { proposer: Party::Local, streams });
        self.set_alarm(work, Alarm::Command, work.settings.sip.proposal_timeout);
        self.prepare(work, kind, None);
    }

    /// The stream is prepared: the re-INVITE goes out.
    pub(super) fn send_proposal(&mut self, work: &mut Work<'_>) {
        if self.running.as_ref().is_some_and(|running| running.stage == Stage::Preparing) {
            self.send_ready(work);
        }
    }

    /// Takes our proposal back.
    pub(crate) fn cancel_proposal(&mut self, work: &mut Work<'_>) -> Result<(), ClientError> {
        if self.state != State::Proposing {
            return Err(self.illegal("cancel_proposal"));
        }
        self.stop_running(work, Stop::Cancelled);
        Ok(())
    }

    /// Our proposal was answered with a 2xx.
    pub(super) fn proposal_was_answered(
        &mut self,
        work: &mut Work<'_>,
        kind: StreamKind,
        stop: Option<Stop>,
    ) -> Result<(), ClientError> {
        if let Some(stop) = stop {
            // The 2xx has crossed our CANCEL: what was agreed on is taken back.
            self.close_unused_streams(work);
            self.follow(work);
            self.enqueue_own(Command::Remove(kind));
            self.not_proposed(work, why(stop).into());
            return Err(match stop {
                Stop::TimedOut => ClientError::TimedOut,
                Stop::Cancelled => ClientError::Dropped,
            });
        }
        self.follow(work);
        if self.active_streams().has(kind) {
            self.set_state(work, State::Established);
            self.post(work, Data::SessionAcceptedStreamProposal { proposer: Party::Local });
            return Ok(());
        }
        self.close_unused_streams(work);
        let what = match kind {
            StreamKind::Audio => "Audio",
            StreamKind::Chat => "MSRP chat",
            StreamKind::File => "File transfer",
        };
        self.not_proposed(work, format!("{what} SDP negotiation failed").into());
        Err(ClientError::Refused(StatusCode::NOT_ACCEPTABLE_HERE))
    }

    /// Our proposal was refused, or called off.
    pub(super) fn proposal_failed(
        &mut self,
        work: &mut Work<'_>,
        stop: Option<Stop>,
        status: StatusCode,
        response: Option<&Response>,
    ) {
        self.close_unused_streams(work);
        let reason = match (stop, response) {
            (Some(stop), _) => why(stop).into(),
            (None, Some(response)) => {
                format!("Proposal rejected with: {} {}", status.code(), super::calling::reason_of(response)).into()
            }
            (None, None) => format!("Proposal rejected with: {} {}", status.code(), status.reason_phrase()).into(),
        };
        self.not_proposed(work, reason);
    }

    /// Our proposal failed before it was sent.
    pub(super) fn could_not_propose(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        let Some(running) = self.running.take() else { return };
        if running.stage == Stage::Glare {
            // It would be sent again.
            self.cancel_reinvite(work);
        }
        self.clear_alarm(work, Alarm::Command);
        self.close_unused_streams(work);
        self.not_proposed(work, Arc::clone(&reason));
        tell(work, running.queued.id, Err(ClientError::Stack((*reason).into())));
    }

    fn not_proposed(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        self.set_state(work, State::Established);
        self.post(work, Data::SessionRejectedStreamProposal { proposer: Party::Local, reason });
    }

    // ----- theirs -----

    /// The peer proposes streams.
    pub(super) fn got_proposal(
        &mut self,
        work: &mut Work<'_>,
        transaction: ServerKey,
        request: Request,
        offer: SessionDescription,
        streams: Streams,
    ) {
        if self.state == State::Proposing {
            // Ours has not been sent yet, or the usage would have said 491: theirs goes first.
            self.could_not_propose(work, "The peer has proposed streams".into());
        }
        if self.state != State::Established {
            self.respond(work, transaction, Response::to(&request, StatusCode::REQUEST_PENDING));
            return;
        }
        self.respond(work, transaction, Response::to(&request, StatusCode::RINGING));
        self.proposal = Some(RemoteProposal { transaction, request, offer, streams, accepted: false });
        self.set_state(work, State::Proposed);
        self.post(work, Data::SessionGotStreamProposal { proposer: Party::Remote, streams });
        self.set_alarm(work, Alarm::Proposal, work.settings.sip.proposal_timeout);
    }

    /// Accepts what the peer proposes, with these of its streams.
    pub(crate) fn accept_proposal(&mut self, work: &mut Work<'_>, streams: Streams) -> Result<(), ClientError> {
        let is_proposed = self.state == State::Proposed;
        let Some(proposal) = self.proposal.as_mut().filter(|proposal| is_proposed && !proposal.accepted) else {
            return Err(self.illegal("accept_proposal"));
        };
        check_accepted(streams, proposal.streams)?;
        proposal.accepted = true;
        let offer = Arc::new(proposal.offer.clone());
        self.clear_alarm(work, Alarm::Proposal);
        for kind in streams.iter() {
            let line = offered::index_of(&offer, kind).map(|index| (Arc::clone(&offer), index));
            self.prepare(work, kind, line);
        }
        self.restart_with_proposal(work, &offer);
        Ok(())
    }

    /// Rejects what the peer proposes.
    pub(crate) fn reject_proposal(&mut self, work: &mut Work<'_>, code: Option<StatusCode>) -> Result<(), ClientError> {
        if self.state != State::Proposed {
            return Err(self.illegal("reject_proposal"));
        }
        let code = code.filter(|code| code.code() >= 300).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
        self.refuse_proposal(work, Some(code), "Rejected by user".into());
        Ok(())
    }

    /// The streams are prepared: the 200 goes out.
    pub(super) fn send_proposal_answer(&mut self, work: &mut Work<'_>) {
        if self.awaits_restart() {
            return;
        }
        let Some(proposal) = self.proposal.take() else { return };
        let answered = self.answer_reinvite(work, proposal.transaction, &proposal.request, Some(&proposal.offer));
        if !answered {
            self.close_unused_streams(work);
            return self.proposal_is_off(work, "SDP negotiation failed".into());
        }
        self.set_state(work, State::Established);
        self.post(work, Data::SessionAcceptedStreamProposal { proposer: Party::Remote });
        self.follow(work);
        self.close_unused_streams(work);
    }

    /// The media side could not make what was proposed.
    pub(super) fn could_not_accept_proposal(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        self.refuse_proposal(work, Some(StatusCode::SERVER_INTERNAL_ERROR), reason);
    }

    /// The application has not said anything for so long that the peer need not wait any longer.
    pub(super) fn proposal_was_not_answered(&mut self, work: &mut Work<'_>) {
        self.refuse_proposal(work, Some(StatusCode::NOT_ACCEPTABLE_HERE), "Nobody has answered in time".into());
    }

    /// The peer has taken its proposal back; the re-INVITE was answered 487.
    pub(super) fn proposal_was_cancelled(&mut self, work: &mut Work<'_>) {
        self.refuse_proposal(work, None, "Proposal cancelled".into());
    }

    fn refuse_proposal(&mut self, work: &mut Work<'_>, code: Option<StatusCode>, reason: Arc<str>) {
        let Some(proposal) = self.proposal.take_if(|_| self.state == State::Proposed) else { return };
        if let Some(code) = code {
            self.respond(work, proposal.transaction, Response::to(&proposal.request, code));
        }
        self.forget_restart(work);
        self.close_unused_streams(work);
        self.proposal_is_off(work, reason);
    }

    fn proposal_is_off(&mut self, work: &mut Work<'_>, reason: Arc<str>) {
        self.clear_alarm(work, Alarm::Proposal);
        self.set_state(work, State::Established);
        self.post(work, Data::SessionRejectedStreamProposal { proposer: Party::Remote, reason });
    }
}

fn why(stop: Stop) -> &'static str {
    match stop {
        Stop::TimedOut => "Proposal timed out",
        Stop::Cancelled => "Proposal cancelled",
    }
}
