//! Cordboard: SIP sessions as ordinary code. The façade, and what the program is made of.
//!
//! The program's own parts are here too, so that tests and other programs can start a server in their own process.

pub mod cli;
pub mod config;
pub mod serve;
pub mod services;
