//! How a connection comes about: TCP, the handshakes of TLS and of WebSocket (RFC 7977 §4, the server's side; browsers
//! connect, we don't).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::link::{Link, Stream};
use super::tls::Tls;

/// The head of a WebSocket handshake; browsers with many cookies stay below.
const MAX_HANDSHAKE: usize = 16 * 1024;
/// A chunk over WebSocket, which can't be taken apart there.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Over what WebSockets are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSockets {
    /// Over nothing.
    #[default]
    Never,
    /// Over TLS, as RFC 7977 §5.1 wants it.
    Secure,
    /// Over anything: behind a proxy that does TLS.
    Always,
}

/// Connects.
pub(super) async fn connect(
    host: &str,
    port: u16,
    tls: Option<(&Tls, Option<&str>)>,
    within: Duration,
) -> Result<Link, String> {
    let connecting = async {
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
        // A chat line shall not wait for the acknowledgement of the one before.
        let _ = tcp.set_nodelay(true);
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some((tls, fingerprint)) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
                let connector = TlsConnector::from(tls.to(fingerprint)?);
                let stream = connector.connect(name, tcp).await.map_err(|error| error.to_string())?;
                Stream::Tls(Box::new(TlsStream::Client(stream)))
            }
        };
        Link::octets(stream, bytes::Bytes::new()).map_err(|error| error.to_string())
    };
    tokio::time::timeout(within, connecting).await.unwrap_or_else(|_| Err("no connection in time".to_owned()))
}

/// Takes what was accepted, and finds out whether it is a WebSocket by what comes first.
pub(super) async fn accept(
    tcp: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    websockets: WebSockets,
    within: Duration,
) -> io::Result<Link> {
    let accepting = async {
        let _ = tcp.set_nodelay(true);
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some(config) => {
                let stream = TlsAcceptor::from(config).accept(tcp).await?;
                Stream::Tls(Box::new(TlsStream::Server(stream)))
            }
        };
        let allowed = match websockets {
            WebSockets::Never => false,
            WebSockets::Secure => stream.is_secure(),
            WebSockets::Always => true,
        };
        match allowed {
            true => tell_apart(stream).await,
            false => Link::octets(stream, bytes::Bytes::new()),
        }
    };
    tokio::time::timeout(within, accepting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A chunk begins with `MSRP`, a handshake with `GET`.
async fn tell_apart(mut stream: Stream) -> io::Result<Link> {
    let mut octets = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut octets).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let known = octets.len().min(4);
        if octets[..known] != b"GET "[..known] {
            return Link::octets(stream, octets.freeze());
        }
        if octets.len() > MAX_HANDSHAKE {
            return refuse(stream, 431, "Request Header Fields Too Large").await;
        }
        match Request::try_parse(&octets) {
            Ok(None) => {}
            Ok(Some((length, request))) => {
                octets.advance(length);
                return shake_hands(stream, &request, octets).await;
            }
            Err(_) => return refuse(stream, 400, "Bad Request").await,
        }
    }
}

async fn shake_hands(mut stream: Stream, request: &Request, more: BytesMut) -> io::Result<Link> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let offers_msrp = offered.any(|protocol| protocol.trim() == "msrp");
    let response = create_response(request);
    let (true, Ok(mut response)) = (offers_msrp, response) else {
        return refuse(stream, 400, "Bad Request").await;
    };
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("msrp"));
    let mut octets = Vec::new();
    if write_response(&mut octets, &response).is_err() {
        return refuse(stream, 500, "Internal Server Error").await;
    }
    stream.write_all(&octets).await?;
    stream.flush().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let socket = WebSocketStream::from_partially_read(stream, more.to_vec(), Role::Server, Some(config)).await;
    Link::messages(socket)
}

async fn refuse(mut stream: Stream, status: u16, reason: &str) -> io::Result<Link> {
    let response = format!("HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(response.as_bytes()).await?;
    let _ = stream.shutdown().await;
    Err(io::Error::new(io::ErrorKind::InvalidData, "no handshake for MSRP"))
}
