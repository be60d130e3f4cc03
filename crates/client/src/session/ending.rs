//! The end of a session: ours, the peer's, or a failure.
//!
//! ```text
//!   end()            TERMINATING  WillEnd   – CANCEL, BYE or a refusal –   streams  TERMINATED  DidEnd(local)
//!   BYE received                                                          streams  TERMINATED  DidEnd(remote)
//!   failure                                                               streams  TERMINATED  DidFail  DidEnd
//! ```

use std::sync::Arc;

use sip_dialog::invite::{Input, Termination};
use sip_message::header::Reason;
use sip_message::{HeaderName, Headers, Method, StatusCode, UriBuf};

use super::State;
use super::core::Session;
use super::work::Work;
use crate::error::ClientError;
use crate::media::Sound;
use crate::notification::{Data, Party};

/// What `SIPSessionDidFail` says.
pub(super) struct Failure {
    pub(super) originator: Party,
    pub(super) code: Option<StatusCode>,
    pub(super) reason: Arc<str>,
    pub(super) redirect: Vec<UriBuf>,
}

impl Session {
    /// Ends the session, in whatever state it is. `reason`: what the peer is told, and who hears of the end.
    pub(crate) fn end(&mut self, work: &mut Work<'_>, reason: Option<Arc<str>>) {
        let before = self.state;
        if matches!(before, State::Null | State::Terminating | State::Terminated) {
            return;
        }
        self.end_reason = reason;
        self.set_state(work, State::Terminating);
        self.post(work, Data::SessionWillEnd);
        // Who has hung up is not heard any more, however long the peer takes to notice.
        self.silence(work);
        match before {
            State::Calling if self.call.is_some() => self.cancel_invite(work),
            State::Incoming => {
                self.refuse_invitation(work, StatusCode::DECLINE);
                self.finish(work, Party::Local, None);
            }
            State::Accepting if self.invitation.is_some() => {
                self.refuse_invitation(work, StatusCode::DECLINE);
                self.finish(work, Party::Local, None);
            }
            State::Calling => self.finish(work, Party::Local, None),
            _ => {
                if !self.say_bye(work) {
                    self.finish(work, Party::Local, None);
                }
            }
        }
    }

    /// Says BYE. Whether its answer is to be waited for.
    pub(super) fn say_bye(&mut self, work: &mut Work<'_>) -> bool {
        let Some((dialog, mut bye)) = self.create_request(work, Method::Bye) else { return false };
        if let Some(reason) = self.end_reason.as_deref()
            && let Ok(reason) = Reason::sip(StatusCode::OK.code(), reason)
        {
            let _ = bye.headers_mut().set(HeaderName::Reason, reason);
        }
        self.step(work, Input::Send { dialog, request: bye }).is_ok()
    }

    /// The session's dialog, or that of one of its forks, is over.
    pub(super) fn dialog_is_over(&mut self, work: &mut Work<'_>, is_ours: bool, reason: Termination) {
        if self.state == State::Calling {
            // The fork that was left, or one that answered after we gave up.
            if let (Termination::ByeSent, Some((code, why))) = (&reason, self.given_up.clone()) {
                self.fail_locally(work, code, why);
            }
            return;
        }
        if self.state == State::Terminating {
            if !matches!(reason, Termination::NotConfirmed) {
                self.finish(work, Party::Local, None);
            }
            return;
        }
        if !is_ours {
            return;
        }
        match reason {
            Termination::ByeReceived(bye) => {
                let why = reason_in(bye.headers());
                self.finish(work, Party::Remote, why);
            }
            Termination::ByeSent => self.finish(work, Party::Local, None),
            Termination::NotConfirmed => {}
            Termination::AckNotReceived => {
                self.fail_locally(work, Some(StatusCode::REQUEST_TIMEOUT), "No ACK received".into());
            }
            Termination::SessionExpired => {
                self.fail_locally(work, Some(StatusCode::REQUEST_TIMEOUT), "Session expired".into());
            }
            Termination::PeerLost(status) => {
                let originator = match status {
                    StatusCode::REQUEST_TIMEOUT => Party::Local,
                    _ => Party::Remote,
                };
                let reason = status.reason_phrase().into();
                self.fail(work, Failure { originator, code: Some(status), reason, redirect: Vec::new() });
            }
        }
    }

    /// Our BYE was challenged, and we have no credentials for it: the session is over all the same.
    pub(super) fn bye_was_refused(&mut self, work: &mut Work<'_>) {
        if self.state == State::Terminating {
            self.finish(work, Party::Local, None);
        }
    }

    /// Fails.
    pub(super) fn fail(&mut self, work: &mut Work<'_>, failure: Failure) {
        let originator = failure.originator;
        self.over(work, originator, None, Some(failure));
    }

    /// Ends, having done what was to be done.
    pub(super) fn finish(&mut self, work: &mut Work<'_>, originator: Party, reason: Option<Arc<str>>) {
        let reason = reason.or_else(|| self.end_reason.clone());
        self.over(work, originator, reason, None);
    }

    fn over(&mut self, work: &mut Work<'_>, originator: Party, reason: Option<Arc<str>>, failure: Option<Failure>) {
        if self.state == State::Terminated {
            return;
        }
        self.drop_commands(work);
        self.drop_deliveries(work);
        self.drop_transfer(work);
        let why = failure.as_ref().map(|failure| Arc::clone(&failure.reason)).or_else(|| reason.clone());
        self.drop_file(work, why);
        self.proposal = None;
        self.invitation = None;
        self.restart = None;
        self.end_recording(work);
        for id in self.streams.iter().map(|stream| stream.id).collect::<Vec<_>>() {
            self.forget_stream(work, id);
        }
        self.tell_streams(work);
        if self.start_time.is_some() {
            self.stop_time = Some(work.notices.time(work.now));
        }
        let beep = if self.start_time.is_some() { Sound::HangUp } else { Sound::Silence };
        self.play(work, beep);
        self.clear_alarms(work);
        self.cancel_invites(work);
        self.forget_conference(work);
        self.set_state(work, State::Terminated);
        if let Some(Failure { originator, code, reason, redirect }) = failure {
            self.tell_transferor(work, code, &reason);
            self.post(work, Data::SessionDidFail { originator, code, reason, redirect });
        } else {
            self.tell_transferor(work, Some(StatusCode::REQUEST_TERMINATED), "Request Terminated");
        }
        self.post(work, Data::SessionDidEnd { originator, reason });
    }

    /// Ends the media, of which the application hears when the signalling is over.
    fn silence(&mut self, work: &mut Work<'_>) {
        self.play(work, Sound::Silence);
        self.close_unused_streams(work);
        for id in self.streams.iter().map(|stream| stream.id).collect::<Vec<_>>() {
            self.close_stream(work, id);
        }
        self.clear_alarms(work);
    }

    /// Leaves undone what was asked for and not yet begun.
    fn drop_commands(&mut self, work: &mut Work<'_>) {
        let running = self.running.take().map(|running| running.queued);
        let dropped = running.into_iter().chain(self.queue.drain(..));
        for id in dropped.filter_map(|queued| queued.id).collect::<Vec<_>>() {
            work.books.outcomes.push_back((id, Err(ClientError::Dropped)));
        }
    }
}

/// The text of a Reason (RFC 3326).
pub(super) fn reason_in(headers: &Headers) -> Option<Arc<str>> {
    let mut reasons = headers.all::<Reason>().filter_map(Result::ok);
    reasons.find_map(|reason| reason.text().filter(|text| !text.is_empty()).map(|text| text.into()))
}
