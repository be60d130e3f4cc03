//! Users: where they come from, and what the application sees of one who was recognised (`getUserPrincipal`,
//! `isUserInRole`, `getRemoteUser` of the SIP Servlet model).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hashbrown::HashMap;
use sip_dialog::digest::Secret;

/// What is kept of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The password, or what replaces it.
    pub secret: Secret,
    /// The roles that the user is in.
    pub roles: Vec<Box<str>>,
}

impl User {
    /// A user without a password: only those who vouch for him can make him known.
    pub fn without_password(roles: Vec<Box<str>>) -> User {
        User { secret: Secret::Ha1(Vec::new()), roles }
    }
}

/// The answer of a [`UserStore`], some time.
pub type LookUp<'a> = Pin<Box<dyn Future<Output = Result<Option<User>, StoreError>> + 'a>>;

/// Where users are kept: the configuration, a file, somebody's database.
///
/// What takes longer for one name than for another tells strangers who exists.
pub trait UserStore {
    /// The user of that name in a realm; `None` when there is none. The future need not be `Send`: it is polled by the
    /// thread that owns the application session.
    fn find<'a>(&'a self, realm: &'a str, user: &'a str) -> LookUp<'a>;
}

/// Looks a user up with a future that owns what it needs, so that it can be kept beside the request.
pub fn look_up(store: Rc<dyn UserStore>, realm: Box<str>, user: Box<str>) -> LookUp<'static> {
    Box::pin(async move { store.find(&realm, &user).await })
}

/// Why a store had no answer. Our fault, never the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It does not answer now, and may later: 503.
    Unavailable(Box<str>),
    /// What it holds can't be used: 500.
    Broken(Box<str>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(f, "the user store does not answer: {why}"),
            StoreError::Broken(why) => write!(f, "the user store is broken: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Users that the configuration names; they are the same in every realm, unless a secret is bound to one by its HA1.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredUsers {
    users: HashMap<Box<str>, User>,
}

impl ConfiguredUsers {
    /// Nobody.
    pub fn new() -> ConfiguredUsers {
        ConfiguredUsers::default()
    }

    /// The same with one more user, in the place of one of that name.
    pub fn with(mut self, name: impl Into<Box<str>>, secret: Secret, roles: &[&str]) -> ConfiguredUsers {
        let roles = roles.iter().map(|role| Box::from(*role)).collect();
        self.insert(name, User { secret, roles });
        self
    }

    /// Adds a user, in the place of one of that name.
    pub fn insert(&mut self, name: impl Into<Box<str>>, user: User) {
        self.users.insert(name.into(), user);
    }

    /// The user of that name, at once.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }
}

impl UserStore for ConfiguredUsers {
    fn find<'a>(&'a self, _realm: &'a str, user: &'a str) -> LookUp<'a> {
        Box::pin(std::future::ready(Ok(self.get(user).cloned())))
    }
}

/// Somebody whom we know: `getUserPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name: `getRemoteUser`.
    pub name: Box<str>,
    /// The realm in which it is his.
    pub realm: Box<str>,
    /// How we know.
    pub proof: Proof,
    /// The roles that he is in.
    pub roles: Vec<Box<str>>,
}

impl Principal {
    /// `isUserInRole`.
    pub fn is_in_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }
}

/// How somebody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// He knows the password.
    Digest,
    /// A peer in our trust domain says so (RFC 3325).
    Asserted,
    /// A signature says so (RFC 8224).
    Signed,
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn at_once(mut future: LookUp<'_>) -> Result<Option<User>, StoreError> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("the configuration need not be waited for"),
        }
    }

    #[test]
    fn configured_users_are_found_by_name_at_once() {
        let users = ConfiguredUsers::new().with("alice", Secret::Password("pw".into()), &["agent"]);
        let found = at_once(users.find("home", "alice")).unwrap().unwrap();
        assert_eq!(found.roles, ["agent".into()]);
        assert_eq!(at_once(users.find("home", "Alice")), Ok(None));
    }

    #[test]
    fn a_look_up_outlives_those_who_asked_for_it() {
        let store: Rc<dyn UserStore> = Rc::new(ConfiguredUsers::new().with("a", Secret::Password("pw".into()), &[]));
        let future = look_up(store, "home".into(), "a".into());
        assert!(at_once(future).unwrap().is_some());
    }

    #[test]
    fn the_password_of_a_user_is_not_printed() {
        let users = ConfiguredUsers::new().with("alice", Secret::Password("hunter2".into()), &[]);
        assert!(!format!("{users:?}").contains("hunter2"));
    }
}
