//! What a message may cost before it is refused; checked before anything is allocated for it.

/// Limits on what a peer may send. Every excess has its response: 414 for the Request-URI, 413 for the body, 513 for
/// the whole, 400 for lines and their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A whole message, in octets. Default 65,535 + 1 MiB: a stream's head and body; a datagram can't be longer than
    /// 65,535 anyway.
    pub message: usize,
    /// Start-line and headers together, in octets. Default 65,536.
    pub head: usize,
    /// One line with its continuations, in octets. Default 8,192.
    pub line: usize,
    /// The Request-URI, in octets. Default 4,096.
    pub uri: usize,
    /// Header lines. Default 256.
    pub headers: usize,
    /// The body, in octets. Default 1 MiB.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message: 65_535 + 1_048_576, head: 65_536, line: 8_192, uri: 4_096, headers: 256, body: 1_048_576 }
    }
}
