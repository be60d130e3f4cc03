//! How handles reach the worker: an order is a closure that runs on the worker's thread, between two events.

use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Instant;

use client::{Data, Sender};
use sip_endpoint::Endpoint;
use tokio::sync::{mpsc, oneshot};

use super::EngineError;
use super::hub::Hub;
use super::worker::Worker;

/// An order.
pub(super) type Order = Box<dyn FnOnce(&mut Worker, Instant, &mut Endpoint) + Send>;

/// Orders that wait. Who asks waits, too, so that this is seldom full.
const QUEUE: usize = 256;

/// The near end of a worker's desk.
#[derive(Clone)]
pub(super) struct Desk {
    orders: mpsc::Sender<Order>,
    bell: Arc<OnceLock<Waker>>,
    hub: Hub,
}

/// The far end.
pub(super) struct Orders {
    pub(super) queue: mpsc::Receiver<Order>,
    pub(super) bell: Arc<OnceLock<Waker>>,
}

impl Desk {
    pub(super) fn new(hub: Hub) -> (Desk, Orders) {
        let (orders, queue) = mpsc::channel(QUEUE);
        let bell = Arc::new(OnceLock::new());
        (Desk { orders, bell: bell.clone(), hub }, Orders { queue, bell })
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Posts a notification of the engine's own.
    pub(super) fn post(&self, data: Data) {
        self.hub.post_now(Sender::Engine, data);
    }

    /// Has something done, and does not wait for it.
    pub(super) async fn tell(&self, order: impl FnOnce(&mut Worker, Instant, &mut Endpoint) + Send + 'static) {
        if self.orders.send(Box::new(order)).await.is_ok() {
            self.ring();
        }
    }

    /// Has something done and waits for what comes of it.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Worker, Instant, &mut Endpoint) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        let (told, tell) = oneshot::channel();
        self.tell(move |worker, now, endpoint| {
            let _ = told.send(order(worker, now, endpoint));
        })
        .await;
        tell.await.map_err(|_| EngineError::Stopped)
    }

    /// The same for a thread that may wait.
    pub(super) fn tell_and_wait(&self, order: impl FnOnce(&mut Worker, Instant, &mut Endpoint) + Send + 'static) {
        if self.orders.blocking_send(Box::new(order)).is_ok() {
            self.ring();
        }
    }

    fn ring(&self) {
        // Before it has started, the worker looks by itself.
        if let Some(bell) = self.bell.get() {
            bell.wake_by_ref();
        }
    }
}
