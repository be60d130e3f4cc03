//! Traces that people read: every SIP message, and statistics of the audio.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use sip_stack::{Tap, Tapped, Way};

use super::time::of_day;

/// A trace that is being written: to a file, or to the standard error where its name is `-`.
pub(super) struct Trace {
    out: Mutex<Box<dyn Write + Send>>,
    began: Instant,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

impl Trace {
    /// Begins a trace; a file that is there is continued. Only its owner can read it: messages have credentials in them.
    pub(super) fn open(path: &Path) -> io::Result<Trace> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let out: Box<dyn Write + Send> = match path.to_str() {
            Some("-") => Box::new(io::stderr()),
            _ => Box::new(OpenOptions::new().append(true).create(true).mode(0o600).open(path)?),
        };
        Ok(Trace { out: Mutex::new(out), began: Instant::now() })
    }

    /// Writes a line.
    pub(super) fn line(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A trace that can't be written is no reason to end a call.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

impl Tap for Trace {
    fn message(&self, tapped: Tapped<'_>) {
        let (way, from, to) = match tapped.way {
            Way::Sent => ("SENT", tapped.local, tapped.remote),
            Way::Received => ("RECEIVED", tapped.remote, tapped.local),
        };
        let after = self.began.elapsed().as_secs_f64();
        let transport = tapped.transport.via_token();
        let head = format!("{} +{after:.3} {way} {from} -({transport})-> {to}", of_day(SystemTime::now()));
        self.line(&format!("{head}\n{}\n--", printable(tapped.octets)));
    }
}

impl msrp::driver::Tap for Trace {
    fn octets(&self, tapped: msrp::driver::Tapped<'_>) {
        use msrp::driver::Way;
        let (way, from, to) = match tapped.way {
            Way::Out => ("SENT", tapped.local, tapped.remote),
            Way::In => ("RECEIVED", tapped.remote, tapped.local),
        };
        let transport = if tapped.is_secure { "TLS" } else { "TCP" };
        let head = format!("{} {way} {from} -(MSRP over {transport})-> {to}", of_day(SystemTime::now()));
        self.line(&format!("{head}\n{}\n--", printable(tapped.octets)));
    }
}

/// The text of a message for people: what a terminal would obey is written as an escape.
fn printable(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\r' => {}
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown.trim_end().to_owned()
}

/// Two listeners where there is room for one.
#[derive(Debug)]
pub(super) struct Both(pub(super) std::sync::Arc<dyn Tap>, pub(super) std::sync::Arc<dyn Tap>);

impl Tap for Both {
    fn message(&self, tapped: Tapped<'_>) {
        self.0.message(tapped);
        self.1.message(tapped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_as_an_escape() {
        assert_eq!(
            printable(b"INVITE sip:a SIP/2.0\r\nSubject: \x1b[2Jhello\r\n\r\n"),
            "INVITE sip:a SIP/2.0\nSubject: \\u{1b}[2Jhello"
        );
    }
}
