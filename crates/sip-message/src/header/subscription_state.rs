//! Subscription-State, RFC 6665 §8.2.3. What a subscriber does with it: §4.1.3.

use super::Malformed;
use super::shapes::{token, word_header};
use crate::param::Param;

word_header! {
    /// Where a subscription stands, in a NOTIFY.
    SubscriptionState, false,
    /// `active`, `pending`, `terminated` or another word.
    state, token, check_param
}

/// The states of RFC 6665 §4.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionStatus {
    /// `pending`: not yet authorized.
    Pending,
    /// `active`.
    Active,
    /// `terminated`: there is no subscription any more.
    Terminated,
    /// A word that this crate does not know.
    Other,
}

impl SubscriptionState<'_> {
    /// The state.
    pub fn status(&self) -> SubscriptionStatus {
        match self.state {
            state if state.eq_ignore_ascii_case("active") => SubscriptionStatus::Active,
            state if state.eq_ignore_ascii_case("pending") => SubscriptionStatus::Pending,
            state if state.eq_ignore_ascii_case("terminated") => SubscriptionStatus::Terminated,
            _ => SubscriptionStatus::Other,
        }
    }

    /// The seconds that the subscription has left.
    pub fn expires(&self) -> Option<u32> {
        self.params.get("expires")?.number("", 0).ok()
    }

    /// Why the subscription ended: `deactivated`, `probation`, `rejected`, `timeout`, `giveup`, `noresource`, `invariant`.
    pub fn reason(&self) -> Option<&str> {
        self.params.value("reason")
    }

    /// After how many seconds the subscriber may try again.
    pub fn retry_after(&self) -> Option<u32> {
        self.params.get("retry-after")?.number("", 0).ok()
    }
}

fn check_param(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    match param.name {
        name if name.eq_ignore_ascii_case("expires") => param.number("seconds as expires", at).map(drop),
        name if name.eq_ignore_ascii_case("retry-after") => param.number("seconds as retry-after", at).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn subscription_states_read_and_print() {
        let state: SubscriptionState = assert_prints("Active;expires=600", "Active;expires=600");
        assert_eq!((state.status(), state.expires()), (SubscriptionStatus::Active, Some(600)));
        let state: SubscriptionState =
            assert_prints("terminated ;reason=probation;retry-after=5", "terminated;reason=probation;retry-after=5");
        assert_eq!(state.status(), SubscriptionStatus::Terminated);
        assert_eq!((state.reason(), state.retry_after()), (Some("probation"), Some(5)));
        let built = SubscriptionState::new("pending").unwrap().with_param("expires", "60").unwrap();
        assert_eq!(built.to_string(), "pending;expires=60");
    }

    #[test]
    fn what_is_no_subscription_state_is_refused() {
        assert_refuses::<SubscriptionState>(&["", "active;expires=soon", "active;expires", "active, pending", "a b"]);
        assert!(SubscriptionState::new("active").unwrap().with_param("expires", "x").is_err());
    }
}
