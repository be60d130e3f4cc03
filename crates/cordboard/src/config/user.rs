//! `[[user]]`: whom the server knows.

use serde::Deserialize;
use sip_dialog::digest::algorithm::HexDigest;
use sip_dialog::digest::{HashFunction, Secret};

use super::ConfigError;

/// `[[user]]`
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UserConfig {
    /// The user part of the address-of-record, and the name in the credentials.
    pub name: String,
    /// The password.
    pub password: Option<String>,
    /// In the place of the password: MD5 of `name:realm:password` (RFC 7616 §3.4.2), in hexadecimal digits.
    pub ha1_md5: Option<String>,
    /// The same by SHA-256.
    pub ha1_sha256: Option<String>,
    /// The roles that applications and their security constraints know; everybody here has the role `user` too.
    pub roles: Vec<String>,
}

impl UserConfig {
    /// A user with a password.
    pub fn new(name: &str, password: &str) -> UserConfig {
        UserConfig { name: name.to_owned(), password: Some(password.to_owned()), ..UserConfig::default() }
    }

    /// What the user proves who he is with.
    pub(crate) fn secret(&self) -> Secret {
        if let Some(password) = &self.password {
            return Secret::Password(password.as_str().into());
        }
        let known = self.hashes().filter_map(|(_, function, hash)| Some((function, HexDigest::parse(function, hash)?)));
        Secret::Ha1(known.collect())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let name = &self.name;
        if name.is_empty() {
            return Err(ConfigError::new("a [[user]] has no `name`"));
        }
        if self.password.is_some() == self.hashes().next().is_some() {
            return Err(ConfigError::new(format!("[[user]] `{name}` needs either `password` or `ha1-…`")));
        }
        match self.hashes().find(|(_, function, hash)| HexDigest::parse(*function, hash).is_none()) {
            Some((key, _, _)) => Err(ConfigError::new(format!("`{key}` of [[user]] `{name}` is no such digest"))),
            None => Ok(()),
        }
    }

    fn hashes(&self) -> impl Iterator<Item = (&'static str, HashFunction, &str)> {
        let md5 = self.ha1_md5.as_deref().map(|hash| ("ha1-md5", HashFunction::Md5, hash));
        let sha256 = self.ha1_sha256.as_deref().map(|hash| ("ha1-sha256", HashFunction::Sha256, hash));
        md5.into_iter().chain(sha256)
    }
}

impl std::fmt::Debug for UserConfig {
    /// No secret gets into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserConfig").field("name", &self.name).finish_non_exhaustive()
    }
}
