//! What is drawn from a seed: who there is, what the network does, and what everybody does in every call.

use std::time::Duration;

use sip_message::{StatusCode, Transport};
use testkit::{Action, Link, Random, Script};

/// All that happens in one world.
#[derive(Debug)]
pub struct Plan {
    /// How many proxies lie between caller and callees; the last is the registrar.
    pub proxies: usize,
    /// How many phones are called at once or one after the other.
    pub callees: usize,
    /// The preferences of the callees' phones.
    pub preferences: Vec<&'static str>,
    /// What the phones name in their Contact, callers first.
    pub transports: Vec<Transport>,
    pub link: Link,
    /// Between which of the neighbours nothing passes, when, and for how long.
    pub partitions: Vec<(usize, Duration, Duration)>,
    /// When all connections between which of the neighbours are cut.
    pub cuts: Vec<(usize, Duration)>,
    /// Which of the proxies is off the network, when, and for how long.
    pub outage: Option<(usize, Duration, Duration)>,
    /// Which of the proxies stay on the path of dialogs.
    pub record_route: Vec<bool>,
    pub calls: Vec<CallPlan>,
}

/// What happens in one call.
#[derive(Debug)]
pub struct CallPlan {
    pub call_id: String,
    pub at: Duration,
    pub caller: usize,
    pub script: Script,
    /// So long that it does not go into a datagram (RFC 3261 §18.1.1).
    pub is_long: bool,
    /// When the caller hangs up though nobody has answered.
    pub cancels_at: Option<Duration>,
    pub callees: Vec<CalleePlan>,
}

/// What one of the called does.
#[derive(Debug)]
pub struct CalleePlan {
    pub script: Script,
    pub decision: Decision,
}

/// How a callee takes a call, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Answers(Duration),
    Rejects(Duration, StatusCode),
    /// Only rings, or does nothing at all.
    Waits,
}

const SLIGHT_LOSS: f64 = 0.02;

/// How many callers there are.
pub const CALLERS: usize = 2;

impl Plan {
    pub fn draw(seed: u64) -> Plan {
        Plan::draw_with(seed, None)
    }

    /// A plan with so many calls.
    pub fn draw_crowd(seed: u64, calls: usize) -> Plan {
        Plan::draw_with(seed, Some(calls))
    }

    fn draw_with(seed: u64, calls: Option<usize>) -> Plan {
        let mut random = Random::new(seed);
        let proxies = random.below(4) as usize;
        let callees = if proxies == 0 { 1 } else { *random.pick(&[1, 1, 2, 3]) };
        let parallel = random.chance(0.6);
        let transports = (0..CALLERS + callees).map(|_| draw_transport(&mut random)).collect();
        let preferences = ["1.0", "0.7", "0.4"].into_iter().take(callees);
        let (link, partitions, cuts) = draw_faults(&mut random, proxies);
        let outage = (proxies > 0 && random.chance(0.05)).then(|| {
            let proxy = random.below(proxies as u64) as usize;
            (proxy, random.duration(millis(0), millis(90_000)), random.duration(millis(500), millis(70_000)))
        });
        let few = if random.chance(0.02) { 40 } else { random.between(1, 8) as usize };
        let count = calls.unwrap_or(few);
        Plan {
            proxies,
            callees,
            preferences: preferences.map(|q| if parallel { "0.5" } else { q }).collect(),
            transports,
            link,
            partitions,
            cuts,
            outage,
            record_route: (0..proxies).map(|_| random.chance(0.85)).collect(),
            calls: (0..count).map(|number| CallPlan::draw(&mut random, seed, number, callees)).collect(),
        }
    }

    /// Whether so many messages may get lost that a side does not learn what the other has done. Two of a hundred are not
    /// so many: the repetitions see to them.
    pub fn may_lose(&self) -> bool {
        self.link.loss > SLIGHT_LOSS || !self.partitions.is_empty() || !self.cuts.is_empty() || self.outage.is_some()
    }
}

fn draw_transport(random: &mut Random) -> Transport {
    *random.pick(&[Transport::Udp, Transport::Udp, Transport::Udp, Transport::Udp, Transport::Tcp, Transport::Tls])
}

type Faults = (Link, Vec<(usize, Duration, Duration)>, Vec<(usize, Duration)>);

fn draw_faults(random: &mut Random, proxies: usize) -> Faults {
    let delay = random.duration(millis(1), millis(60));
    let mut link = Link::with_delay(delay);
    let kind = random.below(10);
    if kind >= 2 {
        link = link.with_jitter(random.duration(millis(0), millis(1_200))).with_duplication(0.1);
    }
    if kind >= 4 {
        link = link.with_loss(*random.pick(&[SLIGHT_LOSS, 0.1, 0.25]));
    }
    let (mut partitions, mut cuts) = (Vec::new(), Vec::new());
    if kind >= 8 {
        for _ in 0..random.between(1, 3) {
            let hop = random.below(proxies as u64 + 1) as usize;
            let from = random.duration(millis(0), millis(90_000));
            partitions.push((hop, from, random.duration(millis(500), millis(70_000))));
        }
    }
    if kind == 9 {
        let hop = random.below(proxies as u64 + 1) as usize;
        cuts.push((hop, random.duration(millis(0), millis(90_000))));
    }
    (link, partitions, cuts)
}

impl CallPlan {
    fn draw(random: &mut Random, seed: u64, number: usize, callees: usize) -> CallPlan {
        let cancels_at = random.chance(0.3).then(|| random.duration(millis(0), millis(15_000)));
        let mut script = Script::nothing();
        if let Some(at) = cancels_at {
            script = script.then(at, Action::HangUp);
        }
        let talk = random.duration(millis(0), millis(40_000));
        let (reinvite, glare) = (random.chance(0.3), random.chance(0.5));
        let reinvite_at = random.duration(millis(500), millis(20_000));
        if reinvite {
            script = script.after_answer(reinvite_at, Action::Reinvite);
        }
        let caller_hangs_up = random.chance(0.5);
        if caller_hangs_up {
            script = script.after_answer(talk, Action::HangUp);
        }
        let callees = (0..callees)
            .map(|_| {
                let mut callee = CalleePlan::draw(random);
                if reinvite && glare {
                    callee.script = callee.script.after_answer(reinvite_at, Action::Reinvite);
                }
                if !caller_hangs_up {
                    callee.script = callee.script.after_answer(talk, Action::HangUp);
                }
                callee
            })
            .collect();
        CallPlan {
            call_id: format!("{seed:016x}-{number}"),
            at: random.duration(millis(0), millis(60_000)),
            caller: random.below(CALLERS as u64) as usize,
            script,
            is_long: random.chance(0.05),
            cancels_at,
            callees,
        }
    }
}

impl CalleePlan {
    fn draw(random: &mut Random) -> CalleePlan {
        let at = random.duration(millis(0), millis(10_000));
        let decision = match random.below(20) {
            0..12 => Decision::Answers(at),
            12..17 => {
                let status = *random.pick(&[
                    StatusCode::BUSY_HERE,
                    StatusCode::BUSY_HERE,
                    StatusCode::TEMPORARILY_UNAVAILABLE,
                    StatusCode::NOT_FOUND,
                    StatusCode::SERVER_INTERNAL_ERROR,
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::DECLINE,
                    StatusCode::BUSY_EVERYWHERE,
                ]);
                Decision::Rejects(at, status)
            }
            _ => Decision::Waits,
        };
        let mut script = Script::nothing();
        if random.chance(0.7) {
            script = script.then(random.duration(millis(0), at), Action::Ring);
        }
        script = match decision {
            Decision::Answers(at) => script.then(at, Action::Answer),
            Decision::Rejects(at, status) => script.then(at, Action::Reject(status)),
            Decision::Waits => script,
        };
        CalleePlan { script, decision }
    }
}

fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
