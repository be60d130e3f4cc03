//! Numbers that cannot be guessed and tags (RFC 3261 §19.3), for a user that makes them while it does not hold the
//! endpoint.

use std::fmt;

use crate::cookie::{self, Secrets};

/// A source of random numbers that was split off an endpoint's by [`crate::Endpoint::entropy`]. It goes on by itself and
/// repeats neither the endpoint's numbers nor those of another one that was split off; there is no copy of it, which
/// would repeat its own.
pub struct Entropy {
    partition: u8,
    secrets: Secrets,
}

impl Entropy {
    pub(crate) fn new(partition: u8, seed: u64) -> Entropy {
        Entropy { partition, secrets: Secrets::new(seed, partition) }
    }

    /// A number that cannot be guessed.
    pub fn random(&mut self) -> u64 {
        self.secrets.random()
    }

    /// A tag for our end of a dialog, like those of [`crate::Endpoint::new_tag`]: it names the same partition.
    pub fn tag(&mut self) -> String {
        cookie::tag(self.partition, &mut self.secrets)
    }

    /// The partition that the tags name.
    pub fn partition(&self) -> u8 {
        self.partition
    }
}

/// Says nothing of the seed: who knows it can foretell every tag.
impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").field("partition", &self.partition).finish_non_exhaustive()
    }
}
