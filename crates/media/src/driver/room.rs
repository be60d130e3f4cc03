//! A room: a bridge with the streams and devices that hear each other in it. Most rooms have one stream; a conference is
//! one room, and so are all streams that share a sound card.
//!
//! Who hears whom is said by [`Room::rewire`] anew whenever something is plugged in or out, instead of being changed here
//! and there:
//!
//! ```text
//!   input (or the file that is played) ──► the peer ──► output
//!                         └──────► recording ◄──┘
//!   mirrored: the peer ──► the peer             linked: the peers of both ◄──► each other
//! ```
//!
//! Where all who are linked are linked with all, the bridge's own room is used, which costs each of them the same however
//! many they are.

use std::sync::Arc;

use super::channel::{Channel, Plug, Recording};
use crate::bridge::{Bridge, Role, SlotId};
use crate::device::{Sink, Source};
use crate::pcm::SampleRate;

pub(super) struct Room {
    pub(super) bridge: Bridge,
    /// In which millisecond of every 20 it has its tick.
    pub(super) phase: usize,
    pub(super) members: Vec<usize>,
    pub(super) devices: Vec<Shared>,
    /// Which members' peers hear each other.
    pub(super) links: Vec<(usize, usize)>,
    /// What is connected in the bridge.
    wires: Vec<(SlotId, SlotId)>,
}

/// A device that several streams share.
pub(super) struct Shared {
    pub(super) spec: Arc<str>,
    pub(super) slot: SlotId,
    pub(super) device: SharedDevice,
}

pub(super) enum SharedDevice {
    /// The clerk opens it: a source or a sink.
    Opening {
        source: bool,
    },
    Source(Box<dyn Source>),
    Sink(Box<dyn Sink>),
    /// It could not be opened.
    Broken {
        source: bool,
    },
}

impl SharedDevice {
    pub(super) fn is_source(&self) -> bool {
        match self {
            SharedDevice::Source(_) => true,
            SharedDevice::Sink(_) => false,
            SharedDevice::Opening { source } | SharedDevice::Broken { source } => *source,
        }
    }
}

impl Room {
    pub(super) fn new(rate: SampleRate, phase: usize) -> Room {
        Room {
            bridge: Bridge::new(rate),
            phase,
            members: Vec::new(),
            devices: Vec::new(),
            links: Vec::new(),
            wires: Vec::new(),
        }
    }

    /// The shared device of that name.
    pub(super) fn device(&mut self, spec: &str, source: bool) -> Option<&mut Shared> {
        self.devices.iter_mut().find(|shared| *shared.spec == *spec && shared.device.is_source() == source)
    }

    /// Takes in all that another room has. Afterwards both have to be rewired.
    pub(super) fn absorb(&mut self, mut other: Room, channels: &mut [Option<Channel>]) {
        for &member in &other.members {
            if let Some(channel) = channels.get_mut(member).and_then(Option::as_mut) {
                for slot in channel.slots() {
                    *slot = self.bridge.add(Role::Apart);
                }
            }
        }
        for shared in &mut other.devices {
            shared.slot = self.bridge.add(Role::Apart);
        }
        self.members.append(&mut other.members);
        self.devices.append(&mut other.devices);
        self.links.append(&mut other.links);
    }

    /// Connects everybody with whom they should hear, and nobody else.
    pub(super) fn rewire(&mut self, channels: &[Option<Channel>]) {
        let channel = |member: usize| channels.get(member).and_then(Option::as_ref);
        let linked = self.linked();
        let is_conference = self.is_conference(&linked);
        let mut wanted = Vec::new();
        for &member in &self.members {
            let Some(channel) = channel(member) else { continue };
            let confers = is_conference && linked.contains(&member);
            self.bridge.set_role(channel.slot, if confers { Role::Member } else { Role::Apart });
            if let Recording::Running { slot, .. } = channel.recording {
                self.bridge.set_role(slot, if confers { Role::Listener } else { Role::Apart });
            }
            self.wires_of(member, channel, channels, confers, &mut wanted);
        }
        for &(from, to) in self.wires.iter().filter(|wire| !wanted.contains(wire)) {
            self.bridge.disconnect(from, to);
        }
        for &(from, to) in wanted.iter().filter(|wire| !self.wires.contains(wire)) {
            self.bridge.connect(from, to);
        }
        self.wires = wanted;
    }

    /// Members with a link.
    fn linked(&self) -> Vec<usize> {
        let mut linked: Vec<usize> = self.links.iter().flat_map(|&(one, other)| [one, other]).collect();
        linked.sort_unstable();
        linked.dedup();
        linked
    }

    /// Whether all of them are linked with all others; there are no two links between the same.
    fn is_conference(&self, linked: &[usize]) -> bool {
        linked.len() > 2 && self.links.len() == linked.len() * (linked.len() - 1) / 2
    }

    fn wires_of(
        &self,
        member: usize,
        channel: &Channel,
        channels: &[Option<Channel>],
        confers: bool,
        wires: &mut Vec<(SlotId, SlotId)>,
    ) {
        let peer = channel.slot;
        let mut said: Vec<SlotId> = Vec::new();
        if channel.mirrored {
            said.push(peer);
        } else if let Some(playing) = &channel.player {
            said.push(playing.slot);
        } else if !channel.muted {
            said.extend(self.plugged(&channel.input, true));
        }
        if !confers {
            let partners = self.links.iter().filter_map(|&(one, other)| match member {
                _ if member == one => Some(other),
                _ if member == other => Some(one),
                _ => None,
            });
            said.extend(partners.filter_map(|partner| Some(channels.get(partner)?.as_ref()?.slot)));
        }
        wires.extend(said.iter().map(|&from| (from, peer)));
        // Our user hears the peer, not what is said to him.
        wires.extend(self.plugged(&channel.output, false).map(|output| (peer, output)));
        if let Recording::Running { slot, .. } = channel.recording {
            // In a conference it hears the room, and the peer with it.
            wires.extend((!confers).then_some((peer, slot)));
            wires.extend(said.iter().filter(|&&from| from != peer).map(|&from| (from, slot)));
        }
    }

    fn plugged<T>(&self, plug: &Plug<T>, source: bool) -> Option<SlotId> {
        match plug {
            Plug::Own { slot, .. } => Some(*slot),
            Plug::Shared(spec) => {
                let mut devices = self.devices.iter();
                devices.find(|shared| shared.spec == *spec && shared.device.is_source() == source).map(|s| s.slot)
            }
            Plug::Empty | Plug::Opening(_) => None,
        }
    }
}
