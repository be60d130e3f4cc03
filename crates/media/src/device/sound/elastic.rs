//! A short stretch of audio between two clocks.
//!
//! ```text
//!   0 ──── 30 ms ─────────────── 90 ms
//!   empty: silence until        too much: what is old is thrown away
//!   30 ms are there again       down to 30 ms
//! ```
//!
//! Cards drift by less than one part in ten thousand: it is made anew once in ten minutes or so.

use crate::pcm::SampleRate;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Both ends.
pub(super) fn elastic(rate: SampleRate) -> (Feed, Elastic) {
    let (into, out) = RingBuffer::new(rate.samples_in(ROOM));
    let lost = Arc::new(AtomicU64::new(0));
    let feed = Feed { ring: into, lost: Arc::clone(&lost) };
    let elastic =
        Elastic { ring: out, target: rate.samples_in(TARGET), most: rate.samples_in(MOST), flows: false, lost };
    (feed, elastic)
}

/// Where audio goes in.
pub(super) struct Feed {
    ring: Producer<i16>,
    lost: Arc<AtomicU64>,
}

impl Feed {
    /// Never waits. What there is no room for is lost.
    pub(super) fn put(&mut self, pcm: &[i16]) {
        let (_, rest) = self.ring.push_partial_slice(pcm);
        self.lost.fetch_add(rest.len() as u64, Ordering::Relaxed);
    }

    /// How many samples were thrown away since asked last.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// Where audio comes out.
pub(super) struct Elastic {
    ring: Consumer<i16>,
    target: usize,
    most: usize,
    /// Enough was there to begin, and it has not run dry since.
    flows: bool,
    lost: Arc<AtomicU64>,
}

impl Elastic {
    /// Fills `pcm`, with silence where audio has run dry. Returns whether it is audio.
    pub(super) fn take(&mut self, pcm: &mut [i16]) -> bool {
        let waiting = self.ring.slots();
        if waiting > self.most + pcm.len() {
            let surplus = waiting - self.target.max(pcm.len());
            if let Ok(chunk) = self.ring.read_chunk(surplus) {
                chunk.commit_all();
                self.lost.fetch_add(surplus as u64, Ordering::Relaxed);
            }
        }
        self.flows = waiting >= pcm.len() && (self.flows || waiting >= self.target);
        if !self.flows {
            pcm.fill(0);
            return false;
        }
        let (_, missing) = self.ring.pop_partial_slice(pcm);
        missing.fill(0);
        true
    }

    /// How many samples were thrown away since asked last.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

const TARGET: Duration = Duration::from_millis(30);
const MOST: Duration = Duration::from_millis(90);
const ROOM: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::Narrow;

    #[test]
    fn it_begins_with_two_ticks_in_hand_and_begins_anew_when_it_has_run_dry() {
        let (mut feed, mut elastic) = elastic(RATE);
        let mut pcm = [9; 160];
        feed.put(&[1; 160]);
        assert!(!elastic.take(&mut pcm));
        assert_eq!(pcm, [0; 160]);
        feed.put(&[2; 160]);
        assert!(elastic.take(&mut pcm));
        assert_eq!(pcm, [1; 160]);
        assert!(elastic.take(&mut pcm));
        assert_eq!(pcm, [2; 160]);
        assert!(!elastic.take(&mut pcm));
        feed.put(&[3; 160]);
        assert!(!elastic.take(&mut pcm));
        feed.put(&[4; 160]);
        assert!(elastic.take(&mut pcm));
        assert_eq!(pcm, [3; 160]);
        assert_eq!(elastic.take_lost(), 0);
    }

    #[test]
    fn a_clock_that_is_too_fast_loses_its_surplus_now_and_then_and_delay_stays_bounded() {
        let (mut feed, mut elastic) = elastic(RATE);
        let mut pcm = [0; 160];
        let mut lost = 0;
        // One sample too many each tick, for an hour: 180,000 in all.
        for _ in 0..180_000 {
            feed.put(&[1; 161]);
            elastic.take(&mut pcm);
            assert!(elastic.ring.slots() <= RATE.samples_in(MOST) + 161);
            lost += elastic.take_lost();
        }
        assert!((179_000..=180_000).contains(&lost), "{lost}");
    }

    #[test]
    fn who_stops_taking_does_not_stop_who_puts() {
        let (mut feed, mut elastic) = elastic(RATE);
        (0..100).for_each(|_| feed.put(&[1; 160]));
        assert_eq!(feed.take_lost(), 16_000 - 4_000);
        let mut pcm = [0; 160];
        assert!(elastic.take(&mut pcm));
        assert_eq!(elastic.ring.slots(), RATE.samples_in(TARGET) - 160);
    }
}
