//! What the media thread does when it is told to: streams made, applied and closed; devices, files and recordings plugged
//! in and out; rooms joined.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::channel::{Channel, Playing, Plug, Recording};
use super::clerk::{Errand, Opened, Owner};
use super::command::{MediaCommand, MediaEvent, StreamKey};
use super::ports::Pair;
use super::room::{Room, Shared, SharedDevice};
use super::worker::Worker;
use crate::bridge::{Role, SlotId};
use crate::device::{DeviceEvent, DeviceSpec, Sink, Source};
use crate::stream::{Agreed, AudioStream, StreamPlan, StreamSetup};
use crate::tone::Repeat;
use crate::wav::{Player, PlayerOptions, Recorder};

impl Worker {
    pub(super) fn obey(&mut self, command: MediaCommand) {
        let now = Instant::now();
        match command {
            MediaCommand::Prepare { stream, plan, .. } => self.prepare(now, stream, *plan),
            MediaCommand::Apply { stream, agreement, local, remote, early } => {
                let agreed = Agreed { agreement: &agreement, local: &local, remote: &remote, early };
                self.apply(now, stream, agreed);
            }
            MediaCommand::SendDigit { stream, digit, duration } => {
                if let Some(channel) = self.channel(stream)
                    && !channel.stream.send_digit(digit, duration)
                {
                    tracing::debug!("a digit that is none, or one too many, was not sent");
                }
            }
            MediaCommand::Mute { stream, muted } => {
                self.change(stream, |channel| {
                    channel.muted = muted;
                    channel.stream.set_muted(muted);
                });
            }
            MediaCommand::StartRecording { stream, file_name } => self.start_recording(stream, file_name),
            MediaCommand::PauseRecording { stream, paused } => self.pause_recording(stream, paused),
            MediaCommand::StopRecording { stream } => self.stop_recording(stream),
            MediaCommand::PlayFile { stream, file_name, times, volume } => {
                self.play_file(stream, file_name, times, volume);
            }
            MediaCommand::StopFile { stream } => {
                if let Some(&index) = self.by_key.get(&stream) {
                    self.stop_player(index);
                }
            }
            MediaCommand::Mirror { stream, mirrored } => self.change(stream, |channel| channel.mirrored = mirrored),
            MediaCommand::Connect { one, other } => self.connect(one, other),
            MediaCommand::Disconnect { one, other } => self.disconnect(one, other),
            MediaCommand::SetDevices { stream, input, output } => self.set_devices(stream, &input, &output),
            MediaCommand::Play { session, sound } => {
                self.alerts.play(session, sound, &self.clerk);
                if self.alerts.is_playing() && self.alerts_phase.is_none() {
                    self.alerts_phase = Some(0);
                    self.schedule.enter_phase(now, 0);
                }
            }
            MediaCommand::Close { stream } => {
                if let Some(&index) = self.by_key.get(&stream) {
                    self.close_channel(now, index);
                }
            }
        }
    }

    /// The clerk has opened something.
    pub(super) fn plug_in(&mut self, opened: Opened) {
        match opened {
            Opened::Recorder { stream, recorder } => self.plug_recorder(stream, recorder),
            Opened::Player { stream, player } => self.plug_player(stream, player),
            Opened::Source { owner, spec, source } => self.plug_source(owner, spec, source),
            Opened::Sink { owner, spec, sink } => self.plug_sink(owner, spec, sink),
        }
    }

    // Streams

    fn prepare(&mut self, now: Instant, key: StreamKey, plan: StreamPlan) {
        if let Some(&index) = self.by_key.get(&key) {
            if let (Some(channel), Some((offer, media))) = (self.channel(key), &plan.offer) {
                channel.stream.prepare_answer(offer, *media);
            }
            return self.flush(index);
        }
        let mut sockets = match self.ports.bind(plan.local) {
            Ok(sockets) => sockets,
            Err(error) => {
                let reason = format!("no ports for RTP at {}: {error}", plan.local).into();
                return self.tell(MediaEvent::Failed { stream: key, reason });
            }
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.channels.push(None);
            self.channels.len() - 1
        });
        if let Err(error) = self.register(index, &mut sockets) {
            self.free.push(index);
            let reason = format!("the sockets for RTP cannot be read: {error}").into();
            return self.tell(MediaEvent::Failed { stream: key, reason });
        }
        let channel = self.channel_for(now, key, plan, sockets, index);
        self.channels[index] = Some(channel);
        let before = self.by_key.len();
        self.by_key.insert(key, index);
        self.set_complexity(before);
        self.flush(index);
    }

    fn channel_for(&mut self, now: Instant, key: StreamKey, plan: StreamPlan, sockets: Pair, index: usize) -> Channel {
        let (room, slot) = self.open_room(now, index);
        let wanted = (plan.audio.input.as_str().into(), plan.audio.output.as_str().into());
        let setup = StreamSetup {
            plan,
            rtp: sockets.rtp_address,
            rtcp: Some(sockets.rtcp_address),
            rate: self.settings.rate,
            timeout: self.settings.timeout,
            certificate: self.certificate.clone(),
            clock: self.clock,
            complexity: complexity(self.by_key.len() + 1),
            random: Box::new(|octets| getrandom::fill(octets).expect("the system gives random numbers")),
        };
        Channel {
            key,
            stream: AudioStream::new(now, setup),
            sockets,
            room,
            slot,
            wanted,
            input: Plug::Empty,
            output: Plug::Empty,
            player: None,
            recording: Recording::None,
            mirrored: false,
            muted: false,
            notice: self.board.add(key),
            ticks: 0,
        }
    }

    /// Encoders share the time that there is: there were so many streams before.
    fn set_complexity(&mut self, before: usize) {
        let complexity_now = complexity(self.by_key.len());
        if complexity_now != complexity(before) {
            for channel in self.channels.iter_mut().flatten() {
                channel.stream.set_complexity(complexity_now);
            }
        }
    }

    fn open_room(&mut self, now: Instant, member: usize) -> (usize, SlotId) {
        let phase = self.schedule.enter(now);
        let mut room = Room::new(self.settings.rate, phase);
        room.members.push(member);
        let slot = room.bridge.add(Role::Apart);
        let index = self.rooms.iter().position(Option::is_none).unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() - 1
        });
        self.rooms[index] = Some(room);
        self.by_phase[phase].push(index);
        (index, slot)
    }

    /// Takes a room out of the house.
    fn take_room(&mut self, index: usize) -> Option<Room> {
        let room = self.rooms.get_mut(index).and_then(Option::take)?;
        self.schedule.leave(room.phase);
        self.by_phase[room.phase].retain(|other| *other != index);
        Some(room)
    }

    fn apply(&mut self, now: Instant, key: StreamKey, agreed: Agreed<'_>) {
        let Some(channel) = self.channel(key) else { return };
        let was_running = channel.stream.is_running();
        channel.stream.apply(now, agreed);
        if !was_running && channel.stream.is_running() {
            let (input, output) = channel.wanted.clone();
            self.plug_devices(key, &input, &output);
        }
        if let Some(&index) = self.by_key.get(&key) {
            self.flush(index);
        }
    }

    pub(super) fn close_channel(&mut self, now: Instant, index: usize) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        channel.stream.close(now);
        while channel.stream.poll_event().is_some() {}
        self.flush(index);
        let Some(mut channel) = self.channels.get_mut(index).and_then(Option::take) else { return };
        let before = self.by_key.len();
        self.by_key.remove(&channel.key);
        self.set_complexity(before);
        self.board.remove(channel.key);
        let registry = self.poll.registry();
        for socket in [&mut channel.sockets.rtp, &mut channel.sockets.rtcp] {
            if let Err(error) = registry.deregister(socket) {
                tracing::debug!(%error, "a socket was not known to the poll");
            }
        }
        let slots: Vec<SlotId> = channel.slots().map(|slot| *slot).collect();
        match channel.recording {
            Recording::Running { recorder, .. } | Recording::Stopping { recorder } => {
                self.clerk.ask(Errand::CloseRecorder(recorder));
            }
            Recording::None | Recording::Opening { .. } => {}
        }
        if let Plug::Own { device, .. } = channel.input {
            self.clerk.ask(Errand::CloseSource(device));
        }
        if let Plug::Own { device, .. } = channel.output {
            self.clerk.ask(Errand::CloseSink(device));
        }
        self.leave_room(channel.room, index, &slots);
        self.free.push(index);
    }

    fn leave_room(&mut self, room: usize, member: usize, slots: &[SlotId]) {
        let Some(Some(entered)) = self.rooms.get_mut(room) else { return };
        entered.members.retain(|other| *other != member);
        entered.links.retain(|(one, other)| *one != member && *other != member);
        if entered.members.is_empty() {
            if let Some(closed) = self.take_room(room) {
                closed.devices.into_iter().for_each(|shared| self.close_device(shared.device));
            }
            return;
        }
        entered.rewire(&self.channels);
        for &slot in slots {
            entered.bridge.remove(slot);
        }
        self.tidy(room);
    }

    /// Closes what no member uses any more.
    fn tidy(&mut self, room: usize) {
        let Some(Some(tidied)) = self.rooms.get_mut(room) else { return };
        let channels = &self.channels;
        let uses =
            |channel: &Channel, shared: &Shared| match (shared.device.is_source(), &channel.input, &channel.output) {
                (true, Plug::Shared(spec), _) | (false, _, Plug::Shared(spec)) => *spec == shared.spec,
                _ => false,
            };
        let (kept, unused): (Vec<Shared>, Vec<Shared>) =
            std::mem::take(&mut tidied.devices).into_iter().partition(|shared| {
                tidied
                    .members
                    .iter()
                    .any(|&m| channels.get(m).and_then(Option::as_ref).is_some_and(|c| uses(c, shared)))
            });
        tidied.devices = kept;
        tidied.rewire(channels);
        for shared in &unused {
            tidied.bridge.remove(shared.slot);
        }
        unused.into_iter().for_each(|shared| self.close_device(shared.device));
    }

    fn close_device(&mut self, device: SharedDevice) {
        match device {
            SharedDevice::Source(device) => self.clerk.ask(Errand::CloseSource(device)),
            SharedDevice::Sink(device) => self.clerk.ask(Errand::CloseSink(device)),
            SharedDevice::Opening { .. } | SharedDevice::Broken { .. } => {}
        }
    }

    // Rooms

    fn connect(&mut self, one: StreamKey, other: StreamKey) {
        let (Some(&one), Some(&other)) = (self.by_key.get(&one), self.by_key.get(&other)) else { return };
        if one == other {
            return;
        }
        let rooms = [one, other].map(|index| self.channels[index].as_ref().map(|channel| channel.room));
        let [Some(to), Some(from)] = rooms else { return };
        self.join_rooms(to, from);
        if let Some(Some(room)) = self.rooms.get_mut(to) {
            if !room.links.contains(&(one, other)) && !room.links.contains(&(other, one)) {
                room.links.push((one, other));
            }
            room.rewire(&self.channels);
        }
    }

    fn disconnect(&mut self, one: StreamKey, other: StreamKey) {
        let (Some(&one), Some(&other)) = (self.by_key.get(&one), self.by_key.get(&other)) else { return };
        let Some(room) = self.channels[one].as_ref().map(|channel| channel.room) else { return };
        if let Some(Some(room)) = self.rooms.get_mut(room) {
            room.links.retain(|link| *link != (one, other) && *link != (other, one));
            room.rewire(&self.channels);
        }
    }

    /// Moves all that is in one room into another.
    fn join_rooms(&mut self, to: usize, from: usize) {
        if to == from {
            return;
        }
        let Some(moved) = self.take_room(from) else { return };
        let members = moved.members.clone();
        if let Some(Some(room)) = self.rooms.get_mut(to) {
            room.absorb(moved, &mut self.channels);
        }
        for member in members {
            if let Some(channel) = self.channels.get_mut(member).and_then(Option::as_mut) {
                channel.room = to;
            }
        }
        self.rewire(to);
    }

    fn rewire(&mut self, room: usize) {
        if let Some(Some(room)) = self.rooms.get_mut(room) {
            room.rewire(&self.channels);
        }
    }

    /// Takes a slot out of a room.
    pub(super) fn unplug(&mut self, room: usize, slot: SlotId) {
        if let Some(Some(room)) = self.rooms.get_mut(room) {
            room.rewire(&self.channels);
            room.bridge.remove(slot);
        }
    }

    fn new_slot(&mut self, room: usize) -> Option<SlotId> {
        self.rooms.get_mut(room)?.as_mut().map(|room| room.bridge.add(Role::Apart))
    }

    // Devices

    fn set_devices(&mut self, key: StreamKey, input: &str, output: &str) {
        let Some(channel) = self.channel(key) else { return };
        channel.wanted = (input.into(), output.into());
        let is_running = channel.stream.is_running();
        let old = (std::mem::take(&mut channel.input), std::mem::take(&mut channel.output));
        let room = channel.room;
        if let Plug::Own { device, slot } = old.0 {
            self.clerk.ask(Errand::CloseSource(device));
            self.unplug(room, slot);
        }
        if let Plug::Own { device, slot } = old.1 {
            self.clerk.ask(Errand::CloseSink(device));
            self.unplug(room, slot);
        }
        if is_running {
            self.plug_devices(key, &Arc::from(input), &Arc::from(output));
        }
        if let Some(room) = self.channel(key).map(|channel| channel.room) {
            self.tidy(room);
        }
    }

    fn plug_devices(&mut self, key: StreamKey, input: &Arc<str>, output: &Arc<str>) {
        match kind(input, true) {
            DeviceKind::None => {}
            DeviceKind::Own => {
                self.change(key, |channel| channel.input = Plug::Opening(input.clone()));
                self.clerk.ask(Errand::OpenSource { owner: Owner::Stream(key), spec: input.clone() });
            }
            DeviceKind::Shared => {
                self.share_device(key, input, true);
                self.change(key, |channel| channel.input = Plug::Shared(input.clone()));
            }
        }
        match kind(output, false) {
            DeviceKind::None => {}
            DeviceKind::Own => {
                self.change(key, |channel| channel.output = Plug::Opening(output.clone()));
                self.clerk.ask(Errand::OpenSink { owner: Owner::Stream(key), spec: output.clone() });
            }
            DeviceKind::Shared => {
                self.share_device(key, output, false);
                self.change(key, |channel| channel.output = Plug::Shared(output.clone()));
            }
        }
    }

    /// Brings a stream into the room that has the device, or the device into the stream's room.
    fn share_device(&mut self, key: StreamKey, spec: &Arc<str>, source: bool) {
        let Some(own) = self.channel(key).map(|channel| channel.room) else { return };
        let mut rooms = self.rooms.iter_mut().enumerate();
        let there = rooms.find_map(|(index, room)| room.as_mut()?.device(spec, source).is_some().then_some(index));
        if let Some(there) = there {
            return self.join_rooms(there, own);
        }
        let Some(slot) = self.new_slot(own) else { return };
        if let Some(Some(room)) = self.rooms.get_mut(own) {
            room.devices.push(Shared { spec: spec.clone(), slot, device: SharedDevice::Opening { source } });
        }
        let (owner, spec) = (Owner::Shared, spec.clone());
        self.clerk.ask(if source { Errand::OpenSource { owner, spec } } else { Errand::OpenSink { owner, spec } });
    }

    fn plug_source(&mut self, owner: Owner, spec: Arc<str>, source: Result<Box<dyn Source>, Arc<str>>) {
        match owner {
            Owner::Stream(key) => match source {
                Ok(device) => {
                    let room = self.channel(key).map(|channel| (channel.room, opening(&channel.input, &spec)));
                    let slot = match room {
                        Some((room, true)) => self.new_slot(room),
                        // Gone, or another one is wanted meanwhile.
                        Some((_, false)) | None => None,
                    };
                    match slot {
                        Some(slot) => self.change(key, |channel| channel.input = Plug::Own { device, slot }),
                        None => self.clerk.ask(Errand::CloseSource(device)),
                    }
                }
                Err(reason) => {
                    self.change(key, |channel| channel.input = Plug::Empty);
                    self.tell(MediaEvent::DeviceFailed { stream: Some(key), device: spec, reason });
                }
            },
            Owner::Shared => {
                let (device, reason) = match source {
                    Ok(device) => (SharedDevice::Source(device), None),
                    Err(reason) => (SharedDevice::Broken { source: true }, Some(reason)),
                };
                self.plug_shared(&spec, true, device, reason);
            }
            Owner::Alert => {}
        }
    }

    fn plug_sink(&mut self, owner: Owner, spec: Arc<str>, sink: Result<Box<dyn Sink>, Arc<str>>) {
        match owner {
            Owner::Stream(key) => match sink {
                Ok(device) => {
                    let room = self.channel(key).map(|channel| (channel.room, opening(&channel.output, &spec)));
                    let slot = match room {
                        Some((room, true)) => self.new_slot(room),
                        Some((_, false)) | None => None,
                    };
                    match slot {
                        Some(slot) => self.change(key, |channel| channel.output = Plug::Own { device, slot }),
                        None => self.clerk.ask(Errand::CloseSink(device)),
                    }
                }
                Err(reason) => {
                    self.change(key, |channel| channel.output = Plug::Empty);
                    self.tell(MediaEvent::DeviceFailed { stream: Some(key), device: spec, reason });
                }
            },
            Owner::Shared => {
                let (device, reason) = match sink {
                    Ok(device) => (SharedDevice::Sink(device), None),
                    Err(reason) => (SharedDevice::Broken { source: false }, Some(reason)),
                };
                self.plug_shared(&spec, false, device, reason);
            }
            Owner::Alert => {
                let opened = sink.map_err(|reason| {
                    self.tell(MediaEvent::DeviceFailed { stream: None, device: spec, reason });
                });
                self.alerts.opened(opened.ok());
            }
        }
    }

    fn plug_shared(&mut self, spec: &Arc<str>, source: bool, device: SharedDevice, reason: Option<Arc<str>>) {
        let place = self.rooms.iter_mut().flatten().find_map(|room| room.device(spec, source));
        match place {
            Some(shared) => shared.device = device,
            None => self.close_device(device),
        }
        if let Some(reason) = reason {
            self.tell(MediaEvent::DeviceFailed { stream: None, device: spec.clone(), reason });
        }
    }

    pub(super) fn device_told(&mut self, stream: Option<StreamKey>, device: Arc<str>, event: DeviceEvent) {
        match event {
            DeviceEvent::Ended => tracing::debug!(%device, "the input has ended"),
            DeviceEvent::Lost { samples } => tracing::debug!(%device, samples, "the device did not keep the pace"),
            DeviceEvent::Failed(error) => {
                self.tell(MediaEvent::DeviceFailed { stream, device, reason: error.to_string().into() });
            }
        }
    }

    // Files

    fn start_recording(&mut self, key: StreamKey, path: PathBuf) {
        let Some(channel) = self.channel(key) else { return };
        if matches!(channel.recording, Recording::None) {
            channel.recording = Recording::Opening { paused: false, stopped: false };
            self.clerk.ask(Errand::OpenRecorder { stream: key, path });
        }
    }

    fn pause_recording(&mut self, key: StreamKey, pause: bool) {
        match self.channel(key).map(|channel| &mut channel.recording) {
            Some(Recording::Opening { paused, .. }) => *paused = pause,
            Some(Recording::Running { recorder, .. }) if pause => recorder.pause(),
            Some(Recording::Running { recorder, .. }) => recorder.resume(),
            Some(Recording::None | Recording::Stopping { .. }) | None => {}
        }
    }

    fn stop_recording(&mut self, key: StreamKey) {
        let Some(channel) = self.channel(key) else { return };
        let room = channel.room;
        match std::mem::take(&mut channel.recording) {
            Recording::Opening { paused, .. } => channel.recording = Recording::Opening { paused, stopped: true },
            Recording::Running { mut recorder, slot } => {
                recorder.stop();
                channel.recording = Recording::Stopping { recorder };
                self.unplug(room, slot);
            }
            other @ (Recording::None | Recording::Stopping { .. }) => channel.recording = other,
        }
    }

    fn plug_recorder(&mut self, key: StreamKey, recorder: Result<Box<Recorder>, Arc<str>>) {
        let Some(channel) = self.channel(key) else {
            if let Ok(recorder) = recorder {
                self.clerk.ask(Errand::CloseRecorder(recorder));
            }
            return;
        };
        let (room, asked) = (channel.room, std::mem::take(&mut channel.recording));
        let mut recorder = match recorder {
            Ok(recorder) => recorder,
            Err(reason) => {
                return self.tell(MediaEvent::RecordingStopped { stream: key, error: Some(reason) });
            }
        };
        self.tell(MediaEvent::RecordingStarted { stream: key });
        let Recording::Opening { paused, stopped } = asked else {
            return self.clerk.ask(Errand::CloseRecorder(recorder));
        };
        if paused {
            recorder.pause();
        }
        let recording = match self.new_slot(room) {
            Some(slot) if !stopped => Recording::Running { recorder, slot },
            _ => {
                recorder.stop();
                Recording::Stopping { recorder }
            }
        };
        self.change(key, |channel| channel.recording = recording);
    }

    fn play_file(&mut self, key: StreamKey, path: PathBuf, times: u32, volume: u8) {
        if !self.by_key.contains_key(&key) {
            return;
        }
        let repeat = if times == 0 { Repeat::Forever } else { Repeat::Times(times) };
        let options = PlayerOptions { repeat, volume, ..PlayerOptions::default() };
        self.clerk.ask(Errand::OpenPlayer { stream: key, path, options });
    }

    fn plug_player(&mut self, key: StreamKey, player: Result<Box<Player>, Arc<str>>) {
        let Some(&index) = self.by_key.get(&key) else { return };
        let player = match player {
            Ok(player) => player,
            Err(reason) => return self.tell(MediaEvent::Played { stream: key, error: Some(reason) }),
        };
        // The one before has ended with this.
        self.stop_player(index);
        let room = self.channels[index].as_ref().map(|channel| channel.room);
        if let Some(slot) = room.and_then(|room| self.new_slot(room)) {
            self.change(key, |channel| channel.player = Some(Playing { player, slot }));
        }
    }

    pub(super) fn stop_player(&mut self, index: usize) {
        let Some(channel) = self.channels.get_mut(index).and_then(Option::as_mut) else { return };
        let Some(Playing { player, slot }) = channel.player.take() else { return };
        let (key, room) = (channel.key, channel.room);
        self.unplug(room, slot);
        self.tell(MediaEvent::Played { stream: key, error: player.failure().map(|error| error.to_string().into()) });
    }

    // Helpers

    fn channel(&mut self, key: StreamKey) -> Option<&mut Channel> {
        let index = *self.by_key.get(&key)?;
        self.channels.get_mut(index)?.as_mut()
    }

    /// Changes a stream's channel and connects its room anew.
    fn change(&mut self, key: StreamKey, change: impl FnOnce(&mut Channel)) {
        if let Some(channel) = self.channel(key) {
            change(channel);
            let room = channel.room;
            self.rewire(room);
        }
    }
}

/// How much time an encoder may take when there are so many streams.
fn complexity(streams: usize) -> u8 {
    match streams {
        0..4 => 9,
        4..16 => 5,
        _ => 0,
    }
}

enum DeviceKind {
    /// Nothing would be heard.
    None,
    /// Each stream has one of its own: a tone, a file that is played.
    Own,
    /// There is but one: a sound card, a pipe, a file that is written.
    Shared,
}

fn kind(spec: &str, source: bool) -> DeviceKind {
    match spec.parse() {
        Ok(DeviceSpec::Silence) => DeviceKind::None,
        Ok(DeviceSpec::File(_)) if source => DeviceKind::Own,
        Ok(DeviceSpec::File(_) | DeviceSpec::Pipe(_) | DeviceSpec::StandardPipe | DeviceSpec::Sound(_)) => {
            DeviceKind::Shared
        }
        // What is no device fails when it is opened.
        Ok(DeviceSpec::Tone(_)) | Err(_) => DeviceKind::Own,
    }
}

fn opening<T>(plug: &Plug<T>, spec: &str) -> bool {
    matches!(plug, Plug::Opening(opening) if **opening == *spec)
}
