//! One audio stream of a session, without sockets, clock or thread: RTP and all that belongs to it, put together.
//!
//! ```text
//!                        ┌──────────────────────── AudioStream ───────────────────────┐
//!            prepared ◄──┤ plan ─► keys, codecs, ICE ─► what the m-line says          │
//!   offer and answer ───►│ apply ─► path, shield, formats, directions                 │
//!                        │                                                            │
//!   datagrams ──handle──►│ path (whose is it?) ─► shield (SRTP, DTLS) ─► incoming ────┼─ playout ─► one tick
//!   datagrams ◄──poll────┤ outbox ◄─ shield ◄───────────────────────────── outgoing ◄─┼─ capture ── one tick
//!                        │            reports (RTCP), events, digits                  │
//!                        └────────────────────────────────────────────────────────────┘
//! ```
//!
//! Whoever drives a stream: hand in datagrams with [`AudioStream::handle`], ask for a tick with [`AudioStream::playout`]
//! and give one with [`AudioStream::capture`] every 20 ms, call [`AudioStream::handle_timeout`] when
//! [`AudioStream::next_timeout`] says so, and after any of these fetch [`AudioStream::poll_transmit`] and
//! [`AudioStream::poll_event`] until they are empty.
//!
//! Sockets, devices, files and who hears whom are the [`driver`](crate::driver)'s; what is offered and answered is the
//! session's.

mod codecs;
mod hush;
mod incoming;
mod outbox;
mod outgoing;
mod path;
mod plan;
mod security;
mod shield;
mod source;
mod statistics;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sdp::{MediaDescription, SessionDescription, StreamAgreement, StreamCapability};

use crate::demux::Datagram;
use crate::dtls::Certificate;
use crate::pcm::SampleRate;
use crate::rtcp::{NtpClock, RtcpNews, RtcpSession, RtcpSettings};
use crate::rtp::{Collisions, Conflict, RtpPacket, Statistics};
use crate::srtp::SrtpKeys;

pub use codecs::codecs_named;
pub use outbox::{Component, Transmit};
pub use plan::{AudioOptions, DtmfMode, Encryption, NatTraversal, StreamPlan};
pub use statistics::AudioStatistics;

use incoming::Incoming;
use outbox::Outbox;
use outgoing::Outgoing;
use path::Path;
use security::OwnKeys;
use shield::{Shield, ShieldNews};
use source::Verdict;

/// How long STUN servers are waited for before the m-line is written without what they would have told.
const GATHERING: Duration = Duration::from_secs(3);

/// How often something is sent that keeps an address translator's binding while we send nothing else (RFC 6263 §4).
const KEEPALIVE: Duration = Duration::from_secs(15);

/// So many messages of a handshake are kept until the answer is known: its first flight, and a repetition.
const HASTY: usize = 4;

/// Where random octets come from; keys are made of them, so it has to be a cryptographic source.
pub type RandomSource = Box<dyn FnMut(&mut [u8]) + Send>;

/// What a stream stands on.
pub struct StreamSetup {
    /// How it is to be made.
    pub plan: StreamPlan,
    /// Where the socket for RTP is bound.
    pub rtp: SocketAddr,
    /// Where the socket for RTCP is bound: one port above.
    pub rtcp: Option<SocketAddr>,
    /// The rate of what is played out and captured.
    pub rate: SampleRate,
    /// After how long without a packet the stream is taken for dead; zero: never.
    pub timeout: Duration,
    /// What we prove ourselves with in DTLS; without it there is no DTLS.
    pub certificate: Option<Certificate>,
    /// The wall clock, for sender reports.
    pub clock: NtpClock,
    /// How much time encoders may take, from 0 (hundreds of calls) to 10 (one).
    pub complexity: u8,
    /// Randomness.
    pub random: RandomSource,
}

/// What offer and answer have agreed.
#[derive(Clone, Copy, Debug)]
pub struct Agreed<'a> {
    /// This stream.
    pub agreement: &'a StreamAgreement,
    /// Our m-line, with the session level's attributes where it has none.
    pub local: &'a MediaDescription,
    /// The peer's description.
    pub remote: &'a SessionDescription,
    /// Whether this is only early media (RFC 3960).
    pub early: bool,
}

/// What a stream has to tell.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// When the m-line can be written.
    Prepared {
        /// What it says.
        capability: Box<StreamCapability>,
        /// What the session level says.
        session_attributes: Vec<sdp::Attribute>,
    },
    /// When no media can flow, now or any more.
    Failed {
        /// Why, in words.
        reason: Arc<str>,
    },
    /// When the first packet of the peer's was taken, and when its source changes.
    Heard {
        /// From where.
        from: SocketAddr,
    },
    /// When nothing was heard for as long as allowed, although the peer should send.
    TimedOut,
    /// When it is settled whether and how the stream is encrypted, and when that changes.
    Encryption {
        /// `SDES AES_CM_128_HMAC_SHA1_80`, `DTLS AEAD_AES_128_GCM`; nothing when it is plain.
        how: Option<Arc<str>>,
    },
    /// When ICE has chosen another path than the m-lines say.
    PathChosen {
        /// Ours.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// When the peer has pressed a digit.
    Digit {
        /// Which.
        digit: char,
    },
    /// When other SRTP keys are in use, for whoever traces.
    Keys(SrtpKeys),
}

/// One audio stream of a session.
pub struct AudioStream {
    plan: StreamPlan,
    rate: SampleRate,
    own: OwnKeys,
    certificate: Option<Certificate>,
    random: RandomSource,
    stage: Stage,
    path: Path,
    shield: Shield,
    incoming: Incoming,
    outgoing: Outgoing,
    reports: RtcpSession,
    collisions: Collisions,
    vigil: Vigil,
    /// What was last told of the encryption.
    told_encryption: Option<Option<Arc<str>>>,
    keepalive_at: Option<Instant>,
    /// Messages of a handshake that the peer has begun before we knew his answer: it may come later than they.
    hasty: Vec<(SocketAddr, Vec<u8>)>,
    outbox: Outbox,
    events: VecDeque<StreamEvent>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// STUN servers are asked, at most until then.
    Gathering(Instant),
    /// The m-line can be written.
    Prepared,
    /// Offer and answer were exchanged.
    Running,
    /// Nothing is sent or heard any more.
    Ended,
}

/// Waits for the peer's packets.
#[derive(Clone, Copy, Debug)]
struct Vigil {
    timeout: Duration,
    /// Whether the peer should send.
    expecting: bool,
    /// Since when nothing was heard.
    since: Instant,
    told: bool,
}

impl AudioStream {
    /// Begins to prepare a stream; [`StreamEvent::Prepared`] follows, at once where nobody has to be asked.
    pub fn new(now: Instant, setup: StreamSetup) -> AudioStream {
        let StreamSetup { plan, rtp, rtcp, rate, timeout, certificate, clock, complexity, mut random } = setup;
        let own = OwnKeys::new(plan.encryption, certificate.as_ref(), &mut random);
        let path = Path::new(now, &plan, rtp, rtcp, &mut random);
        let reports = RtcpSession::new(
            now,
            RtcpSettings { cname: canonical_name(&mut random), ..RtcpSettings::default() },
            clock,
            &mut random,
        );
        let mut stream = AudioStream {
            incoming: Incoming::new(now, rate, &plan.audio),
            outgoing: Outgoing::new(rate, &plan.audio, complexity, &mut random),
            plan,
            rate,
            own,
            certificate,
            random,
            stage: Stage::Gathering(now + GATHERING),
            path,
            shield: Shield::default(),
            reports,
            collisions: Collisions::default(),
            vigil: Vigil { timeout, expecting: false, since: now, told: false },
            told_encryption: None,
            keepalive_at: None,
            hasty: Vec::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
        };
        stream.carry_ice(now);
        stream.prepared_if_gathered(now);
        stream
    }

    /// The peer has offered anew in a running stream: where his offer begins ICE anew, another [`StreamEvent::Prepared`]
    /// tells with what it is to be answered (RFC 8839 §4.4.3.1). Other offers need not be told of.
    pub fn prepare_answer(&mut self, offer: &SessionDescription, index: usize) {
        let Some(media) = offer.media.get(index) else { return };
        if self.stage == Stage::Running && self.path.restart_for(offer, media, &mut self.random) {
            self.tell_prepared(Some((offer, media)));
        }
    }

    /// Runs as agreed: the first time and after each renegotiation.
    pub fn apply(&mut self, now: Instant, agreed: Agreed<'_>) {
        let Some(remote) = agreed.remote.media.get(agreed.agreement.index) else { return };
        if self.stage == Stage::Ended {
            return;
        }
        self.stage = Stage::Running;
        if !agreed.agreement.enabled {
            self.outgoing.pause();
            self.incoming.pause();
            self.vigil.expecting = false;
            return;
        }
        let protection = match self.own.settled(&agreed.agreement.protection) {
            Ok(protection) => protection,
            Err(unprotected) => {
                self.shield.refuse();
                return self.fail(&unprotected.to_string());
            }
        };
        let moved = self.path.apply(now, &agreed, remote, &mut self.random);
        self.shield.settle(protection, moved);
        self.outgoing.apply(&agreed, remote);
        self.incoming.apply(now, &agreed, self.shield.authenticates());
        let expecting = agreed.agreement.direction.receives() && !agreed.early;
        if expecting != self.vigil.expecting || moved {
            self.vigil = Vigil { expecting, since: now, told: false, ..self.vigil };
        }
        self.keepalive_at = self.path.wants_keepalive().then(|| now + KEEPALIVE);
        self.carry_ice(now);
        self.carry_shield(now);
        for (from, datagram) in std::mem::take(&mut self.hasty) {
            self.handle_dtls(now, from, &datagram);
        }
    }

    /// A datagram came. It is decrypted in place.
    pub fn handle(&mut self, now: Instant, component: Component, from: SocketAddr, datagram: &mut [u8]) {
        match Datagram::classify(datagram) {
            Datagram::Stun if component == Component::Rtp => {
                self.path.handle_stun(now, from, datagram);
                self.carry_ice(now);
            }
            Datagram::Dtls if component == Component::Rtp => self.handle_dtls(now, from, datagram),
            Datagram::Rtp if component == Component::Rtp => self.handle_rtp(now, from, datagram),
            Datagram::Rtcp => self.handle_rtcp(now, from, datagram),
            Datagram::Stun | Datagram::Dtls | Datagram::Rtp | Datagram::Unknown => {}
        }
    }

    /// What is heard in the next 20 ms; `pcm` is one tick long and filled whole. False where it is mere silence.
    pub fn playout(&mut self, now: Instant, pcm: &mut [i16]) -> bool {
        let events = &mut self.events;
        self.incoming.playout(now, pcm, &mut |digit| events.push_back(StreamEvent::Digit { digit }))
    }

    /// What is said in these 20 ms: one tick.
    pub fn capture(&mut self, now: Instant, pcm: &[i16]) {
        let destination = self.path.destination().filter(|_| self.stage == Stage::Running && self.shield.is_open());
        let Some(to) = destination else { return self.outgoing.pass() };
        self.outgoing.capture(pcm);
        loop {
            let mut packet = self.outbox.buffer();
            if !self.outgoing.next_packet(now, &mut packet) {
                return self.outbox.discard(packet);
            }
            if self.shield.protect_rtp(&mut packet) {
                self.keepalive_at = self.keepalive_at.map(|_| now + KEEPALIVE);
                self.outbox.push(Component::Rtp, to, packet);
            } else {
                self.outbox.discard(packet);
            }
        }
    }

    /// Ticks that nobody had time for were left out: the clock of what we send goes on without them.
    pub fn skip_ticks(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.outgoing.pass();
        }
    }

    /// Sends a digit as event, or as a tone where the peer takes no events; false if it is no digit.
    pub fn send_digit(&mut self, digit: char, duration: Duration) -> bool {
        self.outgoing.send_digit(digit, duration)
    }

    /// Sends silence instead of what is captured, or no longer.
    pub fn set_muted(&mut self, muted: bool) {
        self.outgoing.set_muted(muted);
    }

    /// How much time the encoder may take from now on, 0 to 10.
    pub fn set_complexity(&mut self, complexity: u8) {
        self.outgoing.set_complexity(complexity);
    }

    /// Whether anything is heard or said now; otherwise ticks can be left out, but for [`AudioStream::skip_ticks`].
    pub fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.stage == Stage::Ended {
            return;
        }
        self.path.handle_timeout(now);
        self.carry_ice(now);
        self.prepared_if_gathered(now);
        self.shield.handle_timeout(now);
        self.carry_shield(now);
        if self.stage != Stage::Running {
            return;
        }
        let events = &mut self.events;
        self.incoming.handle_timeout(now, &mut |digit| events.push_back(StreamEvent::Digit { digit }));
        if now >= self.reports.next_timeout() {
            self.report(now);
        }
        if self.vigil.is_over(now) {
            self.vigil.told = true;
            self.events.push_back(StreamEvent::TimedOut);
        }
        if self.keepalive_at.is_some_and(|at| now >= at) {
            self.keepalive_at = Some(now + KEEPALIVE);
            self.keep_alive(now);
        }
    }

    /// When [`AudioStream::handle_timeout`] is next needed.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let gathering = match self.stage {
            Stage::Gathering(until) => Some(until),
            Stage::Prepared | Stage::Running => None,
            Stage::Ended => return None,
        };
        let running = self.stage == Stage::Running;
        let while_running = [
            running.then(|| self.reports.next_timeout()),
            self.vigil.deadline().filter(|_| running),
            self.keepalive_at.filter(|_| running),
            self.incoming.next_timeout().filter(|_| running),
        ];
        [gathering, self.path.next_timeout(), self.shield.next_timeout()]
            .into_iter()
            .chain(while_running)
            .flatten()
            .min()
    }

    /// The next datagram to be sent, put into `datagram` in exchange for what it held.
    pub fn poll_transmit(&mut self, datagram: &mut Vec<u8>) -> Option<Transmit> {
        self.outbox.pop(datagram)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// How the stream is doing.
    pub fn statistics(&self) -> AudioStatistics {
        let numbers = Statistics::gather(
            self.outgoing.rtp(),
            self.incoming.rtp(),
            &self.reports,
            self.incoming.buffer(),
            self.incoming.impairment(),
        );
        AudioStatistics {
            sent: numbers.packets_sent,
            received: numbers.packets_received,
            lost: numbers.lost,
            loss: numbers.fraction_lost,
            remote_loss: numbers.remote_fraction_lost,
            jitter: numbers.jitter,
            round_trip: numbers.round_trip,
            buffered: self.incoming.buffered(),
            mos: numbers.rating.mos,
            level_in: self.incoming.level(),
            level_out: self.outgoing.level(),
            codec: self.outgoing.codec(),
        }
    }

    /// Packets that came and were not the peer's.
    pub fn strangers(&self) -> u64 {
        self.path.strangers()
    }

    /// Ends the stream: says goodbye to the peer (RFC 3550 §6.6); what is still to be sent is in
    /// [`AudioStream::poll_transmit`].
    pub fn close(&mut self, now: Instant) {
        if self.stage == Stage::Running {
            self.say_goodbye(now);
        }
        self.shield.close(now);
        self.carry_shield(now);
        self.stage = Stage::Ended;
    }

    fn handle_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if self.stage != Stage::Running {
            if self.hasty.len() < HASTY && self.certificate.is_some() {
                self.hasty.push((from, datagram.to_vec()));
            }
        } else if self.path.admits_dtls(from) {
            self.start_handshake(now, Some(from));
            self.shield.handle_dtls(now, from, datagram);
            self.carry_shield(now);
        }
    }

    fn handle_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        if self.stage != Stage::Running || !self.path.admits(from) {
            return;
        }
        let Some(length) = self.shield.unprotect_rtp(datagram) else { return };
        let Ok(packet) = RtpPacket::parse(datagram.get(..length).unwrap_or_default()) else { return };
        if !self.incoming.understands(packet.payload_type) {
            return;
        }
        let verdict = if self.shield.authenticates() {
            self.path.judge_authentic(from)
        } else {
            self.path.judge(now, from, packet.ssrc.0, packet.sequence)
        };
        match verdict {
            Verdict::Drop => return,
            Verdict::Locked => self.events.push_back(StreamEvent::Heard { from }),
            Verdict::Accept => {}
        }
        self.vigil.heard(now);
        if self.collisions.judge(now, from, self.outgoing.rtp(), &packet) == Some(Conflict::Collision) {
            self.say_goodbye(now);
            self.outgoing.change_ssrc(&mut self.random);
        }
        let events = &mut self.events;
        self.incoming.handle(now, &packet, &mut |digit| events.push_back(StreamEvent::Digit { digit }));
    }

    fn handle_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        if self.stage != Stage::Running || !self.path.admits_rtcp(from, self.shield.authenticates()) {
            return;
        }
        let Some(length) = self.shield.unprotect_rtcp(datagram) else { return };
        let Some(packet) = datagram.get(..length) else { return };
        let own = self.outgoing.rtp().ssrc();
        let Ok(news) = self.reports.receive(now, packet, own) else { return };
        self.path.heard_rtcp(from);
        self.vigil.heard(now);
        self.take_rtcp_news(news);
    }

    fn take_rtcp_news(&mut self, news: RtcpNews) {
        for gone in news.goodbye {
            self.incoming.leave(gone);
        }
        if let Some(block) = self.reports.remote().filter(|_| news.reported) {
            self.outgoing.expect_loss(f32::from(block.fraction_lost) / 256.0);
        }
    }

    fn report(&mut self, now: Instant) {
        let mut packet = self.outbox.buffer();
        let written =
            self.reports.poll(now, self.outgoing.rtp(), self.incoming.rtp_mut(), &mut self.random, &mut packet);
        if written { self.send_rtcp(packet) } else { self.outbox.discard(packet) }
    }

    fn say_goodbye(&mut self, now: Instant) {
        let mut packet = self.outbox.buffer();
        self.reports.goodbye(now, self.outgoing.rtp(), self.incoming.rtp_mut(), None, &mut packet);
        self.send_rtcp(packet);
    }

    fn send_rtcp(&mut self, mut packet: Vec<u8>) {
        match self.path.rtcp_destination().filter(|_| self.shield.is_open()) {
            Some((component, to)) if !packet.is_empty() && self.shield.protect_rtcp(&mut packet) => {
                self.outbox.push(component, to, packet);
            }
            _ => self.outbox.discard(packet),
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        let Some(to) = self.path.destination().filter(|_| self.shield.is_open()) else { return };
        let mut packet = self.outbox.buffer();
        if self.outgoing.keep_alive(now, &mut packet) && self.shield.protect_rtp(&mut packet) {
            self.outbox.push(Component::Rtp, to, packet);
        } else {
            self.outbox.discard(packet);
        }
    }

    /// Carries out what ICE wants.
    fn carry_ice(&mut self, now: Instant) {
        while let Some(news) = self.path.poll(&mut self.outbox) {
            match news {
                path::PathNews::Chosen { local, remote, differs } => {
                    self.shield.set_remote(now, remote);
                    self.start_handshake(now, None);
                    if differs {
                        self.events.push_back(StreamEvent::PathChosen { local, remote });
                    }
                }
                path::PathNews::Failed => self.fail("no path to the peer works (ICE)"),
            }
        }
    }

    /// Carries out what SRTP and DTLS want.
    fn carry_shield(&mut self, now: Instant) {
        self.start_handshake(now, None);
        while let Some(news) = self.shield.poll(&mut self.outbox) {
            match news {
                ShieldNews::Settled { how, keys } => {
                    if self.told_encryption.as_ref() != Some(&how) {
                        self.told_encryption = Some(how.clone());
                        self.events.push_back(StreamEvent::Encryption { how });
                    }
                    self.events.extend(keys.map(StreamEvent::Keys));
                    self.incoming.set_authenticated(self.shield.authenticates());
                }
                ShieldNews::Met { peer } => {
                    if self.path.judge_authentic(peer) == Verdict::Locked {
                        self.events.push_back(StreamEvent::Heard { from: peer });
                    }
                    self.vigil.heard(now);
                }
                ShieldNews::Failed(reason) => self.fail(&reason),
            }
        }
    }

    /// Begins the DTLS handshake as soon as it is known with whom: the signalled peer, or whom ICE has validated.
    fn start_handshake(&mut self, now: Instant, validated: Option<SocketAddr>) {
        let Some(certificate) = &self.certificate else { return };
        let peer = self.path.destination().or(validated.filter(|_| self.path.uses_ice()));
        if let Some(peer) = peer {
            self.shield.start(now, certificate, peer, self.path.uses_ice());
        }
    }

    fn prepared_if_gathered(&mut self, now: Instant) {
        let Stage::Gathering(until) = self.stage else { return };
        if !self.path.is_gathered() && now < until {
            return;
        }
        self.stage = Stage::Prepared;
        let offer = self.plan.offer.clone();
        self.tell_prepared(offer.as_ref().and_then(|(offer, index)| Some((&**offer, offer.media.get(*index)?))));
    }

    fn tell_prepared(&mut self, offer: Option<(&SessionDescription, &MediaDescription)>) {
        let address = self.path.advertised();
        let mut capability = StreamCapability::audio(address.port(), &codecs::offered(&self.plan.audio, self.rate))
            .secured(self.own.security(offer));
        capability.address = Some(address.ip());
        capability.packet_time = Some(self.plan.audio.packet_time);
        capability.attributes = self.path.attributes();
        self.events
            .push_back(StreamEvent::Prepared { capability: Box::new(capability), session_attributes: Vec::new() });
    }

    fn fail(&mut self, reason: &str) {
        self.events.push_back(StreamEvent::Failed { reason: reason.into() });
    }
}

impl Vigil {
    fn heard(&mut self, now: Instant) {
        self.since = now;
        self.told = false;
    }

    fn deadline(&self) -> Option<Instant> {
        let watching = self.expecting && !self.told && !self.timeout.is_zero();
        watching.then(|| self.since + self.timeout)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }
}

/// A name that tells nothing of us and is another one in every session (RFC 7022 §4.2).
fn canonical_name(random: &mut RandomSource) -> String {
    let mut octets = [0; 12];
    random(&mut octets);
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl fmt::Debug for AudioStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioStream").field("stage", &self.stage).field("path", &self.path).finish_non_exhaustive()
    }
}
