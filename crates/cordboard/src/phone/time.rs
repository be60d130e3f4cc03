//! Times as people and programs read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sip_message::header::{CivilTime, Date};

/// `12:03:04.567`, in UTC.
pub(super) fn of_day(at: SystemTime) -> String {
    let (CivilTime { hour, minute, second, .. }, millis) = civil(at);
    format!("{hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// `2026-11-21T12:03:04.567Z` (RFC 3339).
pub(super) fn timestamp(at: SystemTime) -> String {
    let (CivilTime { year, month, day, .. }, _) = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{}Z", of_day(at))
}

/// `00:01:02`, and hours beyond 24 as they are.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn civil(at: SystemTime) -> (CivilTime, u32) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = Date::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    (date.civil(), since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(timestamp(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(at(951_782_400)), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(at(1_795_262_584)), "2026-11-21T12:03:04.000Z");
        assert_eq!(span(Duration::from_secs(3_723)), "01:02:03");
    }
}
