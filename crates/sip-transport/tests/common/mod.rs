//! A shard's transports with what they reported, for peers made of plain standard sockets.
// Every test program uses its own part.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use sip_message::{Flow, ListenerId, Message, Refusal, Transport};
use sip_transport::{
    CloseReason, Destination, ListenerConfig, Target, Transmit, TransportEvent, Transports, TransportsConfig,
};
use tokio::time::Instant;

/// Long enough for loopback, short enough for a failing test.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub struct World {
    pub transports: Transports,
    pub events: Vec<TransportEvent>,
}

impl World {
    /// One listener of each given transport, on a free port of 127.0.0.1; ids count from 0.
    pub async fn with(transports: &[Transport], mut config: TransportsConfig) -> World {
        for (index, transport) in transports.iter().enumerate() {
            let id = ListenerId(index as u16);
            let any = "127.0.0.1:0".parse().unwrap();
            config.listeners.push(ListenerConfig::new(id, *transport, any));
        }
        World::bind(config).await
    }

    pub async fn bind(config: TransportsConfig) -> World {
        World { transports: Transports::bind(config, 3, 1).await.unwrap(), events: Vec::new() }
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.transports.listeners()[index].local
    }

    /// Takes turns until an event satisfies `wanted`, and returns it; others stay in `events`.
    pub async fn until<T>(&mut self, wanted: impl Fn(&TransportEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.events.iter().position(|e| wanted(e).is_some()) {
                return wanted(&self.events.remove(at)).unwrap();
            }
            assert!(Instant::now() < deadline, "in vain; there is {:?}", self.events);
            self.transports.flush();
            self.transports.turn(Some(deadline), &mut self.events).await;
        }
    }

    /// Takes turns until nothing has happened for `quiet`.
    pub async fn settle(&mut self, quiet: Duration) {
        loop {
            let before = self.events.len();
            self.transports.flush();
            self.transports.turn(Some(Instant::now() + quiet), &mut self.events).await;
            if self.events.len() == before {
                return;
            }
        }
    }

    pub async fn received(&mut self) -> (Flow, Result<Message, Refusal>) {
        self.until(|e| match e {
            TransportEvent::Received { flow, received, .. } => Some((*flow, received.clone())),
            _ => None,
        })
        .await
    }

    pub async fn message(&mut self) -> (Flow, Message) {
        let (flow, received) = self.received().await;
        (flow, received.unwrap())
    }

    pub async fn opened(&mut self) -> Flow {
        self.until(|e| match e {
            TransportEvent::Opened { flow, .. } => Some(*flow),
            _ => None,
        })
        .await
    }

    pub async fn closed(&mut self) -> CloseReason {
        self.until(|e| match e {
            TransportEvent::Closed { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    pub async fn send_failed(&mut self) -> (u64, sip_transport::SendError) {
        self.until(|e| match e {
            TransportEvent::SendFailed { token, reason } => Some((*token, reason.clone())),
            _ => None,
        })
        .await
    }

    pub fn send_on(&mut self, flow: Flow, bytes: impl Into<Bytes>, token: u64) {
        let to = Destination::Flow(flow);
        self.transports.send(Transmit { to, bytes: bytes.into(), token });
        self.transports.flush();
    }

    pub fn send_to(&mut self, listener: u16, target: Target, bytes: impl Into<Bytes>, token: u64) {
        let to = Destination::Target { listener: ListenerId(listener), target };
        self.transports.send(Transmit { to, bytes: bytes.into(), token });
        self.transports.flush();
    }
}

pub fn target(transport: Transport, addr: SocketAddr) -> Target {
    Target { transport, addr, server_name: None }
}

/// A request that the parser accepts, with a body of `body` octets.
pub fn options(call_id: &str, body: usize) -> String {
    format!(
        "OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK{call_id}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:alice@127.0.0.1>;tag=a\r\n\
         To: <sip:bob@127.0.0.1>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Content-Length: {body}\r\n\r\n{}",
        "x".repeat(body)
    )
}

pub fn call_id(message: &Message) -> String {
    let octets = message.to_bytes();
    let text = String::from_utf8_lossy(&octets);
    let (_, rest) = text.split_once("Call-ID: ").unwrap();
    rest.split("\r\n").next().unwrap().to_string()
}

/// A peer over TCP that is read from with a time limit.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn read_exactly(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    stream.read_exact(&mut octets).unwrap();
    octets
}

/// Everything up to the end of the stream.
pub fn read_to_end(stream: &mut impl Read) -> String {
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    String::from_utf8(octets).unwrap()
}

pub fn write(stream: &mut impl Write, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}
