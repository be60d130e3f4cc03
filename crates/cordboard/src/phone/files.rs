//! Where the phone keeps its settings and accounts, and how they are read and written.
//!
//! | file | in | what |
//! | --- | --- | --- |
//! | `client.toml` | `$XDG_CONFIG_HOME/cordboard` | the general settings |
//! | `accounts/ADDRESS.toml` | the same | one account, with its password: readable by its owner alone |
//! | `instance` | `$XDG_STATE_HOME/cordboard` | what tells this client from others of the account (RFC 5626 §4.1) |
//! | `history/ADDRESS/…` | `$XDG_DATA_HOME/cordboard` | recordings |

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use client::settings::{AccountSettings, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::ConfigError;

/// The folders of one user.
#[derive(Clone, Debug)]
pub(super) struct Files {
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
}

impl Files {
    /// Those of the XDG base directory specification, or everything in one folder of the caller's.
    pub(super) fn new(folder: Option<&Path>) -> Result<Files, ConfigError> {
        if let Some(folder) = folder {
            return Ok(Files { config: folder.into(), data: folder.into(), state: folder.into() });
        }
        let base = |variable: &str, default: &str| {
            let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(default));
            let base = set.or_else(home).map(|base| base.join("cordboard"));
            base.ok_or_else(|| ConfigError::new(format!("neither {variable} nor HOME is set: give --config-directory")))
        };
        Ok(Files {
            config: base("XDG_CONFIG_HOME", ".config")?,
            data: base("XDG_DATA_HOME", ".local/share")?,
            state: base("XDG_STATE_HOME", ".local/state")?,
        })
    }

    /// The general settings; the defaults where there is no file.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let mut settings: Settings = read(&self.settings_file())?.unwrap_or_default();
        settings.audio.recordings_directory.get_or_insert_with(|| self.history());
        Ok(settings)
    }

    /// Where recordings go if the settings do not say.
    pub(super) fn history(&self) -> PathBuf {
        self.data.join("history")
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.config.join("client.toml")
    }

    pub(super) fn account_file(&self, address: &str) -> PathBuf {
        // An address has no slash that would lead elsewhere: whoever adds an account has checked that it is one.
        self.config.join("accounts").join(format!("{}.toml", address.replace('/', "%2F")))
    }

    /// All accounts in the order of their addresses.
    pub(super) fn accounts(&self) -> Result<Vec<AccountSettings>, ConfigError> {
        let folder = self.config.join("accounts");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ConfigError::unreadable(&folder, &error)),
        };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
        paths.sort();
        paths.iter().filter_map(|path| self.account(path).transpose()).collect()
    }

    fn account(&self, path: &Path) -> Result<Option<AccountSettings>, ConfigError> {
        let Some(account) = read::<AccountSettings>(path)? else { return Ok(None) };
        let readable = |error: &io::Error| ConfigError::unreadable(path, error);
        let mode = fs::metadata(path).map_err(|error| readable(&error))?.permissions().mode();
        if mode & 0o077 != 0 && !account.auth.password.is_empty() {
            let advice = format!("others can read the password in it (mode {:03o}): chmod 600 it", mode & 0o777);
            return Err(ConfigError::new(advice).in_file(path));
        }
        if account.id.is_empty() {
            return Err(ConfigError::new("`id` is missing: the address of the account").in_file(path));
        }
        Ok(Some(account))
    }

    /// Writes a file of settings, which only its owner can read.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        write_privately(path, text)
            .map_err(|error| ConfigError::new(format!("can't be written: {error}")).in_file(path))
    }

    pub(super) fn remove_account(&self, address: &str) -> Result<(), ConfigError> {
        let path = self.account_file(address);
        fs::remove_file(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::new(format!("there is no account {address}")),
            _ => ConfigError::new(format!("can't be removed: {error}")).in_file(&path),
        })
    }

    /// What tells this client from others: made once and kept. `None` if it can't be kept; then it is new each time.
    pub(super) fn instance(&self, new: impl FnOnce() -> String) -> Option<String> {
        let path = self.state.join("instance");
        if let Ok(known) = fs::read_to_string(&path) {
            let known = known.trim();
            if known.starts_with("urn:uuid:") && known.len() == "urn:uuid:".len() + 36 {
                return Some(known.to_owned());
            }
        }
        let instance = new();
        match write_privately(&path, &instance) {
            Ok(()) => Some(instance),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the name of this client can't be kept");
                None
            }
        }
    }
}

/// What a file says; `None` if there is none.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map(Some).map_err(|error| error.in_file(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::unreadable(path, &error)),
    }
}

/// What a text says; a wrong key is refused with its line and with what may have been meant.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::of_toml(&error, text))
}

/// Only what is not the default, as the reference writes its files.
pub(super) fn without_defaults<T: Serialize>(value: &T, default: &T) -> Result<toml::Table, ConfigError> {
    let table = |value: &T| {
        toml::Table::try_from(value).map_err(|error| ConfigError::new(format!("can't be written down: {error}")))
    };
    let (mut value, default) = (table(value)?, table(default)?);
    remove_equal(&mut value, &default);
    Ok(value)
}

fn remove_equal(value: &mut toml::Table, default: &toml::Table) {
    value.retain(|key, value| match (value, default.get(key)) {
        (toml::Value::Table(value), Some(toml::Value::Table(default))) => {
            remove_equal(value, default);
            !value.is_empty()
        }
        (value, Some(default)) => value != default,
        (_, None) => true,
    });
}

/// Whole or not at all, and nobody else's to read, also while it is being written.
fn write_privately(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cordboard-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn without_files_there_are_defaults_and_no_account() {
        let folder = folder("none");
        let files = Files::new(Some(&folder)).unwrap();
        assert_eq!(files.settings().unwrap().audio.recordings_directory, Some(folder.join("history")));
        assert!(files.accounts().unwrap().is_empty());
    }

    #[test]
    fn a_wrong_key_is_refused_with_its_file_its_line_and_a_suggestion() {
        let folder = folder("wrong");
        let files = Files::new(Some(&folder)).unwrap();
        files.write(&files.settings_file(), "[audio]\nsample_rat = 8000\n").unwrap();
        let error = files.settings().unwrap_err().to_string();
        assert!(error.ends_with("client.toml: line 2: there is no key `sample_rat` here; did you mean `sample_rate`?"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let folder = folder("mode");
        let files = Files::new(Some(&folder)).unwrap();
        let path = files.account_file("alice@example.com");
        files.write(&path, "id = \"alice@example.com\"\nauth.password = \"secret\"\n").unwrap();
        assert_eq!(files.accounts().unwrap()[0].auth.password, "secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = files.accounts().unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_instance_is_made_once_and_kept() {
        let folder = folder("instance");
        let files = Files::new(Some(&folder)).unwrap();
        let new = || "urn:uuid:00000000-0000-4000-8000-000000000001".to_owned();
        assert_eq!(files.instance(new), Some(new()));
        assert_eq!(files.instance(|| panic!("there is one")), Some(new()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_what_is_not_the_default_is_written() {
        let mut settings = Settings::default();
        settings.audio.sample_rate = 8_000;
        let written = without_defaults(&settings, &Settings::default()).unwrap().to_string();
        assert_eq!(written, "[audio]\nsample_rate = 8000\n");
        assert_eq!(parse::<Settings>(&written).unwrap(), settings);
    }
}
