//! The load: calls that are set up one by one, then speak all at once, 50 packets a second each, evenly spread.
//!
//! Everything that comes is counted by sequence number. Of some calls all packets are kept with the times at which they
//! went out and came back; what they say is compared afterwards.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use media::rtp::{RtpHeader, RtpPacket, SequenceExtender, Ssrc};
use media::srtp::{SrtpContext, SrtpKeys, fresh_keys};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use sdp::{
    Agreement, Attribute, Capabilities, Input, OfferAnswer, Origin, Output, Protection, Security, SessionDescription,
    StreamCapability,
};

use crate::analysis::{self, Kept};
use crate::case::{Case, System};
use crate::process::{self, Process, Usage};
use crate::report::Figures;
use crate::rtpengine::{Command, Rtpengine};
use crate::server;
use crate::talk::{PACKET, Talk};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Until jitter buffers have found their delay.
const WARM_UP: Duration = Duration::from_secs(5);
/// Calls whose audio is compared.
const COMPARED: usize = 24;

/// Measures one case once.
pub(crate) fn run(case: &Case, calls: usize, window: Duration) -> io::Result<Figures> {
    let talk = Talk::new(case.codec, case.rate());
    let rtcp = std::net::UdpSocket::bind((LOOPBACK, 0))?;
    let mut tested = Tested::start(case)?;
    let legs = tested.set_up(case, calls, &talk, rtcp.local_addr()?.port())?;
    let mut load = Load::new(legs, talk)?;
    load.run(Instant::now() + WARM_UP)?;

    let before = load.totals();
    let (usage, own, busy) = (tested.process().usage(), Usage::of(std::process::id()), process::machine_busy());
    let began = Instant::now();
    load.run(began + window)?;
    let took = began.elapsed();
    let usage = tested.process().usage().since(usage);
    let own = Usage::of(std::process::id()).since(own);
    let busy = process::machine_busy().saturating_sub(busy);
    let after = load.totals();
    // Not before: nothing is sent meanwhile, which jitter buffers would remember.
    let statistics = tested.statistics(calls)?;
    // What is still on its way comes; nothing more is sent.
    load.read_for(Duration::from_millis(300))?;
    let heard = analysis::compare(load.kept(), &load.talk, began, &statistics.buffered);
    Ok(Figures {
        calls,
        core: usage.cpu.as_secs_f64() / took.as_secs_f64(),
        microseconds: usage.cpu.as_secs_f64() * 1e6 / (after.received - before.received).max(1) as f64,
        waited: usage.waited.as_secs_f64() / took.as_secs_f64(),
        load: own.cpu.as_secs_f64() / took.as_secs_f64(),
        others: busy.saturating_sub(usage.cpu + own.cpu).as_secs_f64() / took.as_secs_f64(),
        lost: after.missing.saturating_sub(before.missing) + statistics.lost,
        sent: after.sent - before.sent,
        late: load.latest,
        heard,
    })
}

/// The system under test.
enum Tested {
    Server { process: Process, said: BufReader<ChildStdout> },
    Rtpengine(Box<Rtpengine>),
}

/// What the server knows of its streams.
#[derive(Default)]
struct Statistics {
    /// Since they began.
    lost: u64,
    /// By call.
    buffered: Vec<Duration>,
}

impl Tested {
    fn start(case: &Case) -> io::Result<Tested> {
        let (kind, rate) = match case.system {
            System::Bridge(rate) => ("bridge", rate.hertz()),
            System::Mirror => ("mirror", 0),
            System::Rtpengine => return Ok(Tested::Rtpengine(Box::new(Rtpengine::start()?))),
        };
        let own = std::env::current_exe()?;
        let keys = if case.suite.is_some() { "keys" } else { "plain" };
        let arguments = [&*own.to_string_lossy(), "serve", kind, &rate.to_string(), keys];
        let mut process = Process::talk_to(0, &arguments)?;
        let out = process.child().stdout.take().ok_or_else(|| io::Error::other("standard output is piped"))?;
        Ok(Tested::Server { process, said: BufReader::new(out) })
    }

    fn process(&self) -> &Process {
        match self {
            Tested::Server { process, .. } => process,
            Tested::Rtpengine(rtpengine) => &rtpengine.process,
        }
    }

    fn set_up(&mut self, case: &Case, calls: usize, talk: &Talk, rtcp: u16) -> io::Result<Vec<Leg>> {
        let mut legs = Vec::with_capacity(calls);
        while legs.len() < calls {
            let index = legs.len();
            let mut leg = Leg::new(index, case, talk, rtcp)?;
            let offer = leg.offer()?;
            if let Tested::Rtpengine(rtpengine) = self {
                let mut other = Leg::new(index + 1, case, talk, rtcp)?;
                let answer = other.answer(rtpengine.pass(Command::Offer, index, &offer)?)?;
                leg.accept(rtpengine.pass(Command::Answer, index, &answer)?)?;
                (leg.heard_by, other.heard_by) = (index + 1, index);
                legs.extend([leg, other]);
            } else {
                self.tell(&format!("offer {}", server::in_a_line(&offer)))?;
                let answer = self.next_line()?;
                let answer = answer.strip_prefix("answer ").and_then(server::out_of_a_line);
                leg.accept(answer.ok_or_else(|| io::Error::other("the server gave no answer"))?)?;
                legs.push(leg);
            }
        }
        Ok(legs)
    }

    fn statistics(&mut self, calls: usize) -> io::Result<Statistics> {
        let mut statistics = Statistics::default();
        if let Tested::Server { .. } = self {
            self.tell("statistics")?;
            loop {
                let line = self.next_line()?;
                let mut words = line.split_whitespace();
                if words.next() != Some("stream") {
                    break;
                }
                let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                statistics.lost += number();
                statistics.buffered.push(Duration::from_micros(number()));
            }
        }
        statistics.buffered.resize(calls, Duration::ZERO);
        Ok(statistics)
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let Tested::Server { process, .. } = self else { return Ok(()) };
        let input = process.child().stdin.as_mut().ok_or_else(|| io::Error::other("standard input is piped"))?;
        input.write_all(format!("{line}\n").as_bytes())
    }

    fn next_line(&mut self) -> io::Result<String> {
        let Tested::Server { said, .. } = self else { return Err(io::Error::other("rtpengine says nothing")) };
        let mut line = String::new();
        match said.read_line(&mut line)? {
            0 => Err(io::Error::other("the server has ended")),
            _ => Ok(line),
        }
    }
}

/// One end of a call: a phone.
struct Leg {
    socket: UdpSocket,
    remote: SocketAddr,
    session: OfferAnswer,
    capabilities: Capabilities,
    shield: Option<SrtpContext>,
    header: RtpHeader,
    /// Which payload is next.
    next: usize,
    /// Which leg hears what this one says.
    heard_by: usize,
    sent: u64,
    received: u64,
    extender: SequenceExtender,
    first: Option<u64>,
    kept: Option<Kept>,
}

impl Leg {
    fn new(index: usize, case: &Case, talk: &Talk, rtcp: u16) -> io::Result<Leg> {
        let socket = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0))?;
        let port = socket.local_addr()?.port();
        let mut stream = StreamCapability::audio(port, std::slice::from_ref(&talk.codec));
        if let Some(suite) = &case.suite {
            let keys = fresh_keys(std::slice::from_ref(suite), &mut |octets| {
                getrandom::fill(octets).expect("the system gives random numbers");
            });
            stream = stream.secured(Security::Sdes { keys, accept_plain: false });
        }
        stream.attributes = vec![Attribute::of(&sdp::Rtcp { port: rtcp, connection: None })];
        let number = index as u32;
        Ok(Leg {
            socket,
            remote: SocketAddr::new(LOOPBACK, 0),
            session: OfferAnswer::new(),
            capabilities: Capabilities::new(Origin::new(1 + u64::from(number), LOOPBACK), LOOPBACK).with(stream),
            shield: None,
            header: RtpHeader {
                marker: false,
                payload_type: talk.payload_type(),
                sequence: number as u16,
                timestamp: number.wrapping_mul(77_777),
                ssrc: Ssrc(0x1000_0000 + number),
            },
            next: (index * 37) % talk.payloads.len(),
            heard_by: index,
            sent: 0,
            received: 0,
            extender: SequenceExtender::default(),
            first: None,
            kept: None,
        })
    }

    fn offer(&mut self) -> io::Result<SessionDescription> {
        let offer = self.capabilities.offer_in(&self.session);
        match self.session.handle(Input::LocalOffer(offer)) {
            Ok(Output::SendOffer(offer)) => Ok(offer),
            other => Err(io::Error::other(format!("no offer: {other:?}"))),
        }
    }

    fn answer(&mut self, offer: SessionDescription) -> io::Result<SessionDescription> {
        self.session.handle(Input::RemoteOffer(offer.clone())).map_err(io::Error::other)?;
        let answer = self.capabilities.answer_in(&self.session, &offer);
        let answer = answer.map_err(|refusal| io::Error::other(format!("{refusal:?}")))?;
        match self.session.handle(Input::LocalAnswer(answer)) {
            Ok(Output::SendAnswer(answer)) => {
                self.settle()?;
                Ok(answer)
            }
            other => Err(io::Error::other(format!("no answer: {other:?}"))),
        }
    }

    fn accept(&mut self, answer: SessionDescription) -> io::Result<()> {
        self.session.handle(Input::RemoteAnswer(answer)).map_err(io::Error::other)?;
        self.settle()
    }

    fn settle(&mut self) -> io::Result<()> {
        let stream = self.session.agreement().map(Agreement::streams).and_then(|streams| streams.into_iter().next());
        let stream = stream.ok_or_else(|| io::Error::other("nothing was agreed"))?;
        let destination = stream.destination.ok_or_else(|| io::Error::other("the stream was refused"))?;
        let ip = destination.connection.ip().unwrap_or(LOOPBACK);
        self.remote = SocketAddr::new(ip, destination.port);
        if let Protection::Sdes { local, remote } = &stream.protection {
            let keys = SrtpKeys::from_sdes(local, remote).map_err(io::Error::other)?;
            self.shield = Some(SrtpContext::new(&keys));
        }
        self.socket.connect(self.remote)
    }

    fn speak(&mut self, talk: &Talk, packet: &mut Vec<u8>) {
        packet.clear();
        self.header.write(packet);
        packet.extend_from_slice(&talk.payloads[self.next]);
        if let Some(shield) = &mut self.shield {
            shield.protect_rtp(packet).expect("fewer packets than a key may protect");
        }
        // What does not go out is lost, and counted as such.
        let _ = self.socket.send(packet);
        if let Some(kept) = &mut self.kept {
            kept.sent.push((Instant::now(), self.next));
        }
        self.sent += 1;
        self.next = (self.next + 1) % talk.payloads.len();
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(talk.ticks);
    }

    /// Takes what has come; whether anything had.
    fn hear(&mut self, buffer: &mut [u8]) -> bool {
        let mut any = false;
        loop {
            match self.socket.recv(buffer) {
                Ok(length) => self.take(&mut buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                // A port that was not open yet.
                Err(_) => {}
            }
            any = true;
        }
    }

    fn take(&mut self, datagram: &mut [u8]) {
        let Ok(packet) = RtpPacket::parse(datagram) else { return };
        if packet.payload_type != self.header.payload_type {
            return;
        }
        let sequence = self.extender.extend(packet.sequence);
        self.first.get_or_insert(sequence);
        self.received += 1;
        let Some(kept) = &mut self.kept else { return };
        let at = Instant::now();
        let length = match &mut self.shield {
            Some(shield) => shield.unprotect_rtp(datagram),
            None => Ok(datagram.len()),
        };
        if let Some(packet) = length.ok().and_then(|length| RtpPacket::parse(&datagram[..length]).ok()) {
            kept.heard.push((at, packet.timestamp, packet.payload.to_vec()));
        }
    }

    /// Packets that the far end has sent and that have not come.
    fn missing(&self) -> u64 {
        match (self.first, self.extender.highest()) {
            (Some(first), Some(highest)) => (highest + 1 - first).saturating_sub(self.received),
            // Nothing at all.
            _ => self.sent,
        }
    }
}

struct Load {
    legs: Vec<Leg>,
    talk: Talk,
    poll: Poll,
    events: Events,
    began: Instant,
    /// Packets sent, by all legs in turn.
    turn: u64,
    /// How late a packet was sent at most.
    latest: Duration,
    packet: Vec<u8>,
    buffer: Box<[u8; 2_048]>,
}

/// Of all legs together.
struct Totals {
    sent: u64,
    received: u64,
    missing: u64,
}

impl Load {
    fn new(mut legs: Vec<Leg>, talk: Talk) -> io::Result<Load> {
        let poll = Poll::new()?;
        let every = (legs.len() / COMPARED).max(1) | 1;
        for (index, leg) in legs.iter_mut().enumerate() {
            poll.registry().register(&mut leg.socket, Token(index), Interest::READABLE)?;
            leg.kept = None;
        }
        // Odd steps, so that with two legs per call either direction is met.
        for index in (0..legs.len()).step_by(every) {
            let heard_by = legs[index].heard_by;
            legs[index].kept.get_or_insert_default();
            legs[heard_by].kept.get_or_insert_default();
        }
        Ok(Load {
            legs,
            talk,
            poll,
            events: Events::with_capacity(1_024),
            began: Instant::now(),
            turn: 0,
            latest: Duration::ZERO,
            packet: Vec::with_capacity(2_048),
            buffer: Box::new([0; 2_048]),
        })
    }

    /// Sends and reads until then.
    fn run(&mut self, until: Instant) -> io::Result<()> {
        self.latest = Duration::ZERO;
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            let spoken = self.speak(now);
            if !self.read()? && !spoken {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    /// Sends what is due, but not so much that reading would have to wait for long.
    fn speak(&mut self, now: Instant) -> bool {
        const AT_ONCE: usize = 32;
        let legs = self.legs.len() as u64;
        for count in 0..AT_ONCE {
            let due = self.began + PACKET.mul_f64(self.turn as f64 / legs as f64);
            if due > now {
                return count > 0;
            }
            self.latest = self.latest.max(now - due);
            self.legs[(self.turn % legs) as usize].speak(&self.talk, &mut self.packet);
            self.turn += 1;
        }
        true
    }

    fn read(&mut self) -> io::Result<bool> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        let mut any = false;
        for event in &self.events {
            any |= self.legs[event.token().0].hear(&mut self.buffer[..]);
        }
        Ok(any)
    }

    fn read_for(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if !self.read()? {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    }

    fn totals(&self) -> Totals {
        let sum = |of: fn(&Leg) -> u64| self.legs.iter().map(of).sum();
        Totals { sent: sum(|leg| leg.sent), received: sum(|leg| leg.received), missing: sum(Leg::missing) }
    }

    /// Of each compared call: which it is, what was said and what was heard of it.
    fn kept(&self) -> Vec<(usize, &Kept, &Kept)> {
        let kept = |index: usize| self.legs[index].kept.as_ref();
        (0..self.legs.len())
            .filter_map(|index| Some((index, kept(index)?, kept(self.legs[index].heard_by)?)))
            .take(2 * COMPARED)
            .collect()
    }
}
