//! The Date header's form: RFC 3261 §20.17, an RFC 1123 date in GMT.

/// `Sat, 13 Nov 2010 23:29:00 GMT` for seconds since 1970-01-01 00:00 UTC.
pub(crate) fn date(unix_seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = unix_seconds / 86_400;
    let (year, month, day) = civil(days);
    let clock = unix_seconds % 86_400;
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month],
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

/// Year, month (from 0) and day of a number of days since 1970-01-01, counted in the 400-year cycle of the calendar,
/// each year from March on so that the leap day comes last.
fn civil(days: u64) -> (u64, usize, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let after_february = month < 10;
    let month = if after_february { month + 2 } else { month - 10 };
    (cycle * 400 + year + u64::from(!after_february), month as usize, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is RFC 3261 §20.17's example.
    #[test]
    fn days_are_named_and_counted_as_the_calendar_has_them() {
        assert_eq!(date(1_289_690_940), "Sat, 13 Nov 2010 23:29:00 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(1_709_251_200), "Fri, 01 Mar 2024 00:00:00 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }
}
