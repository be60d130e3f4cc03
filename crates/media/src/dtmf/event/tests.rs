//! The example of RFC 4733 §5: somebody dials 9, 1, 1.

use super::*;
use crate::dtmf::Digit;
use crate::rtp::{ClockRate, RtpHeader, RtpPacket, Ssrc};
use sdp::PayloadType;
use std::time::Instant;

/// A packet of Table 5.
struct Row {
    octets: Vec<u8>,
    event: TelephoneEvent,
    header: RtpHeader,
}

fn table_5() -> Vec<Row> {
    include_str!("table_5.txt").lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split(' ').collect();
    let [marker, timestamp, sequence, event, duration, end, hex] = fields[..] else { panic!("{line}") };
    Row {
        octets: (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect(),
        event: TelephoneEvent {
            event: event.parse().unwrap(),
            end: end == "1",
            volume: 10,
            duration: duration.parse().unwrap(),
        },
        header: RtpHeader {
            marker: marker == "1",
            payload_type: PayloadType::new(101).unwrap(),
            sequence: sequence.parse().unwrap(),
            timestamp: timestamp.parse().unwrap(),
            ssrc: Ssrc(0xcafe_babe),
        },
    }
}

#[test]
fn each_packet_of_table_5_reads_and_writes_as_it_stands_there() {
    for row in table_5() {
        let packet = RtpPacket::parse(&row.octets).unwrap();
        assert_eq!(packet.header(), row.header);
        assert_eq!(TelephoneEvent::read(packet.payload).collect::<Vec<_>>(), [row.event]);
        let mut written = Vec::new();
        row.header.write(&mut written);
        written.extend_from_slice(&row.event.payload());
        assert_eq!(written, row.octets);
    }
}

#[test]
fn table_5_is_heard_as_three_presses_of_their_durations() {
    let start = Instant::now();
    let mut receiver = EventReceiver::new(ClockRate::NARROW);
    let mut news = Vec::new();
    for (number, row) in (0_u32..).zip(&table_5()) {
        let now = start + Duration::from_millis(50) * number;
        receiver.receive(now, &RtpPacket::parse(&row.octets).unwrap());
        news.extend(std::iter::from_fn(|| receiver.poll(now)));
    }
    let press = |digit: &str, ms| {
        let digit: Digit = digit.parse().unwrap();
        [EventNews::Pressed(digit), EventNews::Released { digit, duration: Duration::from_millis(ms) }]
    };
    assert_eq!(news, [press("9", 200), press("1", 250), press("1", 220)].concat());
}

#[test]
fn the_sender_makes_table_5_when_the_same_keys_are_pressed() {
    let table = table_5();
    // (the key, when it goes down and up, in units): packets each 50 ms, of which Table 5 shows the end twice only
    // for the first two keys, which are held and let go between two packets.
    for (digit, down, up) in [("9", 0, 1_600), ("1", 7_040, 9_040), ("1", 11_200, 12_960)] {
        let mut sender = EventSender::new(EventSettings::new(ClockRate::NARROW));
        let held = (up - down) % 400 == 0;
        if held {
            sender.press(digit.parse().unwrap()).unwrap();
        } else {
            sender.queue(digit.parse().unwrap(), Some(ClockRate::NARROW.duration((up - down).into()))).unwrap();
        }
        let mut timestamp = down;
        for row in table.iter().filter(|row| row.header.timestamp == down) {
            if timestamp == up {
                sender.release();
            }
            let packet = sender.poll(timestamp, 400).unwrap();
            assert_eq!((packet.marker, packet.timestamp), (row.header.marker, down));
            assert_eq!(packet.payload, row.event.payload());
            timestamp += 400;
        }
    }
}
