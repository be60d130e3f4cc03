//! The media thread: reads the sockets, gives every room its tick, carries out orders.
//!
//! ```text
//!   ┌─► ticks that are due ─► wait for sockets, orders or the next tick ─► read sockets ─► orders ─┐
//!   └──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! With many streams something comes at every moment; then the thread does not wait for sockets but sleeps until the next
//! phase and reads all that has come meanwhile, so that it is woken a thousand times a second and not with each packet.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};

use super::alerts::Alerts;
use super::channel::{Channel, Plug, Recording};
use super::clerk::{Clerk, Errand};
use super::command::{MediaEvent, StreamKey};
use super::ports::Ports;
use super::queue::{Board, Order, Queue};
use super::room::{Room, SharedDevice};
use super::schedule::{Due, PHASES, Schedule};
use super::tap::{Tapped, TappedKeys, Way};
use super::{EventHandler, MediaSettings};
use crate::demux::Datagram;
use crate::dtls::Certificate;
use crate::rtcp::NtpClock;
use crate::srtp::SrtpKeys;
use crate::stream::{Component, StreamEvent};
use crate::wav::RecorderEvent;

/// What wakes the thread for orders.
pub(super) const WAKE: Token = Token(usize::MAX);

/// The longest datagram that is read whole: longer than any audio or handshake over Ethernet.
const DATAGRAM: usize = 2_048;
/// From one socket at a time; what is left is read in the next round.
const BATCH: usize = 16;
/// From so many streams on the thread sleeps from phase to phase.
const MANY: usize = 48;
/// So often statistics are put up, in ticks.
const STATISTICS_EVERY: u32 = 5;
/// So often a socket is read until it is empty, in ticks.
///
/// The poll tells of each packet that comes, but of two that come between two looks only once. Reading on until the
/// socket says that it is empty would cost a system call for each packet; so one packet is read for each time that the
/// poll tells of one, and what is left behind by this is fetched here.
const DRAIN_EVERY: u32 = 8;

pub(super) struct Worker {
    pub(super) settings: MediaSettings,
    pub(super) on_event: EventHandler,
    pub(super) queue: Arc<Queue>,
    pub(super) board: Arc<Board>,
    pub(super) clerk: Clerk,
    pub(super) poll: Poll,
    pub(super) clock: NtpClock,
    pub(super) certificate: Option<Certificate>,
    pub(super) ports: Ports,
    pub(super) schedule: Schedule,
    pub(super) channels: Vec<Option<Channel>>,
    pub(super) free: Vec<usize>,
    pub(super) by_key: HashMap<StreamKey, usize>,
    pub(super) rooms: Vec<Option<Room>>,
    /// The rooms of each phase.
    pub(super) by_phase: [Vec<usize>; PHASES],
    pub(super) alerts: Alerts,
    /// Whether the alerts are in the schedule.
    pub(super) alerts_phase: Option<usize>,
    /// Those whose tick it is.
    members: Vec<usize>,
    /// Sockets with more to read.
    backlog: Vec<Token>,
    received: Box<[u8; DATAGRAM]>,
    sending: Vec<u8>,
    pcm: Vec<i16>,
}

impl Worker {
    pub(super) fn new(
        settings: MediaSettings,
        on_event: EventHandler,
        queue: Arc<Queue>,
        board: Arc<Board>,
        clerk: Clerk,
        poll: Poll,
    ) -> Worker {
        let now = Instant::now();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let certificate = Certificate::generate()
            .inspect_err(|error| tracing::error!(%error, "no certificate for DTLS: streams do without"))
            .ok();
        let mut start = [0; 2];
        if getrandom::fill(&mut start).is_err() {
            tracing::warn!("the system has no random numbers");
        }
        Worker {
            ports: Ports::new(settings.ports, u16::from_ne_bytes(start)),
            alerts: Alerts::new(&settings.alert, settings.rate),
            alerts_phase: None,
            pcm: vec![0; settings.rate.samples_per_tick()],
            settings,
            on_event,
            queue,
            board,
            clerk,
            poll,
            clock: NtpClock::new(now, since_epoch),
            certificate,
            schedule: Schedule::new(now),
            channels: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            rooms: Vec::new(),
            by_phase: std::array::from_fn(|_| Vec::new()),
            members: Vec::new(),
            backlog: Vec::new(),
            received: Box::new([0; DATAGRAM]),
            sending: Vec::with_capacity(DATAGRAM),
        }
    }

    /// Works until the engine ends.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut orders = VecDeque::new();
        loop {
            let next = self.tick_what_is_due();
            if let Err(error) = self.wait(&mut events, next) {
                tracing::error!(%error, "the media thread cannot wait for sockets and ends");
                break;
            }
            self.read_sockets(&events);
            let goes_on = self.queue.drain(&mut orders);
            for order in orders.drain(..) {
                match order {
                    Order::Command(command) => self.obey(command),
                    Order::Opened(opened) => self.plug_in(opened),
                }
            }
            if !goes_on {
                break;
            }
        }
        self.end();
    }

    pub(super) fn tell(&self, event: MediaEvent) {
        (self.on_event)(event);
    }

    /// The ticks whose time has come, one of each room at most, so that sockets and orders have their turn also when there
    /// is too much to do; tells when the next one is.
    fn tick_what_is_due(&mut self) -> Option<Instant> {
        for _ in 0..PHASES {
            let now = Instant::now();
            match self.schedule.due(now) {
                Due::Phase(phase) => self.tick(now, phase),
                Due::Skipped(ticks) => {
                    tracing::warn!(ticks, "the media thread was held up");
                    for channel in self.channels.iter_mut().flatten() {
                        channel.stream.skip_ticks(ticks);
                    }
                    let tokens = self.by_key.values().map(|index| token_of(*index, Component::Rtp));
                    self.backlog.extend(tokens);
                }
                Due::At(at) => return Some(at),
                Due::Never => return None,
            }
        }
        Some(Instant::now())
    }

    fn tick(&mut self, now: Instant, phase: usize) {
        if self.alerts_phase == Some(phase) {
            self.alerts.tick();
            if !self.alerts.is_playing() {
                self.alerts_phase = None;
                self.schedule.leave(phase);
            }
        }
        let Some(rooms) = self.by_phase.get_mut(phase).map(std::mem::take) else { return };
        for &index in &rooms {
            // Taken out, so that the channels can be looked at beside it.
            let Some(mut room) = self.rooms.get_mut(index).and_then(Option::take) else { continue };
            self.tick_room(now, &mut room);
            let mut members = std::mem::take(&mut self.members);
            members.clone_from(&room.members);
            self.rooms[index] = Some(room);
            for &member in &members {
                self.carry(now, member);
            }
            self.members = members;
        }
        self.by_phase[phase] = rooms;
    }

    fn tick_room(&mut self, now: Instant, room: &mut Room) {
        let Room { bridge, members, devices, .. } = room;
        for shared in devices.iter_mut() {
            if let SharedDevice::Source(device) = &mut shared.device
                && device.read(&mut self.pcm) == crate::device::Reading::Audio
            {
                bridge.put(shared.slot, &self.pcm);
            }
        }
        for &member in members.iter() {
            if let Some(channel) = self.channels.get_mut(member).and_then(Option::as_mut) {
                channel.hear(now, bridge, &mut self.pcm);
            }
        }
        for &member in members.iter() {
            if let Some(channel) = self.channels.get_mut(member).and_then(Option::as_mut) {
                channel.speak(now, bridge, &mut self.pcm);
            }
        }
        for shared in devices.iter_mut() {
            if let SharedDevice::Sink(device) = &mut shared.device {
                bridge.mix(shared.slot, &mut self.pcm);
                device.write(&self.pcm);
            }
        }
        bridge.end_tick();
    }

    /// After a tick of a stream: what it wants to send and to tell, and what its files and devices tell.
    fn carry(&mut self, now: Instant, index: usize) {
        self.flush(index);
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        channel.ticks = channel.ticks.wrapping_add(1);
        let ticks = channel.ticks;
        if ticks % STATISTICS_EVERY == 0 {
            channel.notice.write(channel.stream.statistics());
        }
        let recorder = match &mut channel.recording {
            Recording::Running { recorder, .. } | Recording::Stopping { recorder } => recorder.poll_event(),
            Recording::None | Recording::Opening { .. } => None,
        };
        let player_is_over = channel.player.as_ref().is_some_and(|playing| playing.player.is_over());
        if let Some(event) = recorder {
            self.recorder_told(index, event);
        }
        if player_is_over {
            self.stop_player(index);
        }
        self.poll_devices(now, index);
        if ticks % DRAIN_EVERY == 0 {
            self.read_socket(now, token_of(index, Component::Rtp), true);
        }
    }

    fn recorder_told(&mut self, index: usize, event: RecorderEvent) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        let error = match event {
            RecorderEvent::Overflowed { samples } => {
                tracing::warn!(samples, "the disk did not keep up with a recording");
                return;
            }
            RecorderEvent::Finished { .. } => None,
            RecorderEvent::Failed(error) => Some(error.to_string().into()),
        };
        let stream = channel.key;
        self.drop_recording(index);
        self.tell(MediaEvent::RecordingStopped { stream, error });
    }

    /// Sends what a stream wants to send and tells what it has to tell.
    pub(super) fn flush(&mut self, index: usize) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        while let Some(transmit) = channel.stream.poll_transmit(&mut self.sending) {
            let (socket, local) = match transmit.component {
                Component::Rtp => (&channel.sockets.rtp, channel.sockets.rtp_address),
                Component::Rtcp => (&channel.sockets.rtcp, channel.sockets.rtcp_address),
            };
            // A datagram that cannot be sent is a datagram lost.
            if socket.send_to(&self.sending, transmit.to).is_ok()
                && let Some(tap) = &self.settings.tap
            {
                let (stream, remote) = (channel.key, transmit.to);
                tap.packet(Tapped { stream, way: Way::Sent, local, remote, octets: &self.sending });
            }
        }
        let stream = channel.key;
        while let Some(event) = self.next_event(index) {
            let event = match event {
                StreamEvent::Prepared { capability, session_attributes } => {
                    MediaEvent::Prepared { stream, capability, session_attributes }
                }
                StreamEvent::Failed { reason } => MediaEvent::Failed { stream, reason },
                StreamEvent::Heard { from } => MediaEvent::Heard { stream, from },
                StreamEvent::TimedOut => MediaEvent::TimedOut { stream },
                StreamEvent::Encryption { how } => MediaEvent::Encryption { stream, how },
                StreamEvent::PathChosen { local, remote } => MediaEvent::PathChosen { stream, local, remote },
                StreamEvent::Digit { digit } => MediaEvent::Digit { stream, digit },
                StreamEvent::Keys(keys) => {
                    self.tap_keys(stream, &keys);
                    continue;
                }
            };
            self.tell(event);
        }
    }

    fn next_event(&mut self, index: usize) -> Option<StreamEvent> {
        self.channels.get_mut(index)?.as_mut()?.stream.poll_event()
    }

    fn tap_keys(&self, stream: StreamKey, keys: &SrtpKeys) {
        let Some(tap) = &self.settings.tap else { return };
        let suite = keys.profile().suite();
        let (local, remote) = keys.reveal();
        for (way, key_and_salt) in [(Way::Sent, &local), (Way::Received, &remote)] {
            tap.keys(TappedKeys { stream, way, suite: suite.as_str(), key_and_salt });
        }
    }

    fn wait(&mut self, events: &mut Events, next: Option<Instant>) -> io::Result<()> {
        let now = Instant::now();
        let until_next = next.map(|at| at.saturating_duration_since(now));
        let timeout = if !self.backlog.is_empty() {
            Some(Duration::ZERO)
        } else if self.by_key.len() >= MANY {
            std::thread::sleep(until_next.unwrap_or_default().min(Duration::from_millis(1)));
            Some(Duration::ZERO)
        } else {
            until_next
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn read_sockets(&mut self, events: &Events) {
        let now = Instant::now();
        for token in std::mem::take(&mut self.backlog) {
            self.read_socket(now, token, true);
        }
        for event in events {
            if event.token() != WAKE {
                self.read_socket(now, event.token(), false);
            }
        }
    }

    /// Reads a packet of a stream; all that there are if it is no RTP, or if that is asked for.
    fn read_socket(&mut self, now: Instant, token: Token, mut all: bool) {
        let (index, component) = channel_of(token);
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        let (socket, local) = match component {
            Component::Rtp => (&channel.sockets.rtp, channel.sockets.rtp_address),
            Component::Rtcp => (&channel.sockets.rtcp, channel.sockets.rtcp_address),
        };
        let mut done = false;
        for _ in 0..BATCH {
            match socket.recv_from(&mut self.received[..]) {
                Ok((length, from)) => {
                    let Some(datagram) = self.received.get_mut(..length) else { continue };
                    all |= Datagram::classify(datagram) != Datagram::Rtp;
                    if let Some(tap) = &self.settings.tap {
                        let (stream, remote) = (channel.key, from);
                        tap.packet(Tapped { stream, way: Way::Received, local, remote, octets: datagram });
                    }
                    channel.stream.handle(now, component, from, datagram);
                    if !all {
                        done = true;
                        break;
                    }
                }
                // What an earlier datagram of ours met (ICMP); the next one may come through.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    done = true;
                    break;
                }
            }
        }
        if !done {
            self.backlog.push(token);
        }
        self.flush(index);
    }

    /// Lets the poll tell of a stream's sockets.
    pub(super) fn register(&mut self, index: usize, sockets: &mut super::ports::Pair) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut sockets.rtp, token_of(index, Component::Rtp), Interest::READABLE)?;
        registry.register(&mut sockets.rtcp, token_of(index, Component::Rtcp), Interest::READABLE)
    }

    /// Closes everything; what is still to be written, the clerk writes.
    fn end(mut self) {
        let now = Instant::now();
        for index in 0..self.channels.len() {
            self.close_channel(now, index);
        }
        self.alerts.end(&self.clerk);
    }

    fn drop_recording(&mut self, index: usize) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        let room = channel.room;
        match std::mem::take(&mut channel.recording) {
            Recording::Running { recorder, slot } => {
                self.clerk.ask(Errand::CloseRecorder(recorder));
                self.unplug(room, slot);
            }
            Recording::Stopping { recorder } => self.clerk.ask(Errand::CloseRecorder(recorder)),
            Recording::None | Recording::Opening { .. } => {}
        }
    }

    fn poll_devices(&mut self, _now: Instant, index: usize) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        let from_input = match &mut channel.input {
            Plug::Own { device, .. } => device.poll_event(),
            Plug::Empty | Plug::Opening(_) | Plug::Shared(_) => None,
        };
        let from_output = match &mut channel.output {
            Plug::Own { device, .. } => device.poll_event(),
            Plug::Empty | Plug::Opening(_) | Plug::Shared(_) => None,
        };
        let (stream, wanted) = (channel.key, channel.wanted.clone());
        for (event, device) in [(from_input, wanted.0), (from_output, wanted.1)] {
            if let Some(event) = event {
                self.device_told(Some(stream), device, event);
            }
        }
    }
}

pub(super) fn token_of(index: usize, component: Component) -> Token {
    Token(index * 2 + usize::from(component == Component::Rtcp))
}

fn channel_of(Token(token): Token) -> (usize, Component) {
    (token / 2, if token % 2 == 0 { Component::Rtp } else { Component::Rtcp })
}
