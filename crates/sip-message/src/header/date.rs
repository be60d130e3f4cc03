//! Date, RFC 3261 §20.17: an RFC 1123 date in GMT. Which time it is now is for the caller to know.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;

/// A point in time, in seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    unix_seconds: i64,
}

/// A date and a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CivilTime {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: i64 = 86_400;
/// 0000-01-01 and 9999-12-31: what four digits can say.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

impl Date {
    /// This many seconds since the epoch; a year that four digits can't say becomes the nearest that they can.
    pub fn from_unix_seconds(seconds: i64) -> Date {
        Date { unix_seconds: seconds.clamp(FIRST_DAY * DAY, LAST_DAY * DAY + DAY - 1) }
    }

    /// Seconds since the epoch.
    pub fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }

    /// As the calendar and the clock have it, in UTC.
    pub fn civil(self) -> CivilTime {
        let (year, month, day) = civil(self.unix_seconds.div_euclid(DAY));
        let second = self.unix_seconds.rem_euclid(DAY);
        let part = |number: i64| u8::try_from(number).expect("a part of a date or a day is below 60");
        CivilTime {
            year: u16::try_from(year).expect("a date has a year of four digits"),
            month: part(month),
            day: part(day),
            hour: part(second / 3_600),
            minute: part(second / 60 % 60),
            second: part(second % 60),
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Date, Malformed> {
        let start = cursor.clone();
        let text = cursor.rest().trim_end_matches([' ', '\t']);
        let Some(date) = rfc1123(text.as_bytes()) else {
            return start.expected("a date such as \"Sat, 13 Nov 2010 23:29:00 GMT\"");
        };
        cursor.set(start.at() + text.len());
        Ok(date)
    }
}

typed_header!(owned Date, false);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CivilTime { year, month, day, hour, minute, second } = self.civil();
        let weekday = WEEKDAYS[(self.unix_seconds.div_euclid(DAY) + 3).rem_euclid(7) as usize];
        let month = MONTHS[usize::from(month) - 1];
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

/// `Sat, 13 Nov 2010 23:29:00 GMT`: every part has its place.
fn rfc1123(text: &[u8]) -> Option<Date> {
    let place = |from: usize, to: usize| std::str::from_utf8(text.get(from..to)?).ok();
    let number = |from: usize, to: usize| {
        let digits = place(from, to)?;
        digits.bytes().all(|o| o.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten()
    };
    let name = |names: &[&str], from: usize| {
        let name = place(from, from + 3)?;
        names.iter().position(|known| known.eq_ignore_ascii_case(name))
    };
    let separators = [(3, ", "), (7, " "), (11, " "), (16, " "), (19, ":"), (22, ":"), (25, " GMT")];
    if text.len() != 29 || separators.iter().any(|&(at, text)| place(at, at + text.len()) != Some(text)) {
        return None;
    }
    name(&WEEKDAYS, 0)?;
    let (day, month, year) = (number(5, 7)?, name(&MONTHS, 8)? as i64 + 1, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let days = days_from_civil(year, month, day);
    let exists = civil(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    exists.then_some(Date { unix_seconds: days * DAY + hour * 3600 + minute * 60 + second })
}

/// Days from the epoch to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of a year; 400 years have 146 097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a count of days from the epoch.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn dates_read_and_print() {
        let text = "Sat, 13 Nov 2010 23:29:00 GMT";
        assert_eq!(assert_prints::<Date>(text, text).unix_seconds(), 1_289_690_940);
        assert_eq!(Date::from_unix_seconds(0).to_string(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Date::from_unix_seconds(951_782_399).to_string(), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(Date::from_unix_seconds(951_782_400).to_string(), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(Date::from_unix_seconds(i64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(Date::from_unix_seconds(i64::MIN).to_string(), "Sat, 01 Jan 0000 00:00:00 GMT");
    }

    #[test]
    fn every_day_of_eight_centuries_is_read_back() {
        for day in -150_000..150_000 {
            let date = Date::from_unix_seconds(day * DAY + 4711);
            assert_eq!(Date::parse(&date.to_string()), Ok(date));
        }
    }

    /// RFC 4475 §3.1.2.12.
    #[test]
    fn what_is_no_date_in_gmt_is_refused() {
        assert_refuses::<Date>(&[
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 1 Jan 2010 16:00:00 GMT",
            "Fri, 29 Feb 2011 16:00:00 GMT",
            "Fri, 01 Jan 2010 24:00:00 GMT",
            "Fri, 01 Jan 2010 16:00:60 GMT",
            "Fri, 00 Jan 2010 16:00:00 GMT",
            "Fry, 01 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
            "Fri, 01 Jan 2010 +6:00:00 GMT",
            "Fri, 01 Ja\u{e9} 2010 6:00:00 GMT",
        ]);
    }
}
