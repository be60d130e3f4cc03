//! The live screen of `cordboard call`, `cordboard answer` and `cordboard chat`.
//!
//! ```text
//!   Call ──► Shown ──► view ──► terminal          what is known, what of it is shown, how, and where
//!   Shown::of, waiting    │         │
//!                      Meters       └─► keys ──► Key        read by a thread, as what they mean
//! ```
//!
//! ```text
//!   others   calls that are not looked at, when there are any
//!   head     state, timer, peer
//!   audio    level meters, codec, encryption, addresses     │  quality    opinion score, loss, jitter, delays
//!   events   what has happened                              (or, with `i`, all that is known)
//!   question what is asked, when something is
//!   foot     keys
//! ```
//!
//! The view is a function of what is shown: no clock, no terminal, no state. On a small terminal the panels become lines and
//! what matters least is left out. Whatever others wrote is cleaned before it gets here ([`text::Clean`]).

mod chat;
mod keys;
mod meter;
mod palette;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod samples;
mod shown;
mod terminal;
mod text;
mod view;

pub(super) use chat::{ChatLine, Mark, ShownChat};
pub(super) use keys::Key;
pub(super) use shown::Shown;
pub(super) use terminal::Screen;
