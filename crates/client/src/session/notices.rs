//! Disposition notifications (RFC 5438) on a chat stream: that of what came is told who asks, and what the peer tells of
//! ours is told on. What was displayed only our user's program knows, and only what the settings allow is said of it.

use std::collections::VecDeque;
use std::sync::Arc;

use msrp::cpim::{Address, DateTime, Message};
use msrp::imdn::{self, Disposition, Kind, Notification, Status};
use msrp::multipart::ContentType;

use super::core::Session;
use super::work::Work;
use super::wrapping::Unwrapped;
use crate::error::ClientError;
use crate::media::StreamId;
use crate::notification::Data;
use crate::streams::StreamKind;

/// So many messages are remembered that want to be told when they are displayed.
const MOST_REMEMBERED: usize = 256;

/// Messages that want to be told when they are displayed, the oldest first.
#[derive(Default)]
pub(crate) struct Displays(VecDeque<(Notification, Address)>);

impl Displays {
    fn remember(&mut self, notification: Notification, to: Address) {
        if self.0.len() == MOST_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((notification, to));
    }

    fn take(&mut self, message_id: &str) -> Option<(Notification, Address)> {
        let at = self.0.iter().position(|(notification, _)| notification.message_id == message_id)?;
        self.0.remove(at)
    }
}

impl Session {
    /// A message has come, and with it perhaps the wish to be told what becomes of it.
    pub(super) fn answer_notice_request(&mut self, work: &mut Work<'_>, stream: StreamId, message: &Message) {
        let (Some(request), Some(author)) = (imdn::Request::of(message), message.from()) else { return };
        // What a room does not pass on to one it would show to all.
        let taken = self.taken_by_peer(stream);
        if taken.knows_rooms() && !taken.has_private_messages() {
            return;
        }
        if request.wants(Disposition::Display)
            && work.settings.chat.send_display_notices
            && let Some(notification) = Notification::about(message, Kind::Display, Status::Displayed)
            && let Some((_, chat)) = self.running_chat()
        {
            chat.displays.remember(notification, author.clone());
        }
        if request.wants(Disposition::PositiveDelivery)
            && let Some(notification) = Notification::about(message, Kind::Delivery, Status::Delivered)
        {
            self.send_notice(work, stream, &notification, author);
        }
    }

    /// Our user has seen a message that came with this `imdn.Message-ID`.
    pub(crate) fn message_was_displayed(&mut self, work: &mut Work<'_>, message_id: &str) -> Result<(), ClientError> {
        let (stream, chat) = self.running_chat().ok_or(ClientError::NoStream(StreamKind::Chat))?;
        // Who does not ask, and whoever may not know, is not told.
        if let Some((notification, author)) = chat.displays.take(message_id) {
            self.send_notice(work, stream, &notification, author);
        }
        Ok(())
    }

    fn send_notice(&mut self, work: &mut Work<'_>, stream: StreamId, notification: &Notification, author: Address) {
        let Ok(content_type) = imdn::CONTENT_TYPE.parse::<ContentType>() else { return };
        let time = work.notices.time(work.now);
        let wrap = |ours: &Address, _: &Address, id: &Arc<str>| {
            let mut message = Message::new(ours, &author, notification.to_entity());
            message.set_date_time(DateTime::utc(time));
            imdn::name_message(&mut message, id).ok()?;
            Some(message)
        };
        self.send_aside(work, stream, &content_type, wrap, None);
    }

    /// The peer tells what has become of a message of ours.
    pub(super) fn got_notice(&mut self, work: &mut Work<'_>, unwrapped: &Unwrapped) {
        // What can't be read says nothing.
        let Ok(notification) = Notification::parse(&unwrapped.content) else { return };
        let sender = unwrapped.from.as_ref().map(Address::uri_with_scheme);
        let recipient = notification.recipient_uri.or(sender).map(Arc::from);
        let message_id = notification.message_id.into();
        let (kind, status) = (name_of_kind(notification.kind), name_of_status(notification.status));
        let (notification, status) = (kind.into(), status.into());
        self.post(work, Data::ChatStreamGotDispositionNotification { message_id, recipient, notification, status });
    }
}

fn name_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Delivery => "delivery",
        Kind::Processing => "processing",
        Kind::Display => "display",
    }
}

fn name_of_status(status: Status) -> &'static str {
    match status {
        Status::Delivered => "delivered",
        Status::Failed => "failed",
        Status::Displayed => "displayed",
        Status::Processed => "processed",
        Status::Stored => "stored",
        Status::Forbidden => "forbidden",
        Status::Error => "error",
    }
}
