//! What the container wants done once the application has given control back.

use std::time::Instant;

use servlet::spi::TransactionKey;
use sip_endpoint::{SendTo, TimerId};
use sip_message::{Request, Response};

use crate::state::Due;
use crate::transaction::Peer;

/// An order to the endpoint, or a message from one application to another in the same container.
#[derive(Debug)]
pub(crate) enum Order {
    /// Answer a server transaction: on the wire, or the application that has sent the request.
    Respond {
        transaction: TransactionKey,
        response: Box<Response>,
        /// Nothing has to be kept of it: the request can be answered again when it is repeated.
        once: bool,
    },
    /// Let the application router decide about a new request, and send it there.
    Route { transaction: TransactionKey, request: Box<Request> },
    /// Send a request; to ourselves when that is where it goes.
    Send { transaction: TransactionKey, request: Box<Request>, to: SendTo, mark: Option<u64> },
    /// Send the ACK of a 2xx; to ourselves when that is where it goes.
    Ack { request: Box<Request>, to: SendTo },
    /// Cancel a client transaction, with this value of Reason.
    Cancel { transaction: TransactionKey, reason: Option<Box<str>> },
    /// Answer whoever has sent a request that has no transaction of the container's.
    Answer { peer: Peer, response: Box<Response>, once: bool },
    /// A proxied transaction has nothing more to come: an inner one ends for both sides.
    Done(TransactionKey),
    /// Arm a timer.
    Arm { due: Due, at: Instant },
    /// Take a timer back.
    Disarm(TimerId),
}
