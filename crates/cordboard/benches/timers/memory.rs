//! What a million armed timers take: the process's share of memory before they are created, while they are armed, and
//! after they have been taken back. A container and an endpoint without a network, in a time that stands still.

use std::time::{Duration, Instant, SystemTime};

use cordboard::container::{Clock, Container, Settings};
use cordboard::servlet::{Attribute, Minutes, SipApplication, SipApplicationSession};
use sip_endpoint::{Endpoint, Listener};
use sip_message::{ListenerId, Transport};

use crate::firing::Answering;

const TIMERS: usize = 1_000_000;
/// What a timer may take, and what of it may be left when it is gone: octets.
const MOST: f64 = 100.0;
const MOST_LEFT: f64 = 10.0;

pub(crate) fn without_info() -> bool {
    measure(1_000, |_| ())
}

pub(crate) fn with_a_number() -> bool {
    measure(1_000, |number| number)
}

pub(crate) fn in_sessions_of_their_own() -> bool {
    measure(TIMERS, |number| number)
}

/// The sessions are there before, so that they are no part of the figure.
fn measure<T: Attribute>(sessions: usize, info: impl Fn(u32) -> T) -> bool {
    let mut shard = Shard::new(sessions);
    let per_session = TIMERS / sessions;
    let all = shard.sessions(sessions);
    let before = octets_of_this_process();
    let mut number = 0;
    for session in &all {
        for _ in 0..per_session {
            session.create_timer(delay(number), info(number)).expect("there is room");
            number += 1;
        }
        shard.turn();
    }
    assert_eq!(shard.container.load().timers, TIMERS);
    let armed = octets_of_this_process();
    for session in &all {
        for timer in session.timers().expect("it is valid") {
            assert!(timer.cancel());
        }
        shard.turn();
    }
    assert_eq!(shard.container.load().timers, 0);
    let after = octets_of_this_process();
    let each = |more: f64| (more - before) / TIMERS as f64;
    println!("  {TIMERS} timers in {sessions} application sessions, info of {} octets", size_of::<T>());
    println!("  armed: {:.1} octets each (at most {MOST}); cancelled: {:.1} left", each(armed), each(after));
    println!("  process: {:.1}, {:.1}, {:.1} MiB", before / MIB, armed / MIB, after / MIB);
    each(armed) <= MOST && each(after) <= MOST_LEFT
}

/// Anything between half a minute and half an hour, in no order.
fn delay(number: u32) -> Duration {
    Duration::from_millis(30_000 + u64::from(number) * 7_919 % 1_770_000)
}

struct Shard {
    container: Container,
    endpoint: Endpoint,
    now: Instant,
}

impl Shard {
    fn new(sessions: usize) -> Shard {
        let now = Instant::now();
        let application = SipApplication::new("timers").servlet(Answering).on_timer(|_| async { Ok(()) });
        let container = Container::builder()
            .settings(Settings::default())
            .application(application.session_timeout(Minutes(0)).max_sessions(sessions))
            .clock(Clock::new(now, SystemTime::UNIX_EPOCH))
            .build(now)
            .expect("one application");
        let listener = Listener {
            id: ListenerId(0),
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().expect("it is an address"),
            sent_by: "192.0.2.1".into(),
        };
        let endpoint = Endpoint::new(sip_endpoint::Settings {
            listeners: vec![listener],
            partition: 0,
            seed: 1,
            datagram_limit: 1_300,
            max_pending: 1,
            timers: sip_endpoint::Timers::default(),
            product: "".into(),
        });
        let mut shard = Shard { container, endpoint, now };
        shard.turn();
        shard
    }

    /// Such as stay when their timers are gone.
    fn sessions(&mut self, sessions: usize) -> Vec<SipApplicationSession> {
        let context = self.container.context("timers").expect("it is deployed");
        let sessions: Vec<_> = (0..sessions)
            .map(|_| {
                let session = context.sip_factory().create_application_session().expect("there is room");
                session.set_invalidate_when_ready(false).expect("it is valid");
                session
            })
            .collect();
        self.turn();
        sessions
    }

    fn turn(&mut self) {
        self.container.settle(self.now, &mut self.endpoint, &mut Vec::new());
    }
}

const MIB: f64 = 1_048_576.0;

/// The proportional share (PSS): what the kernel would get back if this process ended.
fn octets_of_this_process() -> f64 {
    // The allocator gives memory back after a second, and only while it is asked for some. So a server's traffic is played,
    // and what that leaves behind is in every figure.
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(50));
        drop(std::hint::black_box((0..20_000).map(|size| vec![1_u8; 16 + size * 37 % 1_500]).collect::<Vec<_>>()));
    }
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells it");
    let share = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("it is among the figures");
    let kibibytes: u32 = share.trim().trim_end_matches(" kB").parse().expect("it is a number");
    f64::from(kibibytes) * 1024.0
}
