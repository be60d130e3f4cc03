//! Which calls are up that pass through us. The proxy itself does not want to know: a dialog's requests carry their way
//! (RFC 3261 §16.12). Whoever drains a server does, and so does whoever watches it.

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use sip_endpoint::{Endpoint, TimerId};
use sip_message::header::Cseq;
use sip_message::{HeaderName, Headers, Method, Request, Response};

use super::table::Table;
use super::timers::TimerToken;

/// A call whose BYE has not come by then is not waited for: it was lost, or went another way.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// See the module's text.
pub(crate) struct Calls {
    up: Table<u64, TimerId>,
    hasher: FixedState,
}

impl Calls {
    pub(crate) fn new(seed: u64) -> Calls {
        Calls { up: Table::new(), hasher: FixedState::with_seed(seed) }
    }

    /// How many are up.
    pub(crate) fn len(&self) -> usize {
        self.up.len()
    }

    /// Notes a call when a 2xx to its INVITE passes.
    pub(crate) fn answered(&mut self, now: Instant, endpoint: &mut Endpoint, response: &Response) {
        let headers = response.headers();
        let is_invite = matches!(headers.get::<Cseq>(), Some(Ok(cseq)) if cseq.method == Method::Invite);
        if !response.status().is_success() || !is_invite {
            return;
        }
        let call = self.name(headers);
        if self.up.get(&call).is_none() {
            let timer = endpoint.set_timer(now, FORGOTTEN_AFTER, TimerToken::Call(call).write());
            self.up.insert(call, timer);
        }
    }

    /// Forgets a call when its BYE passes. The name of a call that another shard may know; `None` when it was ours.
    pub(crate) fn left(&mut self, endpoint: &mut Endpoint, bye: &Request) -> Option<u64> {
        let call = self.name(bye.headers());
        (!self.forget(endpoint, call)).then_some(call)
    }

    /// Forgets a call by its name. Whether it was known.
    pub(crate) fn forget(&mut self, endpoint: &mut Endpoint, call: u64) -> bool {
        match self.up.remove(&call) {
            Some(timer) => {
                endpoint.cancel_timer(timer);
                true
            }
            None => false,
        }
    }

    /// Only as many bits as a timer's token has room for.
    fn name(&self, headers: &Headers) -> u64 {
        TimerToken::trim(self.hasher.hash_one(headers.first(HeaderName::CallId).unwrap_or_default()))
    }
}
