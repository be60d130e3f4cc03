//! Wake-ups: how a handler that waits says that it can go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Wake, Waker};

/// The wake-ups of one container. Wakers may be used from any thread.
pub(crate) struct Wakes {
    sender: Sender<u64>,
    woken: Receiver<u64>,
    driver: Waker,
    /// The waker that was handed out last, to be used again when nobody has kept it.
    spare: Option<Arc<JobWaker>>,
}

struct JobWaker {
    key: AtomicU64,
    sender: Sender<u64>,
    driver: Waker,
}

impl Wake for JobWaker {
    fn wake(self: Arc<JobWaker>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<JobWaker>) {
        // The container is gone when nobody receives, and its handlers with it.
        if self.sender.send(self.key.load(Ordering::Relaxed)).is_ok() {
            self.driver.wake_by_ref();
        }
    }
}

impl Wakes {
    pub(crate) fn new() -> Wakes {
        let (sender, woken) = channel();
        Wakes { sender, woken, driver: Waker::noop().clone(), spare: None }
    }

    /// Whom to wake when something was woken.
    pub(crate) fn set_driver(&mut self, driver: Waker) {
        self.driver = driver;
        self.spare = None;
    }

    /// A waker for this key. Most handlers never wait and never clone it, so that one serves them all.
    pub(crate) fn waker(&mut self, key: u64) -> Waker {
        let spare = match self.spare.take() {
            Some(spare) if Arc::strong_count(&spare) == 1 => {
                spare.key.store(key, Ordering::Relaxed);
                spare
            }
            _ => Arc::new(JobWaker {
                key: AtomicU64::new(key),
                sender: self.sender.clone(),
                driver: self.driver.clone(),
            }),
        };
        self.spare = Some(Arc::clone(&spare));
        Waker::from(spare)
    }

    /// The next key that was woken.
    pub(crate) fn next(&mut self) -> Option<u64> {
        self.woken.try_recv().ok()
    }
}
