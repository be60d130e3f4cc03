//! Who an application is in the realms that challenge it: the `AuthInfo` of the SIP Servlet model.
//!
//! A realm counts together with the status that it challenges with, 401 (a user agent or registrar) or 407 (a proxy;
//! RFC 3261 §22.2 and §22.3), so that what was meant for a proxy is never shown to the far end of a call. What is
//! computed of these is the container's.

use std::fmt;

use sip_message::StatusCode;

/// User names and passwords for some realms.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthInfo {
    entries: Vec<Entry>,
    any_realm: Option<(Box<str>, Box<str>)>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    status: StatusCode,
    realm: Box<str>,
    user: Box<str>,
    password: Box<str>,
}

/// What an [`AuthInfo`] has for one realm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthCredentials<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// Whether they are for whichever realm asks, and the application named none.
    pub any_realm: bool,
}

impl AuthInfo {
    /// An empty one.
    pub fn new() -> AuthInfo {
        AuthInfo::default()
    }

    /// One user for whichever realm challenges: for the application that has looked at the challenge, or knows that
    /// there is one realm only. Within a dialog it answers no realm that has not challenged before, since a callee could
    /// name any.
    pub fn for_any_realm(user: impl Into<Box<str>>, password: impl Into<Box<str>>) -> AuthInfo {
        AuthInfo { entries: Vec::new(), any_realm: Some((user.into(), password.into())) }
    }

    /// Adds who we are for a realm that challenges with this status, in the place of what was known for both.
    pub fn add_auth_info(
        &mut self,
        status: StatusCode,
        realm: impl Into<Box<str>>,
        user: impl Into<Box<str>>,
        password: impl Into<Box<str>>,
    ) -> Result<(), NotAChallenge> {
        if status != StatusCode::UNAUTHORIZED && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(NotAChallenge(status));
        }
        let new = Entry { status, realm: realm.into(), user: user.into(), password: password.into() };
        self.entries.retain(|entry| !(entry.status == new.status && entry.realm == new.realm));
        self.entries.push(new);
        Ok(())
    }

    /// What there is for a realm that challenges with this status.
    pub fn credentials(&self, status: StatusCode, realm: &str) -> Option<AuthCredentials<'_>> {
        let named = self.entries.iter().find(|entry| entry.status == status && *entry.realm == *realm);
        let named = named.map(|entry| (&*entry.user, &*entry.password, false));
        let any = || self.any_realm.as_ref().map(|(user, password)| (&**user, &**password, true));
        let (user, password, any_realm) = named.or_else(any)?;
        Some(AuthCredentials { user, password, any_realm })
    }
}

/// Realms and users; never a password.
impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.entries.iter().map(|entry| (entry.status.code(), &entry.realm, &entry.user));
        let any = self.any_realm.as_ref().map(|(user, _)| user);
        f.debug_struct("AuthInfo").field("realms", &named.collect::<Vec<_>>()).field("any_realm", &any).finish()
    }
}

impl fmt::Debug for AuthCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthCredentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The caller's fault: only 401 and 407 challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChallenge(
    /// What was given.
    pub StatusCode,
);

impl fmt::Display for NotAChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no challenge has the status {}: it is 401 or 407", self.0.code())
    }
}

impl std::error::Error for NotAChallenge {}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED_BY_PROXY: StatusCode = StatusCode::PROXY_AUTHENTICATION_REQUIRED;

    #[test]
    fn a_realm_is_known_by_its_status_and_name() {
        let mut info = AuthInfo::new();
        info.add_auth_info(StatusCode::UNAUTHORIZED, "home", "alice", "one").unwrap();
        info.add_auth_info(ASKED_BY_PROXY, "home", "alice-gw", "two").unwrap();
        info.add_auth_info(ASKED_BY_PROXY, "transit", "trunk", "three").unwrap();
        let user = |status, realm| info.credentials(status, realm).map(|found| found.user);
        assert_eq!(user(StatusCode::UNAUTHORIZED, "home"), Some("alice"));
        assert_eq!(user(ASKED_BY_PROXY, "home"), Some("alice-gw"));
        assert_eq!(user(ASKED_BY_PROXY, "transit"), Some("trunk"));
        assert_eq!(user(StatusCode::UNAUTHORIZED, "transit"), None);
        assert_eq!(user(StatusCode::UNAUTHORIZED, "HOME"), None);
    }

    #[test]
    fn what_is_added_later_replaces_what_was_there() {
        let mut info = AuthInfo::new();
        info.add_auth_info(StatusCode::UNAUTHORIZED, "home", "alice", "old").unwrap();
        info.add_auth_info(StatusCode::UNAUTHORIZED, "home", "alice", "new").unwrap();
        assert_eq!(info.credentials(StatusCode::UNAUTHORIZED, "home").unwrap().password, "new");
    }

    #[test]
    fn a_user_for_any_realm_says_so() {
        let info = AuthInfo::for_any_realm("alice", "secret");
        let found = info.credentials(ASKED_BY_PROXY, "wherever").unwrap();
        assert_eq!((found.user, found.any_realm), ("alice", true));
    }

    #[test]
    fn only_401_and_407_are_challenges() {
        let mut info = AuthInfo::new();
        let refused = info.add_auth_info(StatusCode::FORBIDDEN, "home", "alice", "secret");
        assert_eq!(refused, Err(NotAChallenge(StatusCode::FORBIDDEN)));
        assert_eq!(info, AuthInfo::new());
    }

    #[test]
    fn passwords_are_not_printed() {
        let mut info = AuthInfo::for_any_realm("alice", "hunter2");
        info.add_auth_info(StatusCode::UNAUTHORIZED, "home", "bob", "hunter3").unwrap();
        let found = info.credentials(StatusCode::UNAUTHORIZED, "home");
        let printed = format!("{info:?} {found:?}");
        assert!(printed.contains("alice") && printed.contains("bob") && !printed.contains("hunter"), "{printed}");
    }
}
