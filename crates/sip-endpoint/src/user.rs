//! Whoever sits on an endpoint: a proxy, a registrar, a container of applications, a client.

use std::task::Waker;
use std::time::Instant;

use crate::Endpoint;
use crate::api::Event;

/// The transaction user of RFC 3261 §5, one for each endpoint. A driver owns the pair and carries the endpoint's events
/// to its user, one at a time and in order; the user answers by calling the endpoint.
pub trait TransactionUser {
    /// What the users of the shards of one server tell each other.
    type Message: Clone + Send + 'static;

    /// Handles an event. What is put into `peers` goes to the users of all other shards.
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<Self::Message>);

    /// Is given, once and before the first event, what the user's own futures are to be polled with. Waking it, from any
    /// thread or from within the user itself, soon leads to one call of [`TransactionUser::woken`], however often it was
    /// woken until then.
    fn set_waker(&mut self, waker: Waker) {
        let _ = waker;
    }

    /// Polls those of the user's futures that have been woken. What is put into `peers` goes to the users of all other
    /// shards. In production this, like every other call of the driver's, is within a single-threaded runtime with
    /// timers and I/O, so that the futures may use them; in a simulated world there is none.
    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, peers: &mut Vec<Self::Message>) {
        let _ = (now, endpoint, peers);
    }

    /// Handles what the user of another shard has said.
    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: Self::Message);

    /// Stops taking what is new; what is there goes on to its end.
    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint);

    /// Whether there is nothing that a drain has to wait for.
    fn is_idle(&self) -> bool;
}
