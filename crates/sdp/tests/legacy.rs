//! What senders of RFC 4566, RFC 2327 and before do to a description, and still are
//! understood.

#![allow(clippy::unwrap_used)] // an unwrap of a test is an assertion

use sdp::{MediaType, ParseErrorKind, SessionDescription};

const USUAL: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n\
                     t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// All of them mean the usual description.
fn means_the_usual(unusual: impl AsRef<[u8]>) {
    let shown = String::from_utf8_lossy(unusual.as_ref()).into_owned();
    let parsed = SessionDescription::parse(unusual).unwrap_or_else(|e| panic!("{e}: {shown}"));
    assert_eq!(parsed.to_string(), USUAL, "{shown}");
}

#[test]
fn lines_may_end_in_lf_alone_or_in_cr_cr_lf_or_not_at_all() {
    means_the_usual(USUAL.replace("\r\n", "\n"));
    means_the_usual(USUAL.replace("\r\n", "\r\r\n"));
    means_the_usual(USUAL.trim_end());
}

#[test]
fn empty_lines_mean_nothing() {
    means_the_usual(format!("{USUAL}\r\n\r\n"));
    means_the_usual(USUAL.replace("m=", "\r\nm="));
}

#[test]
fn session_name_and_time_may_be_missing() {
    means_the_usual(USUAL.replace("s=-\r\n", ""));
    means_the_usual(USUAL.replace("t=0 0\r\n", ""));
    means_the_usual(USUAL.replace("t=0 0", "t=0"));
}

#[test]
fn session_lines_may_stand_in_another_order_or_behind_the_media() {
    let c = "c=IN IP4 192.0.2.1\r\n";
    means_the_usual(USUAL.replace(c, "").replace("s=-", &format!("{c}s=-")));
    means_the_usual(USUAL.replace("t=0 0\r\n", "") + "t=0 0\r\n");
    means_the_usual(USUAL.replace("s=-\r\n", "") + "s=-\r\n");
}

#[test]
fn fields_may_stand_apart() {
    means_the_usual(USUAL.replace("m=audio 4000", "m=audio  4000"));
    means_the_usual(USUAL.replace("IN IP4", "IN  IP4"));
    means_the_usual(USUAL.replace("v=0", "v=0 "));
}

#[test]
fn a_user_name_may_hold_spaces_or_be_missing() {
    let named = USUAL.replace("o=-", "o=Some User");
    let parsed = SessionDescription::parse(&named).unwrap();
    assert_eq!(parsed.origin.username, "Some User");
    assert_eq!(parsed.to_string(), named);
    means_the_usual(USUAL.replace("o=- ", "o="));
    means_the_usual(USUAL.replace("o=- ", "o= "));
}

#[test]
fn a_text_in_iso_8859_1_is_read_and_written_as_utf_8() {
    let mut octets = USUAL.replace("s=-", "s=Z@rich").into_bytes();
    for octet in &mut octets {
        if *octet == b'@' {
            *octet = 0xfc;
        }
    }
    let parsed = SessionDescription::parse(&octets).unwrap();
    assert_eq!(parsed.session_name, "Zürich");
}

#[test]
fn unknown_letters_are_carried_where_they_belong() {
    let text = USUAL.replace("m=", "f=session\r\nm=") + "f=media\r\n";
    let parsed = SessionDescription::parse(&text).unwrap();
    assert_eq!(parsed.unknown[0].value, "session");
    assert_eq!(parsed.media[0].unknown[0].value, "media");
    assert_eq!(parsed.to_string(), text);
}

#[test]
fn a_rejected_stream_may_come_without_formats() {
    let text = format!("{USUAL}m=video 0 RTP/AVP\r\n");
    let parsed = SessionDescription::parse(&text).unwrap();
    assert_eq!(parsed.media[1].media, MediaType::Video);
    assert!(parsed.media[1].is_disabled());
    assert_eq!(parsed.media[1].disabled().formats.len(), 1);
}

#[test]
fn every_kind_of_line_survives() {
    let text = "v=0\r\no=jdoe 2890844526 2890842807 IN IP6 2001:db8::1\r\ns=SDP Seminar\r\n\
                i=A Seminar\r\nu=http://www.example.com/\r\ne=j.doe@example.com (Jane)\r\n\
                p=+1 617 555-6011\r\nc=IN IP6 FF15::101/3\r\nb=AS:64\r\nb=X-YZ:128\r\n\
                t=3034423619 3042462419\r\nr=604800 3600 0 90000\r\nr=7d 1h 0 25h\r\nt=0 0\r\n\
                z=2882844526 -1h 2898848070 0\r\nk=prompt\r\na=recvonly\r\n\
                m=video 49170/2 RTP/AVP 31\r\ni=title\r\nc=IN IP4 224.2.1.1/127\r\n\
                c=IN IP4 224.2.1.2/127\r\nb=TIAS:64000\r\nk=clear:x\r\na=orient:portrait\r\n";
    let parsed = SessionDescription::parse(text).unwrap();
    assert_eq!(parsed.to_string(), text);
    assert_eq!(parsed.times[0].repeats.len(), 2);
    assert_eq!(parsed.media[0].port_count, Some(2));
    let direction = parsed.direction_of(&parsed.media[0]);
    assert_eq!(direction, sdp::Direction::RecvOnly);
}

#[test]
fn what_cannot_be_understood_is_said_with_its_line() {
    let error = SessionDescription::parse(USUAL.replace("m=audio", "m=")).unwrap_err();
    assert_eq!((error.line, error.kind), (6, ParseErrorKind::Malformed { letter: 'm' }));
    let error = SessionDescription::parse(USUAL.replace("o=", "x=")).unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::Missing { letter: 'o' });
    for text in ["", "\r\n", "v=1\r\n", "o=- 1 1 IN IP4 x\r\nv=0\r\n"] {
        let error = SessionDescription::parse(text).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::Version, "{text}");
    }
}
