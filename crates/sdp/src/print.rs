//! Printing a session description in the order of RFC 8866 §9, lines ended by CRLF.
//!
//! Attributes keep their order; a line that the peer put in an unusual place
//! comes out in its usual one.

use crate::attribute::Attribute;
use crate::description::{SessionDescription, UnknownLine};
use crate::media::MediaDescription;
use std::fmt::{self, Display, Formatter};

impl Display for SessionDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, 'v', 0)?;
        line(f, 'o', &self.origin)?;
        line(f, 's', &self.session_name)?;
        lines(f, 'i', &self.information)?;
        lines(f, 'u', &self.uri)?;
        lines(f, 'e', &self.emails)?;
        lines(f, 'p', &self.phones)?;
        lines(f, 'c', &self.connection)?;
        lines(f, 'b', &self.bandwidths)?;
        for time in &self.times {
            line(f, 't', format_args!("{} {}", time.start, time.stop))?;
            lines(f, 'r', &time.repeats)?;
        }
        lines(f, 'z', &self.zones)?;
        lines(f, 'k', &self.key)?;
        lines(f, 'a', self.attributes.iter())?;
        unknown_lines(f, &self.unknown)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl Display for MediaDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.media, self.port)?;
        if let Some(count) = self.port_count {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        lines(f, 'i', &self.title)?;
        lines(f, 'c', &self.connections)?;
        lines(f, 'b', &self.bandwidths)?;
        lines(f, 'k', &self.key)?;
        lines(f, 'a', self.attributes.iter())?;
        unknown_lines(f, &self.unknown)
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "{}:{}", self.name(), value),
            None => f.write_str(self.name()),
        }
    }
}

fn line(f: &mut Formatter<'_>, letter: char, value: impl Display) -> fmt::Result {
    write!(f, "{letter}={value}\r\n")
}

fn lines(f: &mut Formatter<'_>, letter: char, values: impl IntoIterator<Item = impl Display>) -> fmt::Result {
    values.into_iter().try_for_each(|value| line(f, letter, value))
}

fn unknown_lines(f: &mut Formatter<'_>, unknown: &[UnknownLine]) -> fmt::Result {
    unknown.iter().try_for_each(|unknown| line(f, unknown.letter, &unknown.value))
}
