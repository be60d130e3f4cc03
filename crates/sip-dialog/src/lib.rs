//! Dialogs (RFC 3261 §12) and their usages, and digest authentication. No socket, clock, task or random source: time,
//! tags and seeds are passed in.
//!
//! | room | what it is |
//! | --- | --- |
//! | [`dialog`], [`RouteSet`] | the relation of two user agents: ids, CSeq, route set, remote target |
//! | [`Attempt`] | requests of one UAC that belong together without a dialog |
//! | [`reliable`], [`session_timer`], [`glare`] | what both a whole call and an application that sends its own ACKs, PRACKs and re-INVITEs need |
//! | [`invite`] | calls: INVITE with PRACK, UPDATE, re-INVITE, session timer, INFO, and their races |
//! | [`subscription`] | SUBSCRIBE, NOTIFY and REFER, from both sides |
//! | [`digest`] | challenges and credentials, for clients and servers |
//!
//! A dialog is plain data. A usage is a machine: `handle(now, input)`, `poll_output()`, `next_timeout()`.
//!
//! What is left to others: retransmission of requests and of failures (`sip-transaction`), which dialog a message belongs
//! to and where it is sent (`sip-endpoint`).

mod attempt;
pub mod dialog;
pub mod digest;
mod fields;
pub mod glare;
pub mod invite;
mod random;
pub mod reliable;
mod route_set;
pub mod session_timer;
pub mod subscription;

pub use attempt::Attempt;
pub use dialog::{Dialog, DialogError, DialogId, DialogState, RequestFault, Role};
pub use invite::InviteUsage;
pub use route_set::RouteSet;
