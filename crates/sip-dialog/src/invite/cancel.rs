//! CANCEL at the callee: RFC 3261 §9.2. (At the caller: [`super::uac`].)

use sip_message::header::Via;
use sip_message::{Headers, Method, Request, Response, StatusCode};

use super::api::{Event, ServerKey, Step};
use super::session::Session;
use crate::digest::constant_time_eq;
use crate::fields;

impl Session {
    /// A CANCEL. Whether it is for the INVITE here, by the number and the branch of its topmost Via: then it was answered.
    pub(crate) fn cancel_received(&mut self, step: &mut Step<'_>, transaction: ServerKey, cancel: &Request) -> bool {
        let cancels = self.ringing.as_ref().is_some_and(|ringing| is_cancelled_by(&ringing.request, cancel));
        if !cancels {
            return false;
        }
        let mut accepted = Response::to(cancel, StatusCode::OK);
        self.add_local_tag(&mut accepted);
        step.respond(transaction, accepted);
        step.event(Event::Cancelled { dialog: self.key, cancel: cancel.clone() });
        if let Some(ringing) = &self.ringing {
            let mut response = Response::to(&ringing.request, StatusCode::REQUEST_TERMINATED);
            self.add_local_tag(&mut response);
            // A failure can't be refused: it has no body.
            let _ = self.respond_to_invite(step, response, false);
        }
        true
    }

    /// Whether the 2xx to an INVITE has overtaken this CANCEL, which then has no effect.
    pub(crate) fn answered_before(&self, cancel: &Request) -> bool {
        let cseq = fields::cseq_of(cancel.headers(), &Method::Cancel);
        let is_of_call = fields::call_id(cancel.headers()) == Some(&*self.dialog.id.call_id);
        self.ringing.is_none() && is_of_call && cseq.is_some() && self.dialog.remote_cseq >= cseq
    }
}

fn is_cancelled_by(invite: &Request, cancel: &Request) -> bool {
    let numbers =
        fields::cseq_of(invite.headers(), &Method::Invite) == fields::cseq_of(cancel.headers(), &Method::Cancel);
    let (Some(theirs), Some(ours)) = (branch(cancel.headers()), branch(invite.headers())) else {
        return false;
    };
    numbers && constant_time_eq(theirs.as_bytes(), ours.as_bytes())
}

/// Branch and sent-by of the topmost Via (RFC 3261 §17.2.3).
fn branch(headers: &Headers) -> Option<String> {
    let via = headers.get::<Via>()?.ok()?;
    Some(format!("{} {} {}", via.branch()?, via.host(), via.port_or_default()))
}
