//! `DateTime` (RFC 3862 §4.4): RFC 3339, and without a zone, as one widespread client wrote it, for UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;

/// A moment as somebody's clock and calendar showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Since 1970 in UTC; negative before.
    seconds: i64,
    nanoseconds: u32,
    /// How far the author's clock is before UTC.
    offset_minutes: i16,
}

/// A text that is no moment; its author's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTimeError;

impl DateTime {
    /// As the moment is in UTC, to the millisecond.
    pub fn utc(time: SystemTime) -> DateTime {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // The last second of the year 9999, for a clock that is that far off.
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX).min(253_402_300_799);
        DateTime { seconds, nanoseconds: since.subsec_millis() * 1_000_000, offset_minutes: 0 }
    }

    /// The moment; the beginning of 1970 for any before.
    pub fn system_time(&self) -> SystemTime {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        UNIX_EPOCH + Duration::new(seconds, self.nanoseconds)
    }
}

impl From<SystemTime> for DateTime {
    fn from(time: SystemTime) -> DateTime {
        DateTime::utc(time)
    }
}

impl FromStr for DateTime {
    type Err = DateTimeError;

    fn from_str(text: &str) -> Result<DateTime, DateTimeError> {
        read(text.trim()).ok_or(DateTimeError)
    }
}

/// `2000-12-13T13:40:00.123-08:00`.
fn read(text: &str) -> Option<DateTime> {
    let octets = text.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let separators = [(4, b"--"), (7, b"--"), (10, b"Tt"), (13, b"::"), (16, b"::")];
    if !separators.iter().all(|&(at, allowed)| octets.get(at).is_some_and(|octet| allowed.contains(octet))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // A leap second is the first of the next minute.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if !is_time || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let (nanoseconds, zone) = fraction(text.get(19..)?)?;
    let offset_minutes = offset(zone)?;
    let local = days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second.min(59);
    Some(DateTime { seconds: local - i64::from(offset_minutes) * 60, nanoseconds, offset_minutes })
}

/// The nanoseconds of `.123`, and what stands behind it.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at(end);
    let kept = &digits[..digits.len().min(9)];
    let nanoseconds = format!("{kept:0<9}").parse().ok()?;
    (!digits.is_empty()).then_some((nanoseconds, zone))
}

/// The minutes of `-08:00`.
fn offset(zone: &str) -> Option<i16> {
    let sign = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two = |digits: &str| {
        let are_two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        if are_two { digits.parse::<i16>().ok() } else { None }
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.seconds + i64::from(self.offset_minutes) * 60;
        let (year, month, day) = civil(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
        if self.nanoseconds > 0 {
            let digits = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let offset = self.offset_minutes.abs();
        write!(f, "{sign}{:02}:{:02}", offset / 60, offset % 60)
    }
}

impl fmt::Display for DateTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no date and time")
    }
}

impl std::error::Error for DateTimeError {}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar between the year 0 and this one.
fn days_before_year(year: i64) -> i64 {
    // The year 0 is a leap year itself.
    let whole = year - 1;
    year * 365 + whole.div_euclid(4) - whole.div_euclid(100) + whole.div_euclid(400) + 1
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before_month: i64 = (1..month).map(|month| days_in_month(year, month)).sum();
    days_before_year(year) - days_before_year(1970) + before_month + day - 1
}

/// Year, month and day of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + days_before_year(1970);
    // An estimate that is never too small, then down to the year itself.
    let mut year = days / 365;
    while days_before_year(year) > days {
        year -= 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= days_in_month(year, month) {
        day -= days_in_month(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        text.parse::<DateTime>().unwrap().to_string()
    }

    #[test]
    fn what_is_read_is_printed_as_it_was() {
        for text in ["2000-12-13T13:40:00-08:00", "2026-11-21T01:57:48.312137+00:00", "0000-01-01T00:00:00+14:00"] {
            assert_eq!(printed(text), text);
        }
        assert_eq!(printed("2000-02-29t23:59:60z"), "2000-02-29T23:59:59+00:00");
        assert_eq!(printed("2026-11-21T01:57:48"), "2026-11-21T01:57:48+00:00");
    }

    #[test]
    fn the_moment_counts_the_zone() {
        let moment = |text: &str| text.parse::<DateTime>().unwrap().system_time();
        assert_eq!(moment("2000-12-13T13:40:00-08:00"), UNIX_EPOCH + Duration::from_secs(976_743_600));
        assert_eq!(moment("2000-12-13T13:40:00-08:00"), moment("2000-12-13T21:40:00Z"));
        assert_eq!(moment("1969-12-31T23:59:59Z"), UNIX_EPOCH);
    }

    #[test]
    fn every_moment_of_a_clock_is_printed_so_that_it_reads_again() {
        for seconds in [0, 951_782_399, 951_782_400, 4_107_542_399, 253_402_300_799, u64::MAX / 4] {
            let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
            let date_time = DateTime::utc(time);
            assert_eq!(date_time.to_string().parse(), Ok(date_time), "{date_time}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2000",
            "2000-13-01T00:00:00Z",
            "2001-02-29T00:00:00Z",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:00:00.Z",
            "2000-01-01T00:00:00+1",
            "2000-01-01T00:00:00+aa:00",
            "2000-01-01 00:00:00Z",
            "20é0-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<DateTime>(), Err(DateTimeError), "{text}");
        }
    }
}
