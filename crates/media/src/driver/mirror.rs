//! The mirror: one pair of ports for RTP and RTCP, and a task that sends RTP back.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::lock::{SourceLock, Verdict};

/// A mirror that hears nothing for so long ends: its call was lost.
const DEAF_AFTER: Duration = Duration::from_secs(300);
/// The longest packet that is mirrored; RTP over Ethernet is shorter.
const PACKET: usize = 2_048;
const ATTEMPTS: usize = 32;

/// Why there is no mirror.
#[derive(Debug)]
pub enum MirrorError {
    /// As many as allowed are up.
    Limit,
    /// No pair of ports is free.
    NoPorts(std::io::Error),
}

impl fmt::Display for MirrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MirrorError::Limit => f.write_str("as many mirrors as allowed are up"),
            MirrorError::NoPorts(error) => write!(f, "no ports for RTP: {error}"),
        }
    }
}

impl std::error::Error for MirrorError {}

/// Opens mirrors, up to a limit, for one thread.
#[derive(Debug)]
pub struct Mirrors {
    limit: usize,
    /// One clone for each mirror that is up.
    up: Rc<()>,
}

/// A mirror that is up; it ends when it is dropped.
#[derive(Debug)]
pub struct Mirror {
    addr: SocketAddr,
    task: JoinHandle<()>,
    _up: Rc<()>,
}

impl Mirrors {
    /// At most `limit` at a time.
    pub fn new(limit: usize) -> Mirrors {
        Mirrors { limit, up: Rc::new(()) }
    }

    /// A mirror at `ip`, for a peer that has signalled `peer`. To be called on a thread that runs a
    /// [`tokio::task::LocalSet`].
    pub fn open(&self, ip: IpAddr, peer: Option<IpAddr>) -> Result<Mirror, MirrorError> {
        if Rc::strong_count(&self.up) > self.limit {
            return Err(MirrorError::Limit);
        }
        let (rtp, rtcp) = pair(ip).map_err(MirrorError::NoPorts)?;
        let addr = rtp.local_addr().map_err(MirrorError::NoPorts)?;
        let lock = SourceLock::new(peer);
        let task = tokio::task::spawn_local(reflect(rtp, rtcp, lock));
        Ok(Mirror { addr, task, _up: self.up.clone() })
    }
}

impl Mirror {
    /// Where it receives RTP; RTCP is one port above (RFC 3550 §11).
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An even port and the odd one above it.
fn pair(ip: IpAddr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    let bind = |port| {
        let socket = std::net::UdpSocket::bind(SocketAddr::new(ip, port))?;
        socket.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(socket)
    };
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let first = bind(0)?;
        let port = first.local_addr()?.port();
        if port % 2 == 1 || port == u16::MAX {
            continue;
        }
        match bind(port + 1) {
            Ok(second) => return Ok((UdpSocket::from_std(first)?, UdpSocket::from_std(second)?)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}

/// Sends back what the peer sends. RTCP is received, so that its sender is not told of a closed port, and not answered:
/// the peer's own reports would come back to it as ours.
async fn reflect(rtp: UdpSocket, rtcp: UdpSocket, mut lock: SourceLock) {
    let mut packet = vec![0u8; PACKET];
    let mut report = vec![0u8; PACKET];
    loop {
        let received = tokio::time::timeout(DEAF_AFTER, async {
            loop {
                tokio::select! {
                    received = rtp.recv_from(&mut packet) => break received,
                    _ = rtcp.recv_from(&mut report) => {}
                }
            }
        });
        match received.await {
            // Version 2 and a whole header (RFC 3550 §5.1): nothing else is RTP.
            Ok(Ok((len, source))) if len >= 12 && packet[0] >> 6 == 2 => {
                if lock.judge(source) == Verdict::Accept {
                    // A packet that can't be sent is a packet lost.
                    let _ = rtp.try_send_to(&packet[..len], source);
                }
            }
            Ok(_) => {}
            Err(_) => {
                tracing::debug!("a mirror has heard nothing for {DEAF_AFTER:?} and ends");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test)
    }

    #[test]
    fn what_the_peer_sends_comes_back_and_what_a_stranger_sends_does_not() {
        run(async {
            let loopback = IpAddr::from([127, 0, 0, 1]);
            let mirrors = Mirrors::new(1);
            let mirror = mirrors.open(loopback, Some(loopback)).unwrap();
            assert_eq!(mirror.addr().port() % 2, 0);
            assert!(matches!(mirrors.open(loopback, None), Err(MirrorError::Limit)));
            let peer = UdpSocket::bind((loopback, 0)).await.unwrap();
            let stranger = UdpSocket::bind((loopback, 0)).await.unwrap();
            let mut rtp = [0u8; 172];
            rtp[0] = 0x80;
            rtp[20] = 42;
            peer.send_to(&rtp, mirror.addr()).await.unwrap();
            let mut back = [0u8; 200];
            let (len, from) = peer.recv_from(&mut back).await.unwrap();
            assert_eq!((&back[..len], from), (&rtp[..], mirror.addr()));
            stranger.send_to(&rtp, mirror.addr()).await.unwrap();
            peer.send_to(&rtp, mirror.addr()).await.unwrap();
            peer.recv_from(&mut back).await.unwrap();
            assert!(stranger.try_recv_from(&mut back).is_err());
            drop(mirror);
            assert!(mirrors.open(loopback, None).is_ok());
        });
    }
}
