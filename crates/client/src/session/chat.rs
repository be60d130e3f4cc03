//! Messages on a chat stream (RFC 4975). Each that is sent ends in exactly one of DidDeliver and DidNotDeliver.
//!
//! ```text
//!   send_message ──► waiting ── the stream is bound ──► sent ──┬── report, response: DidDeliver, DidNotDeliver
//!                       │                                      │
//!                       └── the stream ends: DidNotDeliver ◄───┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use msrp::composing;
use msrp::cpim::Address;
use msrp::imdn;
use msrp::multipart::ContentType;

use super::State;
use super::composing::Composing;
use super::core::Session;
use super::media_side::Stream;
use super::notices::Displays;
use super::work::Work;
use super::wrapping::{self, Draft, Taken};
use crate::error::ClientError;
use crate::media::{ChatMessage, FailureReport, MediaCommand, StreamId};
use crate::notification::Data;
use crate::settings::ChatSettings;
use crate::streams::StreamKind;

/// What goes on in a chat stream.
pub(crate) struct Chat {
    waiting: VecDeque<Draft>,
    /// Those that the media side has, and has not told the end of.
    sent: Vec<Arc<str>>,
    /// Those that were asked for and not answered.
    nicknames: VecDeque<Arc<str>>,
    pub(super) composing: Composing,
    pub(super) displays: Displays,
}

impl Chat {
    pub(super) fn new(settings: &ChatSettings) -> Chat {
        Chat {
            waiting: VecDeque::new(),
            sent: Vec::new(),
            nicknames: VecDeque::new(),
            composing: Composing::new(settings),
            displays: Displays::default(),
        }
    }
}

impl Session {
    // ----- out -----

    /// Sends a message: on the chat stream, if there is one or is to be one, and else as a MESSAGE. Gives its id.
    pub(crate) fn send_message(
        &mut self,
        work: &mut Work<'_>,
        content: Bytes,
        content_type: &str,
    ) -> Result<Arc<str>, ClientError> {
        match self.chat_stream() {
            Some(_) => self.send_chat(work, content, content_type, None),
            None => self.send_page(work, content, content_type),
        }
    }

    /// Sends a message to one of those in a room (RFC 7701 §6). Gives its id.
    pub(crate) fn send_private_message(
        &mut self,
        work: &mut Work<'_>,
        recipient: &str,
        content: Bytes,
        content_type: &str,
    ) -> Result<Arc<str>, ClientError> {
        let address = Address::parse(recipient).ok_or_else(|| ClientError::InvalidUri(recipient.into()))?;
        self.send_chat(work, content, content_type, Some(address))
    }

    fn send_chat(
        &mut self,
        work: &mut Work<'_>,
        content: Bytes,
        content_type: &str,
        recipient: Option<Address>,
    ) -> Result<Arc<str>, ClientError> {
        if matches!(self.state, State::Terminating | State::Terminated) {
            return Err(self.illegal("send_message"));
        }
        let id = self.chat_stream().ok_or(ClientError::NoStream(StreamKind::Chat))?.id;
        let content_type = content_type.parse().map_err(|_| ClientError::InvalidMessage("its content type is none"))?;
        let message_id = new_message_id(work);
        let draft = Draft { id: Arc::clone(&message_id), content, content_type, recipient };
        let Some(stream) = self.stream_mut(id) else { return Err(ClientError::NoStream(StreamKind::Chat)) };
        let is_bound = stream.bound;
        let Some(chat) = &mut stream.chat else { return Err(ClientError::NoStream(StreamKind::Chat)) };
        match is_bound {
            true => self.order_message(work, id, draft),
            false => chat.waiting.push_back(draft),
        }
        Ok(message_id)
    }

    /// The chat stream, running or being made.
    pub(super) fn chat_stream(&self) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == StreamKind::Chat && !stream.closed)
    }

    /// The chat stream, if something can go over it.
    pub(super) fn running_chat(&mut self) -> Option<(StreamId, &mut Chat)> {
        let mut streams = self.streams.iter_mut();
        let stream = streams.find(|stream| stream.kind == StreamKind::Chat && !stream.closed && stream.is_running())?;
        Some((stream.id, stream.chat.as_deref_mut()?))
    }

    /// The stream is bound: what has waited for it goes out.
    pub(super) fn chat_is_bound(&mut self, work: &mut Work<'_>, id: StreamId) {
        let Some(chat) = self.stream_mut(id).and_then(|stream| stream.chat.as_deref_mut()) else { return };
        for draft in std::mem::take(&mut chat.waiting) {
            self.order_message(work, id, draft);
        }
    }

    fn order_message(&mut self, work: &mut Work<'_>, stream: StreamId, draft: Draft) {
        let message_id = Arc::clone(&draft.id);
        let settings = &work.settings.chat;
        let time = work.notices.time(work.now);
        let (ours, peers) = self.addresses();
        let dressed = self
            .taken_by_peer(stream)
            .dress(draft, settings, |draft| wrapping::envelope(draft, ours.as_ref()?, peers.as_ref()?, time, settings));
        match dressed {
            Ok(message) => {
                if let Some(chat) = self.stream_mut(stream).and_then(|stream| stream.chat.as_deref_mut()) {
                    chat.sent.push(message_id);
                }
                work.order(MediaCommand::SendChat { stream, message: Box::new(message) });
                self.message_ends_composing(work);
            }
            Err((code, reason)) => {
                self.post(work, Data::SessionDidNotDeliverMessage { message_id, code, reason: reason.into() });
            }
        }
    }

    /// Sends what only programs read, and nobody waits for.
    pub(super) fn send_aside(
        &mut self,
        work: &mut Work<'_>,
        stream: StreamId,
        content_type: &ContentType,
        wrap: impl FnOnce(&Address, &Address, &Arc<str>) -> Option<msrp::cpim::Message>,
        plain: Option<Bytes>,
    ) {
        let taken = self.taken_by_peer(stream);
        let (Some(ours), Some(peers)) = self.addresses() else { return };
        let id = new_message_id(work);
        let wrapper = taken.takes_wrapped(content_type).then(|| wrap(&ours, &peers, &id)).flatten();
        let (content_type, content): (Arc<str>, Bytes) = match (wrapper, plain) {
            (Some(wrapper), _) => (msrp::cpim::CONTENT_TYPE.into(), wrapper.print()),
            (None, Some(plain)) if taken.takes(content_type) => (content_type.to_string().into(), plain),
            _ => return,
        };
        let failure_report = FailureReport::No;
        let message = ChatMessage { id, content_type, content, success_report: false, failure_report };
        work.order(MediaCommand::SendChat { stream, message: Box::new(message) });
    }

    /// Both sides, as wrappers name them.
    pub(super) fn addresses(&self) -> (Option<Address>, Option<Address>) {
        let [ours, peers] = [&self.local_identity, &self.remote_identity];
        (wrapping::address(ours.as_ref()), wrapping::address(peers.as_ref()))
    }

    /// What the peer takes on a stream.
    pub(super) fn taken_by_peer(&self, id: StreamId) -> Taken {
        let stream = self.streams.iter().find(|stream| stream.id == id);
        let index = stream.and_then(Stream::agreement).map(|agreement| agreement.index);
        let lines = self.applied.as_ref().map(|agreement| &agreement.remote.media);
        let line = index.zip(lines).and_then(|(index, lines)| lines.get(index));
        line.map(Taken::of).unwrap_or_default()
    }

    // ----- how it ends -----

    pub(super) fn chat_was_delivered(
        &mut self,
        work: &mut Work<'_>,
        stream: StreamId,
        id: &str,
        code: u16,
        reason: Arc<str>,
    ) {
        if let Some(message_id) = self.settled(stream, id) {
            self.post(work, Data::SessionDidDeliverMessage { message_id, code, reason });
        }
    }

    pub(super) fn chat_was_not_delivered(
        &mut self,
        work: &mut Work<'_>,
        stream: StreamId,
        id: &str,
        code: u16,
        reason: Arc<str>,
    ) {
        if let Some(message_id) = self.settled(stream, id) {
            self.post(work, Data::SessionDidNotDeliverMessage { message_id, code, reason });
        }
    }

    fn settled(&mut self, stream: StreamId, id: &str) -> Option<Arc<str>> {
        let chat = self.stream_mut(stream)?.chat.as_deref_mut()?;
        let at = chat.sent.iter().position(|sent| **sent == *id)?;
        Some(chat.sent.remove(at))
    }

    /// The stream ends: nothing more is heard of what was sent on it.
    pub(super) fn drop_chat(&mut self, work: &mut Work<'_>, id: StreamId, why: &str) {
        let Some(chat) = self.stream_mut(id).and_then(|stream| stream.chat.as_deref_mut()) else { return };
        let waiting = chat.waiting.drain(..).map(|draft| draft.id);
        let lost: Vec<Arc<str>> = chat.sent.drain(..).chain(waiting).collect();
        let nicknames = std::mem::take(&mut chat.nicknames);
        for message_id in lost {
            self.post(work, Data::SessionDidNotDeliverMessage { message_id, code: 0, reason: why.into() });
        }
        for nickname in nicknames {
            self.post(work, Data::ChatStreamDidNotSetNickname { nickname, code: 0, reason: why.into() });
        }
        self.clear_alarm(work, super::work::Alarm::Composing);
    }

    // ----- in -----

    /// A message has come on the chat stream.
    pub(super) fn got_chat(&mut self, work: &mut Work<'_>, stream: StreamId, message: ChatMessage) {
        let unwrapped = wrapping::unwrap(message.content_type, message.content);
        let content_type = unwrapped.content_type.parse::<ContentType>();
        let is = |name| content_type.as_ref().is_ok_and(|content_type| content_type.is(name));
        if is(composing::CONTENT_TYPE) {
            return self.got_composing(work, &unwrapped);
        }
        if is(imdn::CONTENT_TYPE) {
            return self.got_notice(work, &unwrapped);
        }
        self.message_ends_peers_composing(work, unwrapped.from.as_ref());
        if let Some(wrapper) = &unwrapped.wrapper {
            self.answer_notice_request(work, stream, wrapper);
        }
        let cpim_headers = unwrapped.cpim_headers();
        let (content, content_type) = (unwrapped.content, unwrapped.content_type);
        self.post(work, Data::SessionGotMessage { content, content_type, cpim_headers });
    }

    // ----- nicknames -----

    /// Asks the room to know us by a nickname (RFC 7701 §7); by none, if it is empty.
    pub(crate) fn set_nickname(&mut self, work: &mut Work<'_>, nickname: &str) -> Result<(), ClientError> {
        if nickname.contains(['\r', '\n', '\0']) {
            return Err(ClientError::InvalidMessage("a nickname is one line"));
        }
        let (stream, _) = self.running_chat().ok_or(ClientError::NoStream(StreamKind::Chat))?;
        if !self.taken_by_peer(stream).has_nicknames() {
            return Err(ClientError::InvalidMessage("the peer knows no nicknames"));
        }
        let nickname: Arc<str> = nickname.into();
        if let Some((_, chat)) = self.running_chat() {
            chat.nicknames.push_back(Arc::clone(&nickname));
        }
        work.order(MediaCommand::SetNickname { stream, nickname });
        Ok(())
    }

    pub(super) fn nickname_was_answered(&mut self, work: &mut Work<'_>, stream: StreamId, code: u16, reason: Arc<str>) {
        let chat = self.stream_mut(stream).and_then(|stream| stream.chat.as_deref_mut());
        let Some(nickname) = chat.and_then(|chat| chat.nicknames.pop_front()) else { return };
        self.post(
            work,
            match code {
                200..=299 => Data::ChatStreamDidSetNickname { nickname },
                _ => Data::ChatStreamDidNotSetNickname { nickname, code, reason },
            },
        );
    }
}

/// RFC 4975 §7.1.1 wants a name that is unique; RFC 5438 §6.3 wants 64 random bits.
pub(super) fn new_message_id(work: &mut Work<'_>) -> Arc<str> {
    format!("{:016x}", work.endpoint.random()).into()
}
