//! MESSAGE within the session (RFC 3428), while there is no chat stream. Of each that is sent exactly one of DidDeliver and
//! DidNotDeliver is told.

use std::sync::Arc;

use bytes::Bytes;
use sip_dialog::invite::ServerKey;
use sip_message::{HeaderName, Method, Request, Response, StatusCode};

use super::call::cseq_of;
use super::core::Session;
use super::work::Work;
use super::wrapping;
use crate::error::ClientError;
use crate::notification::Data;

/// A message that was sent and not yet answered.
#[derive(Debug)]
pub(crate) struct Delivery {
    cseq: u32,
    message_id: Arc<str>,
}

impl Session {
    /// Sends a message; gives its id.
    pub(super) fn send_page(
        &mut self,
        work: &mut Work<'_>,
        content: Bytes,
        content_type: &str,
    ) -> Result<Arc<str>, ClientError> {
        if !self.is_up() {
            return Err(self.illegal("send_message"));
        }
        let Some((_, mut message)) = self.create_request(work, Method::Message) else {
            return Err(self.illegal("send_message"));
        };
        message
            .set_body(content_type, content)
            .map_err(|_| ClientError::Stack(format!("{content_type:?} is no content type").into()))?;
        let message_id: Arc<str> = format!("{:016x}", work.endpoint.random()).into();
        // It is noted first: a request that can't be sent fails at once.
        let cseq = cseq_of(message.headers()).unwrap_or_default();
        self.deliveries.push(Delivery { cseq, message_id: Arc::clone(&message_id) });
        match self.send_request(work, message) {
            Some(sent) => {
                self.renumber_delivery(&message_id, sent);
                Ok(message_id)
            }
            None => {
                self.deliveries.retain(|delivery| delivery.message_id != message_id);
                Err(ClientError::Stack("the message could not be sent".into()))
            }
        }
    }

    fn renumber_delivery(&mut self, message_id: &Arc<str>, cseq: u32) {
        if let Some(delivery) = self.deliveries.iter_mut().find(|delivery| delivery.message_id == *message_id) {
            delivery.cseq = cseq;
        }
    }

    /// A message was challenged and sent again, with another number.
    pub(super) fn message_was_sent_again(&mut self, before: Option<u32>, now: Option<u32>) {
        if let (Some(before), Some(now)) = (before, now)
            && let Some(delivery) = self.deliveries.iter_mut().find(|delivery| delivery.cseq == before)
        {
            delivery.cseq = now;
        }
    }

    /// The final response to a message of ours.
    pub(super) fn message_was_answered(&mut self, work: &mut Work<'_>, response: &Response) {
        let cseq = cseq_of(response.headers());
        let Some(at) = self.deliveries.iter().position(|delivery| Some(delivery.cseq) == cseq) else { return };
        let Delivery { message_id, .. } = self.deliveries.remove(at);
        let (code, reason) = (response.status().code(), response.reason().into());
        self.post(
            work,
            match response.status().is_success() {
                true => Data::SessionDidDeliverMessage { message_id, code, reason },
                false => Data::SessionDidNotDeliverMessage { message_id, code, reason },
            },
        );
    }

    /// A message got no response.
    pub(super) fn message_is_lost(&mut self, work: &mut Work<'_>, status: StatusCode) {
        let lost = self.call.as_ref().and_then(|call| call.failed);
        let Some(at) = self.deliveries.iter().position(|delivery| Some(delivery.cseq) == lost) else { return };
        let Delivery { message_id, .. } = self.deliveries.remove(at);
        let (code, reason) = (status.code(), status.reason_phrase().into());
        self.post(work, Data::SessionDidNotDeliverMessage { message_id, code, reason });
    }

    /// The session ends before the answers have come.
    pub(super) fn drop_deliveries(&mut self, work: &mut Work<'_>) {
        for Delivery { message_id, .. } in std::mem::take(&mut self.deliveries) {
            let reason = "Session ended".into();
            self.post(work, Data::SessionDidNotDeliverMessage { message_id, code: 0, reason });
        }
    }

    /// A message has come.
    pub(super) fn got_message(&mut self, work: &mut Work<'_>, transaction: ServerKey, request: &Request) {
        self.respond(work, transaction, Response::to(request, StatusCode::OK));
        let content_type = request.headers().first(HeaderName::ContentType).unwrap_or("text/plain");
        let unwrapped = wrapping::unwrap(content_type.into(), request.body().clone());
        let cpim_headers = unwrapped.cpim_headers();
        let (content, content_type) = (unwrapped.content, unwrapped.content_type);
        self.post(work, Data::SessionGotMessage { content, content_type, cpim_headers });
    }
}
