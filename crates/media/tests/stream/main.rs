//! Whole audio streams in virtual time: two of them, an in-memory network between them.

#![allow(clippy::unwrap_used, reason = "an unwrap of a test is an assertion")]

mod changes;
mod day;
mod digits;
mod ice;
mod security;
mod strangers;
mod tones;
mod weather;
mod world;
