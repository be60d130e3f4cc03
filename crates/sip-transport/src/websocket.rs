//! SIP over WebSocket, the server's side: RFC 7118, with the handshake of RFC 6455 §4.2. tungstenite does the frames;
//! octets come from and go to a connection's buffers, never a socket. We don't connect over WebSocket: browsers do.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::config::Origins;

/// The head of a handshake; browsers with many cookies stay below.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// How far a handshake is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// More octets are needed.
    Incomplete,
    /// It is done; the response goes out, and frames follow.
    Accepted(Bytes),
    /// It is refused with this status; the response goes out, and that is all.
    Refused(u16, Bytes),
}

/// Reads an HTTP request at the start of `buffer` and answers it (RFC 6455 §4.2.2, RFC 7118 §4.1).
pub(crate) fn handshake(buffer: &mut BytesMut, origins: &Origins) -> Handshake {
    let request = match Request::try_parse(buffer) {
        Ok(Some((length, request))) => {
            buffer.advance(length);
            request
        }
        Ok(None) if buffer.len() > MAX_HANDSHAKE => return refuse(431),
        Ok(None) => return Handshake::Incomplete,
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => return refuse(405),
        Err(Error::Protocol(ProtocolError::WrongHttpVersion)) => return refuse(505),
        Err(_) => return refuse(400),
    };
    let headers = request.headers();
    if !headers.contains_key(header::UPGRADE) {
        return refuse(426);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|v| v != "13") {
        return refuse(426);
    }
    let origin = headers.get(header::ORIGIN).map(|o| o.to_str().unwrap_or(""));
    if !origins.allow(origin) {
        return refuse(403);
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offers_sip = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == "sip");
    if !offers_sip {
        return refuse(400);
    }
    let Ok(mut response) = create_response(&request) else {
        return refuse(400);
    };
    let headers = response.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
    let mut octets = Vec::new();
    match write_response(&mut octets, &response) {
        Ok(()) => Handshake::Accepted(octets.into()),
        Err(_) => refuse(500),
    }
}

fn refuse(status: u16) -> Handshake {
    Handshake::Refused(status, http_response(status))
}

/// An HTTP response that ends a conversation.
pub(crate) fn http_response(status: u16) -> Bytes {
    let (reason, more) = match status {
        400 => ("Bad Request", ""),
        403 => ("Forbidden", ""),
        405 => ("Method Not Allowed", "Allow: GET\r\n"),
        426 => {
            ("Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n")
        }
        431 => ("Request Header Fields Too Large", ""),
        505 => ("HTTP Version Not Supported", ""),
        _ => ("Internal Server Error", ""),
    };
    let connection = if status == 426 { "Upgrade, close" } else { "close" };
    format!("HTTP/1.1 {status} {reason}\r\n{more}Connection: {connection}\r\nContent-Length: 0\r\n\r\n").into()
}

/// Whether what came first on a connection for SIP is HTTP: a browser, a health check, a scanner.
pub(crate) fn looks_like_http(octets: &[u8]) -> bool {
    const METHODS: [&[u8]; 4] = [b"GET ", b"HEAD ", b"POST ", b"CONNECT "];
    let line = octets.split(|b| *b == b'\r').next().unwrap_or_default();
    METHODS.iter().any(|m| line.starts_with(m)) && line.windows(7).any(|w| w == b" HTTP/1")
}

/// Something that came out of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole message, text or binary (RFC 7118 §4.2).
    Message(Bytes),
    /// A ping; the pong is in the output already.
    Ping,
    /// The answer to our ping.
    Pong,
    /// The closing handshake; our part of it is in the output already.
    Close,
}

/// The peer broke RFC 6455, or its message is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// An open WebSocket.
pub(crate) struct WebSocket {
    context: WebSocketContext,
    output: BytesMut,
}

impl WebSocket {
    pub(crate) fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        WebSocket { context: WebSocketContext::new(Role::Server, Some(config)), output: BytesMut::new() }
    }

    /// The next thing in `input`, whose octets are taken; `None` when more are needed.
    pub(crate) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Broken> {
        loop {
            let mut pipe = Pipe { input, output: &mut self.output };
            let message = self.context.read(&mut pipe);
            let frame = match message {
                Ok(Message::Text(text)) => Frame::Message(text.into()),
                Ok(Message::Binary(bytes)) => Frame::Message(bytes),
                Ok(Message::Ping(_)) => Frame::Ping,
                Ok(Message::Pong(_)) => Frame::Pong,
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => Frame::Close,
                Ok(Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(_) => return Err(Broken),
            };
            let _ = self.context.flush(&mut pipe);
            return Ok(Some(frame));
        }
    }

    /// Frames a message; the octets are in the output. Text where it is text, as browsers expect.
    pub(crate) fn write(&mut self, message: Bytes) -> Result<(), Broken> {
        let message = match Utf8Bytes::try_from(message.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(message),
        };
        self.put(message)
    }

    /// Asks the peer whether it is there.
    pub(crate) fn ping(&mut self) -> Result<(), Broken> {
        self.put(Message::Ping(Bytes::new()))
    }

    /// Begins the closing handshake.
    pub(crate) fn close(&mut self) {
        let mut nothing = BytesMut::new();
        let mut pipe = Pipe { input: &mut nothing, output: &mut self.output };
        let _ = self.context.close(&mut pipe, None);
        let _ = self.context.flush(&mut pipe);
    }

    /// The octets that go out.
    pub(crate) fn take_output(&mut self) -> Option<Bytes> {
        (!self.output.is_empty()).then(|| self.output.split().freeze())
    }

    fn put(&mut self, message: Message) -> Result<(), Broken> {
        let mut nothing = BytesMut::new();
        let mut pipe = Pipe { input: &mut nothing, output: &mut self.output };
        self.context.write(&mut pipe, message).map_err(|_| Broken)?;
        self.context.flush(&mut pipe).map_err(|_| Broken)
    }
}

/// A socket's place is taken by two buffers.
struct Pipe<'a> {
    input: &'a mut BytesMut,
    output: &'a mut BytesMut,
}

impl Read for Pipe<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.input.len());
        self.input.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
