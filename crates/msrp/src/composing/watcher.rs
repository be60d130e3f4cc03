//! Who waits for what the other side composes, RFC 3994 §3.3.
//!
//! ```text
//!                      +---------+
//!            +-------->|  idle   |<---------+
//!            |         +----+----+          |
//!  "idle", or content       | "active"      | refresh, or 120 s
//!            |         +----v----+          |
//!            +---------+ active  +----------+
//!                      +---------+
//! ```

use std::time::{Duration, Instant};

use super::{Indication, State};

/// §3.3: how long "active" holds if it does not say.
const DEFAULT_REFRESH: Duration = Duration::from_secs(120);

/// What the other side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherInput<'a> {
    /// When an indication has come.
    Indication(&'a Indication),
    /// When a message has come.
    Message,
}

/// Watches one composer.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    until: Option<Instant>,
}

impl Watcher {
    /// Takes what the other side sends; gives the state if it has changed.
    pub fn handle(&mut self, now: Instant, input: WatcherInput<'_>) -> Option<State> {
        let before = self.state();
        self.until = match input {
            WatcherInput::Indication(Indication { state: State::Active, refresh, .. }) => {
                Some(now + refresh.unwrap_or(DEFAULT_REFRESH))
            }
            WatcherInput::Indication(_) | WatcherInput::Message => None,
        };
        Some(self.state()).filter(|&state| state != before)
    }

    /// Lets time pass; gives the state if it has changed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<State> {
        self.until.filter(|&until| now >= until)?;
        self.until = None;
        Some(State::Idle)
    }

    /// When to call [`Watcher::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the other side is composing, as far as it has told.
    pub fn state(&self) -> State {
        if self.until.is_some() { State::Active } else { State::Idle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(refresh: Option<u64>) -> Indication {
        Indication { state: State::Active, refresh: refresh.map(Duration::from_secs), ..Indication::default() }
    }

    #[test]
    fn active_ends_with_idle_with_content_or_with_time() {
        let start = Instant::now();
        let mut bob = Watcher::default();
        for end in [WatcherInput::Indication(&Indication::default()), WatcherInput::Message] {
            assert_eq!(bob.handle(start, WatcherInput::Indication(&active(None))), Some(State::Active));
            assert_eq!(bob.handle(start, end), Some(State::Idle));
        }
        bob.handle(start, WatcherInput::Indication(&active(Some(90))));
        assert_eq!(bob.handle_timeout(start + Duration::from_secs(89)), None);
        assert_eq!(bob.handle_timeout(start + Duration::from_secs(90)), Some(State::Idle));
        assert_eq!(bob.next_timeout(), None);
    }

    #[test]
    fn active_once_more_prolongs_it_and_changes_nothing() {
        let start = Instant::now();
        let mut bob = Watcher::default();
        bob.handle(start, WatcherInput::Indication(&active(None)));
        assert_eq!(bob.next_timeout(), Some(start + DEFAULT_REFRESH));
        let later = start + Duration::from_secs(100);
        assert_eq!(bob.handle(later, WatcherInput::Indication(&active(Some(60)))), None);
        assert_eq!(bob.next_timeout(), Some(later + Duration::from_secs(60)));
    }
}
