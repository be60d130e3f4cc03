//! Who types, RFC 3994 §3.2.
//!
//! ```text
//!                 +---------+
//!       +-------->|  idle   |<---------+
//!       |         +----+----+          |
//!  message sent        | composed      | nothing composed for 15 s
//!       | (nothing)    | "active"      | "idle"
//!       |         +----v----+          |
//!       +---------+ active  +----------+
//!                 +--^---+--+
//!                    +---+  refresh: "active"
//! ```

use std::time::{Duration, Instant};

use super::{Indication, State};

/// The composer's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComposerSettings {
    /// How often "active" is said again; `None` to say it once. §3.2 wants no less than 60 s.
    pub refresh: Option<Duration>,
    /// How long without composing is idle.
    pub idle_after: Duration,
}

impl Default for ComposerSettings {
    fn default() -> Self {
        ComposerSettings { refresh: Some(Duration::from_secs(120)), idle_after: Duration::from_secs(15) }
    }
}

/// What the user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComposerInput {
    /// When the user has typed something, or recorded, or drawn.
    Composed,
    /// When the message has been sent.
    MessageSent,
    /// When the user has given it up: the text is gone.
    Abandoned,
}

/// One conversation's composer.
#[derive(Clone, Debug)]
pub struct Composer {
    settings: ComposerSettings,
    content_type: Option<String>,
    active: Option<Active>,
}

#[derive(Clone, Debug)]
struct Active {
    composed: Instant,
    told: Instant,
}

impl Composer {
    /// A composer of this type of content.
    pub fn new(settings: ComposerSettings, content_type: Option<&str>) -> Composer {
        Composer { settings, content_type: content_type.map(str::to_owned), active: None }
    }

    /// Takes what the user does; gives what to tell the other side.
    pub fn handle(&mut self, now: Instant, input: ComposerInput) -> Option<Indication> {
        match (&mut self.active, input) {
            (None, ComposerInput::Composed) => {
                self.active = Some(Active { composed: now, told: now });
                Some(self.indication(State::Active))
            }
            (Some(active), ComposerInput::Composed) => {
                active.composed = now;
                self.handle_timeout(now)
            }
            // The message itself says that nobody is composing it any more.
            (_, ComposerInput::MessageSent) => {
                self.active = None;
                None
            }
            (Some(_), ComposerInput::Abandoned) => {
                self.active = None;
                Some(self.indication(State::Idle))
            }
            (None, ComposerInput::Abandoned) => None,
        }
    }

    /// Lets time pass; gives what to tell the other side.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Indication> {
        let active = self.active.as_mut()?;
        if now >= active.composed + self.settings.idle_after {
            self.active = None;
            return Some(self.indication(State::Idle));
        }
        if self.settings.refresh.is_some_and(|refresh| now >= active.told + refresh) {
            active.told = now;
            return Some(self.indication(State::Active));
        }
        None
    }

    /// When to call [`Composer::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        let active = self.active.as_ref()?;
        let idle = active.composed + self.settings.idle_after;
        Some(self.settings.refresh.map_or(idle, |refresh| idle.min(active.told + refresh)))
    }

    /// Whether the other side believes that somebody is composing.
    pub fn state(&self) -> State {
        if self.active.is_some() { State::Active } else { State::Idle }
    }

    fn indication(&self, state: State) -> Indication {
        let refresh = self.settings.refresh.filter(|_| state == State::Active);
        Indication { state, last_active: None, content_type: self.content_type.clone(), refresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn composer() -> (Composer, Instant) {
        let settings = ComposerSettings { refresh: Some(60 * SECOND), ..ComposerSettings::default() };
        (Composer::new(settings, Some("text/plain")), Instant::now())
    }

    fn state(indication: Option<Indication>) -> Option<State> {
        indication.map(|indication| indication.state)
    }

    #[test]
    fn active_is_told_once_and_a_message_sent_in_time_needs_no_idle() {
        let (mut alice, start) = composer();
        let told = alice.handle(start, ComposerInput::Composed).unwrap();
        assert_eq!((told.state, told.refresh), (State::Active, Some(60 * SECOND)));
        assert_eq!(alice.handle(start + SECOND, ComposerInput::Composed), None);
        assert_eq!(alice.handle(start + 2 * SECOND, ComposerInput::MessageSent), None);
        assert_eq!((alice.state(), alice.next_timeout()), (State::Idle, None));
    }

    #[test]
    fn idle_is_told_15_seconds_after_the_last_letter() {
        let (mut alice, start) = composer();
        alice.handle(start, ComposerInput::Composed);
        alice.handle(start + 10 * SECOND, ComposerInput::Composed);
        assert_eq!(alice.next_timeout(), Some(start + 25 * SECOND));
        assert_eq!(alice.handle_timeout(start + 24 * SECOND), None);
        let told = alice.handle_timeout(start + 25 * SECOND).unwrap();
        assert_eq!((told.state, told.refresh), (State::Idle, None));
        assert_eq!(state(alice.handle(start + 26 * SECOND, ComposerInput::Composed)), Some(State::Active));
    }

    #[test]
    fn who_types_on_is_told_to_be_active_again_at_each_refresh() {
        let (mut alice, start) = composer();
        let told: Vec<u32> = (0..=130)
            .filter(|&second| alice.handle(start + second * SECOND, ComposerInput::Composed).is_some())
            .collect();
        assert_eq!(told, [0, 60, 120]);
    }

    #[test]
    fn who_gives_up_is_idle_at_once_but_only_who_had_begun() {
        let (mut alice, start) = composer();
        assert_eq!(alice.handle(start, ComposerInput::Abandoned), None);
        alice.handle(start, ComposerInput::Composed);
        assert_eq!(state(alice.handle(start, ComposerInput::Abandoned)), Some(State::Idle));
    }
}
