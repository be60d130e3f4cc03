//! A configuration that can't be used: one line that says where and what to do.

use std::fmt;
use std::path::Path;

/// Why a configuration was refused; always the fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<String>,
    line: Option<usize>,
    message: String,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> ConfigError {
        ConfigError { file: None, line: None, message: message.into() }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
        ConfigError::new(format!("can't be read: {error}")).in_file(path)
    }

    pub(super) fn in_file(self, path: &Path) -> ConfigError {
        ConfigError { file: Some(path.display().to_string()), ..self }
    }

    pub(super) fn of_toml(error: &toml::de::Error, text: &str) -> ConfigError {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let message = unknown_key(error.message()).unwrap_or_else(|| error.message().trim().replace('\n', "; "));
        ConfigError { file: None, line, message }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Says serde's "unknown field `x`, expected `a` or `b`" in a way that helps.
fn unknown_key(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let nearest = known.iter().min_by_key(|key| distance(wrong, key));
    Some(match nearest {
        Some(key) if distance(wrong, key) <= 1 + wrong.len() / 3 => {
            format!("there is no key `{wrong}` here; did you mean `{key}`?")
        }
        _ => {
            let keys: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
            format!("there is no key `{wrong}` here; the keys are {}", keys.join(", "))
        }
    })
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
