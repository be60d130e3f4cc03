//! What the transports counted since they were bound: one number per kind of thing that can go wrong, and per kind of
//! traffic. Plain numbers of one shard; whoever exports them adds up the shards.

/// Counts since [`Transports::bind`](crate::Transports::bind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received, of whatever content.
    pub datagrams_in: u64,
    /// Datagrams that the kernel took.
    pub datagrams_out: u64,
    /// Datagrams that were neither SIP nor STUN, dropped unanswered.
    pub garbage: u64,
    /// Keep-alives received: line ends, NUL octets, STUN binding requests, WebSocket pings.
    pub keep_alives_in: u64,
    /// STUN binding requests that were answered.
    pub stun_answered: u64,
    /// Datagrams dropped because the backlog of a socket whose buffer is full was full too.
    pub datagrams_dropped: u64,
    /// Datagrams that the kernel refused.
    pub datagrams_failed: u64,
    /// SIP messages received over connections.
    pub stream_messages_in: u64,
    /// SIP messages queued on connections.
    pub stream_messages_out: u64,
    /// Messages of any transport that the parser refused.
    pub refused_messages: u64,
    /// Connections that peers opened and that were let in.
    pub accepted: u64,
    /// Connections that we opened.
    pub connected: u64,
    /// Attempts to connect that failed.
    pub connect_failed: u64,
    /// Connections closed at once because the source had too many.
    pub refused_per_address: u64,
    /// Connections closed at once because the shard had too many.
    pub refused_at_limit: u64,
    /// Connections closed at once because the process had no descriptor left.
    pub out_of_descriptors: u64,
    /// TLS handshakes that failed, on either side.
    pub tls_failed: u64,
    /// WebSocket handshakes that were refused.
    pub websocket_refused: u64,
    /// Connections closed because a handshake, a head or a body took too long.
    pub too_slow: u64,
    /// Connections closed because nothing came for a while.
    pub idle: u64,
    /// Connections closed because their peer did not take what was queued for it.
    pub write_overflow: u64,
    /// Certificates that were read again after a change on disk.
    pub certificates_reloaded: u64,
    /// Changed certificate files that could not be used; the previous ones stayed.
    pub certificate_reload_failed: u64,
    /// Lookups begun.
    pub lookups: u64,
    /// Lookups that ended with an error.
    pub lookups_failed: u64,
}
