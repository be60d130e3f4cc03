//! What every part of the client works with: the time, the endpoint, and the queue of notifications.

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use sip_endpoint::Endpoint;

use crate::notification::{Data, Notification, Sender};

/// An instant and the time of day that it stands for. Timestamps are computed from it: nothing here reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The instant.
    pub instant: Instant,
    /// Its time of day.
    pub time: SystemTime,
}

impl Epoch {
    /// The time of day of an instant that is not before the epoch's.
    pub fn at(&self, now: Instant) -> SystemTime {
        self.time + now.saturating_duration_since(self.instant)
    }
}

/// The notifications that nobody has taken yet, in the order in which they were posted.
#[derive(Debug)]
pub struct Notices {
    epoch: Epoch,
    queue: VecDeque<Notification>,
}

impl Notices {
    /// An empty queue.
    pub fn new(epoch: Epoch) -> Notices {
        Notices { epoch, queue: VecDeque::new() }
    }

    /// Posts a notification.
    pub fn post(&mut self, now: Instant, sender: Sender, data: Data) {
        self.queue.push_back(Notification { timestamp: self.epoch.at(now), sender, data });
    }

    /// The oldest notification.
    pub fn poll(&mut self) -> Option<Notification> {
        self.queue.pop_front()
    }

    /// The time of day.
    pub fn time(&self, now: Instant) -> SystemTime {
        self.epoch.at(now)
    }
}

/// What a step of the client is taken with.
pub(crate) struct Desk<'a> {
    pub(crate) now: Instant,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) notices: &'a mut Notices,
}

impl Desk<'_> {
    pub(crate) fn post(&mut self, sender: Sender, data: Data) {
        self.notices.post(self.now, sender, data);
    }

    /// A fresh random text for Call-IDs and client nonces: 64 bits of the endpoint's chance.
    pub(crate) fn random_text(&mut self) -> String {
        format!("{:016x}", self.endpoint.random())
    }
}
