//! Servlet timers (SIP Servlet 1.1, `TimerService` and `ServletTimer`).
//!
//! ```text
//!   create ──► armed ──fires──► in the mailbox ──its turn──► timeout() ──► over       fires once
//!                ▲                                              │
//!                └──────────────────────────────────────────────┘                   fires again
//! ```
//!
//! There may be a million of them, so that a record is small: it names its application session by the slot, which the
//! session keeps as long as it has timers, and its neighbours in the session's list by theirs; and it counts its time in
//! nanoseconds from the container's beginning. What a timer seldom has is apart, in a table of its own; an info that is a
//! small number is not. With the endpoint's 33 octets a timer that fires once takes 82.
//!
//! A timer that is cancelled is taken out of the table, and whatever of it is still on its way finds nothing.

use std::time::{Duration, Instant};

use servlet::spi::{AppId, AppSessionKey, Repeat, Schedule, TimerKey, TimerTimes};
use servlet::{AttributeValue, Error, IllegalArgument, IllegalState, ServletTimer};

use crate::core::Core;
use crate::jobs::{Then, Work};
use crate::state::{Armed, Due, State};

/// One timer. It is active as long as it is in its table.
#[derive(Debug)]
pub(crate) struct Timer {
    pub(crate) armed: Armed,
    /// The slot of the application session.
    session: u32,
    /// The slots of the timers of the same session that were created before and after it.
    older: u32,
    younger: u32,
    /// When it fires next; or, while its callback runs, when it was to fire.
    due: Moment,
    info: Info,
}

/// What a timer tells its listener.
#[derive(Clone, Copy, Debug)]
enum Info {
    Nothing,
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    I32(i32),
    /// The slot of what is apart: the info is of another type, or the timer does not just fire once.
    Apart(u32),
}

/// What few timers have.
#[derive(Debug)]
pub(crate) struct More {
    info: Option<AttributeValue>,
    repeat: Repeat,
    #[expect(dead_code, reason = "asked for where sessions are written down")]
    persistent: bool,
    /// The time for which the latest firing was scheduled.
    last: Option<Moment>,
}

/// The end of a list.
const NONE: u32 = u32::MAX;

/// A repeated timer's shortest period: that of the interface's unit. Below, the wheel would turn for nothing else.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// Nanoseconds since the container's beginning; enough for five centuries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Moment {
    fn of(began: Instant, now: Instant) -> Moment {
        Moment(0).after(now.saturating_duration_since(began))
    }

    fn after(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn instant(self, began: Instant) -> Instant {
        began + Duration::from_nanos(self.0)
    }
}

impl servlet::spi::Timers for Core {
    fn create_timer(&self, session: AppSessionKey, schedule: Schedule) -> Result<ServletTimer, Error> {
        let valid = self.state().app_sessions.get(session).filter(|record| !record.ending).map(|record| record.app);
        let app = self.app(valid.ok_or(IllegalState::InvalidApplicationSession)?);
        if app.application.parts.timer_listener.is_none() {
            return Err(IllegalState::NoTimerListener.into());
        }
        if let Repeat::FixedDelay(period) | Repeat::FixedRate(period) = schedule.repeat
            && period < SHORTEST_PERIOD
        {
            return Err(IllegalArgument::OutOfRange("a period below a millisecond".into()).into());
        }
        let key = self.state_mut().open_timer(session, schedule).ok_or(IllegalState::InvalidApplicationSession)?;
        app.counters.timers.add(1);
        self.servlet_timer(session, key).ok_or(Error::IllegalState(IllegalState::InvalidApplicationSession))
    }

    fn timer_is_active(&self, key: TimerKey) -> bool {
        self.state().timers.get(key).is_some()
    }

    fn timer_info(&self, key: TimerKey) -> Option<AttributeValue> {
        let state = self.state();
        let info = state.timers.get(key)?.info;
        match state.more_of(info) {
            None => info.value(),
            Some(more) => more.info.clone(),
        }
    }

    fn timer_times(&self, key: TimerKey) -> Option<TimerTimes> {
        let state = self.state();
        let timer = state.timers.get(key)?;
        let last = match state.more_of(timer.info) {
            Some(more) if more.repeat != Repeat::Once => more.last,
            _ => (timer.armed == Armed::No).then_some(timer.due),
        };
        Some(TimerTimes {
            remaining: timer.due.since(state.moment()),
            last_scheduled: last.map(|last| state.clock.time(last.instant(state.began))),
        })
    }

    fn cancel_timer(&self, key: TimerKey) -> bool {
        self.end_timer(key)
    }
}

impl Core {
    /// A timer has fired, and its turn has come.
    pub(crate) fn timer_due(&self, key: TimerKey) -> Option<Work> {
        let (session, app) = self.state_mut().fire(key)?;
        let timer = self.servlet_timer(session, key)?;
        let listener = self.app(app).application.parts.timer_listener.clone()?;
        Some(Work { app, future: listener.timeout(timer), then: Then::TimerFired(key) })
    }

    /// The listener has heard of a firing. A timer that it has cancelled is no more.
    pub(crate) fn timer_done(&self, key: TimerKey) {
        if !self.state_mut().rearm_timer(key) {
            self.end_timer(key);
        }
    }

    /// Takes a timer back, or lets it go after its last firing. Whether there was one.
    fn end_timer(&self, key: TimerKey) -> bool {
        let mut state = self.state_mut();
        let Some((session, more)) = state.close_timer(key) else { return false };
        state.unsettle(session);
        drop(state);
        self.timer_ended(session, more);
        true
    }

    /// Cancels every timer of an application session, the latest first.
    pub(crate) fn end_timers(&self, session: AppSessionKey) {
        loop {
            let mut state = self.state_mut();
            let Some(key) = state.app_sessions.get(session).and_then(|record| record.timers) else { return };
            let Some((_, more)) = state.close_timer(key) else { return };
            drop(state);
            self.timer_ended(session, more);
        }
    }

    fn timer_ended(&self, session: AppSessionKey, more: Option<More>) {
        let Some(app) = self.state().app_sessions.get(session).map(|record| record.app) else { return };
        self.app(app).counters.timers.take(1);
        if more.is_some() {
            self.listener(app, move || drop(more));
        }
    }

    /// The active timers of an application session, in the order of their creation.
    pub(crate) fn timers_of(&self, session: AppSessionKey) -> Vec<ServletTimer> {
        let keys = self.state().timer_keys(session);
        keys.into_iter().filter_map(|key| self.servlet_timer(session, key)).collect()
    }

    fn servlet_timer(&self, session: AppSessionKey, key: TimerKey) -> Option<ServletTimer> {
        Some(ServletTimer::new(self.host(), key, self.app_session(session)?))
    }
}

impl State {
    /// The application session whose mailbox a timer's firing goes to.
    pub(crate) fn owner_of_timer(&self, key: TimerKey) -> Option<AppSessionKey> {
        let (owner, _) = self.app_sessions.in_slot(self.timers.get(key)?.session)?;
        Some(owner)
    }

    fn moment(&self) -> Moment {
        Moment::of(self.began, self.now)
    }

    /// Enters a timer as the youngest of its session, and arms it.
    fn open_timer(&mut self, session: AppSessionKey, schedule: Schedule) -> Option<TimerKey> {
        let due = self.moment().after(schedule.delay);
        let before = self.app_sessions.get(session)?.timers;
        let info = match Info::small(&schedule) {
            Some(info) => info,
            None => Info::Apart(self.timers_apart.insert(More::of(schedule)).slot),
        };
        let key = self.timers.insert(Timer {
            armed: Armed::No,
            session: session.slot,
            older: before.map_or(NONE, |before| before.slot),
            younger: NONE,
            due,
            info,
        });
        if let Some(before) = before.and_then(|before| self.timers.get_mut(before)) {
            before.younger = key.slot;
        }
        let record = self.app_sessions.get_mut(session)?;
        record.timers = Some(key);
        record.timer_count += 1;
        self.arm_timer(key);
        Some(key)
    }

    /// Takes a timer out of its session's list and out of the table. Gives what of it is the application's.
    fn close_timer(&mut self, key: TimerKey) -> Option<(AppSessionKey, Option<More>)> {
        let owner = self.owner_of_timer(key)?;
        let mut timer = self.timers.remove(key)?;
        self.disarm(&mut timer.armed);
        let older = self.timers.in_slot(timer.older).map(|(key, _)| key);
        let younger = self.timers.in_slot(timer.younger).map(|(key, _)| key);
        if let Some(older) = older.and_then(|older| self.timers.get_mut(older)) {
            older.younger = timer.younger;
        }
        if let Some(younger) = younger.and_then(|younger| self.timers.get_mut(younger)) {
            younger.older = timer.older;
        }
        if let Some(record) = self.app_sessions.get_mut(owner) {
            record.timer_count -= 1;
            if record.timers == Some(key) {
                record.timers = older;
            }
        }
        let more = match timer.info {
            Info::Apart(slot) => self.timers_apart.in_slot(slot).map(|(key, _)| key),
            _ => None,
        };
        Some((owner, more.and_then(|more| self.timers_apart.remove(more))))
    }

    fn more_of(&self, info: Info) -> Option<&More> {
        let Info::Apart(slot) = info else { return None };
        self.timers_apart.in_slot(slot).map(|(_, more)| more)
    }

    fn more_of_mut(&mut self, info: Info) -> Option<&mut More> {
        let Info::Apart(slot) = info else { return None };
        let (key, _) = self.timers_apart.in_slot(slot)?;
        self.timers_apart.get_mut(key)
    }

    /// Arms a timer for the time when it is due; at once when that is past.
    fn arm_timer(&mut self, key: TimerKey) {
        let now = self.moment();
        let Some(due) = self.timers.get(key).map(|timer| timer.due) else { return };
        let armed = self.arm(Due::Servlet(key), due.since(now));
        if let Some(timer) = self.timers.get_mut(key) {
            timer.armed = armed;
        }
    }

    /// A firing's turn has come.
    fn fire(&mut self, key: TimerKey) -> Option<(AppSessionKey, AppId)> {
        let owner = self.owner_of_timer(key)?;
        let app = self.app_sessions.get(owner)?.app;
        let timer = self.timers.get_mut(key)?;
        timer.armed = Armed::No;
        let (info, due) = (timer.info, timer.due);
        let Some(more) = self.more_of_mut(info) else { return Some((owner, app)) };
        more.last = Some(due);
        if let Repeat::FixedRate(period) = more.repeat
            && let Some(timer) = self.timers.get_mut(key)
        {
            timer.due = due.after(period);
        }
        Some((owner, app))
    }

    /// Arms a timer once more after its callback. Whether it fires again; also no when it is over.
    fn rearm_timer(&mut self, key: TimerKey) -> bool {
        let now = self.moment();
        let info = self.timers.get(key).map(|timer| timer.info);
        let repeat = info.and_then(|info| self.more_of(info)).map_or(Repeat::Once, |more| more.repeat);
        let Some(timer) = self.timers.get_mut(key) else { return false };
        match repeat {
            Repeat::Once => return false,
            Repeat::FixedDelay(period) => timer.due = now.after(period),
            // `fire` has set the time; when it is past, the firing is made up for at once.
            Repeat::FixedRate(_) => {}
        }
        self.arm_timer(key);
        true
    }

    /// The timers of an application session, the oldest first.
    fn timer_keys(&self, session: AppSessionKey) -> Vec<TimerKey> {
        let Some(record) = self.app_sessions.get(session) else { return Vec::new() };
        let mut keys = Vec::with_capacity(record.timer_count as usize);
        let mut next = record.timers;
        while let Some(key) = next {
            keys.push(key);
            next = self.timers.get(key).and_then(|timer| self.timers.in_slot(timer.older)).map(|(key, _)| key);
        }
        keys.reverse();
        keys
    }
}

impl Info {
    /// The info of a timer that fires once and is kept with its session, when it is nothing or a small number.
    fn small(schedule: &Schedule) -> Option<Info> {
        let info = schedule.info.as_ref().filter(|_| schedule.repeat == Repeat::Once && schedule.persistent)?;
        let small = info.get::<()>().map(|_| Info::Nothing);
        let small = small.or_else(|| info.get().map(|info| Info::U32(*info)));
        let small = small.or_else(|| info.get().map(|info| Info::I32(*info)));
        let small = small.or_else(|| info.get().map(|info| Info::U16(*info)));
        let small = small.or_else(|| info.get().map(|info| Info::U8(*info)));
        small.or_else(|| info.get().map(|info| Info::Bool(*info)))
    }

    /// As the application has given it.
    fn value(self) -> Option<AttributeValue> {
        Some(match self {
            Info::Nothing => AttributeValue::new(()),
            Info::Bool(info) => AttributeValue::new(info),
            Info::U8(info) => AttributeValue::new(info),
            Info::U16(info) => AttributeValue::new(info),
            Info::U32(info) => AttributeValue::new(info),
            Info::I32(info) => AttributeValue::new(info),
            Info::Apart(_) => return None,
        })
    }
}

impl More {
    fn of(schedule: Schedule) -> More {
        let Schedule { repeat, persistent, info, .. } = schedule;
        More { info, repeat, persistent, last: None }
    }
}

#[cfg(test)]
mod tests;
