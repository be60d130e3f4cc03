//! Whoever sits on an endpoint: a proxy, a registrar, a container of applications, a client.

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

    /// Handles what the user of another shard has said.
    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: Self::Message);

    /// Stops taking what is new; what is there goes on to its end.
    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint);

    /// Whether there is nothing that a drain has to wait for.
    fn is_idle(&self) -> bool;
}
