//! The streams of a session: their preparation by the media side, their m-lines, and what the media side tells of them.
//!
//! ```text
//!   Preparing ── Prepared ──► Prepared ── offer and answer agree on it ──► Active
//!       │ Failed                  │ refused                                   │ removed, session over
//!       └─────────────────────────┴──────────────► closed ◄───────────────────┘
//! ```
//!
//! What goes over MSRP is running only when it is bound, too.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sdp::{Attribute, Capabilities, MediaType, Origin, SessionDescription, StreamAgreement, StreamCapability};
use sip_message::Transport;

use super::State;
use super::chat::Chat;
use super::core::Session;
use super::planning::Plan;
use super::work::{Alarm, Work};
use crate::media::{MediaCommand, MediaEvent, Sound, StreamId};
use crate::notification::Data;
use crate::streams::StreamKind;

/// How long the media side may take to prepare a stream.
const PREPARATION: Duration = Duration::from_secs(15);

/// A stream.
pub(crate) struct Stream {
    pub(super) id: StreamId,
    pub(super) kind: StreamKind,
    plan: Plan,
    pub(super) phase: Phase,
    /// Whether the media side was told to end it. The application may hear of it later.
    pub(super) closed: bool,
    /// What the peer's packets come from.
    pub(super) heard_from: Option<SocketAddr>,
    /// How it is encrypted.
    pub(super) encryption: Option<Arc<str>>,
    /// Whether its MSRP session is bound.
    pub(super) bound: bool,
    /// What goes on in it, if it is a chat.
    pub(super) chat: Option<Box<Chat>>,
}

/// How far a stream is.
pub(crate) enum Phase {
    /// The media side makes a transport.
    Preparing,
    /// Its m-line can be written.
    Prepared(Line),
    /// It runs.
    Active(Line, Box<StreamAgreement>),
}

/// What the m-line of a stream is written from.
#[derive(Clone)]
pub(crate) struct Line {
    pub(super) capability: StreamCapability,
    pub(super) session_attributes: Vec<Attribute>,
}

impl Stream {
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active(..))
    }

    /// Whether something can go over it.
    pub(super) fn is_running(&self) -> bool {
        self.is_active() && (self.kind == StreamKind::Audio || self.bound)
    }

    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing)
    }

    /// The index of its m-line in the offer that it was prepared for.
    pub(super) fn offered_at(&self) -> Option<usize> {
        self.plan.offer().as_ref().map(|(_, index)| *index)
    }

    pub(super) fn line(&self) -> Option<&Line> {
        match &self.phase {
            Phase::Preparing => None,
            Phase::Prepared(line) | Phase::Active(line, _) => Some(line),
        }
    }

    pub(super) fn agreement(&self) -> Option<&StreamAgreement> {
        match &self.phase {
            Phase::Active(_, agreement) => Some(agreement),
            _ => None,
        }
    }
}

impl Session {
    // ----- preparation -----

    /// Has a stream made. `offer`: the peer's description with the index of its m-line, when it is the offerer.
    pub(super) fn prepare(
        &mut self,
        work: &mut Work<'_>,
        kind: StreamKind,
        offer: Option<(Arc<SessionDescription>, usize)>,
    ) {
        let plan = self.plan(work, kind, offer);
        let id = work.new_stream_id(self.id);
        self.order_preparation(work, id, plan.clone());
        self.streams.push(Stream {
            id,
            kind,
            plan,
            phase: Phase::Preparing,
            closed: false,
            heard_from: None,
            encryption: None,
            bound: false,
            chat: (kind == StreamKind::Chat).then(|| Box::new(Chat::new(&work.settings.chat))),
        });
        self.set_alarm(work, Alarm::Preparation, PREPARATION);
    }

    fn order_preparation(&self, work: &mut Work<'_>, stream: StreamId, plan: Plan) {
        let session = self.id;
        work.order(match plan {
            Plan::Audio(plan) => MediaCommand::Prepare { stream, session, plan: Box::new(plan) },
            Plan::Msrp(plan) => MediaCommand::PrepareChat { stream, session, plan: Box::new(plan) },
        });
    }

    /// Has a running audio stream prepare its answer to an offer.
    pub(super) fn prepare_anew(&self, work: &mut Work<'_>, id: StreamId, offer: (Arc<SessionDescription>, usize)) {
        let plan = self.plan_audio(work, Some(offer));
        self.order_preparation(work, id, Plan::Audio(plan));
    }

    /// Takes the address at our end of the way to the peer.
    pub(super) fn choose_local_address(&mut self, work: &Work<'_>, transport: Transport, remote: Option<IpAddr>) {
        let endpoint = &work.endpoint;
        let listener = endpoint.listener_for(transport, remote).or_else(|| endpoint.listeners().first());
        if let Some(listener) = listener {
            self.local_address = listener.local.ip();
        }
    }

    pub(super) fn preparation_took_too_long(&mut self, work: &mut Work<'_>) {
        let waiting = self.streams.iter().find(|stream| stream.is_preparing()).map(|stream| stream.id);
        if let Some(stream) = waiting {
            self.not_prepared(work, stream, "it took too long");
        }
    }

    fn prepared(
        &mut self,
        work: &mut Work<'_>,
        id: StreamId,
        capability: StreamCapability,
        session_attributes: Vec<Attribute>,
    ) {
        let muted = self.muted;
        let Some(stream) = self.stream_mut(id) else { return };
        if let Phase::Prepared(line) | Phase::Active(line, _) = &mut stream.phase {
            // It counts from the next description on.
            *line = Line { capability, session_attributes };
            return self.restart_is_prepared(work, id);
        }
        stream.phase = Phase::Prepared(Line { capability, session_attributes });
        if muted && stream.kind == StreamKind::Audio {
            work.order(MediaCommand::Mute { stream: id, muted: true });
        }
        if self.streams.iter().any(Stream::is_preparing) {
            return;
        }
        self.clear_alarm(work, Alarm::Preparation);
        self.all_prepared(work);
    }

    /// Goes on with what the streams were prepared for.
    pub(super) fn all_prepared(&mut self, work: &mut Work<'_>) {
        match self.state {
            State::Calling => self.send_invite(work),
            State::Accepting => self.send_answer(work),
            State::Proposing => self.send_proposal(work),
            State::Proposed => self.send_proposal_answer(work),
            // What was to be done with it was given up meanwhile.
            _ => self.close_unused_streams(work),
        }
    }

    fn not_prepared(&mut self, work: &mut Work<'_>, id: StreamId, why: &str) {
        let Some(stream) = self.stream_mut(id).filter(|stream| stream.is_preparing()) else { return };
        // Without an answer of the STUN server the addresses of this host may do.
        if let Plan::Audio(plan) = &mut stream.plan
            && !plan.nat.stun_servers.is_empty()
        {
            plan.nat.stun_servers.clear();
            let plan = stream.plan.clone();
            self.order_preparation(work, id, plan);
            return self.set_alarm(work, Alarm::Preparation, PREPARATION);
        }
        let reason: Arc<str> = format!("Failed to initialize {} transport: {why}", name_of(stream.kind)).into();
        self.clear_alarm(work, Alarm::Preparation);
        match self.state {
            State::Calling => self.fail_locally(work, None, reason),
            State::Accepting => self.could_not_answer(work, reason),
            State::Proposing => self.could_not_propose(work, reason),
            State::Proposed => self.could_not_accept_proposal(work, reason),
            _ => self.close_unused_streams(work),
        }
    }

    // ----- m-lines -----

    /// What we can do and want to do now.
    pub(super) fn capabilities(&self) -> Capabilities {
        let lines = || self.streams.iter().filter(|stream| !stream.closed).filter_map(Stream::line);
        // A listener on all addresses does not know which one the peer can reach; the media side does.
        let address = lines().find_map(|line| line.capability.address).unwrap_or(self.local_address);
        let mut capabilities = Capabilities::new(Origin::new(self.sdp_id, address), address);
        for line in lines() {
            let on_hold = self.wants_hold;
            capabilities.streams.push(StreamCapability { on_hold, ..line.capability.clone() });
        }
        capabilities
    }

    /// A description of ours with what stands at the session level of each stream.
    pub(super) fn with_session_attributes(&self, mut description: SessionDescription) -> SessionDescription {
        let lines = self.streams.iter().filter(|stream| !stream.closed).filter_map(Stream::line);
        for attribute in lines.flat_map(|line| &line.session_attributes) {
            if !description.attributes.iter().any(|known| known == attribute) {
                description.attributes.push(attribute.clone());
            }
        }
        description
    }

    // ----- the end of a stream -----

    /// Has the media side end a stream. It is still told of as active until [`Session::forget_stream`].
    pub(super) fn close_stream(&mut self, work: &mut Work<'_>, id: StreamId) {
        if let Some(stream) = self.stream_mut(id).filter(|stream| !stream.closed) {
            stream.closed = true;
            work.order(MediaCommand::Close { stream: id });
        }
    }

    /// Ends a stream and forgets it.
    pub(super) fn forget_stream(&mut self, work: &mut Work<'_>, id: StreamId) {
        self.close_stream(work, id);
        self.drop_chat(work, id, "Stream ended");
        work.books.streams.remove(&id);
        self.streams.retain(|stream| stream.id != id);
    }

    /// Ends those streams that came to nothing.
    pub(super) fn close_unused_streams(&mut self, work: &mut Work<'_>) {
        let unused: Vec<StreamId> =
            self.streams.iter().filter(|stream| !stream.is_active()).map(|stream| stream.id).collect();
        for id in unused {
            self.forget_stream(work, id);
        }
        self.clear_alarm(work, Alarm::Preparation);
    }

    /// Tells which streams are active, if that has changed.
    pub(super) fn tell_streams(&mut self, work: &mut Work<'_>) {
        let streams = self.running_streams();
        if streams != self.told_streams {
            self.told_streams = streams;
            self.post(work, Data::SessionGotStreamUpdate { streams });
        }
    }

    // ----- news -----

    /// Takes news of the media side about a stream of this session.
    pub(super) fn media_event(&mut self, work: &mut Work<'_>, event: MediaEvent) {
        let id = stream_of(&event);
        if self.stream_mut(id).is_none_or(|stream| stream.closed) {
            return;
        }
        match event {
            MediaEvent::Prepared { capability, session_attributes, .. } => {
                self.prepared(work, id, *capability, session_attributes);
            }
            MediaEvent::Failed { reason, .. } => {
                match self.stream_mut(id).is_some_and(|stream| stream.is_preparing()) {
                    true => self.not_prepared(work, id, &reason),
                    false => self.stream_failed(work, id, reason),
                }
            }
            MediaEvent::Heard { from, .. } => self.heard(work, id, from),
            MediaEvent::TimedOut { .. } => self.timed_out(work, id),
            MediaEvent::Encryption { how, .. } => {
                if let Some(stream) = self.stream_mut(id) {
                    stream.encryption.clone_from(&how);
                    self.post(work, Data::SessionDidChangeEncryption { encryption: how });
                }
            }
            MediaEvent::PathChosen { local, .. } => self.path_chosen(work, id, local),
            MediaEvent::Digit { digit, .. } => self.got_digit(work, digit),
            MediaEvent::ChatBound { .. } => self.stream_bound(work, id),
            MediaEvent::ChatGot { message, .. } => self.got_chat(work, id, *message),
            MediaEvent::ChatDelivered { id: message, code, reason, .. } => {
                self.chat_was_delivered(work, id, &message, code, reason);
            }
            MediaEvent::ChatNotDelivered { id: message, code, reason, .. } => {
                self.chat_was_not_delivered(work, id, &message, code, reason);
            }
            MediaEvent::NicknameAnswered { code, reason, .. } => self.nickname_was_answered(work, id, code, reason),
            MediaEvent::FileProgress { transferred, total, .. } => self.file_goes_on(work, transferred, total),
            MediaEvent::FileEnded { file_name, error, .. } => self.file_ended(work, file_name, error),
            MediaEvent::RecordingStarted { .. } => self.recording_started(work),
            MediaEvent::RecordingStopped { error, .. } => self.recording_stopped(work, error),
        }
    }

    fn heard(&mut self, work: &mut Work<'_>, id: StreamId, from: SocketAddr) {
        self.clear_alarm(work, Alarm::NoAudio);
        if let Some(stream) = self.stream_mut(id) {
            stream.heard_from = Some(from);
        }
    }

    /// Whoever holds, or is held, need not be heard.
    pub(super) fn nothing_was_heard(&mut self, work: &mut Work<'_>) {
        let Some(stream) = self.audio() else { return };
        if stream.heard_from.is_some() {
            return;
        }
        if stream.agreement().is_some_and(|agreement| agreement.direction.receives()) {
            self.post(work, Data::SessionGotNoAudio);
        } else {
            // It is asked again while nobody can speak.
            self.watch_for_audio(work);
        }
    }

    /// Begins to wait for the peer's first packet.
    pub(super) fn watch_for_audio(&mut self, work: &mut Work<'_>) {
        let after = work.settings.audio.no_audio_after;
        if !after.is_zero() {
            self.set_alarm(work, Alarm::NoAudio, after);
        }
    }

    fn timed_out(&mut self, work: &mut Work<'_>, id: StreamId) {
        let stream = self.streams.iter().find(|stream| stream.id == id);
        let receives = stream.and_then(Stream::agreement).is_some_and(|agreement| agreement.direction.receives());
        if work.settings.rtp.hangup_on_timeout && receives && self.is_up() {
            self.end(work, Some("RTP timeout".into()));
        }
    }

    /// A stream that has failed is removed; with the last one the session ends.
    fn stream_failed(&mut self, work: &mut Work<'_>, id: StreamId, reason: Arc<str>) {
        let others = self.streams.iter().any(|stream| stream.id != id && stream.is_active());
        let Some(kind) = self.streams.iter().find(|stream| stream.id == id).map(|stream| stream.kind) else { return };
        let answered = self.is_up() || (self.state == State::Accepting && self.invitation.is_none());
        match self.state {
            State::Calling => self.give_up(work, None, reason),
            _ if kind != StreamKind::Audio && answered => self.connection_is_lost(work, id, kind, reason),
            State::Accepting if !others => self.end(work, Some(reason)),
            _ if !self.is_up() => {}
            _ if !others => self.end(work, Some(reason)),
            _ => self.remove_failed_stream(work, kind),
        }
    }

    /// The MSRP session of a stream is bound.
    fn stream_bound(&mut self, work: &mut Work<'_>, id: StreamId) {
        let Some(stream) = self.stream_mut(id).filter(|stream| stream.is_active() && !stream.bound) else { return };
        stream.bound = true;
        self.tell_streams(work);
        self.chat_is_bound(work, id);
    }

    pub(super) fn stream_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Lets our user hear the digit that either side has pressed.
    pub(super) fn play_digit(&mut self, work: &mut Work<'_>, digit: char) {
        work.order(MediaCommand::Play { session: self.id, sound: Sound::Digit(digit) });
    }
}

/// The stream that news are about.
pub(super) fn stream_of(event: &MediaEvent) -> StreamId {
    match event {
        MediaEvent::Prepared { stream, .. }
        | MediaEvent::Failed { stream, .. }
        | MediaEvent::Heard { stream, .. }
        | MediaEvent::TimedOut { stream }
        | MediaEvent::Encryption { stream, .. }
        | MediaEvent::PathChosen { stream, .. }
        | MediaEvent::Digit { stream, .. }
        | MediaEvent::ChatBound { stream }
        | MediaEvent::ChatGot { stream, .. }
        | MediaEvent::ChatDelivered { stream, .. }
        | MediaEvent::ChatNotDelivered { stream, .. }
        | MediaEvent::NicknameAnswered { stream, .. }
        | MediaEvent::FileProgress { stream, .. }
        | MediaEvent::FileEnded { stream, .. }
        | MediaEvent::RecordingStarted { stream }
        | MediaEvent::RecordingStopped { stream, .. } => *stream,
    }
}

/// The m-line's word for a kind of stream.
pub(super) fn media_type(kind: StreamKind) -> MediaType {
    match kind {
        StreamKind::Audio => MediaType::Audio,
        StreamKind::Chat | StreamKind::File => MediaType::Message,
    }
}

fn name_of(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Audio => "audio RTP",
        StreamKind::Chat => "MSRP chat",
        StreamKind::File => "MSRP file transfer",
    }
}
