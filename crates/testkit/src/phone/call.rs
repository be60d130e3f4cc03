//! One call of a phone: what is the same for caller and callee.

use std::time::Duration;

use sip_endpoint::{ClientId, Ended, ServerId};
use sip_message::{Request, Response, StatusCode};

use super::callee::Callee;
use super::caller::Caller;
use super::desk::{Alarm, Desk};
use super::leg::{Leg, refuse};
use super::record::{CallId, Record};
use super::script::Action;
use crate::fields;

/// See the module's text.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) role: Role,
    pub(crate) record: Record,
    pub(crate) legs: Vec<Leg>,
}

/// Which side of the INVITE the phone is.
pub(crate) enum Role {
    Caller(Caller),
    Callee(Callee),
}

impl Call {
    pub(crate) fn new(id: CallId, role: Role, record: Record, legs: Vec<Leg>) -> Call {
        Call { id, role, record, legs }
    }

    /// A response to a request of this call.
    pub(crate) fn response_came(&mut self, desk: &mut Desk<'_>, client: ClientId, response: &Response) {
        if self.caller().is_some_and(|caller| caller.client == Some(client)) {
            return self.invite_response(desk, response);
        }
        if let Some(at) = self.legs.iter().position(|leg| leg.has_client(client)) {
            self.legs[at].response(desk, self.id, at, client, response);
        }
    }

    /// A request of this call gets no response.
    pub(crate) fn request_failed(&mut self, desk: &mut Desk<'_>, client: ClientId, status: StatusCode) {
        if self.caller().is_some_and(|caller| caller.client == Some(client)) {
            return self.invite_failed(status);
        }
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.has_client(client)) {
            leg.failed(desk, self.id, client);
        }
    }

    /// An INVITE of this call was cancelled.
    pub(crate) fn invite_cancelled(&mut self, desk: &mut Desk<'_>, server: ServerId) {
        if self.callee().is_some_and(|callee| callee.server == server) {
            return self.cancelled(desk);
        }
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.has_asked(server)) {
            leg.reinvite_cancelled(desk);
        }
    }

    pub(crate) fn server_ended(&mut self, server: ServerId, reason: Ended) {
        if self.callee().is_some_and(|callee| callee.server == server) {
            self.invite_server_ended(reason);
        }
    }

    pub(crate) fn client_ended(&mut self, client: ClientId) {
        if let Some(caller) = self.caller_mut().filter(|caller| caller.client == Some(client)) {
            caller.client = None;
        }
    }

    pub(crate) fn ack_came(&mut self, desk: &mut Desk<'_>, ack: &Request) {
        let Some(at) = self.leg_of(ack) else { return };
        let news = self.legs[at].ack(desk, self.id, ack);
        self.learn(desk, news);
    }

    pub(crate) fn begin(&mut self, desk: &mut Desk<'_>, patience: Duration) {
        for (after, action) in &self.record.script.from_start {
            desk.alarm(self.id, *after, Alarm::Act(*action));
        }
        desk.alarm(self.id, patience, Alarm::Patience);
    }

    pub(crate) fn follow_script_from_answer(&mut self, desk: &mut Desk<'_>) {
        for (after, action) in &self.record.script.from_answer {
            desk.alarm(self.id, *after, Alarm::Act(*action));
        }
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        match &self.role {
            Role::Caller(caller) => Some(caller),
            Role::Callee(_) => None,
        }
    }

    pub(crate) fn caller_mut(&mut self) -> Option<&mut Caller> {
        match &mut self.role {
            Role::Caller(caller) => Some(caller),
            Role::Callee(_) => None,
        }
    }

    pub(crate) fn callee(&self) -> Option<&Callee> {
        match &self.role {
            Role::Callee(callee) => Some(callee),
            Role::Caller(_) => None,
        }
    }

    pub(crate) fn callee_mut(&mut self) -> Option<&mut Callee> {
        match &mut self.role {
            Role::Callee(callee) => Some(callee),
            Role::Caller(_) => None,
        }
    }

    pub(crate) fn to_record(&self) -> Record {
        let talks = self.legs.iter().filter(|leg| !leg.early).map(|leg| leg.talk.clone()).collect();
        Record { talks, ..self.record.clone() }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.record.outcome.is_none() || self.legs.iter().any(Leg::is_busy)
    }

    pub(crate) fn is_merged(&self, request: &Request) -> bool {
        let Some(callee) = self.callee().filter(|callee| callee.alive) else { return false };
        let (one, other) = (callee.invite.headers(), request.headers());
        fields::call_id(one) == fields::call_id(other)
            && fields::from_tag(one) == fields::from_tag(other)
            && fields::cseq(one) == fields::cseq(other)
    }

    pub(crate) fn leg_of(&self, request: &Request) -> Option<usize> {
        self.legs.iter().position(|leg| leg.dialog.has(request.headers()))
    }

    pub(crate) fn request_came(&mut self, desk: &mut Desk<'_>, server: ServerId, request: Request) {
        let Some(at) = self.leg_of(&request) else { return };
        if self.legs[at].early {
            return refuse(desk, server, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        let news = self.legs[at].request(desk, self.id, server, request);
        self.learn(desk, news);
    }

    pub(crate) fn act(&mut self, desk: &mut Desk<'_>, action: Action) {
        match action {
            Action::Ring => self.ring(desk),
            Action::Reject(status) => self.reject(desk, status),
            Action::Answer if self.callee().is_some_and(|callee| !callee.answered) => self.answer(desk),
            Action::Answer => {
                let id = self.id;
                for (at, leg) in self.legs.iter_mut().enumerate() {
                    leg.accept_reinvite(desk, id, at);
                }
            }
            Action::Reinvite => {
                let id = self.id;
                let talk = self.legs.iter_mut().enumerate().find(|(_, leg)| !leg.early && !leg.talk.surplus);
                if let Some((at, leg)) = talk {
                    leg.reinvite(desk, id, at);
                }
            }
            Action::HangUp => self.hang_up(desk),
        }
    }

    fn hang_up(&mut self, desk: &mut Desk<'_>) {
        match &self.role {
            Role::Caller(_) if self.record.outcome.is_none() => return self.cancel(desk),
            Role::Callee(callee) if !callee.answered => return self.reject(desk, StatusCode::DECLINE),
            _ => {}
        }
        for leg in &mut self.legs {
            leg.hang_up(desk, self.id);
        }
    }

    pub(crate) fn alarm(&mut self, desk: &mut Desk<'_>, alarm: Alarm) {
        let id = self.id;
        match alarm {
            Alarm::Act(action) => self.act(desk, action),
            Alarm::Patience if self.record.outcome.is_some() => {}
            Alarm::Patience => match &self.role {
                Role::Caller(_) => self.cancel(desk),
                Role::Callee(_) => self.reject(desk, StatusCode::TEMPORARILY_UNAVAILABLE),
            },
            Alarm::RepeatAnswer { leg, cseq, sent } => {
                let Some(found) = self.legs.get_mut(leg) else { return };
                let news = found.repeat_answer(desk, id, leg, cseq, sent);
                self.learn(desk, news);
            }
            Alarm::Retry { leg } => {
                if let Some(found) = self.legs.get_mut(leg) {
                    found.reinvite(desk, id, leg);
                }
            }
            Alarm::GiveUpReinvite { leg, client } => {
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.give_up_reinvite(desk, client);
                }
            }
        }
    }
}
