//! What a Via's transport parameter names, and the path a message came or goes on.
//! RFC 3261 §18, RFC 7118 (WebSocket), RFC 5626 (flows). The sockets themselves are `sip-transport`'s.

use std::fmt;
use std::net::SocketAddr;

/// A transport protocol of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams, RFC 3261 §18.
    Udp,
    /// A byte stream, RFC 3261 §18.
    Tcp,
    /// TLS over TCP, RFC 3261 §26.3.
    Tls,
    /// WebSocket over TCP, RFC 7118.
    Ws,
    /// WebSocket over TLS, RFC 7118.
    Wss,
}

impl Transport {
    /// Whether the transport delivers without our retransmissions ("reliable" in RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Whether the hop is protected by TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// The port that a URI or a Via without one means (RFC 3261 §19.1.2, RFC 7118 §5.4 by way of HTTP).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// The token in a Via: `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter: `udp`, `tcp`, `tls`, `ws`; RFC 7118 has no `wss`.
    pub fn uri_param(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
        }
    }

    /// Reads a Via token or a URI parameter, in any case.
    pub fn from_token(token: &str) -> Option<Transport> {
        const ALL: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
        ALL.into_iter().find(|t| t.via_token().eq_ignore_ascii_case(token))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_token())
    }
}

/// Which of our listeners (an index into the configured list, the same in every shard).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// One connection of a stream transport; never used again after it closed.
/// The upper 16 bits name the shard that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The path that a message came on and its answer goes back on (RFC 5626 §3.1: a flow).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The protocol.
    pub transport: Transport,
    /// Which of our listeners stands at this end.
    pub listener: ListenerId,
    /// Our own address on this path, as the socket knows it.
    pub local: SocketAddr,
    /// The far end, as the socket knows it.
    pub remote: SocketAddr,
    /// The connection; `None` on UDP.
    pub connection: Option<ConnectionId>,
}
