//! One dialog of a call after its 2xx: the 2xx and its ACK (RFC 3261 §13.2.2.4, §13.3.1.4), re-INVITEs (§14), BYE (§15).

use std::time::Duration;

use sip_endpoint::{ClientId, ServerId};
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::desk::{Alarm, Desk};
use super::dialog::Dialog;
use super::record::{CallId, End, Side, Talk};
use crate::fields;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// How long a phone waits for the answer to a re-INVITE.
const REINVITE_PATIENCE: Duration = Duration::from_secs(60);
/// How long the person at the phone thinks before a re-INVITE is accepted; what makes glare likely.
const REINVITE_THOUGHT: Duration = Duration::from_millis(100);
/// How often a re-INVITE that meets another is tried.
const MAX_TRIES: u32 = 8;

/// See the module's text.
pub(crate) struct Leg {
    pub(crate) side: Side,
    pub(crate) dialog: Dialog,
    pub(crate) talk: Talk,
    /// Only a provisional response has named it so far.
    pub(crate) early: bool,
    /// The 2xx that we sent and nobody has acknowledged.
    answers: Vec<Answer>,
    /// The ACKs that we sent, by the numbers of their INVITEs.
    acks: Vec<(u32, Request)>,
    /// A re-INVITE of ours that has no final response.
    reinvite: Option<(ClientId, u32)>,
    /// Those of our re-INVITEs that had a 2xx, of which copies may come.
    accepted: Vec<(ClientId, u32)>,
    tries: u32,
    /// A re-INVITE of the peer's that we have not answered.
    asked: Option<(ServerId, Request)>,
    bye: Option<ClientId>,
    /// We shall hang up as soon as our 2xx is acknowledged (§15).
    leaving: bool,
}

struct Answer {
    cseq: u32,
    server: ServerId,
    response: Response,
    waited: Duration,
}

/// What became known by something that happened in a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The peer has our 2xx to the INVITE that began the call.
    PeerHasAnswer,
    /// Nobody has acknowledged that 2xx.
    NobodyAcknowledged,
}

impl Leg {
    pub(crate) fn new(side: Side, dialog: Dialog, early: bool) -> Leg {
        Leg {
            talk: Talk {
                local_tag: dialog.local_tag.clone(),
                remote_tag: dialog.remote_tag.clone(),
                surplus: false,
                end: None,
                reinvites: 0,
                glares: 0,
            },
            side,
            dialog,
            early,
            answers: Vec::new(),
            acks: Vec::new(),
            reinvite: None,
            accepted: Vec::new(),
            tries: 0,
            asked: None,
            bye: None,
            leaving: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.talk.end.is_some()
    }

    /// Whether something of it is still to come.
    pub(crate) fn is_busy(&self) -> bool {
        !self.early && (!self.is_over() || !self.answers.is_empty() || self.bye.is_some() || self.reinvite.is_some())
    }

    pub(crate) fn has_client(&self, client: ClientId) -> bool {
        self.bye == Some(client) || self.reinvite.iter().chain(&self.accepted).any(|(reinvite, _)| *reinvite == client)
    }

    pub(crate) fn has_asked(&self, server: ServerId) -> bool {
        self.asked.as_ref().is_some_and(|(asked, _)| *asked == server)
    }

    // ---- the caller of an INVITE ------------------------------------------------------------------------------------

    /// A 2xx to one of our INVITEs: it is acknowledged, and so is every copy of it, by a copy of the ACK.
    pub(crate) fn acknowledge(&mut self, desk: &mut Desk<'_>, cseq: u32) {
        if !self.acks.iter().any(|(number, _)| *number == cseq) {
            self.acks.push((cseq, self.dialog.ack(cseq)));
        }
        if let Some((_, ack)) = self.acks.iter().find(|(number, _)| *number == cseq) {
            desk.send_ack(ack.clone());
        }
    }

    pub(crate) fn has_acknowledged(&self, cseq: u32) -> bool {
        self.acks.iter().any(|(number, _)| *number == cseq)
    }

    /// §14.1: no re-INVITE while another INVITE goes on in either direction.
    pub(crate) fn reinvite(&mut self, desk: &mut Desk<'_>, call: CallId, leg: usize) {
        if self.early || self.is_over() || self.leaving {
            return;
        }
        if self.reinvite.is_some() || self.asked.is_some() || !self.answers.is_empty() {
            return desk.alarm(call, T1, Alarm::Retry { leg });
        }
        let mut request = self.dialog.request(Method::Invite);
        desk.furnish_request(&mut request);
        self.tries += 1;
        if let Some(client) = desk.send(call, request) {
            self.reinvite = Some((client, self.dialog.local_cseq));
            desk.alarm(call, REINVITE_PATIENCE, Alarm::GiveUpReinvite { leg, client });
        }
    }

    pub(crate) fn give_up_reinvite(&mut self, desk: &mut Desk<'_>, client: ClientId) {
        if self.reinvite.is_some_and(|(reinvite, _)| reinvite == client) {
            // Whatever the CANCEL finds: the transaction ends.
            let _ = desk.endpoint.cancel(desk.now, client, None);
        }
    }

    /// A response to our BYE or re-INVITE.
    pub(crate) fn response(
        &mut self,
        desk: &mut Desk<'_>,
        call: CallId,
        leg: usize,
        client: ClientId,
        response: &Response,
    ) {
        let status = response.status();
        if self.bye == Some(client) {
            if status.is_final() {
                self.bye = None;
            }
            return;
        }
        if let Some((_, cseq)) = self.accepted.iter().find(|(accepted, _)| *accepted == client) {
            return self.acknowledge(desk, *cseq);
        }
        let Some((_, cseq)) = self.reinvite.filter(|(reinvite, _)| *reinvite == client) else { return };
        if status.is_provisional() {
            return;
        }
        self.reinvite = None;
        if status.is_success() {
            self.tries = 0;
            self.talk.reinvites += 1;
            self.accepted.push((client, cseq));
            self.dialog.refresh(response.headers());
            return self.acknowledge(desk, cseq);
        }
        match status {
            StatusCode::REQUEST_PENDING if self.tries < MAX_TRIES => {
                self.talk.glares += 1;
                let pause = self.glare_pause(desk.endpoint.random());
                desk.alarm(call, pause, Alarm::Retry { leg });
            }
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST => self.end(End::Gone),
            StatusCode::REQUEST_TIMEOUT => self.hang_up(desk, call),
            _ => {}
        }
    }

    /// §12.2.1.2: no answer in a dialog ends it.
    pub(crate) fn failed(&mut self, desk: &mut Desk<'_>, call: CallId, client: ClientId) {
        if self.bye == Some(client) {
            self.bye = None;
        }
        if self.reinvite.is_some_and(|(reinvite, _)| reinvite == client) {
            self.reinvite = None;
            self.hang_up(desk, call);
        }
    }

    // ---- the callee of an INVITE ------------------------------------------------------------------------------------

    /// Sends a 2xx and sees to its being repeated until somebody acknowledges it.
    pub(crate) fn answer(
        &mut self,
        desk: &mut Desk<'_>,
        call: CallId,
        leg: usize,
        server: ServerId,
        request: &Request,
        response: Response,
    ) -> bool {
        let cseq = fields::cseq(request.headers()).unwrap_or_default();
        if desk.endpoint.respond(desk.now, server, response.clone()).is_err() {
            return false;
        }
        self.answers.push(Answer { cseq, server, response, waited: Duration::ZERO });
        desk.alarm(call, T1, Alarm::RepeatAnswer { leg, cseq, sent: 1 });
        true
    }

    /// §13.3.1.4: T1, doubling up to T2, for 64·T1.
    pub(crate) fn repeat_answer(
        &mut self,
        desk: &mut Desk<'_>,
        call: CallId,
        leg: usize,
        cseq: u32,
        sent: u32,
    ) -> Option<News> {
        let waiting = self.answers.iter_mut().find(|answer| answer.cseq == cseq)?;
        let interval = |sent: u32| (T1 * (1 << (sent - 1).min(10))).min(T2);
        waiting.waited += interval(sent);
        if waiting.waited >= T1 * 64 {
            self.answers.retain(|answer| answer.cseq != cseq);
            self.hang_up(desk, call);
            return Some(News::NobodyAcknowledged);
        }
        // Its transaction may have ended at this very instant; then this copy is one too many.
        let _ = desk.endpoint.respond(desk.now, waiting.server, waiting.response.clone());
        let left = T1 * 64 - waiting.waited;
        let pause = interval(sent + 1).min(left);
        desk.alarm(call, pause, Alarm::RepeatAnswer { leg, cseq, sent: sent + 1 });
        None
    }

    pub(crate) fn ack(&mut self, desk: &mut Desk<'_>, call: CallId, ack: &Request) -> Option<News> {
        let cseq = fields::cseq(ack.headers())?;
        let before = self.answers.len();
        self.answers.retain(|answer| answer.cseq != cseq);
        if self.answers.len() == before {
            return None;
        }
        if self.leaving {
            self.leaving = false;
            self.hang_up(desk, call);
        }
        Some(News::PeerHasAnswer)
    }

    /// A request of the peer's in the dialog.
    pub(crate) fn request(
        &mut self,
        desk: &mut Desk<'_>,
        call: CallId,
        server: ServerId,
        request: Request,
    ) -> Option<News> {
        let cseq = fields::cseq(request.headers()).unwrap_or_default();
        if self.is_over() {
            refuse(desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            return None;
        }
        // §12.2.2: what comes late is out of order.
        if self.dialog.remote_cseq.is_some_and(|highest| cseq <= highest) {
            refuse(desk, server, &request, StatusCode::SERVER_INTERNAL_ERROR);
            return None;
        }
        self.dialog.remote_cseq = Some(cseq);
        match request.method() {
            Method::Bye => {
                refuse(desk, server, &request, StatusCode::OK);
                // §15.1.2: what is still asked is answered with 487.
                if let Some((asked, invite)) = self.asked.take() {
                    refuse(desk, asked, &invite, StatusCode::REQUEST_TERMINATED);
                }
                self.answers.clear();
                self.end(End::PeerHungUp);
                // Who hangs up has had our 2xx, though the ACK of it was lost.
                Some(News::PeerHasAnswer)
            }
            Method::Invite => {
                self.asked_again(desk, call, server, request);
                None
            }
            _ => {
                refuse(desk, server, &request, StatusCode::OK);
                None
            }
        }
    }

    /// §14.2.
    fn asked_again(&mut self, desk: &mut Desk<'_>, call: CallId, server: ServerId, request: Request) {
        if self.reinvite.is_some() {
            return refuse(desk, server, &request, StatusCode::REQUEST_PENDING);
        }
        if self.asked.is_some() {
            let mut response = Response::to(&request, StatusCode::SERVER_INTERNAL_ERROR);
            super::dialog::put(response.headers_mut(), HeaderName::RetryAfter, "5");
            let _ = desk.endpoint.respond(desk.now, server, response);
            return;
        }
        self.dialog.refresh(request.headers());
        self.asked = Some((server, request));
        desk.alarm(call, REINVITE_THOUGHT, Alarm::Act(super::script::Action::Answer));
    }

    /// Answers the re-INVITE that the peer has sent, if it still waits.
    pub(crate) fn accept_reinvite(&mut self, desk: &mut Desk<'_>, call: CallId, leg: usize) {
        let Some((server, request)) = self.asked.take() else { return };
        let mut response = Response::to(&request, StatusCode::OK);
        desk.furnish_answer(&mut response);
        self.answer(desk, call, leg, server, &request, response);
    }

    /// The peer has cancelled its re-INVITE: the talk goes on as it was.
    pub(crate) fn reinvite_cancelled(&mut self, desk: &mut Desk<'_>) {
        if let Some((server, request)) = self.asked.take() {
            refuse(desk, server, &request, StatusCode::REQUEST_TERMINATED);
        }
    }

    // ---- both -------------------------------------------------------------------------------------------------------

    /// §15.1.1. The callee waits for the ACK before.
    pub(crate) fn hang_up(&mut self, desk: &mut Desk<'_>, call: CallId) {
        if self.early || self.is_over() {
            return;
        }
        if !self.answers.is_empty() {
            self.leaving = true;
            return;
        }
        if let Some((server, request)) = self.asked.take() {
            refuse(desk, server, &request, StatusCode::REQUEST_TERMINATED);
        }
        let bye = self.dialog.request(Method::Bye);
        self.bye = desk.send(call, bye);
        self.end(End::HungUp);
    }

    fn end(&mut self, end: End) {
        if self.talk.end.is_none() {
            self.talk.end = Some(end);
        }
    }

    /// §14.1: who made the Call-ID waits 2.1 to 4 s, the other up to 2 s.
    fn glare_pause(&self, random: u64) -> Duration {
        match self.side {
            Side::Caller => Duration::from_millis(2_100 + random % 190 * 10),
            Side::Callee => Duration::from_millis(random % 200 * 10),
        }
    }
}

/// Answers a request without a body. That it has been answered already is for the story to find out.
pub(crate) fn refuse(desk: &mut Desk<'_>, server: ServerId, request: &Request, status: StatusCode) {
    let response = Response::to(request, status);
    let _ = desk.endpoint.respond(desk.now, server, response);
}
