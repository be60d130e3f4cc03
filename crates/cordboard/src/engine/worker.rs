//! The worker: the pure client on a shard of the stack, and what carries its orders to media and its notifications out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use client::media::{AudioStatistics, MediaCommand, MediaEvent, StreamId};
use client::session::{CommandId, SessionId};
use client::settings::Settings;
use client::{Client, ClientError, Epoch, Sender};
use sip_endpoint::{Endpoint, Event, TransactionUser};
use sip_message::{Limits, ListenerId, Transport};
use sip_stack::{EndpointConfig, Stack, StackConfig};
use sip_transport::{
    ClientCertificate, ListenerConfig, Roots, ServerVerification, StreamLimits, TlsClientConfig, TlsConfig,
    TransportsConfig,
};
use tokio::sync::{mpsc, oneshot};

use super::chat::Chat;
use super::desk::{Desk, Orders};
use super::hub::Hub;
use super::media::Media;
use super::{EngineError, EngineOptions};

/// A client has few calls; what is beyond this is an attack.
const MAX_PENDING: usize = 1_000;
/// Requests above this go over a stream (RFC 3261 §18.1.1).
const DATAGRAM_LIMIT: usize = 1_300;

/// The threads of an engine.
pub(super) struct Threads {
    stack: Mutex<Option<Stack>>,
    listeners: Vec<(Transport, SocketAddr)>,
    media: Media,
    chat: Chat,
}

impl Threads {
    pub(super) fn listeners(&self) -> &[(Transport, SocketAddr)] {
        &self.listeners
    }

    pub(super) fn media(&self) -> &Media {
        &self.media
    }

    /// Ends them and waits for it. Not to be called from asynchronous code.
    pub(super) fn stop(&self) {
        let stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stack) = stack {
            // Nothing waits any more: the sessions have ended, or had their time.
            stack.drain(Duration::ZERO);
            let _ = stack.join();
        }
        self.chat.stop();
        self.media.stop();
    }
}

/// Binds everything and starts the threads.
pub(super) fn start(settings: Settings, options: EngineOptions) -> Result<(Desk, Threads), EngineError> {
    let hub = Hub::new();
    let (desk, orders) = Desk::new(hub.clone());
    let (tell, told) = mpsc::unbounded_channel();
    let bell = orders.bell.clone();
    let tell = move |event| {
        // Few per stream, and never more than its peer's digits and its user's orders; of chat, what MSRP's limits let be
        // under way: the queue needs no bound.
        let _ = tell.send(event);
        if let Some(bell) = bell.get() {
            Waker::wake_by_ref(bell);
        }
    };
    let media = Media::start(&settings, options.media_tap, tell.clone())?;
    let chat = Chat::start(&settings, options.chat_tap, tell)?;
    let config = StackConfig {
        transports: transports(&settings)?,
        endpoint: EndpointConfig {
            public_host: None,
            seed: getrandom::u64().map_err(EngineError::NoRandomness)?,
            datagram_limit: DATAGRAM_LIMIT,
            max_pending: MAX_PENDING,
            timers: sip_endpoint::Timers::default(),
            product: user_agent(&settings).into(),
        },
        shards: 1,
        tap: options.tap,
    };
    let instance = options.instance.unwrap_or(new_instance()?);
    let ends = Arc::new(Mutex::new(Some((orders, told))));
    let worker = {
        let (media, chat) = (media.clone(), chat.clone());
        move |_| {
            let epoch = Epoch { instant: Instant::now(), time: SystemTime::now() };
            let ends = ends.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (orders, media_events) = ends.expect("there is one shard");
            Worker {
                client: Client::new(settings.clone(), epoch, &instance),
                hub: hub.clone(),
                media: media.clone(),
                chat: chat.clone(),
                orders,
                media_events,
                outcomes: HashMap::new(),
                streams: HashMap::new(),
            }
        }
    };
    let stack = Stack::start(config, worker).map_err(EngineError::Start)?;
    let listeners = stack.listeners().to_vec();
    Ok((desk, Threads { stack: Mutex::new(Some(stack)), listeners, media, chat }))
}

/// The client with what surrounds it.
pub(super) struct Worker {
    pub(super) client: Client,
    pub(super) hub: Hub,
    media: Media,
    chat: Chat,
    orders: Orders,
    media_events: mpsc::UnboundedReceiver<MediaEvent>,
    outcomes: HashMap<CommandId, oneshot::Sender<Result<(), ClientError>>>,
    /// The audio stream of a session, while there is one.
    streams: HashMap<SessionId, StreamId>,
}

impl Worker {
    /// Tells this caller what becomes of a command.
    pub(super) fn await_outcome(&mut self, command: CommandId, told: oneshot::Sender<Result<(), ClientError>>) {
        self.outcomes.insert(command, told);
    }

    pub(super) fn statistics(&self, session: SessionId) -> Option<AudioStatistics> {
        self.media.statistics(*self.streams.get(&session)?)
    }

    pub(super) fn play(&self, session: SessionId, file: PathBuf) -> Result<(), EngineError> {
        let stream = self.stream(session)?;
        let hub = self.hub.clone();
        self.media.play(stream, session, file, hub).map_err(EngineError::Media)
    }

    pub(super) fn mirror(&self, session: SessionId, mirrored: bool) {
        if let Some(stream) = self.streams.get(&session) {
            self.media.mirror(*stream, mirrored);
        }
    }

    pub(super) fn bridge(&self, one: SessionId, other: SessionId, together: bool) {
        if let (Some(one), Some(other)) = (self.streams.get(&one), self.streams.get(&other)) {
            self.media.bridge(*one, *other, together);
        }
    }

    /// Ends all sessions and registrations.
    pub(super) fn stop(&mut self, now: Instant, endpoint: &mut Endpoint) {
        for session in self.client.sessions() {
            // One that has ended meanwhile needs no end.
            let _ = self.client.end(now, endpoint, session);
        }
        self.client.drain(now, endpoint);
    }

    fn show(&self, session: SessionId) {
        if let Some(info) = self.client.session(session) {
            self.hub.show(info);
        }
    }

    fn stream(&self, session: SessionId) -> Result<StreamId, EngineError> {
        let stream = self.streams.get(&session).copied();
        stream.ok_or(EngineError::Client(ClientError::NoStream(client::StreamKind::Audio)))
    }

    fn hear_media(&mut self, now: Instant, endpoint: &mut Endpoint) {
        while let Ok(event) = self.media_events.try_recv() {
            self.client.media_event(now, endpoint, event);
            self.settle();
        }
    }

    /// Carries out what the client has to say, until it has nothing more.
    fn settle(&mut self) {
        while let Some(command) = self.client.poll_media() {
            match &command {
                MediaCommand::Prepare { stream, session, .. } => {
                    self.streams.insert(*session, *stream);
                }
                MediaCommand::Close { stream } => self.streams.retain(|_, known| known != stream),
                _ => {}
            }
            match &command {
                MediaCommand::PrepareChat { .. } | MediaCommand::SendChat { .. } | MediaCommand::SetNickname { .. } => {
                    self.chat.obey(command);
                }
                MediaCommand::Apply { stream, .. } | MediaCommand::Close { stream } if self.chat.knows(*stream) => {
                    self.chat.obey(command);
                }
                _ => self.media.obey(command),
            }
        }
        while let Some(session) = self.client.take_changed() {
            self.show(session);
        }
        while let Some(notification) = self.client.poll_notification() {
            // What a session looks like is shown before it is told what has happened.
            if let Sender::Session(session) = notification.sender {
                self.show(session);
            }
            self.hub.post(notification);
        }
        while let Some((command, outcome)) = self.client.poll_outcome() {
            if let Some(told) = self.outcomes.remove(&command) {
                let _ = told.send(outcome);
            }
        }
    }
}

impl TransactionUser for Worker {
    type Message = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _: &mut Vec<()>) {
        // What media has seen before the peer spoke comes first: the end of a file before the BYE that follows it.
        self.hear_media(now, endpoint);
        self.client.event(now, endpoint, event, &mut Vec::new());
        self.settle();
    }

    fn message(&mut self, _: Instant, _: &mut Endpoint, (): ()) {}

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.client.drain(now, endpoint);
        self.settle();
    }

    fn is_idle(&self) -> bool {
        self.client.is_idle()
    }

    fn set_waker(&mut self, waker: Waker) {
        let _ = self.orders.bell.set(waker.clone());
        // What was ordered before there was a bell is heard now.
        waker.wake();
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, _: &mut Vec<()>) {
        self.hear_media(now, endpoint);
        while let Ok(order) = self.orders.queue.try_recv() {
            order(self, now, endpoint);
            self.settle();
        }
    }
}

/// What an engine calls itself.
pub(super) fn user_agent(settings: &Settings) -> &str {
    settings.user_agent.as_deref().unwrap_or(concat!("Cordboard/", env!("CARGO_PKG_VERSION")))
}

/// A random UUID (RFC 9562 §5.4) as `+sip.instance` wants it (RFC 5626 §4.1).
pub(crate) fn new_instance() -> Result<String, EngineError> {
    let mut octets = [0u8; 16];
    getrandom::fill(&mut octets).map_err(EngineError::NoRandomness)?;
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(octets);
    let (a, b, c) = (number >> 96, number >> 80 & 0xffff, number >> 64 & 0xffff);
    let (d, e) = (number >> 48 & 0xffff, number & 0xffff_ffff_ffff);
    Ok(format!("urn:uuid:{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}"))
}

fn transports(settings: &Settings) -> Result<TransportsConfig, EngineError> {
    let sip = &settings.sip;
    let addresses = match sip.address {
        Some(address) => vec![address],
        None => sip_transport::local_addresses(),
    };
    if addresses.is_empty() {
        return Err(EngineError::NoAddress);
    }
    let mut listeners = Vec::new();
    for name in &sip.transports {
        let (transport, port) = match name.as_str() {
            "udp" => (Transport::Udp, sip.port),
            "tcp" => (Transport::Tcp, sip.port),
            "tls" => (Transport::Tls, sip.tls_port),
            other => {
                let why = format!("sip.transports: {other:?} is none; there are udp, tcp and tls");
                return Err(EngineError::Settings(why.into()));
            }
        };
        // Without a certificate we connect to others by TLS, and they can't to us.
        let tls = if transport == Transport::Tls { certificate(settings) } else { None };
        let accepts = transport != Transport::Tls || tls.is_some();
        for address in &addresses {
            let id = ListenerId(u16::try_from(listeners.len()).unwrap_or(u16::MAX));
            let bind = SocketAddr::new(*address, port);
            let listener = ListenerConfig::new(id, transport, bind);
            listeners.push(ListenerConfig { tls: tls.clone(), accepts, ..listener });
        }
    }
    Ok(TransportsConfig {
        listeners,
        limits: Limits::default(),
        streams: StreamLimits::default(),
        tls_client: TlsClientConfig {
            roots: settings.tls.ca_list.clone().map_or(Roots::System, Roots::File),
            identity: settings.tls.certificate.clone().zip(settings.tls.private_key.clone()),
            verification: match settings.tls.verify_server {
                true => ServerVerification::Domain,
                false => ServerVerification::None,
            },
        },
        ..TransportsConfig::default()
    })
}

/// Our side of TLS.
fn certificate(settings: &Settings) -> Option<TlsConfig> {
    let (certificate, key) = settings.tls.certificate.clone().zip(settings.tls.private_key.clone())?;
    Some(TlsConfig { certificate, key, client_certificate: ClientCertificate::NotAsked })
}
