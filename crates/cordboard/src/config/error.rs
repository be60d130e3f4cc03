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
    pub(crate) fn new(message: impl Into<String>) -> ConfigError {
        ConfigError { file: None, line: None, message: message.into() }
    }

    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
        ConfigError::new(format!("can't be read: {error}")).in_file(path)
    }

    pub(crate) fn in_file(self, path: &Path) -> ConfigError {
        ConfigError { file: Some(path.display().to_string()), ..self }
    }

    /// With what it is about before it.
    pub(crate) fn about(self, what: &str) -> ConfigError {
        ConfigError { message: format!("{what}: {}", self.message), line: None, ..self }
    }

    pub(crate) fn at_line(self, line: u32) -> ConfigError {
        ConfigError { line: Some(line as usize), ..self }
    }

    pub(crate) fn of_toml(error: &toml::de::Error, text: &str) -> ConfigError {
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
    let (kind, kinds, list) = match message {
        message if message.starts_with("unknown field ") => ("key", "keys", message),
        message if message.starts_with("unknown variant ") => ("choice", "choices", message),
        _ => return None,
    };
    let mut quoted = list.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    Some(match nearest(wrong, &known) {
        Some(key) => format!("there is no {kind} `{wrong}` here; did you mean `{key}`?"),
        None => {
            let keys: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
            format!("there is no {kind} `{wrong}` here; the {kinds} are {}", keys.join(", "))
        }
    })
}

/// What somebody may have meant.
pub(crate) fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let nearest = known.iter().min_by_key(|key| distance(wrong, key))?;
    (distance(wrong, nearest) <= 1 + wrong.len() / 3).then_some(nearest)
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
