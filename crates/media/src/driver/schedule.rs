//! When which room has its tick: every 20 ms on an absolute schedule, in one of 20 phases of a millisecond, so that the
//! load of many calls is even. After a stall some ticks are made up for, the others are left out.

use std::time::{Duration, Instant};

/// Phases of a tick.
pub(super) const PHASES: usize = 20;
/// The length of one.
const PHASE: Duration = Duration::from_millis(1);
/// So late at most ticks are made up for: three of them.
const MAKE_UP: u64 = 3 * PHASES as u64;

/// The clock of the phases.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    /// The next phase, counted from the start.
    next: u64,
    /// Rooms in each phase.
    load: [usize; PHASES],
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The tick of the rooms in this phase.
    Phase(usize),
    /// Nothing that could still be made up for: so many ticks of all rooms are left out.
    Skipped(u32),
    /// Nothing before that instant.
    At(Instant),
    /// Nothing at all.
    Never,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Schedule {
        Schedule { start: now, next: 0, load: [0; PHASES] }
    }

    /// The phase for a new room: the one with the fewest.
    pub(super) fn enter(&mut self, now: Instant) -> usize {
        if self.load.iter().all(|rooms| *rooms == 0) {
            self.next = self.count(now);
        }
        let phase = (0..PHASES).min_by_key(|phase| self.load[*phase]).unwrap_or(0);
        self.load[phase] += 1;
        phase
    }

    /// The same, in a phase that is given.
    pub(super) fn enter_phase(&mut self, now: Instant, phase: usize) {
        if self.load.iter().all(|rooms| *rooms == 0) {
            self.next = self.count(now);
        }
        self.load[phase % PHASES] += 1;
    }

    /// A room has ended.
    pub(super) fn leave(&mut self, phase: usize) {
        let rooms = &mut self.load[phase % PHASES];
        *rooms = rooms.saturating_sub(1);
    }

    /// What to do now; ask again after each phase.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let Some(ahead) = (0..PHASES).find(|ahead| self.load[self.phase(*ahead as u64)] > 0) else { return Due::Never };
        self.next += ahead as u64;
        let current = self.count(now);
        if current < self.next {
            return Due::At(self.start + PHASE * u32::try_from(self.next).unwrap_or(u32::MAX));
        }
        let late = current - self.next;
        if late > MAKE_UP {
            let ticks = (late - MAKE_UP).div_ceil(PHASES as u64);
            self.next += ticks * PHASES as u64;
            return Due::Skipped(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
        let phase = self.phase(0);
        self.next += 1;
        Due::Phase(phase)
    }

    fn phase(&self, ahead: u64) -> usize {
        ((self.next + ahead) % PHASES as u64) as usize
    }

    fn count(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_micros() / PHASE.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(schedule: &mut Schedule, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| match schedule.due(now) {
            Due::Phase(phase) => Some(phase),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn rooms_are_spread_over_the_phases_evenly() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let mut rooms = [0; PHASES];
        for _ in 0..1_000 {
            rooms[schedule.enter(now)] += 1;
        }
        assert_eq!(rooms, [50; PHASES]);
    }

    #[test]
    fn a_room_has_its_tick_fifty_times_a_second_without_drift() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let phase = schedule.enter(start);
        let mut ticks = 0;
        // Asked at odd times, late by up to 17 ms.
        for step in 0..600_u32 {
            ticks += phases(&mut schedule, start + Duration::from_millis(17) * step).len();
        }
        assert_eq!((phase, ticks), (0, (599 * 17) / 20 + 1));
    }

    #[test]
    fn between_ticks_it_is_known_when_the_next_one_is() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert_eq!(schedule.due(start), Due::Never);
        schedule.enter(start);
        assert_eq!(schedule.due(start), Due::Phase(0));
        assert_eq!(schedule.due(start), Due::At(start + Duration::from_millis(20)));
        assert_eq!(schedule.due(start + Duration::from_micros(19_999)), Due::At(start + Duration::from_millis(20)));
        schedule.leave(0);
        assert_eq!(schedule.due(start), Due::Never);
    }

    #[test]
    fn after_a_stall_three_ticks_are_made_up_for_and_the_others_are_left_out() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.enter(start);
        assert_eq!(schedule.due(start), Due::Phase(0));
        let late = start + Duration::from_secs(1);
        let Due::Skipped(skipped) = schedule.due(late) else { panic!("a second is too late") };
        let made_up = phases(&mut schedule, late).len();
        assert_eq!(u64::from(skipped) + made_up as u64, 50);
        assert!(made_up <= 4, "{made_up}");
    }

    #[test]
    fn who_comes_after_a_long_pause_finds_nothing_to_make_up_for() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let later = start + Duration::from_secs(3_600);
        schedule.enter(later);
        assert_eq!(schedule.due(later), Due::Phase(0));
        assert!(matches!(schedule.due(later), Due::At(_)));
    }
}
