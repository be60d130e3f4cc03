//! The balances of prepaid callers, as one worker knows them.
//!
//! A worker tells the others of every movement, so that all of them know the same after a moment. Two calls of one
//! caller that come to two workers within that moment can both be let in; the balance is below zero then, and stays so.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use servlet::{BindingEvent, Durable, Error, Holder, ServletContext};

/// What is left to each caller, in seconds. One of them on each worker.
#[derive(Debug, Default)]
pub(super) struct Accounts(RefCell<BTreeMap<String, i64>>);

/// A change of one balance; what workers tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) user: String,
    pub(super) seconds: i64,
}

/// What a call was given of its caller's balance: all of it, until the call is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reservation {
    pub(super) user: String,
    pub(super) seconds: u64,
}

impl Accounts {
    pub(super) fn open(&self, balances: impl IntoIterator<Item = (String, u64)>) {
        let balances = balances.into_iter().map(|(user, seconds)| (user, signed(seconds)));
        self.0.borrow_mut().extend(balances);
    }

    /// Takes all that there is.
    pub(super) fn reserve(&self, user: &str) -> Reservation {
        let left = self.0.borrow().get(user).copied().unwrap_or(0);
        Reservation { user: user.to_owned(), seconds: u64::try_from(left).unwrap_or(0) }
    }

    pub(super) fn book(&self, movement: &Movement) {
        if let Some(balance) = self.0.borrow_mut().get_mut(&movement.user) {
            *balance = balance.saturating_add(movement.seconds);
        }
    }

    /// Books a movement here and on the other workers.
    pub(super) fn book_everywhere(context: &ServletContext, movement: Movement) {
        context.local(Accounts::default).book(&movement);
        context.publish(movement);
    }
}

impl Reservation {
    /// Takes the reserved seconds from the balance.
    pub(super) fn taken(&self) -> Movement {
        Movement { user: self.user.clone(), seconds: -signed(self.seconds) }
    }

    /// Gives back what was not used.
    pub(super) fn given_back(&self, used: u64) -> Movement {
        Movement { user: self.user.clone(), seconds: signed(self.seconds).saturating_sub(signed(used)) }
    }
}

impl Durable for Reservation {
    const VERSION: u16 = 1;

    /// The call goes on in another process, whose accounts do not know of it.
    fn did_activate(&self, event: &BindingEvent) {
        if let Ok(context) = context_of(&event.holder) {
            context.local(Accounts::default).book(&self.taken());
        }
    }
}

fn context_of(holder: &Holder) -> Result<ServletContext, Error> {
    match holder {
        Holder::Application(call) => call.servlet_context(),
        Holder::Session(session) => session.servlet_context(),
    }
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let accounts = Accounts::default();
        accounts.open([("alice".to_owned(), 100)]);
        accounts
    }

    #[test]
    fn a_second_call_finds_nothing_left() {
        let accounts = accounts();
        let first = accounts.reserve("alice");
        accounts.book(&first.taken());
        assert_eq!((first.seconds, accounts.reserve("alice").seconds), (100, 0));
    }

    #[test]
    fn what_was_not_used_comes_back() {
        let accounts = accounts();
        let call = accounts.reserve("alice");
        accounts.book(&call.taken());
        accounts.book(&call.given_back(30));
        assert_eq!(accounts.reserve("alice").seconds, 70);
    }

    #[test]
    fn two_workers_that_let_in_a_call_each_remember_the_debt() {
        let (one, other) = (accounts(), accounts());
        let (first, second) = (one.reserve("alice"), other.reserve("alice"));
        for worker in [&one, &other] {
            worker.book(&first.taken());
            worker.book(&second.taken());
            worker.book(&first.given_back(100));
            worker.book(&second.given_back(40));
            assert_eq!(worker.0.borrow()["alice"], -40);
            assert_eq!(worker.reserve("alice").seconds, 0);
        }
    }

    #[test]
    fn strangers_have_no_account() {
        let accounts = accounts();
        accounts.book(&Movement { user: "mallory".into(), seconds: 1_000 });
        assert_eq!(accounts.reserve("mallory").seconds, 0);
    }
}
