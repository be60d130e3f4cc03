//! The peer begins ICE anew (RFC 8839 §4.4.3.1): its offer has another `ice-ufrag`, and so must our answer, which the media
//! side makes.
//!
//! ```text
//!   re-INVITE, UPDATE ──┬── nothing of ICE is new ──────────────────────► answered at once
//!                       └── Prepare ──┬── Prepared ─────────────────────► answered with it
//!                                     ├── nothing comes: as it was ─────► answered
//!                                     └── CANCEL, BYE ──────────────────► (nobody waits for an answer)
//! ```

use std::sync::Arc;
use std::time::Duration;

use sdp::{MediaDescription, SessionDescription};
use sip_dialog::invite::{DialogKey, ServerKey};
use sip_message::Request;

use super::core::Session;
use super::media_side::Stream;
use super::work::{Alarm, Work};
use crate::media::StreamId;
use crate::streams::StreamKind;

/// How long the media side may take to say how an offer is answered; it need not ask anybody.
const READINESS: Duration = Duration::from_secs(2);

/// What waits for the media side.
pub(crate) struct Restart {
    waits_for: Vec<StreamId>,
    /// The request with the offer; none, if what goes on with it is a proposal of the peer's.
    asked: Option<Asked>,
}

/// A request whose offer is not answered yet.
pub(super) struct Asked {
    pub(super) dialog: DialogKey,
    pub(super) transaction: ServerKey,
    pub(super) request: Request,
    pub(super) offer: SessionDescription,
}

impl Session {
    /// Has the media side prepare the answer to an offer that begins ICE anew, and keeps the request until then. One that
    /// begins nothing anew comes back.
    pub(super) fn wait_for_restart(&mut self, work: &mut Work<'_>, asked: Asked) -> Option<Asked> {
        let waits_for = self.order_restarts(work, &asked.offer);
        if waits_for.is_empty() || self.restart.is_some() {
            return Some(asked);
        }
        self.restart = Some(Restart { waits_for, asked: Some(asked) });
        self.set_alarm(work, Alarm::Restart, READINESS);
        None
    }

    /// The same for a proposal that is accepted.
    pub(super) fn restart_with_proposal(&mut self, work: &mut Work<'_>, offer: &SessionDescription) {
        let waits_for = self.order_restarts(work, offer);
        if !waits_for.is_empty() {
            self.restart = Some(Restart { waits_for, asked: None });
            self.set_alarm(work, Alarm::Restart, READINESS);
        }
    }

    /// Whether something waits for the media side to say how an offer is answered.
    pub(super) fn awaits_restart(&self) -> bool {
        self.restart.is_some()
    }

    /// The media side has said how a stream's m-line is to be.
    pub(super) fn restart_is_prepared(&mut self, work: &mut Work<'_>, id: StreamId) {
        let Some(restart) = &mut self.restart else { return };
        restart.waits_for.retain(|waiting| *waiting != id);
        if restart.waits_for.is_empty() {
            self.end_restart(work);
        }
    }

    /// The media side says nothing: what we have is the answer.
    pub(super) fn restart_took_too_long(&mut self, work: &mut Work<'_>) {
        self.end_restart(work);
    }

    /// The peer has taken its offer back, or there is nothing to answer any more.
    pub(super) fn forget_restart(&mut self, work: &mut Work<'_>) {
        self.restart = None;
        self.clear_alarm(work, Alarm::Restart);
    }

    fn end_restart(&mut self, work: &mut Work<'_>) {
        let Some(restart) = self.restart.take() else { return };
        self.clear_alarm(work, Alarm::Restart);
        match restart.asked {
            Some(asked) => self.answer_asked(work, asked),
            None if self.streams.iter().any(Stream::is_preparing) => {}
            None => self.all_prepared(work),
        }
    }

    fn order_restarts(&mut self, work: &mut Work<'_>, offer: &SessionDescription) -> Vec<StreamId> {
        let restarted = self.restarted_by(offer);
        if restarted.is_empty() {
            return Vec::new();
        }
        let offer = Arc::new(offer.clone());
        for (id, index) in &restarted {
            self.prepare_anew(work, *id, (Arc::clone(&offer), *index));
        }
        restarted.into_iter().map(|(id, _)| id).collect()
    }

    /// The streams with ICE that an offer begins anew, and the indices of their m-lines.
    fn restarted_by(&self, offer: &SessionDescription) -> Vec<(StreamId, usize)> {
        let Some(before) = self.applied.as_ref().map(|agreement| &agreement.remote) else { return Vec::new() };
        let running = self.streams.iter().filter(|stream| stream.kind == StreamKind::Audio && !stream.closed);
        running
            .filter(|stream| stream.line().is_some_and(|line| line.capability.attributes.iter().any(is_fragment)))
            .filter_map(|stream| Some((stream.id, stream.agreement()?.index)))
            .filter(|(_, index)| {
                let line = |description: &SessionDescription| description.media.get(*index).cloned();
                let offered = line(offer).filter(|media| !media.is_disabled());
                let offered = offered.and_then(|media| fragment(offer, &media));
                offered.is_some() && offered != line(before).and_then(|media| fragment(before, &media))
            })
            .collect()
    }
}

fn is_fragment(attribute: &sdp::Attribute) -> bool {
    attribute.is("ice-ufrag")
}

fn fragment(description: &SessionDescription, media: &MediaDescription) -> Option<String> {
    media.attributes.ice_ufrag().or(description.attributes.ice_ufrag()).map(str::to_owned)
}
