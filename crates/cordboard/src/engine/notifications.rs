//! A queue of notifications, as an application reads it.

use std::sync::Arc;
use std::time::SystemTime;

use client::{Data, Notification, Sender};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, WeakSender};

/// A queue of notifications. Whoever is too slow loses the oldest and is told how many, by
/// [`Data::EngineDidDropNotifications`]; nobody else is held up.
#[derive(Clone)]
pub struct Notifications {
    queue: Arc<Mutex<Receiver<Notification>>>,
    /// Weak, so that a reader does not keep open what it reads.
    source: WeakSender<Notification>,
}

impl Notifications {
    pub(super) fn of(line: &broadcast::Sender<Notification>) -> Notifications {
        Notifications { queue: Arc::new(Mutex::new(line.subscribe())), source: line.downgrade() }
    }

    /// Another queue of the same, beginning now; one that has ended, where this one has.
    pub(super) fn beginning_now(&self) -> Notifications {
        self.source
            .upgrade()
            .map_or_else(|| Notifications::of(&broadcast::Sender::new(1)), |line| Notifications::of(&line))
    }

    /// The next one; none when there will be no more: the session is over, or the engine has stopped.
    pub async fn next(&self) -> Option<Notification> {
        match self.queue.lock().await.recv().await {
            Ok(notification) => Some(notification),
            Err(RecvError::Lagged(count)) => Some(lost(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next one if it is there already.
    pub fn try_next(&self) -> Option<Notification> {
        match self.queue.try_lock().ok()?.try_recv() {
            Ok(notification) => Some(notification),
            Err(TryRecvError::Lagged(count)) => Some(lost(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

fn lost(count: u64) -> Notification {
    let data = Data::EngineDidDropNotifications { count };
    Notification { timestamp: SystemTime::now(), sender: Sender::Engine, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Notification {
        Notification { timestamp: SystemTime::UNIX_EPOCH, sender: Sender::Engine, data: Data::EngineDidStart }
    }

    #[tokio::test]
    async fn whoever_is_too_slow_is_told_how_many_he_missed_and_reads_on() {
        let post = broadcast::Sender::new(4);
        let notifications = Notifications::of(&post);
        for _ in 0..7 {
            post.send(started()).unwrap();
        }
        drop(post);
        assert_eq!(notifications.next().await.unwrap().data, Data::EngineDidDropNotifications { count: 3 });
        for _ in 0..4 {
            assert_eq!(notifications.next().await.unwrap().data, Data::EngineDidStart);
        }
        assert!(notifications.next().await.is_none());
    }

    #[tokio::test]
    async fn a_second_queue_begins_now_and_ends_with_the_first() {
        let post = broadcast::Sender::new(4);
        let first = Notifications::of(&post);
        post.send(started()).unwrap();
        let second = first.beginning_now();
        drop(post);
        assert_eq!(first.next().await.unwrap().data, Data::EngineDidStart);
        assert!(first.next().await.is_none() && second.next().await.is_none());
        assert!(first.beginning_now().next().await.is_none());
    }
}
