//! Media: audio over RTP.
//!
//! The pieces are pure; time, randomness and octets are passed in. One room, [`driver`], owns the sockets and the
//! threads.
//!
//! ```text
//!             driver: sockets, ports, threads, ticks of 20 ms
//!                │ datagrams                       ▲ datagrams
//!                ▼                                 │
//!   demux ─► ice, dtls, srtp ─► rtp ─► jitter ─► codec ─► resample ─► bridge ◄─► device, wav, tone
//!            └───────────────── stream: one audio stream of a session ─────┘
//! ```

pub mod bridge;
pub mod codec;
pub mod demux;
pub mod device;
pub mod driver;
pub mod dtls;
pub mod dtmf;
pub mod ice;
pub mod jitter;
pub mod level;
mod lock;
pub mod pcm;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod signal;
pub mod srtp;
pub mod stream;
pub mod tone;
pub mod wav;

pub use driver::mirror::{Mirror, MirrorError, Mirrors};
pub use lock::{SourceLock, Verdict};
