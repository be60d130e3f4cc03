//! The timers that one transaction has armed: two at the most.

use std::time::{Duration, Instant};

use sip_transaction::Timer;

use crate::endpoint::Due;
use crate::slab::Key;
use crate::wheel::Wheel;

/// See the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Armed([Option<(Timer, Key)>; 2]);

impl Armed {
    /// Arms a timer, in the place of one of the same name.
    pub(crate) fn set(&mut self, wheel: &mut Wheel<Due>, now: Instant, timer: Timer, after: Duration, due: Due) {
        self.cancel(wheel, timer);
        let key = wheel.set(now, after, due);
        match self.0.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some((timer, key)),
            // No figure has three timers at once. Should one ever, it fires and finds its transaction or nothing.
            None => debug_assert!(false, "a third timer"),
        }
    }

    pub(crate) fn cancel(&mut self, wheel: &mut Wheel<Due>, timer: Timer) {
        for slot in &mut self.0 {
            if let Some((name, key)) = *slot
                && name == timer
            {
                wheel.cancel(key);
                *slot = None;
            }
        }
    }

    pub(crate) fn cancel_all(&mut self, wheel: &mut Wheel<Due>) {
        for slot in &mut self.0 {
            if let Some((_, key)) = slot.take() {
                wheel.cancel(key);
            }
        }
    }

    /// Forgets a timer that has fired.
    pub(crate) fn fired(&mut self, timer: Timer) {
        for slot in &mut self.0 {
            if slot.is_some_and(|(name, _)| name == timer) {
                *slot = None;
            }
        }
    }
}
