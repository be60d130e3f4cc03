//! Where a recording goes when nobody says where: `YYYYMMDD-HHMMSS-user@host-incoming.wav`, in the account's folder.
//!
//! User and host are the peer's words: whatever could lead out of the folder is replaced. Times are those of UTC, which
//! needs no table of zones.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use sip_message::header::{CivilTime, Date};
use sip_message::{NameAddrBuf, Uri};

use super::CallDirection;
use crate::settings::AudioSettings;

/// The usual name.
pub(super) fn usual(time: SystemTime, remote: Option<&NameAddrBuf>, direction: CallDirection) -> String {
    let direction = match direction {
        CallDirection::Incoming => "incoming",
        CallDirection::Outgoing => "outgoing",
    };
    let (user, host) = remote.map(|remote| user_and_host(remote.uri())).unwrap_or_default();
    format!("{}-{}@{}-{direction}.wav", stamp(time), harmless(&user), harmless(&host))
}

/// The account's folder.
pub(super) fn folder(audio: &AudioSettings, account: &str) -> PathBuf {
    let recordings = audio.recordings_directory.clone().unwrap_or_else(|| PathBuf::from("recordings"));
    recordings.join(harmless(account))
}

fn user_and_host(uri: Uri<'_>) -> (String, String) {
    match uri.sip() {
        Some(uri) => (uri.user().unwrap_or_default().into_owned(), uri.host().to_string()),
        None => (uri.as_str().to_owned(), String::new()),
    }
}

/// A text that is no more than one part of a path on any system.
fn harmless(text: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "@._-+".contains(c);
    let replaced: String = text.chars().take(64).map(|c| if is_harmless(c) { c } else { '_' }).collect();
    // A name of dots alone leads upwards.
    if replaced.chars().all(|c| c == '.') { replaced.replace('.', "_") } else { replaced }
}

fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    let CivilTime { year, month, day, hour, minute, second } =
        Date::from_unix_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).civil();
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_name_says_when_who_and_which_way() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_225_999);
        let bob = NameAddrBuf::parse("\"Bob\" <sip:bob@example.test>").unwrap();
        assert_eq!(usual(time, Some(&bob), CallDirection::Outgoing), "20261121-015319-bob@example.test-outgoing.wav");
    }

    #[test]
    fn the_peer_can_not_choose_another_folder() {
        let evil = NameAddrBuf::parse("<sip:..%2F..%2Fetc%2Fpasswd@example.test>").unwrap();
        let name = usual(UNIX_EPOCH, Some(&evil), CallDirection::Incoming);
        assert!(!name.contains('/') && !name.contains('\\'), "{name}");
        assert_eq!(harmless(".."), "__");
    }
}
