//! A request of the application's outside of dialogs that is one question with one answer: a MESSAGE, an OPTIONS.

use std::sync::Arc;

use sip_endpoint::{ClientId, Misuse, SendTo, TimerId};
use sip_message::{Flow, Request, Response, StatusCode};

use super::account::Account;
use super::sending::{self, Bench, Owner, Sent};
use super::{AccountId, is_challenge, message, options};
use crate::notification::{Data, Sender};

/// Which question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// RFC 3428.
    Message,
    /// RFC 3261 §11.
    Options,
}

/// The answer: a response with what it says, or that there is none.
pub(super) enum Answer<'r> {
    Response(&'r Response),
    /// When the stack has failed it, or the credentials can't be given.
    Nothing(StatusCode, String),
}

/// One of them.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) account: AccountId,
    id: Arc<str>,
    question: Question,
    sent: Sent,
}

impl Exchange {
    pub(super) fn begin(
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        owner: Owner,
        question: Question,
        (id, request, to): (Arc<str>, Request, SendTo),
    ) -> Result<Exchange, Misuse> {
        let sent = Sent::send(bench, account, owner, request, to)?;
        Ok(Exchange { account: account.id, id, question, sent })
    }

    /// When a response came. Whether it is over.
    pub(super) fn response(
        &mut self,
        bench: &mut Bench<'_, '_>,
        account: &mut Account,
        client: ClientId,
        response: &Response,
        flow: &Flow,
    ) -> bool {
        if client != self.sent.client {
            return false;
        }
        self.sent.rest(bench);
        sending::note_answer(bench.desk, account, client, &self.sent.request, response, flow);
        let status = response.status();
        if !status.is_final() {
            return false;
        }
        if is_challenge(status) {
            match self.sent.again(bench, account, response) {
                Ok(()) => return false,
                Err(why) => self.tell(bench, Answer::Nothing(status, why.reason(response))),
            }
        } else {
            self.tell(bench, Answer::Response(response));
        }
        true
    }

    /// When no response will come. Whether it is over.
    pub(super) fn failed(&mut self, bench: &mut Bench<'_, '_>, client: ClientId, status: StatusCode) -> bool {
        if client != self.sent.client {
            return false;
        }
        self.sent.rest(bench);
        self.tell(bench, Answer::Nothing(status, status.reason_phrase().into()));
        true
    }

    pub(super) fn timer_fired(&mut self, bench: &mut Bench<'_, '_>, timer: TimerId) {
        self.sent.timer_fired(bench, timer);
    }

    /// The account goes: nobody waits for the answer any more.
    pub(super) fn give_up(&mut self, bench: &mut Bench<'_, '_>) {
        self.sent.rest(bench);
        let status = StatusCode::REQUEST_TERMINATED;
        self.tell(bench, Answer::Nothing(status, "The account was removed".into()));
    }

    fn tell(&self, bench: &mut Bench<'_, '_>, answer: Answer<'_>) {
        let data: Data = match self.question {
            Question::Message => message::outcome(self.id.clone(), &answer),
            Question::Options => options::outcome(self.id.clone(), &answer),
        };
        bench.desk.post(Sender::Account(self.account), data);
    }
}
