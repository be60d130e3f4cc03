//! Datagrams of a peer who means no good, in any order: nothing panics, what is kept has an end, and no packet is held
//! back longer than the jitter buffer may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::dtmf::event::{EventNews, EventReceiver};
use media::jitter::{Frame, JitterBuffer, JitterSettings};
use media::rtcp::{NtpClock, RtcpSession, RtcpSettings};
use media::rtp::{ClockRate, Collisions, Impairment, RtpPacket, RtpReceiver, RtpSender, Statistics};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const CLOCK: ClockRate = ClockRate::NARROW;

// An octet says what comes and how long it is, the next one how long after the one before.
fuzz_target!(|octets: &[u8]| {
    let mut now = Instant::now();
    let mut random = |octets: &mut [u8]| octets.fill(7);
    let settings = JitterSettings::new(CLOCK);
    let mut sender = RtpSender::new(CLOCK, &mut random);
    let mut receiver = RtpReceiver::new(CLOCK);
    let mut collisions = Collisions::default();
    let mut buffer = JitterBuffer::new(settings);
    let mut events = EventReceiver::new(CLOCK);
    let clock = NtpClock::new(now, Duration::from_secs(1_700_000_000));
    let mut reports = RtcpSession::new(now, RtcpSettings::default(), clock, &mut random);
    let (mut payload, mut datagram) = (Vec::new(), Vec::new());
    let mut presses = 0_i64;

    let mut rest = octets;
    while let Some((&[what, wait], behind)) = rest.split_first_chunk::<2>() {
        let (received, behind) = behind.split_at(behind.len().min(usize::from(what >> 2)));
        rest = behind;
        now += Duration::from_millis(u64::from(wait) * u64::from(wait) / 16);
        match (what & 3, RtpPacket::parse(received)) {
            (0, _) => {
                if let Ok(news) = reports.receive(now, received, sender.ssrc()) {
                    news.goodbye.into_iter().for_each(|ssrc| receiver.leave(ssrc));
                }
            }
            (1, Ok(packet)) => {
                events.receive(now, &packet);
                buffer.skip(&packet);
            }
            (2, Ok(packet)) => {
                receiver.receive(now, &packet);
                collisions.judge(now, SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)), &sender, &packet);
                buffer.insert(now, &packet);
            }
            (3, Ok(packet)) => {
                // As a peer who echoes.
                sender.write(now, packet.payload_type, packet.marker, packet.payload, &mut datagram);
                sender.advance(160);
                datagram.clear();
            }
            (_, Err(_)) => {}
            (4.., Ok(_)) => unreachable!("two bits"),
        }
        while let Some(news) = events.poll(now) {
            presses += if matches!(news, EventNews::Pressed(_)) { 1 } else { -1 };
            // A press that was overtaken by the next one is told while that one lasts.
            assert!((0..=2).contains(&presses), "a key goes down, then up");
        }
        match buffer.pop(now, &mut payload) {
            Frame::Packet { .. } => buffer.decoded(Duration::from_millis(u64::from(wait))),
            Frame::Lost { duration } | Frame::Silence { duration } => {
                assert!(duration > Duration::ZERO && duration <= Duration::from_millis(200));
            }
            Frame::Wait => {}
        }
        assert!(buffer.packets() <= settings.max_packets && buffer.target() <= settings.max_delay);
        if reports.poll(now, &sender, &mut receiver, &mut random, &mut datagram) {
            assert!(datagram.len() <= 84);
            datagram.clear();
        }
    }
    let numbers = Statistics::gather(&sender, &receiver, &reports, &buffer, Impairment::G711);
    assert!((1.0..=4.5).contains(&numbers.rating.mos));
});
