//! A shard's container on the stack, and what is told to it from outside: by the main thread, by operators.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use container::{Container, ContainerLoad, Published};
use servlet::SipApplicationRouter;
use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::HeaderName;

use crate::logs;

/// What a shard is told from outside.
pub(crate) enum Order {
    /// Ask this router from now on.
    Route(Arc<dyn SipApplicationRouter>),
    /// Let this application take nothing new.
    Stop(Arc<str>),
    /// Say how full the tables are, and that the shard is there.
    Tell(SyncSender<ContainerLoad>),
}

/// Orders that wait for a shard.
const QUEUE: usize = 64;

/// Reaches all shards of a server.
#[derive(Clone)]
pub(crate) struct Control {
    shards: Arc<[(SyncSender<Order>, Arc<Bell>)]>,
}

type Bell = OnceLock<Waker>;

/// The ends that the shards take, each its own, when they start.
#[derive(Clone)]
pub(crate) struct Ends(Arc<Mutex<Vec<Option<End>>>>);

type End = (Receiver<Order>, Arc<Bell>);

/// A container that hears orders.
pub(crate) struct Worker {
    container: Container,
    orders: Option<Receiver<Order>>,
    bell: Arc<Bell>,
}

impl Control {
    /// For so many shards.
    pub(crate) fn new(shards: u16) -> (Control, Ends) {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..shards {
            let (orders, end) = sync_channel(QUEUE);
            let bell = Arc::new(Bell::new());
            here.push((orders, bell.clone()));
            there.push(Some((end, bell)));
        }
        (Control { shards: here.into() }, Ends(Arc::new(Mutex::new(there))))
    }

    /// Gives all shards another router.
    pub(crate) fn route(&self, router: &Arc<dyn SipApplicationRouter>) {
        self.tell(|| Order::Route(router.clone()));
    }

    /// Stops an application on all shards.
    pub(crate) fn stop(&self, application: &str) {
        let name: Arc<str> = application.into();
        self.tell(|| Order::Stop(name.clone()));
    }

    /// What each shard says within this time; `None` for one that says nothing.
    pub(crate) fn loads(&self, within: Duration) -> Vec<Option<ContainerLoad>> {
        let ask = |shard| {
            let (answer, answered) = sync_channel(1);
            post(shard, Order::Tell(answer)).then_some(answered)
        };
        // All are asked before one is waited for.
        let answers: Vec<_> = self.shards.iter().map(ask).collect();
        let deadline = Instant::now() + within;
        let hear = |answered: Receiver<ContainerLoad>| {
            answered.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
        };
        answers.into_iter().map(|answered| answered.and_then(hear)).collect()
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for shard in self.shards.iter() {
            if !post(shard, order()) {
                tracing::error!("a shard does not hear");
            }
        }
    }
}

/// Whether there was room for it.
fn post((orders, bell): &(SyncSender<Order>, Arc<Bell>), order: Order) -> bool {
    let posted = match orders.try_send(order) {
        Ok(()) => true,
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
    };
    // Before it has started it looks by itself.
    if let Some(bell) = bell.get() {
        bell.wake_by_ref();
    }
    posted
}

impl Worker {
    /// The container of a shard, which takes its end.
    pub(crate) fn new(container: Container, shard: u16, ends: &Ends) -> Worker {
        let mut ends = ends.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ends.get_mut(usize::from(shard)).and_then(Option::take) {
            Some((orders, bell)) => Worker { container, orders: Some(orders), bell },
            None => Worker { container, orders: None, bell: Arc::default() },
        }
    }

    fn obey(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Published>) {
        while let Some(order) = self.orders.as_ref().and_then(|orders| orders.try_recv().ok()) {
            match order {
                Order::Route(router) => self.container.set_router(router),
                Order::Stop(application) => {
                    tracing::info!(%application, "stopped: it takes nothing new");
                    self.container.stop(&application);
                    self.container.settle(now, endpoint, peers);
                }
                Order::Tell(answer) => {
                    let _ = answer.try_send(self.container.load());
                }
            }
        }
    }
}

impl TransactionUser for Worker {
    type Message = Published;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<Published>) {
        let call_id = match &event {
            Event::Request { request, .. } | Event::Ack { request, .. } => request.headers().first(HeaderName::CallId),
            Event::Response { response, .. } => response.headers().first(HeaderName::CallId),
            _ => None,
        };
        let _call = logs::call(call_id);
        self.container.event(now, endpoint, event, peers);
    }

    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: Published) {
        let _call = logs::call(None);
        self.container.message(now, endpoint, message);
    }

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.container.drain(now, endpoint);
    }

    fn is_idle(&self) -> bool {
        self.container.is_idle()
    }

    fn set_waker(&mut self, waker: Waker) {
        let _ = self.bell.set(waker.clone());
        self.container.set_waker(waker);
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Published>) {
        let _call = logs::call(None);
        self.container.woken(now, endpoint, peers);
        self.obey(now, endpoint, peers);
    }
}
