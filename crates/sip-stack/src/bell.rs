//! What wakes a shard for its user.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A bell that any thread may ring, the shard's own included. Ringing allocates nothing, and ringing again before it was
/// heard costs one atomic swap.
#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    shard: AtomicWaker,
}

impl Bell {
    /// What rings it.
    pub(crate) fn waker(self: &Arc<Bell>) -> Waker {
        Waker::from(self.clone())
    }

    /// Whether it was rung since this was last asked.
    pub(crate) fn take(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Waits until it is rung. It stays so until it is taken.
    pub(crate) async fn rings(&self) {
        poll_fn(|cx| {
            // Registered first: whoever rings between the two is either seen or wakes us.
            self.shard.register(cx.waker());
            if self.is_rung() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.shard.wake();
        }
    }
}
