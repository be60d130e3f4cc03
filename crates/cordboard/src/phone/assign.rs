//! Settings changed by `KEY=VALUE`: on the command line, and by `cordboard settings set`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::config::ConfigError;

/// The value with these changes. Keys are paths: `audio.sample_rate`. What is a list is written with commas; `default`
/// gives the default back.
pub(super) fn assign<T>(value: &T, default: &T, changes: &[String]) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned,
{
    let broken = |error: toml::ser::Error| ConfigError::new(format!("can't be written down: {error}"));
    let mut table = Table::try_from(value).map_err(broken)?;
    let defaults = Table::try_from(default).map_err(broken)?;
    for change in changes {
        let (key, text) = change
            .split_once('=')
            .ok_or_else(|| ConfigError::new(format!("{change:?} is no KEY=VALUE, such as audio.sample_rate=16000")))?;
        let (key, text) = (key.trim(), text.trim());
        let known = get(&defaults, key).or_else(|| get(&table, key));
        let written = match text {
            "default" | "DEFAULT" => get(&defaults, key).cloned(),
            "none" | "None" => None,
            text => Some(value_of(text, known)),
        };
        // Each is tried alone, so that the one at fault is named.
        let mut tried = table.clone();
        put(&mut tried, key, written)?;
        let checked: Result<T, _> = tried.clone().try_into();
        checked.map_err(|error| ConfigError::of_toml(&error, "").about(key))?;
        table = tried;
    }
    let changed: Result<T, _> = table.try_into();
    changed.map_err(|error| ConfigError::of_toml(&error, ""))
}

/// What a key has, as it would be written.
pub(super) fn get<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (table.get(first)?, rest) {
        (Value::Table(inner), Some(rest)) => get(inner, rest),
        (value, None) => Some(value),
        (_, Some(_)) => None,
    }
}

/// All keys with their values, as paths, in the order of their names.
pub(super) fn paths(table: &Table) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                all.extend(paths(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)))
            }
            value => all.push((key.clone(), value.clone())),
        }
    }
    all
}

fn put(table: &mut Table, key: &str, value: Option<Value>) -> Result<(), ConfigError> {
    match key.split_once('.') {
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => put(inner, rest, value),
                _ => Err(ConfigError::new(format!("{first} has no settings below it: {key}"))),
            }
        }
        None => {
            match value {
                Some(value) => table.insert(key.to_owned(), value),
                None => table.remove(key),
            };
            Ok(())
        }
    }
}

/// The text as what the key has now: whoever writes `8000` for a name means text.
fn value_of(text: &str, known: Option<&Value>) -> Value {
    let plain = |text: &str| Value::String(text.to_owned());
    let read =
        |text: &str| toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut table| table.remove("v"));
    match known {
        Some(Value::String(_)) => plain(text.trim_matches('"')),
        Some(Value::Array(_)) if !text.starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| read(item).unwrap_or_else(|| plain(item))).collect())
        }
        Some(Value::Boolean(_)) => match text {
            "yes" | "on" => Value::Boolean(true),
            "no" | "off" => Value::Boolean(false),
            text => read(text).unwrap_or_else(|| plain(text)),
        },
        _ => read(text).unwrap_or_else(|| plain(text)),
    }
}

#[cfg(test)]
mod tests {
    use client::settings::{AccountSettings, Encryption, Settings};

    use super::*;

    fn set(changes: &[&str]) -> Result<Settings, String> {
        let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assign(&Settings::default(), &Settings::default(), &changes).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_lists_texts_and_switches_are_written_as_people_write_them() {
        let settings = set(&[
            "audio.sample_rate=16000",
            "audio.codecs=PCMA, opus",
            "audio.input=tone:440",
            "sip.ring_at_once=off",
            "sip.invite_timeout=12.5",
            "rtp.ports=40000,40100",
            "user_agent=Front desk",
        ])
        .unwrap();
        assert_eq!(settings.audio.sample_rate, 16_000);
        assert_eq!(settings.audio.codecs, ["PCMA", "opus"]);
        assert_eq!(settings.audio.input, "tone:440");
        assert!(!settings.sip.ring_at_once);
        assert_eq!(settings.sip.invite_timeout.as_millis(), 12_500);
        assert_eq!(settings.rtp.ports, (40_000, 40_100));
        assert_eq!(settings.user_agent.as_deref(), Some("Front desk"));
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_a_suggestion() {
        let error = set(&["audio.samplerate=16000"]).unwrap_err();
        assert_eq!(error, "audio.samplerate: there is no key `samplerate` here; did you mean `sample_rate`?");
        assert!(set(&["audio.sample_rate"]).unwrap_err().contains("is no KEY=VALUE"));
        assert!(set(&["audio.sample_rate=loud"]).unwrap_err().starts_with("audio.sample_rate: "));
    }

    #[test]
    fn default_gives_the_default_back() {
        let changed = set(&["audio.sample_rate=8000", "audio.sample_rate=default", "user_agent=x", "user_agent=none"]);
        assert_eq!(changed.unwrap(), Settings::default());
    }

    #[test]
    fn an_account_is_changed_in_the_same_way() {
        let changes = ["rtp.encryption=dtls_mandatory".to_owned(), "auth.password=12345".to_owned()];
        let account = assign(&AccountSettings::default(), &AccountSettings::default(), &changes).unwrap();
        assert_eq!(account.rtp.encryption, Encryption::DtlsMandatory);
        assert_eq!(account.auth.password, "12345");
    }
}
