//! What a caller wishes of a proxy: the directives of Request-Disposition (RFC 3841 §9.1).
//!
//! Not honoured: `redirect`, for a caller is not told where a callee's phones are, and `queue`.

use sip_message::{HeaderName, Request};

/// The directives, as far as they are honoured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    /// `no-fork`: the request goes to one target.
    pub(super) no_fork: bool,
    /// `no-cancel`: branches run on after a 2xx.
    pub(super) no_cancel: bool,
    /// `no-recurse`: a 3xx goes back to the caller.
    pub(super) no_recurse: bool,
    /// In which order the targets are tried.
    pub(super) order: Order,
}

/// In which order targets are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// By preference, and those of equal preference at once (RFC 3261 §16.6).
    #[default]
    ByPreference,
    /// `parallel`: all at once.
    Parallel,
    /// `sequential`: one after the other.
    Sequential,
}

impl Disposition {
    pub(super) fn of(request: &Request) -> Disposition {
        let mut disposition = Disposition::default();
        for directive in request.headers().values(HeaderName::RequestDisposition) {
            match &*directive.trim().to_ascii_lowercase() {
                "no-fork" => disposition.no_fork = true,
                "no-cancel" => disposition.no_cancel = true,
                "no-recurse" => disposition.no_recurse = true,
                "parallel" => disposition.order = Order::Parallel,
                "sequential" => disposition.order = Order::Sequential,
                _ => {}
            }
        }
        disposition
    }
}
