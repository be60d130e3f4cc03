//! What a call waits when very many timers fire: a server of one shard in this process, callers on loopback, and a second
//! in which 100,000 timers are due, again and again, with a second without any between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cordboard::prelude::*;
use cordboard::servlet::{SipServletListener, TimerListener};

use crate::caller::{Call, Caller};

const TIMERS: u32 = 100_000;
const ROUNDS: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);
/// A second with timers, a half without measurements, a second without timers, and a half without measurements.
const ROUND: Duration = Duration::from_secs(3);
/// Calls come, and nothing is measured.
const BEFORE: Duration = Duration::from_secs(3);
const CALLS_PER_SECOND: u32 = 500;
/// What the timers may add to the time until the 200, for 99 of 100 calls.
const MOST: Duration = Duration::from_millis(20);

/// How the timers of one round lie.
#[derive(Clone, Copy)]
struct Shape {
    per_session: u32,
    /// From the first to the last.
    over: Duration,
}

pub(crate) fn over_a_second() -> bool {
    measure(Shape { per_session: 100, over: SECOND })
}

pub(crate) fn at_once() -> bool {
    measure(Shape { per_session: 100, over: Duration::ZERO })
}

pub(crate) fn at_once_in_sessions_of_their_own() -> bool {
    measure(Shape { per_session: 1, over: Duration::ZERO })
}

fn measure(shape: Shape) -> bool {
    let seen = Arc::new(Seen::default());
    let application = SipApplication::new("timers")
        .servlet(Answering)
        .servlet_listener(Arming { shape, seen: seen.clone() })
        .timer_listener(Working { seen: seen.clone() });
    let server = Server::builder().application(application).listen("udp:127.0.0.1:0").workers(1).start();
    let server = server.expect("there is a free port");
    let began = *seen.began.wait();
    let length = BEFORE + ROUND * ROUNDS;
    let calls = Caller::new(server.listeners()[0].1).call(CALLS_PER_SECOND, began + length);
    drop(server);
    let (mut with, mut without) = (Latencies::default(), Latencies::default());
    for round in 0..ROUNDS {
        let due = began + BEFORE + ROUND * round;
        with.add(&calls, due);
        without.add(&calls, due + SECOND * 3 / 2);
    }
    println!("  {TIMERS} timers due {}, {} in a session, {ROUNDS} times", shape.due(), shape.per_session);
    println!("  {CALLS_PER_SECOND} calls per second, INVITE to 200:");
    println!("    without timers  {without}");
    println!("    while they fire {with}");
    let last = Duration::from_micros(seen.latest.load(Ordering::Relaxed));
    println!("    the latest timer fired {:.0} ms after its time", millis(last));
    let more = with.percentile(99).saturating_sub(without.percentile(99));
    println!("    more at 99 %: {:.2} ms (at most {:.0})", millis(more), millis(MOST));
    let fired = seen.fired.load(Ordering::Relaxed);
    assert_eq!(fired, u64::from(TIMERS * ROUNDS), "all of them fire");
    with.lost + without.lost == 0 && more <= MOST
}

impl Shape {
    fn due(self) -> &'static str {
        if self.over.is_zero() { "in the same instant" } else { "over one second" }
    }
}

/// What the application tells the measurement.
#[derive(Default)]
struct Seen {
    /// When the timers were armed.
    began: OnceLock<Instant>,
    fired: AtomicU64,
    /// How many microseconds after its time a timer has fired, at most.
    latest: AtomicU64,
}

/// Answers at once.
pub(crate) struct Answering;

impl SipServlet for Answering {
    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        Ok(invite.create_response(StatusCode::OK)?.send()?)
    }

    async fn do_bye(&self, bye: SipServletRequest) -> Result {
        Ok(bye.create_response(StatusCode::OK)?.send()?)
    }
}

/// Arms the timers of all rounds.
struct Arming {
    shape: Shape,
    seen: Arc<Seen>,
}

impl SipServletListener for Arming {
    async fn servlet_initialized(&self, context: ServletContext) -> Result {
        let began = context.now();
        for round in 0..ROUNDS {
            for session in 0..TIMERS / self.shape.per_session {
                let application_session = context.sip_factory().create_application_session()?;
                for timer in 0..self.shape.per_session {
                    let number = session * self.shape.per_session + timer;
                    let delay = BEFORE + ROUND * round + self.shape.over * number / TIMERS;
                    application_session.create_timer(delay, number)?;
                }
            }
        }
        self.seen.began.set(began).expect("there is one worker");
        Ok(())
    }
}

/// Does a little: what timers of applications do at least.
struct Working {
    seen: Arc<Seen>,
}

impl TimerListener for Working {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        let session = timer.application_session();
        let before: u32 = session.attribute("fired")?.map_or(0, |fired| *fired);
        session.set_attribute("fired", before + 1)?;
        let scheduled = timer.scheduled_execution_time();
        let late = scheduled.and_then(|at| session.servlet_context().ok()?.time().duration_since(at).ok());
        let late = late.map_or(0, |late| u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
        self.seen.latest.fetch_max(late, Ordering::Relaxed);
        self.seen.fired.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// How long calls have waited for their 200.
#[derive(Default)]
struct Latencies {
    answered: Vec<Duration>,
    lost: usize,
}

impl Latencies {
    /// Takes the calls that began within a second.
    fn add(&mut self, calls: &[Call], from: Instant) {
        for call in calls.iter().filter(|call| call.began >= from && call.began < from + SECOND) {
            match call.answered {
                Some(at) => self.answered.push(at - call.began),
                None => self.lost += 1,
            }
        }
        self.answered.sort_unstable();
    }

    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.answered.len() * percent).div_ceil(100);
        self.answered.get(rank.saturating_sub(1)).copied().unwrap_or(Duration::MAX)
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| millis(self.percentile(percent)));
        let calls = self.answered.len();
        write!(f, "50 %: {half:.2} ms, 99 %: {most:.2} ms, all: {all:.2} ms ({calls} calls, {} unanswered)", self.lost)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
