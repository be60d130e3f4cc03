//! `cordboard accounts` and `cordboard settings`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use client::settings::{AccountSettings, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sip_message::UriBuf;

use super::args::{AccountsArgs, AccountsCommand, SettingsArgs, SettingsCommand};
use super::assign::{assign, get, paths};
use super::files::{Files, without_defaults};
use crate::config::{ConfigError, nearest};
use crate::engine::{self, EngineError};

/// Carries out `cordboard accounts`.
pub(super) fn accounts(args: AccountsArgs, say: impl Fn(&str)) -> Result<(), ConfigError> {
    let files = Files::new(args.config_directory.as_deref())?;
    match args.command {
        AccountsCommand::Add { address, set, no_password, default } => {
            let address = checked_address(&address)?;
            let known = files.accounts()?;
            if known.iter().any(|account| account.id == address) {
                let advice = format!("there is an account {address} already: change it by `cordboard settings -a`");
                return Err(ConfigError::new(advice));
            }
            let plain = AccountSettings { id: address.to_owned(), ..AccountSettings::default() };
            let mut account = assign(&plain, &plain, &set)?;
            engine::check_account(&account).map_err(unusable)?;
            if !no_password && account.auth.password.is_empty() {
                account.auth.password = password(&format!("Password of {address}: "))
                    .map_err(|error| ConfigError::new(format!("the password can't be read: {error}")))?;
            }
            let path = files.account_file(address);
            files.write(&path, &text_of(&account, &AccountSettings::default())?)?;
            if default || known.is_empty() {
                let mut settings = stored(&files)?;
                settings.default_account = Some(address.to_owned());
                files.write(&files.settings_file(), &text_of(&settings, &Settings::default())?)?;
            }
            say(&format!("added {address}"));
        }
        AccountsCommand::List => {
            let default = files.settings()?.default_account;
            let accounts = files.accounts()?;
            if accounts.is_empty() {
                say("there is no account: `cordboard accounts add alice@example.com` makes one");
            }
            for account in accounts {
                let mark = if default.as_deref() == Some(&*account.id) { "*" } else { " " };
                let state = match (account.enabled, account.sip.register) {
                    (false, _) => "disabled",
                    (true, true) => "registers",
                    (true, false) => "does not register",
                };
                say(&format!("{mark} {:<40} {state}", account.id));
            }
        }
        AccountsCommand::Remove { address } => {
            files.remove_account(&address)?;
            let mut settings = stored(&files)?;
            if settings.default_account.as_deref() == Some(&*address) {
                settings.default_account = None;
                files.write(&files.settings_file(), &text_of(&settings, &Settings::default())?)?;
            }
            say(&format!("removed {address}"));
        }
    }
    Ok(())
}

/// Carries out `cordboard settings`.
pub(super) fn settings(args: SettingsArgs, say: impl Fn(&str)) -> Result<(), ConfigError> {
    let files = Files::new(args.config_directory.as_deref())?;
    let command = args.command.unwrap_or(SettingsCommand::Show);
    match args.account {
        Some(address) => {
            let accounts = files.accounts()?;
            let account = chosen(&accounts, &address)?.clone();
            let default = AccountSettings { id: account.id.clone(), ..AccountSettings::default() };
            if let Some(changed) = obey(command, &account, &default, say)? {
                engine::check_account(&changed).map_err(unusable)?;
                let path = files.account_file(&account.id);
                files.write(&path, &text_of(&changed, &AccountSettings::default())?)?;
            }
        }
        None => {
            if let Some(changed) = obey(command, &stored(&files)?, &Settings::default(), say)? {
                engine::check(&changed).map_err(unusable)?;
                files.write(&files.settings_file(), &text_of(&changed, &Settings::default())?)?;
            }
        }
    }
    Ok(())
}

fn unusable(error: EngineError) -> ConfigError {
    ConfigError::new(error.to_string())
}

/// The account that is called so, or whose address begins so.
pub(super) fn chosen<'a>(accounts: &'a [AccountSettings], name: &str) -> Result<&'a AccountSettings, ConfigError> {
    let exact = accounts.iter().find(|account| account.id == name);
    if let Some(account) = exact.or_else(|| accounts.iter().find(|account| account.id.starts_with(name))) {
        return Ok(account);
    }
    let known: Vec<_> = accounts.iter().map(|account| account.id.as_str()).collect();
    Err(ConfigError::new(match nearest(name, &known) {
        Some(meant) => format!("there is no account {name}; did you mean {meant}?"),
        None => format!("there is no account {name}: `cordboard accounts list` shows those that there are"),
    }))
}

/// What is in the file, without what the environment adds.
fn stored(files: &Files) -> Result<Settings, ConfigError> {
    let mut settings = files.settings()?;
    let added = files.history();
    if settings.audio.recordings_directory.as_deref() == Some(&*added) {
        settings.audio.recordings_directory = None;
    }
    Ok(settings)
}

/// Shows, or gives what is to be stored.
fn obey<T>(command: SettingsCommand, value: &T, default: &T, say: impl Fn(&str)) -> Result<Option<T>, ConfigError>
where
    T: Serialize + DeserializeOwned,
{
    let table = |value: &T| {
        toml::Table::try_from(value).map_err(|error| ConfigError::new(format!("can't be written down: {error}")))
    };
    match command {
        SettingsCommand::Show => {
            let defaults = table(default)?;
            for (key, value) in paths(&table(value)?) {
                let mark = if get(&defaults, &key) == Some(&value) { " " } else { "*" };
                say(&format!("{mark} {key} = {}", shown(&key, &value)));
            }
            Ok(None)
        }
        SettingsCommand::Get { key } => {
            let all = table(value)?;
            match get(&all, &key) {
                Some(toml::Value::Table(inner)) => {
                    for (rest, value) in paths(inner) {
                        say(&format!("{key}.{rest} = {}", shown(&rest, &value)));
                    }
                }
                Some(value) => say(&shown(&key, value)),
                None => {
                    // A key without a value is known all the same; any other is refused.
                    assign(value, default, &[format!("{key}=none")])?;
                    say("none");
                }
            }
            Ok(None)
        }
        SettingsCommand::Set { set } => assign(value, default, &set).map(Some),
        SettingsCommand::Reset { keys } => {
            let changes: Vec<_> = keys.iter().map(|key| format!("{key}=default")).collect();
            assign(value, default, &changes).map(Some)
        }
    }
}

/// A value as it is shown: a password is not.
fn shown(key: &str, value: &toml::Value) -> String {
    let secret = key.ends_with("password") && value.as_str().is_some_and(|text| !text.is_empty());
    if secret { "\"…\"".to_owned() } else { value.to_string() }
}

fn text_of<T: Serialize>(value: &T, default: &T) -> Result<String, ConfigError> {
    Ok(without_defaults(value, default)?.to_string())
}

/// `user@domain`, also when it was written as a SIP address.
fn checked_address(address: &str) -> Result<&str, ConfigError> {
    let bare = address.strip_prefix("sip:").unwrap_or(address);
    let parts = bare.split_once('@').filter(|(user, domain)| !user.is_empty() && !domain.is_empty());
    let readable =
        parts.is_some() && !bare.contains(['/', '\\', ';', '?', ' ']) && UriBuf::parse(format!("sip:{bare}")).is_ok();
    match readable {
        true => Ok(bare),
        false => Err(ConfigError::new(format!("{address:?} is no address of an account: alice@example.com is one"))),
    }
}

/// Asks for a password; it is not shown where there is a terminal that can hide it.
fn password(prompt: &str) -> io::Result<String> {
    let mut line = String::new();
    if io::stdin().is_terminal() {
        return hidden(prompt);
    }
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn hidden(prompt: &str) -> io::Result<String> {
    use crossterm::event::{Event, KeyCode, KeyModifiers, read};

    let mut out = io::stderr();
    out.write_all(prompt.as_bytes())?;
    out.flush()?;
    crossterm::terminal::enable_raw_mode()?;
    let mut typed = String::new();
    let read = loop {
        match read() {
            Ok(Event::Key(key)) if key.is_press() => match key.code {
                KeyCode::Enter => break Ok(()),
                KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    break Err(io::ErrorKind::Interrupted.into());
                }
                KeyCode::Char(letter) => typed.push(letter),
                KeyCode::Backspace => drop(typed.pop()),
                _ => {}
            },
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    crossterm::terminal::disable_raw_mode()?;
    out.write_all(b"\n")?;
    read.map(|()| typed)
}
