//! Timestamps without roll-over, and without those that cannot be: a timestamp far from where the clock should be is a
//! slip, an attack, or another beginning; another packet that fits to it tells which.

use crate::rtp::TimestampExtender;

/// The timestamps of one stream.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    timestamps: TimestampExtender,
    /// Transit times may differ by so much.
    limit: i64,
    /// A packet that was too far off: its timestamp and its arrival.
    doubtful: Option<(u32, i64)>,
}

/// What a timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It goes on from those before; without roll-over.
    Possible(i64),
    /// It begins another timeline; without roll-over.
    Restart(i64),
    /// The next one will tell.
    Doubtful,
}

impl Timeline {
    pub(super) fn new(limit: i64) -> Timeline {
        Timeline { timestamps: TimestampExtender::default(), limit, doubtful: None }
    }

    /// Judges a timestamp by its packet's arrival and the transit time of the fastest packets.
    pub(super) fn judge(&mut self, timestamp: u32, marker: bool, arrival: i64, fastest: Option<i64>) -> Judgement {
        let extended = self.timestamps.peek(timestamp);
        let Some(fastest) = fastest else {
            return Judgement::Possible(self.accept(timestamp));
        };
        if (arrival - extended - fastest).abs() <= self.limit {
            return Judgement::Possible(self.accept(timestamp));
        }
        // Talkspurts may begin anywhere (some gateways' do); anything else needs a second packet.
        if marker || self.confirms(timestamp, arrival) {
            return Judgement::Restart(i64::from(timestamp));
        }
        self.doubtful = Some((timestamp, arrival));
        Judgement::Doubtful
    }

    /// Takes the timestamp as one of the stream's.
    pub(super) fn accept(&mut self, timestamp: u32) -> i64 {
        self.doubtful = None;
        self.timestamps.extend(timestamp)
    }

    /// The next timestamp may be any.
    pub(super) fn restart(&mut self) {
        self.timestamps = TimestampExtender::default();
        self.doubtful = None;
    }

    fn confirms(&self, timestamp: u32, arrival: i64) -> bool {
        self.doubtful.is_some_and(|(before, then)| {
            let step = i64::from(timestamp.wrapping_sub(before).cast_signed());
            step != 0 && (arrival - then - step).abs() <= self.limit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_that_fit_to_their_arrival_are_possible_across_the_roll_over() {
        let mut timeline = Timeline::new(8_000);
        let first = timeline.judge(0xffff_ff60, false, 0, None);
        assert_eq!(first, Judgement::Possible(0xffff_ff60));
        let fastest = Some(-0xffff_ff60);
        assert_eq!(timeline.judge(0, false, 160, fastest), Judgement::Possible(0x1_0000_0000));
        assert_eq!(timeline.judge(0xffff_ff60 + 80, false, 300, fastest), Judgement::Possible(0xffff_ffb0));
    }

    #[test]
    fn one_wild_timestamp_is_doubtful_and_two_that_fit_are_another_beginning() {
        let mut timeline = Timeline::new(8_000);
        timeline.judge(0, false, 0, None);
        assert_eq!(timeline.judge(5_000_000, false, 160, Some(0)), Judgement::Doubtful);
        assert_eq!(timeline.judge(320, false, 320, Some(0)), Judgement::Possible(320));
        assert_eq!(timeline.judge(9_000_000, false, 480, Some(0)), Judgement::Doubtful);
        assert_eq!(timeline.judge(9_000_000, false, 480, Some(0)), Judgement::Doubtful, "a copy confirms nothing");
        assert_eq!(timeline.judge(9_000_160, false, 640, Some(0)), Judgement::Restart(9_000_160));
    }

    #[test]
    fn a_talkspurt_may_begin_anywhere() {
        let mut timeline = Timeline::new(8_000);
        timeline.judge(0, false, 0, None);
        assert_eq!(timeline.judge(0x8000_0000, true, 160, Some(0)), Judgement::Restart(0x8000_0000));
    }
}
