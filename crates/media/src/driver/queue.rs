//! The way to the media thread: orders in, statistics out.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use mio::Waker;

use super::clerk::Opened;
use super::{MediaCommand, MediaError, StreamKey};
use crate::stream::AudioStatistics;

/// So many orders may wait: as many as streams an engine can have, a few each.
const LIMIT: usize = 16_384;

/// What the media thread is told.
pub(super) enum Order {
    /// By the application.
    Command(MediaCommand),
    /// By the clerk.
    Opened(Opened),
}

/// Orders that wait for the media thread.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    waker: Waker,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<Order>,
    ended: bool,
}

impl Queue {
    pub(super) fn new(waker: Waker) -> Queue {
        Queue { waiting: Mutex::default(), waker }
    }

    /// Hands in an order. The end of a stream is taken even if there is no room: there are at most as many as streams.
    pub(super) fn send(&self, command: MediaCommand) -> Result<(), MediaError> {
        let mut waiting = self.lock();
        if waiting.ended {
            return Err(MediaError::Ended);
        }
        if waiting.orders.len() >= LIMIT && !matches!(command, MediaCommand::Close { .. }) {
            return Err(MediaError::Busy);
        }
        waiting.orders.push_back(Order::Command(command));
        let first = waiting.orders.len() == 1;
        drop(waiting);
        if first { self.wake() } else { Ok(()) }
    }

    /// Hands in what the clerk has done: as much as was asked of him.
    pub(super) fn report(&self, opened: Opened) {
        let mut waiting = self.lock();
        if !waiting.ended {
            waiting.orders.push_back(Order::Opened(opened));
            drop(waiting);
            if let Err(error) = self.wake() {
                tracing::error!(%error, "the media thread could not be woken");
            }
        }
    }

    /// Takes no more orders and lets the media thread end.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        if let Err(error) = self.wake() {
            tracing::error!(%error, "the media thread could not be woken");
        }
    }

    /// Moves all that waits into `orders`; false if the thread shall end.
    pub(super) fn drain(&self, orders: &mut VecDeque<Order>) -> bool {
        let mut waiting = self.lock();
        orders.append(&mut waiting.orders);
        !waiting.ended
    }

    fn wake(&self) -> Result<(), MediaError> {
        self.waker.wake().map_err(MediaError::Io)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// The latest numbers of every stream. The media thread writes them where nobody reads at that moment and never waits.
#[derive(Debug, Default)]
pub(super) struct Board {
    streams: RwLock<HashMap<StreamKey, Arc<Notice>>>,
}

/// The latest numbers of a stream.
#[derive(Debug, Default)]
pub(super) struct Notice(Mutex<AudioStatistics>);

impl Board {
    pub(super) fn read(&self, stream: StreamKey) -> Option<AudioStatistics> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let notice = streams.get(&stream)?.clone();
        drop(streams);
        Some(notice.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(super) fn add(&self, stream: StreamKey) -> Arc<Notice> {
        let notice = Arc::new(Notice::default());
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(stream, notice.clone());
        notice
    }

    pub(super) fn remove(&self, stream: StreamKey) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }
}

impl Notice {
    /// Writes the numbers; next time if somebody reads just now.
    pub(super) fn write(&self, statistics: AudioStatistics) {
        if let Ok(mut notice) = self.0.try_lock() {
            *notice = statistics;
        }
    }
}
