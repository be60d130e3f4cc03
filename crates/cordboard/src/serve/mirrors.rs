//! The echo user agent's media, from real sockets.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use applications::echo;

/// How many echo calls one shard takes.
const MIRRORS: usize = 1_000;

/// What the echo application finds in its container.
pub(super) fn resource() -> Rc<Box<dyn echo::Mirrors>> {
    Rc::new(Box::new(SocketMirrors(RefCell::new(media::Mirrors::new(MIRRORS)))))
}

struct SocketMirrors(RefCell<media::Mirrors>);

struct SocketMirror(media::Mirror);

impl echo::Mirrors for SocketMirrors {
    fn open(&self, local: IpAddr, peer: Option<IpAddr>) -> Option<Box<dyn echo::Mirror>> {
        match self.0.borrow_mut().open(local, peer) {
            Ok(mirror) => Some(Box::new(SocketMirror(mirror))),
            Err(error) => {
                tracing::warn!(%error, "an echo call is refused");
                None
            }
        }
    }
}

impl echo::Mirror for SocketMirror {
    fn addr(&self) -> SocketAddr {
        self.0.addr()
    }
}
