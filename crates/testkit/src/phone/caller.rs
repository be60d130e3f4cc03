//! The calling side of an INVITE: RFC 3261 §13.2, with forks (§13.2.2.4, RFC 6026) and CANCEL (§9.1).

use sip_endpoint::ClientId;
use sip_message::{Request, Response, StatusCode};

use super::call::Call;
use super::desk::Desk;
use super::dialog::Dialog;
use super::leg::Leg;
use super::record::{Outcome, Side};
use crate::fields;

/// What only the caller has.
pub(crate) struct Caller {
    /// `None` when its transaction has ended.
    pub(crate) client: Option<ClientId>,
    pub(crate) invite: Request,
    pub(crate) hung_up: bool,
}

impl Call {
    /// A response to the INVITE that began the call.
    pub(crate) fn invite_response(&mut self, desk: &mut Desk<'_>, response: &Response) {
        let status = response.status();
        if status.is_success() {
            return self.two_hundred(desk, response);
        }
        if status.is_provisional() {
            self.record.rang |= status == StatusCode::RINGING;
            return self.early_leg(response);
        }
        let hung_up = self.caller().is_some_and(|caller| caller.hung_up);
        self.record.settle(match status {
            StatusCode::REQUEST_TERMINATED if hung_up => Outcome::Cancelled,
            status => Outcome::Rejected(status),
        });
    }

    /// There will be no response.
    pub(crate) fn invite_failed(&mut self, status: StatusCode) {
        let hung_up = self.caller().is_some_and(|caller| caller.hung_up);
        self.record.settle(match status {
            StatusCode::REQUEST_TERMINATED if hung_up => Outcome::Cancelled,
            StatusCode::REQUEST_TIMEOUT => Outcome::TimedOut,
            status => Outcome::Unreachable(status),
        });
    }

    /// A 2xx: the first, a copy of it, or that of another fork. All are acknowledged; one is talked to.
    fn two_hundred(&mut self, desk: &mut Desk<'_>, response: &Response) {
        let id = self.id;
        let Some(caller) = self.caller() else { return };
        let (hung_up, cseq) = (caller.hung_up, fields::cseq(caller.invite.headers()).unwrap_or_default());
        let Some(dialog) = Dialog::of_caller(&caller.invite, response) else { return };
        let known = self.legs.iter_mut().find(|leg| leg.dialog.remote_tag == dialog.remote_tag);
        let leg = match known {
            Some(leg) if leg.has_acknowledged(cseq) => return leg.acknowledge(desk, cseq),
            Some(leg) => {
                // §13.2.2.4: route set and target are those of the 2xx.
                leg.dialog = dialog;
                leg.early = false;
                leg
            }
            None => {
                self.legs.push(Leg::new(Side::Caller, dialog, false));
                self.legs.last_mut().expect("one was pushed")
            }
        };
        leg.acknowledge(desk, cseq);
        let first = self.record.outcome.is_none();
        if hung_up || !first {
            leg.talk.surplus = true;
            leg.hang_up(desk, id);
        }
        match (first, hung_up) {
            // The CANCEL and the 2xx have crossed.
            (true, true) => self.record.settle(Outcome::Cancelled),
            (true, false) => {
                self.record.settle(Outcome::Answered);
                self.follow_script_from_answer(desk);
            }
            (false, _) => {}
        }
    }

    fn early_leg(&mut self, response: &Response) {
        let Some(caller) = self.caller() else { return };
        let Some(dialog) = Dialog::of_caller(&caller.invite, response) else { return };
        if !self.legs.iter().any(|leg| leg.dialog.remote_tag == dialog.remote_tag) {
            self.legs.push(Leg::new(Side::Caller, dialog, true));
        }
    }

    /// Hangs up before the answer.
    pub(crate) fn cancel(&mut self, desk: &mut Desk<'_>) {
        let Some(caller) = self.caller_mut() else { return };
        caller.hung_up = true;
        if let Some(client) = caller.client {
            // Nothing is left to cancel when the transaction has ended.
            let _ = desk.endpoint.cancel(desk.now, client, None);
        }
    }
}
