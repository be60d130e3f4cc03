//! Cordboard: SIP sessions as ordinary code. The façade, and what the program is made of.
//!
//! A program of one's own says what its applications do ([`servlet`], by [`prelude`]) and starts a [`Server`] of them; in
//! tests the same applications run in virtual time (feature `testkit`). `cordboard serve` is such a program, with the
//! shipped [`applications`] and a configuration file; its parts are here too, so that a server of both can be started in
//! any process.

mod builder;
pub mod cli;
pub mod config;
pub mod engine;
pub mod hosting;
mod logs;
mod operations;
pub mod phone;
pub mod serve;
mod worker;

pub use builder::ServerBuilder;
pub use serve::{ServeError, Server};

pub use engine::Engine;
#[cfg(feature = "testkit")]
pub use testkit;
pub use {applications, container, servlet, sip_message};

/// The client: an [`Engine`], its accounts and sessions, and what they tell.
pub mod client {
    pub use crate::engine::*;
    pub use ::client::*;
}

/// What most programs use.
pub mod prelude {
    pub use crate::Server;
    pub use servlet::prelude::*;
}
