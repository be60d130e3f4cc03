//! One party's side of RTCP (RFC 3550 §6): when it reports and what, what the peer reports of it, how long the way is.
//!
//! ```text
//!   poll(now) ──► SR or RR, SDES CNAME ──► peer       our SR's NTP middle is remembered
//!   receive(datagram) ◄── SR ◄──────────── peer       his is returned in our next report block, with its age
//!                     ◄── report block about us       round trip = now − LSR − DLSR (§6.4.1)
//!                     ◄── BYE
//! ```

use super::extended::VoipMetrics;
use super::interval::Schedule;
use super::ntp::{self, NtpClock};
use super::packet::{CNAME, Compound, Packet, ReportBlock, RtcpError, SenderInfo};
use super::write;
use crate::rtp::{Random, Range, RtpReceiver, RtpSender, Ssrc};
use std::time::{Duration, Instant};

/// So many of our sender reports are remembered: with one of them a report block of the peer begins its round trip.
const REMEMBERED_REPORTS: usize = 4;
/// Longer ways are somebody's wrong clock.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(30);
/// What the first report will probably be as long as (§6.3.2): SR with a block, and a CNAME.
const PROBABLE_SIZE: usize = 80;

/// How a session reports.
#[derive(Clone, Debug, PartialEq)]
pub struct RtcpSettings {
    /// Who we are, for all streams of a session the same (§6.5.1). Random characters say nothing about a person (RFC
    /// 7022).
    pub cname: String,
    /// The mean time between reports; more in sessions of little bandwidth (§6.2).
    pub interval: Duration,
    /// What the media of one direction take on the wire, in bits per second; reports take 5 % of both.
    pub bandwidth: u32,
}

impl Default for RtcpSettings {
    fn default() -> RtcpSettings {
        RtcpSettings { cname: String::new(), interval: Duration::from_secs(5), bandwidth: 80_000 }
    }
}

/// Our side.
#[derive(Clone, Debug)]
pub struct RtcpSession {
    cname: String,
    clock: NtpClock,
    schedule: Schedule,
    next: Instant,
    /// Packets sent when the last report was made, and when the one before it was (§6.3.8: `we_sent`).
    sent_before: [u64; 2],
    /// The middles of our last sender reports' NTP times.
    reported: [Option<u32>; REMEMBERED_REPORTS],
    /// The peer's last sender report: whose, the middle of its NTP time, when it came.
    heard: Option<(Ssrc, u32, Instant)>,
    remote: Option<ReportBlock>,
    remote_metrics: Option<VoipMetrics>,
    remote_cname: Option<String>,
    round_trip: Option<Duration>,
    round_trip_range: Range<Duration>,
    last_received: Option<Instant>,
}

/// What a datagram has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RtcpNews {
    /// The peer has reported how he hears us.
    pub reported: bool,
    /// Who has left. Tell the [`RtpReceiver`].
    pub goodbye: Vec<Ssrc>,
}

impl RtcpSession {
    /// A session whose first report is due in about half an interval.
    pub fn new(now: Instant, settings: RtcpSettings, clock: NtpClock, random: Random<'_>) -> RtcpSession {
        let schedule = Schedule::new(settings.interval, settings.bandwidth, PROBABLE_SIZE);
        RtcpSession {
            cname: settings.cname,
            clock,
            next: now + schedule.interval(random),
            schedule,
            sent_before: [0; 2],
            reported: [None; REMEMBERED_REPORTS],
            heard: None,
            remote: None,
            remote_metrics: None,
            remote_cname: None,
            round_trip: None,
            round_trip_range: Range::default(),
            last_received: None,
        }
    }

    /// Takes a datagram of the peer's. `own` is our sender's SSRC.
    pub fn receive(&mut self, now: Instant, datagram: &[u8], own: Ssrc) -> Result<RtcpNews, RtcpError> {
        let compound = Compound::parse(datagram)?;
        self.schedule.received(datagram.len());
        self.last_received = Some(now);
        let mut news = RtcpNews::default();
        for packet in compound {
            match packet {
                Packet::SenderReport { ssrc, sender, mut reports } => {
                    self.heard = Some((ssrc, sender.ntp.middle(), now));
                    news.reported |= self.take(now, reports.find(|block| block.ssrc == own));
                }
                Packet::ReceiverReport { mut reports, .. } => {
                    news.reported |= self.take(now, reports.find(|block| block.ssrc == own));
                }
                Packet::SourceDescription(chunks) => {
                    for item in chunks.filter(|chunk| chunk.ssrc != own).flat_map(|chunk| chunk.items) {
                        self.describe(item.kind, item.text);
                    }
                }
                Packet::Goodbye { sources, .. } => news.goodbye.extend(sources),
                Packet::ExtendedReport { voice, .. } => {
                    let ours = voice.filter(|(about, _)| *about == own);
                    self.remote_metrics = ours.map(|(_, metrics)| metrics).or(self.remote_metrics);
                }
                Packet::Other(_) | Packet::Malformed(_) => {}
            }
        }
        Ok(news)
    }

    /// When [`poll`](Self::poll) has something to send next.
    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    /// Appends a report, if one is due, and says whether.
    pub fn poll(
        &mut self,
        now: Instant,
        sender: &RtpSender,
        receiver: &mut RtpReceiver,
        random: Random<'_>,
        datagram: &mut Vec<u8>,
    ) -> bool {
        if now < self.next {
            return false;
        }
        let start = datagram.len();
        self.write_report(now, sender, receiver, datagram);
        self.schedule.sent(datagram.len() - start);
        // Counted from now: who was asleep for an hour does not make up for it.
        self.next = now + self.schedule.interval(random);
        true
    }

    /// Appends a last report with BYE and says whether: who has never sent anything leaves without (§6.3.7). For the
    /// end, and for an SSRC that is given up.
    pub fn goodbye(
        &mut self,
        now: Instant,
        sender: &RtpSender,
        receiver: &mut RtpReceiver,
        reason: Option<&str>,
        datagram: &mut Vec<u8>,
    ) -> bool {
        if sender.packets() == 0 && !self.schedule.has_sent() {
            return false;
        }
        let start = datagram.len();
        self.write_report(now, sender, receiver, datagram);
        write::goodbye(sender.ssrc(), reason, datagram);
        self.schedule.sent(datagram.len() - start);
        true
    }

    /// How the peer hears us.
    pub fn remote(&self) -> Option<ReportBlock> {
        self.remote
    }

    /// How the peer hears us, in more words (RFC 3611).
    pub fn remote_metrics(&self) -> Option<VoipMetrics> {
        self.remote_metrics
    }

    /// What the peer calls himself.
    pub fn remote_cname(&self) -> Option<&str> {
        self.remote_cname.as_deref()
    }

    /// To the peer and back.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The shortest and the longest round trip.
    pub fn round_trip_range(&self) -> Range<Duration> {
        self.round_trip_range
    }

    /// When the peer's last report came.
    pub fn last_received(&self) -> Option<Instant> {
        self.last_received
    }

    fn take(&mut self, now: Instant, block: Option<ReportBlock>) -> bool {
        let Some(block) = block else { return false };
        self.remote = Some(block);
        if let Some(round_trip) = self.round_trip_of(now, block) {
            self.round_trip = Some(round_trip);
            self.round_trip_range.note(round_trip);
        }
        true
    }

    /// §6.4.1, figure 2. Only from a report that we made: some gateways pass on what they got on another leg.
    fn round_trip_of(&self, now: Instant, block: ReportBlock) -> Option<Duration> {
        if !self.reported.contains(&Some(block.last_sender_report)) {
            return None;
        }
        let since = self.clock.at(now).middle().wrapping_sub(block.last_sender_report);
        // A peer who rounds his delay up seems to answer before he is asked.
        let round_trip = since.wrapping_sub(block.delay_since_last).cast_signed().max(0).cast_unsigned();
        Some(ntp::span(round_trip)).filter(|round_trip| *round_trip <= LONGEST_ROUND_TRIP)
    }

    fn describe(&mut self, kind: u8, text: &[u8]) {
        if kind != CNAME || self.remote_cname.as_ref().is_some_and(|known| known.as_bytes() == text) {
            return;
        }
        if let Ok(name) = std::str::from_utf8(text) {
            self.remote_cname = Some(name.to_owned());
        }
    }

    fn write_report(&mut self, now: Instant, sender: &RtpSender, receiver: &mut RtpReceiver, datagram: &mut Vec<u8>) {
        let block = receiver.report().map(|heard| {
            let last = self.heard.filter(|(ssrc, ..)| *ssrc == heard.ssrc);
            ReportBlock {
                ssrc: heard.ssrc,
                fraction_lost: heard.fraction_lost,
                cumulative_lost: heard.cumulative_lost,
                highest_sequence: heard.highest_sequence,
                jitter: heard.jitter,
                last_sender_report: last.map_or(0, |(_, middle, _)| middle),
                delay_since_last: last.map_or(0, |(.., at)| ntp::compact(now.saturating_duration_since(at))),
            }
        });
        write::report(sender.ssrc(), self.sender_info(now, sender), block, datagram);
        write::cname(sender.ssrc(), &self.cname, datagram);
    }

    /// What we send, if we have sent since the last report but one.
    fn sender_info(&mut self, now: Instant, sender: &RtpSender) -> Option<SenderInfo> {
        let we_sent = sender.packets() > self.sent_before[1];
        self.sent_before = [sender.packets(), self.sent_before[0]];
        let timestamp = sender.timestamp_at(now).filter(|_| we_sent)?;
        let ntp = self.clock.at(now);
        self.reported.rotate_right(1);
        self.reported[0] = Some(ntp.middle());
        let (packets, octets) = sender.reported_counts();
        Some(SenderInfo { ntp, timestamp, packets, octets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::dice::Dice;
    use crate::rtp::{ClockRate, RtpPacket};
    use sdp::PayloadType;

    const FRAME: Duration = Duration::from_millis(20);

    /// One party, with a dice of its own.
    struct Party {
        sender: RtpSender,
        receiver: RtpReceiver,
        session: RtcpSession,
        dice: Dice,
        clock: Duration,
    }

    impl Party {
        fn new(now: Instant, seed: u64) -> Party {
            let mut dice = Dice::new(seed);
            let clock = Duration::from_secs(1_700_000_000 + seed * 1_000);
            let settings = RtcpSettings { cname: format!("party-{seed}"), ..RtcpSettings::default() };
            Party {
                sender: RtpSender::new(ClockRate::NARROW, &mut |octets| dice.fill(octets)),
                receiver: RtpReceiver::new(ClockRate::NARROW),
                session: RtcpSession::new(now, settings, NtpClock::new(now, clock), &mut |octets| dice.fill(octets)),
                dice,
                clock,
            }
        }

        fn frame(&mut self, now: Instant) -> Vec<u8> {
            let mut packet = Vec::new();
            self.sender.write(now, PayloadType::new(0).unwrap(), false, &[0xff; 160], &mut packet);
            self.sender.advance(160);
            packet
        }

        fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
            let mut datagram = Vec::new();
            let dice = &mut self.dice;
            let due = self.session.poll(
                now,
                &self.sender,
                &mut self.receiver,
                &mut |octets| dice.fill(octets),
                &mut datagram,
            );
            due.then_some(datagram)
        }

        fn hear(&mut self, now: Instant, packet: &[u8]) {
            self.receiver.receive(now, &RtpPacket::parse(packet).unwrap());
        }

        fn receive(&mut self, now: Instant, datagram: &[u8]) -> RtcpNews {
            self.session.receive(now, datagram, self.sender.ssrc()).unwrap()
        }
    }

    /// Two parties talk for a while over a way of `delay`; each tenth packet to bob is lost.
    fn talk(seconds: u32, delay: Duration) -> (Party, Party, Instant) {
        let start = Instant::now();
        let (mut alice, mut bob) = (Party::new(start, 1), Party::new(start, 2));
        for tick in 0..seconds * 50 {
            let (now, then) = (start + FRAME * tick, start + FRAME * tick + delay);
            let (to_bob, to_alice) = (alice.frame(now), bob.frame(now));
            if tick % 10 != 9 {
                bob.hear(then, &to_bob);
            }
            alice.hear(then, &to_alice);
            if let Some(report) = alice.poll(now) {
                bob.receive(then, &report);
            }
            if let Some(report) = bob.poll(now) {
                alice.receive(then, &report);
            }
        }
        (alice, bob, start + FRAME * seconds * 50)
    }

    #[test]
    fn the_round_trip_is_known_although_the_clocks_differ_by_a_quarter_of_an_hour() {
        let (alice, bob, _) = talk(30, Duration::from_millis(70));
        assert_ne!(alice.clock, bob.clock);
        for party in [alice, bob] {
            let round_trip = party.session.round_trip().unwrap();
            // Our report leaves at the tick after the one before has come: the way, twice.
            assert!(round_trip.abs_diff(Duration::from_millis(140)) < Duration::from_millis(1), "{round_trip:?}");
            let range = party.session.round_trip_range();
            let (least, greatest) = (range.least().unwrap(), range.greatest().unwrap());
            assert!(greatest - least < Duration::from_millis(1), "{range:?}");
        }
    }

    #[test]
    fn each_learns_how_the_other_hears_him_and_what_he_is_called() {
        let (alice, bob, _) = talk(60, Duration::from_millis(20));
        let of_alice = alice.session.remote().unwrap();
        assert!((20..=30).contains(&of_alice.fraction_lost), "a tenth of 256: {of_alice:?}");
        assert!(of_alice.cumulative_lost > 200, "{of_alice:?}");
        assert_eq!(bob.session.remote().unwrap().cumulative_lost, 0);
        assert_eq!(alice.session.remote_cname(), Some("party-2"));
        assert_eq!(bob.session.remote_cname(), Some("party-1"));
    }

    #[test]
    fn reports_are_due_by_chance_between_half_and_one_and_a_half_intervals() {
        let start = Instant::now();
        let mut alice = Party::new(start, 3);
        let mut last = start;
        for number in 0..200 {
            let due = alice.session.next_timeout();
            let (least, most) = if number == 0 { (1_250, 3_750) } else { (2_500, 7_500) };
            let waited = due - last;
            assert!(waited >= Duration::from_millis(least) && waited <= Duration::from_millis(most), "{waited:?}");
            assert_eq!(alice.poll(due.checked_sub(Duration::from_nanos(1)).unwrap()), None);
            assert!(alice.poll(due).is_some());
            last = due;
        }
    }

    #[test]
    fn who_has_not_sent_since_the_last_report_but_one_makes_a_receiver_report() {
        let start = Instant::now();
        let mut alice = Party::new(start, 4);
        let kinds = |party: &mut Party| {
            let report = party.poll(party.session.next_timeout()).unwrap();
            report[1]
        };
        assert_eq!(kinds(&mut alice), 201);
        alice.frame(start);
        assert_eq!([kinds(&mut alice), kinds(&mut alice), kinds(&mut alice)], [200, 200, 201]);
    }

    #[test]
    fn a_goodbye_is_told_and_ends_the_source() {
        let (mut alice, mut bob, now) = talk(10, FRAME);
        let mut datagram = Vec::new();
        assert!(alice.session.goodbye(now, &alice.sender, &mut alice.receiver, Some("bye"), &mut datagram));
        let news = bob.receive(now, &datagram);
        assert_eq!(news.goodbye, [alice.sender.ssrc()]);
        assert!(news.reported);
    }

    #[test]
    fn who_has_never_sent_anything_does_not_say_goodbye() {
        let start = Instant::now();
        let mut alice = Party::new(start, 5);
        let mut datagram = Vec::new();
        assert!(!alice.session.goodbye(start, &alice.sender, &mut alice.receiver, None, &mut datagram));
        assert!(datagram.is_empty());
    }

    #[test]
    fn a_report_block_that_answers_no_report_of_ours_has_no_round_trip() {
        let (mut alice, _, now) = talk(10, FRAME);
        let known = alice.session.round_trip();
        let block = ReportBlock { last_sender_report: 12_345, ..alice.session.remote().unwrap() };
        let mut datagram = Vec::new();
        write::report(Ssrc(77), None, Some(block), &mut datagram);
        assert!(alice.receive(now, &datagram).reported);
        assert_eq!(alice.session.round_trip(), known);
    }

    #[test]
    fn a_report_about_somebody_else_is_none_about_us() {
        let (mut alice, _, now) = talk(10, FRAME);
        let block = ReportBlock { ssrc: Ssrc(5), ..alice.session.remote().unwrap() };
        let mut datagram = Vec::new();
        write::report(Ssrc(77), None, Some(block), &mut datagram);
        assert!(!alice.receive(now, &datagram).reported);
    }

    #[test]
    fn random_datagrams_change_no_schedule_beyond_its_bounds() {
        let (mut alice, _, now) = talk(10, FRAME);
        let mut datagram = Vec::new();
        write::report(Ssrc(2), None, alice.session.remote(), &mut datagram);
        let mut dice = Dice::new(6);
        for _ in 0..20_000 {
            let mut octets = datagram.clone();
            for _ in 0..dice.below(6) {
                let at = dice.below(octets.len());
                dice.fill(&mut octets[at..=at]);
            }
            let _ = alice.session.receive(now, &octets, alice.sender.ssrc());
        }
        assert!(alice.session.round_trip().unwrap() <= LONGEST_ROUND_TRIP);
    }
}
