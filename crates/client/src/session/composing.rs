//! Who is writing (RFC 3994), on both sides of a chat stream. The machines are [`Composer`] and [`Watcher`]; here is whom
//! they tell. In a room there is a watcher for each who writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msrp::composing::{
    self, Composer, ComposerInput, ComposerSettings, Indication, State as Writing, Watcher, WatcherInput,
};
use msrp::cpim::{Address, DateTime, Message};
use msrp::multipart::{ContentType, Entity};

use super::core::Session;
use super::work::{Alarm, Work};
use super::wrapping::Unwrapped;
use crate::error::ClientError;
use crate::notification::Data;
use crate::settings::ChatSettings;
use crate::streams::StreamKind;

/// RFC 3994 §3.2: no oftener than each minute.
const SHORTEST_REFRESH: Duration = Duration::from_secs(60);
/// So many are watched at a time: names cost nothing.
const MOST_WATCHED: usize = 64;

/// See the module's text.
pub(crate) struct Composing {
    composer: Composer,
    watchers: Vec<(Option<Arc<str>>, Watcher)>,
}

impl Composing {
    pub(super) fn new(settings: &ChatSettings) -> Composing {
        let refresh = Some(settings.composing_refresh.max(SHORTEST_REFRESH));
        let settings = ComposerSettings { refresh, ..ComposerSettings::default() };
        Composing { composer: Composer::new(settings, Some("text/plain")), watchers: Vec::new() }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let watchers = self.watchers.iter().filter_map(|(_, watcher)| watcher.next_timeout());
        watchers.chain(self.composer.next_timeout()).min()
    }
}

impl Session {
    // ----- ours -----

    /// Our user writes, or has given it up. To be told with every key: the peer hears of it as often as is due.
    pub(crate) fn set_composing(&mut self, work: &mut Work<'_>, is_active: bool) -> Result<(), ClientError> {
        if self.chat_stream().is_none() {
            return Err(ClientError::NoStream(StreamKind::Chat));
        }
        if work.settings.chat.composing_indications {
            self.compose(work, if is_active { ComposerInput::Composed } else { ComposerInput::Abandoned });
        }
        Ok(())
    }

    /// The message itself says that nobody writes it any more.
    pub(super) fn message_ends_composing(&mut self, work: &mut Work<'_>) {
        self.compose(work, ComposerInput::MessageSent);
    }

    fn compose(&mut self, work: &mut Work<'_>, input: ComposerInput) {
        let now = work.now;
        let Some((_, chat)) = self.running_chat() else { return };
        let indication = chat.composing.composer.handle(now, input);
        self.indicate(work, indication);
        self.watch_composing(work);
    }

    fn indicate(&mut self, work: &mut Work<'_>, indication: Option<Indication>) {
        let Some(indication) = indication else { return };
        let Some((stream, _)) = self.running_chat() else { return };
        let Ok(content_type) = composing::CONTENT_TYPE.parse::<ContentType>() else { return };
        let time = work.notices.time(work.now);
        let document = indication.to_xml();
        let entity = Entity::new(content_type.clone(), document.clone());
        let wrap = |ours: &Address, peers: &Address, _: &Arc<str>| {
            let mut message = Message::new(ours, peers, entity);
            message.set_date_time(DateTime::utc(time));
            Some(message)
        };
        self.send_aside(work, stream, &content_type, wrap, Some(document.into()));
    }

    // ----- the peer's -----

    pub(super) fn got_composing(&mut self, work: &mut Work<'_>, unwrapped: &Unwrapped) {
        // What can't be read says nothing.
        let Ok(indication) = Indication::parse(&unwrapped.content) else { return };
        let now = work.now;
        let sender = unwrapped.from.as_ref().map(name_of);
        let Some((_, chat)) = self.running_chat() else { return };
        let watchers = &mut chat.composing.watchers;
        let at = watchers.iter().position(|(known, _)| *known == sender);
        let at = match at {
            Some(at) => at,
            None if watchers.len() >= MOST_WATCHED => return,
            None => {
                watchers.push((sender.clone(), Watcher::default()));
                watchers.len() - 1
            }
        };
        let Some((_, watcher)) = watchers.get_mut(at) else { return };
        let changed = watcher.handle(now, WatcherInput::Indication(&indication));
        self.tell_composing(work, sender, changed, Some(&indication));
        self.watch_composing(work);
    }

    pub(super) fn message_ends_peers_composing(&mut self, work: &mut Work<'_>, from: Option<&Address>) {
        let sender = from.map(name_of);
        let now = work.now;
        let Some((_, chat)) = self.running_chat() else { return };
        let mut watchers = chat.composing.watchers.iter_mut();
        let Some((_, watcher)) = watchers.find(|(known, _)| *known == sender) else { return };
        let changed = watcher.handle(now, WatcherInput::Message);
        self.tell_composing(work, sender, changed, None);
        self.watch_composing(work);
    }

    fn tell_composing(
        &mut self,
        work: &mut Work<'_>,
        sender: Option<Arc<str>>,
        changed: Option<Writing>,
        indication: Option<&Indication>,
    ) {
        let Some(state) = changed else { return };
        let is_active = state == Writing::Active;
        let refresh = indication.and_then(|indication| indication.refresh).filter(|_| is_active);
        let content_type = indication.and_then(|indication| indication.content_type.as_deref()).map(Arc::from);
        self.post(work, Data::ChatStreamGotComposingIndication { sender, is_active, refresh, content_type });
    }

    // ----- time -----

    fn watch_composing(&mut self, work: &mut Work<'_>) {
        let due = self.running_chat().and_then(|(_, chat)| {
            chat.composing.watchers.retain(|(_, watcher)| watcher.state() == Writing::Active);
            chat.composing.next_timeout()
        });
        match due {
            Some(due) => self.set_alarm(work, Alarm::Composing, due.saturating_duration_since(work.now)),
            None => self.clear_alarm(work, Alarm::Composing),
        }
    }

    pub(super) fn composing_is_due(&mut self, work: &mut Work<'_>) {
        let now = work.now;
        let Some((_, chat)) = self.running_chat() else { return };
        let indication = chat.composing.composer.handle_timeout(now);
        let watchers = chat.composing.watchers.iter_mut();
        let ended: Vec<_> =
            watchers.filter_map(|(sender, watcher)| Some((sender.clone(), watcher.handle_timeout(now)?))).collect();
        self.indicate(work, indication);
        for (sender, state) in ended {
            self.tell_composing(work, sender, Some(state), None);
        }
        self.watch_composing(work);
    }
}

fn name_of(address: &Address) -> Arc<str> {
    address.uri_with_scheme().into()
}
