//! Where notifications are handed on: to whoever listens to all, and to whoever listens to one session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use client::session::{SessionId, SessionInfo};
use client::{Data, Notification, Sender};
use tokio::sync::{broadcast, watch};

use super::notifications::Notifications;

/// Notifications that a reader of all may be behind.
const ALL: usize = 4_096;
/// Notifications that a reader of one session may be behind.
const ONE: usize = 256;

/// Shared by the worker, which posts, and by handles, which subscribe. Not on the path of a message: locked for as long
/// as it takes to put a notification into queues that never wait.
#[derive(Clone)]
pub(super) struct Hub(Arc<Mutex<Lines>>);

struct Lines {
    all: broadcast::Sender<Notification>,
    sessions: HashMap<SessionId, Line>,
}

/// What concerns one session.
#[derive(Clone)]
pub(super) struct Line {
    notifications: broadcast::Sender<Notification>,
    info: watch::Sender<Option<SessionInfo>>,
}

impl Line {
    pub(super) fn new() -> Line {
        Line { notifications: broadcast::Sender::new(ONE), info: watch::Sender::new(None) }
    }

    pub(super) fn notifications(&self) -> Notifications {
        Notifications::of(&self.notifications)
    }

    pub(super) fn info(&self) -> watch::Receiver<Option<SessionInfo>> {
        self.info.subscribe()
    }
}

impl Hub {
    pub(super) fn new() -> Hub {
        Hub(Arc::new(Mutex::new(Lines { all: broadcast::Sender::new(ALL), sessions: HashMap::new() })))
    }

    pub(super) fn notifications(&self) -> Notifications {
        Notifications::of(&self.lines().all)
    }

    /// The line of a session; `None` when it is not known any more.
    pub(super) fn line(&self, session: SessionId) -> Option<Line> {
        self.lines().sessions.get(&session).cloned()
    }

    /// From now on this is the line of that session.
    pub(super) fn open(&self, session: SessionId, line: Line) {
        self.lines().sessions.insert(session, line);
    }

    /// Keeps what a session looks like for whoever asks.
    pub(super) fn show(&self, info: SessionInfo) {
        if let Some(line) = self.lines().sessions.get(&info.id) {
            line.info.send_replace(Some(info));
        }
    }

    /// Hands a notification on. The last of a session closes its line.
    pub(super) fn post(&self, notification: Notification) {
        let mut lines = self.lines();
        if let Sender::Session(session) = notification.sender {
            let line = lines.sessions.entry(session).or_insert_with(Line::new);
            // Nobody listening is no failure.
            let _ = line.notifications.send(notification.clone());
            if matches!(notification.data, Data::SessionDidEnd { .. }) {
                lines.sessions.remove(&session);
            }
        }
        let _ = lines.all.send(notification);
    }

    /// Posts what the façade itself has to tell.
    pub(super) fn post_now(&self, sender: Sender, data: Data) {
        self.post(Notification { timestamp: SystemTime::now(), sender, data });
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
