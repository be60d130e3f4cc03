//! The client: accounts, sessions with streams, and notifications, as the SIP SIMPLE middleware has them.
//!
//! Pure: it sits on a [`sip_endpoint::Endpoint`] as its transaction user; media is behind [`media::MediaCommand`] and
//! [`media::MediaEvent`]. Whoever drives both, with sockets or in a simulated world, carries them to and fro and takes
//! [`Notification`]s from the queue.

pub mod account;
mod client;
mod desk;
mod error;
pub mod media;
pub mod notification;
pub mod session;
pub mod settings;
mod streams;

pub use client::Client;
pub use desk::{Epoch, Notices};
pub use error::ClientError;
pub use notification::{Data, Notification, Party, Sender};
pub use streams::{StreamKind, Streams};
