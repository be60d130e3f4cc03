//! Calls between `cordboard serve` and peers that we did not write.
//!
//! Each test starts the program on free loopback ports with a configuration of its own, lets real
//! peers call through it, and looks at what the peers saw. What a test needs beyond the program is
//! here, one file per thing: the [`server`], the peers ([`sipp`], [`baresip`], [`kamailio`],
//! [`browser`], [`pjsua2`]), [`certificates`], [`ports`], and the [`process`] that all of them are.
//!
//! The program is taken from `CORDBOARD_BIN`, else the newest build of `target/{release,debug}`.
//! A peer that is not installed is said aloud and its tests pass; where `CI` is set they fail.
//! A failing test prints the server's log and each peer's messages, and leaves all files of the run
//! in `target/interop/run/<test>`.

pub mod baresip;
pub mod browser;
pub mod certificates;
pub mod kamailio;
pub mod phone;
pub mod pjsua2;
pub mod ports;
pub mod presence;
pub mod process;
pub mod server;
pub mod sipp;
pub mod sound;
pub mod workspace;

/// The domain that the server under test answers for.
pub const DOMAIN: &str = "example.test";
