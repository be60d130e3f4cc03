//! The four transaction machines of RFC 3261 §17 with RFC 6026, their timers and matching keys.
//!
//! ```text
//!         transaction user: dialogs, proxy, registrar …
//!            │ request, response          ▲ DeliverToUser, RespondTrying,
//!            │                            │ ReportTransportFailure, Terminated
//!   ┌────────▼────────────────────────────┴────────┐
//!   │ the owner: table of keys, timer wheel        │
//!   │   Input ──► InviteClientTransaction          │
//!   │             NonInviteClientTransaction       │
//!   │             InviteServerTransaction          │
//!   │             NonInviteServerTransaction ──► Outputs
//!   └────────▲────────────────────────────┬────────┘
//!            │ bytes received,            │ Send
//!            │ TransportFailed            ▼
//!         transport
//! ```
//!
//! A machine does nothing by itself. Its owner finds it by its [`key`], hands in what happened, and carries out the
//! [`Output`]s in their order. A machine holds no more than a retransmission needs, 40 octets and one message, and after
//! a 2xx not even that. The message that an input tells of stays with the owner, which passes it on when it reads
//! [`Output::DeliverToUser`].
//!
//! An owner that needs no timer but a clock that is moved by hand:
//!
//! ```
//! use bytes::Bytes;
//! use sip_message::{StatusCode, Transport};
//! use sip_transaction::non_invite_client::Input;
//! use sip_transaction::{NonInviteClientTransaction, Output, Reason, Timer, Timers};
//!
//! let timers = Timers::default();
//! let options = Bytes::from_static(b"OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n");
//! let (mut transaction, orders) = NonInviteClientTransaction::start(options.clone(), Transport::Udp, &timers);
//! assert_eq!(orders[0], Output::Send(options.clone()));
//! assert_eq!(orders[1], Output::SetTimer(Timer::E, timers.t1()));
//!
//! // Half a second later:
//! let orders = transaction.handle(Input::TimerFired(Timer::E), &timers);
//! assert_eq!(orders[0], Output::Send(options));
//!
//! let orders = transaction.handle(Input::ResponseReceived(StatusCode::OK), &timers);
//! assert_eq!(orders[0], Output::DeliverToUser);
//! assert_eq!(orders.last(), Some(&Output::SetTimer(Timer::K, timers.t4())));
//! let orders = transaction.handle(Input::TimerFired(Timer::K), &timers);
//! assert_eq!(orders[..], [Output::Terminated(Reason::Finished)]);
//! ```
//!
//! What is left to others: the 2xx to an INVITE and its ACK, reliable provisional responses (`sip-dialog`), Timer C and
//! the choice of the next server (their users), sockets and clocks.

mod ack;
pub mod drive;
pub mod invite_client;
pub mod invite_server;
pub mod key;
pub mod non_invite_client;
pub mod non_invite_server;
mod output;
mod timer;

pub use ack::ack_for_failure;
pub use invite_client::InviteClientTransaction;
pub use invite_server::InviteServerTransaction;
pub use key::{ClientKey, KeyError, OwnedClientKey, OwnedServerKey, ServerKey};
pub use non_invite_client::NonInviteClientTransaction;
pub use non_invite_server::NonInviteServerTransaction;
pub use output::{Output, Outputs, Reason, Violation};
pub use timer::{Timer, TimerRole, Timers, TimersError};
