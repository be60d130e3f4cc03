//! Two parties, the network between them, and time that is moved by hand.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::demux::Datagram;
use media::dtls::Certificate;
use media::pcm::{SampleRate, TICK};
use media::rtcp::NtpClock;
use media::signal::Random;
use media::stream::{Agreed, AudioStream, Component, Encryption, StreamEvent, StreamPlan, StreamSetup};
use media::tone::{Tone, ToneGenerator};
use sdp::{Capabilities, Input, OfferAnswer, Origin, Output, SessionDescription, StreamAgreement};

/// What happens to datagrams on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) delay: Duration,
    /// On top of the delay, evenly spread.
    pub(crate) jitter: Duration,
    /// In a thousand.
    pub(crate) loss: u64,
    /// In a thousand.
    pub(crate) duplicates: u64,
}

impl Weather {
    pub(crate) const FINE: Weather =
        Weather { delay: Duration::from_millis(10), jitter: Duration::ZERO, loss: 0, duplicates: 0 };
}

struct Travelling {
    at: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    datagram: Vec<u8>,
}

/// One end of a call.
pub(crate) struct Party {
    pub(crate) stream: AudioStream,
    pub(crate) capabilities: Capabilities,
    pub(crate) session: OfferAnswer,
    pub(crate) rtp: SocketAddr,
    /// Where packets seem to come from to others, if not from `rtp`.
    pub(crate) outside: Option<IpAddr>,
    pub(crate) says: ToneGenerator,
    pub(crate) heard: Vec<i16>,
    /// Whether something was heard in the last tick.
    pub(crate) hears: bool,
    pub(crate) events: Vec<StreamEvent>,
    pub(crate) digits: String,
    pub(crate) encryption: Option<Option<Arc<str>>>,
    /// Media packets sent, by payload type and size.
    pub(crate) sent: Vec<(u8, usize)>,
    pub(crate) reports_received: usize,
}

/// Alice, Bob, and what is between them.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) rate: SampleRate,
    pub(crate) alice: Party,
    pub(crate) bob: Party,
    pub(crate) weather: Weather,
    travelling: Vec<Travelling>,
    order: u64,
    random: Random,
    ticks: u64,
    /// Whether audio that is heard is kept.
    pub(crate) keeps: bool,
    alice_plan: StreamPlan,
    bob_plan: StreamPlan,
    timeout: Duration,
    seed: u64,
    /// Datagrams that went to neither of the two.
    pub(crate) astray: usize,
    /// Datagrams that went over a port for RTCP.
    pub(crate) by_second_port: usize,
    /// The first message of a handshake that was seen.
    hello: Option<Vec<u8>>,
}

/// How the two are made.
pub(crate) struct Plans {
    pub(crate) alice: StreamPlan,
    pub(crate) bob: StreamPlan,
    pub(crate) rate: SampleRate,
    pub(crate) timeout: Duration,
    pub(crate) seed: u64,
}

impl Plans {
    pub(crate) fn new(codecs: &[&str]) -> Plans {
        Plans {
            alice: plan(1, codecs),
            bob: plan(2, codecs),
            rate: SampleRate::Full,
            timeout: Duration::from_secs(30),
            seed: 1,
        }
    }

    pub(crate) fn encrypted(mut self, alice: Encryption, bob: Encryption) -> Plans {
        self.alice.encryption = alice;
        self.bob.encryption = bob;
        self
    }

    pub(crate) fn both(mut self, change: impl Fn(&mut StreamPlan)) -> Plans {
        change(&mut self.alice);
        change(&mut self.bob);
        self
    }

    pub(crate) fn at(self, rate: SampleRate) -> Plans {
        Plans { rate, ..self }
    }
}

pub(crate) fn plan(host: u8, codecs: &[&str]) -> StreamPlan {
    let mut plan = StreamPlan::new(IpAddr::from([10, 0, 0, host]));
    plan.audio.codecs = codecs.iter().map(|name| (*name).to_owned()).collect();
    plan.encryption = Encryption::Disabled;
    plan
}

fn party(now: Instant, plan: StreamPlan, rate: SampleRate, timeout: Duration, seed: u64, tone: f64) -> Party {
    let rtp = SocketAddr::new(plan.local, 4_000);
    let mut random = Random::new(seed);
    let encrypts = plan.encryption != Encryption::Disabled;
    let mut stream = AudioStream::new(
        now,
        StreamSetup {
            rtp,
            rtcp: Some(SocketAddr::new(plan.local, 4_001)),
            rate,
            timeout,
            certificate: encrypts.then(|| Certificate::generate().unwrap()),
            clock: NtpClock::new(now, Duration::from_secs(1_800_000_000)),
            complexity: 5,
            random: Box::new(move |octets| octets.fill_with(|| (random.next_bits() & 0xff) as u8)),
            plan: plan.clone(),
        },
    );
    let origin = Origin::new(seed, plan.local);
    let mut capabilities = Capabilities::new(origin, plan.local);
    if let Some(StreamEvent::Prepared { capability, .. }) = stream.poll_event() {
        capabilities = capabilities.with(*capability);
    }
    Party {
        stream,
        capabilities,
        session: OfferAnswer::new(),
        rtp,
        outside: None,
        says: ToneGenerator::new(Tone::sine(tone), rate),
        heard: Vec::new(),
        hears: false,
        events: Vec::new(),
        digits: String::new(),
        encryption: None,
        sent: Vec::new(),
        reports_received: 0,
    }
}

impl Party {
    pub(crate) fn apply(&mut self, now: Instant, early: bool) {
        let agreed = self.session.agreement().expect("agreed").clone();
        let agreement = agreed.streams().remove(0);
        let local = &agreed.local.media[0];
        self.stream.apply(now, Agreed { agreement: &agreement, local, remote: &agreed.remote, early });
    }

    /// The same, with a view of one's own on what was agreed.
    pub(crate) fn apply_with(&mut self, now: Instant, change: impl Fn(&mut StreamAgreement)) {
        let agreed = self.session.agreement().expect("agreed").clone();
        let mut agreement = agreed.streams().remove(0);
        change(&mut agreement);
        let local = &agreed.local.media[0];
        self.stream.apply(now, Agreed { agreement: &agreement, local, remote: &agreed.remote, early: false });
    }

    /// Describes the stream from now on as it has told last.
    pub(crate) fn take_capability(&mut self) {
        let told = self.events.iter().rev().find_map(|event| match event {
            StreamEvent::Prepared { capability, .. } => Some(capability.clone()),
            _ => None,
        });
        self.capabilities.streams = vec![*told.expect("it is prepared")];
    }

    pub(crate) fn says_nothing(&mut self, rate: SampleRate) {
        self.says = ToneGenerator::new(Tone::silence(), rate);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, StreamEvent::Failed { .. }))
    }

    fn note(&mut self, event: StreamEvent) {
        match &event {
            StreamEvent::Digit { digit } => self.digits.push(*digit),
            StreamEvent::Encryption { how } => self.encryption = Some(how.clone()),
            _ => {}
        }
        if self.events.len() < 10_000 {
            self.events.push(event);
        }
    }
}

impl World {
    /// Two who have not spoken yet.
    pub(crate) fn new(plans: Plans) -> World {
        let now = Instant::now();
        let Plans { alice, bob, rate, timeout, seed } = plans;
        let alice_plan = alice.clone();
        let alice = party(now, alice, rate, timeout, seed * 10 + 1, 440.0);
        let bob_plan = bob.clone();
        World {
            alice_plan,
            bob_plan,
            timeout,
            seed,
            hello: None,
            astray: 0,
            by_second_port: 0,
            now,
            rate,
            alice,
            bob: party(now, bob, rate, timeout, seed * 10 + 2, 1_000.0),
            weather: Weather::FINE,
            travelling: Vec::new(),
            order: 0,
            random: Random::new(seed),
            ticks: 0,
            keeps: true,
        }
    }

    /// The same with a call set up: Alice has offered, Bob has answered.
    pub(crate) fn in_a_call(plans: Plans) -> World {
        let mut world = World::new(plans);
        let offer = world.offer_by_alice();
        world.prepare_bob_for(&offer);
        world.answer_by_bob(offer).expect("an answer");
        world
    }

    /// Alice's stream is another one from now on, in the same session.
    pub(crate) fn replace_alice(&mut self) {
        let session = self.alice.session.clone();
        self.alice = party(self.now, self.alice_plan.clone(), self.rate, self.timeout, self.seed * 10 + 3, 440.0);
        self.alice.session = session;
    }

    /// The callee is prepared with the offer at hand.
    pub(crate) fn prepare_bob_for(&mut self, offer: &SessionDescription) {
        let plan = StreamPlan { offer: Some((Arc::new(offer.clone()), 0)), ..self.bob_plan.clone() };
        self.bob = party(self.now, plan, self.rate, self.timeout, self.seed * 10 + 2, 1_000.0);
    }

    pub(crate) fn offer_by_alice(&mut self) -> SessionDescription {
        let offer = self.alice.capabilities.offer_in(&self.alice.session);
        let Output::SendOffer(offer) = self.alice.session.handle(Input::LocalOffer(offer)).expect("our offer") else {
            panic!("an offer is sent or refused")
        };
        offer
    }

    /// Bob answers, both apply. An error where Bob finds nothing acceptable.
    pub(crate) fn answer_by_bob(&mut self, offer: SessionDescription) -> Result<(), sdp::NotAcceptable> {
        self.answer(offer, false)
    }

    /// Bob answers in a provisional response.
    pub(crate) fn answer_early(&mut self, offer: SessionDescription) {
        self.answer(offer, true).expect("acceptable");
    }

    fn answer(&mut self, offer: SessionDescription, early: bool) -> Result<(), sdp::NotAcceptable> {
        let World { alice, bob, now, .. } = self;
        bob.session.handle(Input::RemoteOffer(offer.clone())).expect("an offer");
        let answer = match bob.capabilities.answer_in(&bob.session, &offer) {
            Ok(answer) => answer,
            Err(refusal) => {
                bob.session.handle(Input::Rejected).expect("pending");
                alice.session.handle(Input::Rejected).expect("pending");
                return Err(refusal);
            }
        };
        let Output::SendAnswer(answer) = bob.session.handle(Input::LocalAnswer(answer)).expect("an answer") else {
            panic!("an answer is sent or refused")
        };
        bob.apply(*now, early);
        alice.session.handle(Input::RemoteAnswer(answer)).expect("an answer");
        alice.apply(*now, early);
        Ok(())
    }

    /// Alice offers anew what her capabilities are now.
    pub(crate) fn renegotiate(&mut self) {
        let offer = self.offer_by_alice();
        self.answer_by_bob(offer).expect("acceptable");
    }

    /// The same, offered by Bob.
    pub(crate) fn renegotiate_by_bob(&mut self) {
        std::mem::swap(&mut self.alice, &mut self.bob);
        self.renegotiate();
        std::mem::swap(&mut self.alice, &mut self.bob);
    }

    /// Lets time pass, tick by tick.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut pcm = vec![0; self.rate.samples_per_tick()];
        while self.now < end {
            self.tick(&mut pcm);
            self.now += TICK;
            self.deliver();
        }
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// One tick of both.
    pub(crate) fn tick(&mut self, pcm: &mut [i16]) {
        let (now, keeps) = (self.now, self.keeps);
        self.ticks += 1;
        for party in [&mut self.alice, &mut self.bob] {
            if party.stream.next_timeout().is_some_and(|at| at <= now) {
                party.stream.handle_timeout(now);
            }
            if party.stream.is_running() {
                party.stream.playout(now, pcm);
                party.hears = pcm.iter().any(|sample| sample.unsigned_abs() > 1_000);
                if keeps {
                    party.heard.extend_from_slice(pcm);
                }
                party.says.fill(pcm);
                party.stream.capture(now, pcm);
            }
        }
        self.carry();
    }

    /// Hands over what has arrived.
    pub(crate) fn deliver(&mut self) {
        loop {
            let due = self.travelling.iter().enumerate().filter(|(_, t)| t.at <= self.now);
            let Some((index, _)) = due.min_by_key(|(_, t)| (t.at, t.order)) else { break };
            let Travelling { at, from, to, mut datagram, .. } = self.travelling.swap_remove(index);
            let (party, port) = match to.ip() {
                ip if ip == self.alice.rtp.ip() || Some(ip) == self.alice.outside => (&mut self.alice, to.port()),
                ip if ip == self.bob.rtp.ip() || Some(ip) == self.bob.outside => (&mut self.bob, to.port()),
                _ => {
                    self.astray += 1;
                    continue;
                }
            };
            let component = if port.is_multiple_of(2) { Component::Rtp } else { Component::Rtcp };
            self.by_second_port += usize::from(component == Component::Rtcp);
            party.reports_received += usize::from(Datagram::classify(&datagram) == Datagram::Rtcp);
            party.stream.handle(at, component, from, &mut datagram);
            self.carry();
        }
    }

    /// Gives somebody a datagram at once, whatever the weather.
    pub(crate) fn hand_over(&mut self, from: SocketAddr, to: SocketAddr, mut datagram: Vec<u8>) {
        let party = if to.ip() == self.alice.rtp.ip() { &mut self.alice } else { &mut self.bob };
        let component = if to.port().is_multiple_of(2) { Component::Rtp } else { Component::Rtcp };
        party.stream.handle(self.now, component, from, &mut datagram);
        self.carry();
    }

    /// The first message of a handshake that one of the two has sent.
    pub(crate) fn captured_hello(&mut self) -> Vec<u8> {
        self.carry();
        self.hello.clone().expect("a handshake has begun")
    }

    /// Whether no more is on the way than a round trip's worth.
    pub(crate) fn is_quiet(&self) -> bool {
        self.travelling.len() < 10
    }

    fn carry(&mut self) {
        let mut datagrams = VecDeque::new();
        let mut datagram = Vec::new();
        for party in [&mut self.alice, &mut self.bob] {
            while let Some(transmit) = party.stream.poll_transmit(&mut datagram) {
                let port = if transmit.component == Component::Rtp { party.rtp.port() } else { party.rtp.port() + 1 };
                if Datagram::classify(&datagram) == Datagram::Rtp && party.sent.len() < 100_000 {
                    party.sent.push((datagram[1] & 0x7f, datagram.len()));
                }
                let from = SocketAddr::new(party.outside.unwrap_or(party.rtp.ip()), port);
                datagrams.push_back((from, transmit.to, std::mem::take(&mut datagram)));
            }
            while let Some(event) = party.stream.poll_event() {
                party.note(event);
            }
        }
        for (from, to, datagram) in datagrams {
            if Datagram::classify(&datagram) == Datagram::Dtls {
                self.hello.get_or_insert_with(|| datagram.clone());
            }
            self.send(from, to, datagram);
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        if self.random.next_bits() % 1_000 < self.weather.loss {
            return;
        }
        let copies = if self.random.next_bits() % 1_000 < self.weather.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.weather.jitter.mul_f64(self.random.next_unit());
            let at = self.now + self.weather.delay + jitter;
            self.order += 1;
            self.travelling.push(Travelling { at, order: self.order, from, to, datagram: datagram.clone() });
        }
    }
}

/// A packet as a stranger would write it.
pub(crate) fn rtp_packet(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}
