//! Starting, draining and stopping the shards.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sip_endpoint::{Listener, Settings, TransactionUser};
use sip_message::Transport;
use sip_transport::{BindError, TransportsConfig};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::shard::{Counters, Note, Shard};
use crate::tap::Tap;

/// What a stack is made with.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// The sockets and what peers may cost.
    pub transports: TransportsConfig,
    /// The endpoints.
    pub endpoint: EndpointConfig,
    /// How many shards; at least 1 and at most 64.
    pub shards: u16,
    /// Who listens in.
    pub tap: Option<Arc<dyn Tap>>,
}

/// What every shard's endpoint is made with; see [`Settings`].
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The host that others reach us by; without it each listener's own address.
    pub public_host: Option<String>,
    /// A secret from a good source of randomness.
    pub seed: u64,
    /// See [`Settings::datagram_limit`].
    pub datagram_limit: usize,
    /// See [`Settings::max_pending`]; for each shard.
    pub max_pending: usize,
    /// T1, T2, T4.
    pub timers: sip_endpoint::Timers,
    /// What we call ourselves.
    pub product: Box<str>,
}

/// Why a stack did not start.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind(BindError),
    /// The operating system gave no thread or no event queue.
    System(std::io::Error),
    /// Another program, or another server like this one, has the address.
    Taken(Transport, SocketAddr, std::io::Error),
    /// A shard ended while it started.
    ShardEnded,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::System(error) => write!(f, "no thread for a shard: {error}"),
            StartError::Taken(transport, addr, error) => write!(f, "{transport} {addr} is taken: {error}"),
            StartError::ShardEnded => f.write_str("a shard ended while it started"),
        }
    }
}

impl std::error::Error for StartError {}

/// The running shards. Dropping it stops them at once.
pub struct Stack {
    listeners: Vec<(Transport, SocketAddr)>,
    stop: Vec<Box<dyn Fn(Order) + Send>>,
    threads: Vec<JoinHandle<()>>,
    counters: Vec<Arc<Counters>>,
}

/// What the stack tells a shard.
#[derive(Clone, Copy, Debug)]
enum Order {
    Drain(Instant),
    Stop,
}

/// Notes that wait for a shard. What does not fit is lost, as on a network.
const INBOX: usize = 8_192;

impl Stack {
    /// Binds all listeners in every shard and starts to serve; `user` makes each shard's user.
    pub fn start<U, F>(mut config: StackConfig, user: F) -> Result<Stack, StartError>
    where
        U: TransactionUser + 'static,
        F: Fn(u16) -> U + Send + Clone + 'static,
    {
        let shards = config.shards.clamp(1, 64);
        if shards > 1 {
            are_free(&config.transports)?;
        }
        let (inboxes, receivers): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| mpsc::channel::<Note<U::Message>>(INBOX)).unzip();
        let counters: Vec<_> = (0..shards).map(|_| Arc::new(Counters::default())).collect();
        let mut stack = Stack { listeners: Vec::new(), stop: Vec::new(), threads: Vec::new(), counters };
        for (index, inbox) in (0..shards).zip(receivers) {
            let (tell, told) = std::sync::mpsc::channel();
            let shard = Shard {
                index,
                shards,
                config: config.clone(),
                inbox,
                peers: inboxes.clone(),
                counters: stack.counters[usize::from(index)].clone(),
            };
            let user = user.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || shard.run(move || user(index), &tell))
                .map_err(StartError::System)?;
            stack.threads.push(thread);
            let inbox = inboxes[usize::from(index)].clone();
            stack.stop.push(Box::new(move |order| {
                let note = match order {
                    Order::Drain(deadline) => Note::Drain(deadline),
                    Order::Stop => Note::Stop,
                };
                // A full inbox can't keep a shard from being told; whoever tells does not wait, he may be in a task.
                if let Err(TrySendError::Full(note)) = inbox.try_send(note) {
                    let inbox = inbox.clone();
                    std::thread::spawn(move || drop(inbox.blocking_send(note)));
                }
            }));
            let bound = told.recv().map_err(|_| StartError::ShardEnded)??;
            if index == 0 {
                // Port 0 is chosen once; the other shards share it.
                for (listener, bound) in config.transports.listeners.iter_mut().zip(&bound) {
                    listener.bind = bound.1;
                }
                stack.listeners = bound;
            }
        }
        Ok(stack)
    }

    /// What is bound, in the order of the configuration.
    pub fn listeners(&self) -> &[(Transport, SocketAddr)] {
        &self.listeners
    }

    /// What the shards count.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Stops taking what is new and ends each shard as soon as it is idle, or after `within`.
    pub fn drain(&self, within: Duration) {
        let deadline = Instant::now() + within;
        self.tell(Order::Drain(deadline));
    }

    /// Waits until all shards have ended. Not to be called from asynchronous code.
    pub fn join(mut self) -> Result<(), StartError> {
        let ended: Vec<_> = self.threads.drain(..).map(|thread| thread.join().is_ok()).collect();
        if ended.iter().all(|ended| *ended) { Ok(()) } else { Err(StartError::ShardEnded) }
    }

    fn tell(&self, order: Order) {
        for tell in &self.stop {
            tell(order);
        }
    }
}

/// Shards share their ports (SO_REUSEPORT), and would share them with a second server of ours just as well, each getting
/// half of the calls. So it is asked first whether the ports are free for one socket alone.
fn are_free(config: &TransportsConfig) -> Result<(), StartError> {
    for listener in &config.listeners {
        let bound = sip_transport::is_free(listener.transport, listener.bind);
        bound.map_err(|error| StartError::Taken(listener.transport, listener.bind, error))?;
    }
    Ok(())
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.tell(Order::Stop);
        }
    }
}

impl EndpointConfig {
    pub(crate) fn settings(&self, partition: u16, bound: &[sip_transport::BoundListener]) -> Settings {
        let listeners = bound.iter().map(|bound| Listener {
            id: bound.id,
            transport: bound.transport,
            local: bound.local,
            sent_by: self.sent_by(bound.transport, bound.local),
        });
        Settings {
            listeners: listeners.collect(),
            partition: partition as u8,
            // One secret for all shards: a branch that one has made is understood by each.
            seed: self.seed,
            datagram_limit: self.datagram_limit,
            max_pending: self.max_pending,
            timers: self.timers,
            product: self.product.clone(),
        }
    }

    fn sent_by(&self, transport: Transport, local: SocketAddr) -> Box<str> {
        let host = match &self.public_host {
            Some(host) => host.clone(),
            None if local.is_ipv6() => format!("[{}]", local.ip()),
            None => local.ip().to_string(),
        };
        if local.port() == transport.default_port() { host.into() } else { format!("{host}:{}", local.port()).into() }
    }
}
