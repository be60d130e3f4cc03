//! Ten thousand random calls from one seed: through up to three record-routing proxies, forked, answered, rejected,
//! cancelled at any moment, re-negotiated by both sides at once, over links that lose, delay, reorder and repeat, with
//! partitions and broken connections. Afterwards every table is empty, and what the two sides of every call say about it
//! fits together (see `verdict.rs` for what that means).
//!
//! When one fails, its seed is printed with the ladder of the call; `CORDBOARD_SEED=<seed>` plays just that one.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "random_calls/plan.rs"]
mod plan;
mod stories_support;
#[path = "random_calls/tally.rs"]
mod tally;
#[path = "random_calls/verdict.rs"]
mod verdict;

use std::time::{Instant, SystemTime};

use sip_message::{Transport, UriBuf};
use testkit::{NodeId, Order, Person, Phone, Random, Story};

use plan::{CALLERS, Plan};
use stories_support::{config, home, register, secs, server};
use tally::Tally;
use verdict::Sides;

/// The environment's seed, in hexadecimal digits as it was printed.
fn seed_from_environment() -> Option<u64> {
    let text = std::env::var("CORDBOARD_SEED").ok()?;
    Some(u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("CORDBOARD_SEED is a hexadecimal number"))
}

#[test]
fn ten_thousand_random_calls_leave_nothing_behind_and_agree_on_what_happened() {
    if seed_from_environment().is_some() {
        return;
    }
    let tally = random_calls(0x0c0d_b0a4_d000_0001, 10_000);
    tally.must_have_seen_everything();
}

#[test]
fn a_thousand_random_calls_of_a_seed_that_nobody_has_seen() {
    if let Some(seed) = seed_from_environment() {
        return play(seed, &mut Tally::default());
    }
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    random_calls(seed, 1_000);
}

/// Plays worlds until so many calls were made.
fn random_calls(seed: u64, calls: usize) -> Tally {
    let mut seeds = Random::new(seed);
    let mut tally = Tally::default();
    let begun = Instant::now();
    while tally.calls < calls {
        play(seeds.next(), &mut tally);
    }
    eprintln!("{tally} in {:.1} s", begun.elapsed().as_secs_f64());
    tally
}

/// Everybody in one world.
struct Cast {
    callers: Vec<Person>,
    proxies: Vec<NodeId>,
    callees: Vec<Person>,
    /// Whom the callers call.
    called: UriBuf,
}

/// Plays one world to its end, and judges it.
fn play(seed: u64, tally: &mut Tally) {
    let plan = Plan::draw(seed);
    let story = Story::new(seed, Instant::now());
    let blame = Blame { seed, plan: &plan };
    let cast = blame.on_panic(|| assemble(&story, &plan));
    blame.on_panic(|| perform(&story, &plan, &cast));
    for (number, call) in plan.calls.iter().enumerate() {
        let found = |person: &Person| person.records().into_iter().find(|record| record.call_id == call.call_id);
        let caller = found(&cast.callers[call.caller]).expect("every call was placed");
        let sides = Sides { caller, callees: cast.callees.iter().filter_map(found).collect() };
        tally.count(&sides);
        if let Some(why) = sides.contradiction(&plan, call) {
            let ladder = story.world().ladder(Some(&call.call_id));
            panic!("CORDBOARD_SEED={seed:016x} call {number}: {why}\n{call:#?}\n{ladder}");
        }
    }
    let leftovers = story.world().leftovers();
    if !leftovers.is_empty() {
        let ladder = story.world().ladder(None);
        panic!("CORDBOARD_SEED={seed:016x}: something is left behind: {}\n{ladder}", leftovers.join("; "));
    }
    tally.messages += story.world().network().trace().len();
}

/// Callers, proxies and callees; the callees are registered while the network is still good.
fn assemble(story: &Story, plan: &Plan) -> Cast {
    let callers: Vec<Person> = (0..CALLERS).map(|n| story.person(&format!("caller{n}"))).collect();
    let proxies: Vec<NodeId> = (1..=plan.proxies)
        .map(|n| match n == plan.proxies {
            true => home(story, &["home", "home.test"]),
            false => server(story, config(&[&format!("proxy{n}")])),
        })
        .collect();
    let callees: Vec<Person> =
        (0..plan.callees).map(|n| story.person_with(&format!("bob{n}"), "sip:bob@home.test")).collect();
    for person in callers.iter().chain(&callees) {
        person.speaks(plan.transport);
        // Callers give up before callees do.
        person.phone(|phone| phone.set_patience(secs(240)));
    }
    let called = match plan.proxies {
        0 => format!("sip:bob@bob0{}", transport_param(plan.transport)),
        _ => "sip:bob@home.test".to_owned(),
    };
    if plan.proxies > 0 {
        let phones: Vec<_> = callees.iter().zip(plan.preferences.iter().copied()).collect();
        register(story, "sip:home.test", &phones);
        let routes: Vec<String> = (1..plan.proxies).map(|n| format!("sip:proxy{n};lr")).collect();
        let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
        callers.iter().for_each(|caller| caller.goes_through(&routes));
    }
    Cast { callers, proxies, callees, called: UriBuf::parse(called).unwrap() }
}

fn transport_param(transport: Transport) -> String {
    match transport {
        Transport::Udp => String::new(),
        other => format!(";transport={}", other.uri_param()),
    }
}

fn perform(story: &Story, plan: &Plan, cast: &Cast) {
    story.links(plan.link);
    for (hop, from, span) in &plan.partitions {
        for (one, other) in cast.neighbours(*hop) {
            let span = *span;
            story.world_mut().after(*from, move |world| world.partition(one, other, span));
        }
    }
    for (hop, at) in &plan.cuts {
        for (one, other) in cast.neighbours(*hop) {
            story.world_mut().after(*at, move |world| world.cut_connections(one, other));
        }
    }
    for call in &plan.calls {
        for (callee, plan) in cast.callees.iter().zip(&call.callees) {
            callee.phone(|phone| phone.expect_call(&call.call_id, plan.script.clone()));
        }
        place_later(story, cast, call);
    }
    // A minute of calls, four of patience, 64·T1 here and there.
    story.run_for(secs(600));
    // By now only they still talk whose peer's BYE was lost.
    for person in cast.callers.iter().chain(&cast.callees) {
        let lasting: Vec<_> = person.lasting();
        for call in lasting {
            story.world_mut().with(person.node(), |phone: &mut Phone, now, endpoint| {
                phone.act(now, endpoint, call, testkit::Action::HangUp);
            });
        }
    }
    story.world_mut().run_until_idle();
}

fn place_later(story: &Story, cast: &Cast, call: &plan::CallPlan) {
    let order = Order { to: cast.called.clone(), call_id: Some(call.call_id.clone()), script: call.script.clone() };
    let node = cast.callers[call.caller].node();
    story.world_mut().after(call.at, move |world| {
        world.with(node, |phone: &mut Phone, now, endpoint| phone.call(now, endpoint, order));
    });
}

impl Cast {
    /// The pairs that have hop number `hop` between them: caller and first proxy, …, last proxy and callee.
    fn neighbours(&self, hop: usize) -> Vec<(NodeId, NodeId)> {
        let callers = || self.callers.iter().map(Person::node);
        let callees = || self.callees.iter().map(Person::node);
        let all = |ones: Vec<NodeId>, others: Vec<NodeId>| -> Vec<(NodeId, NodeId)> {
            ones.iter().flat_map(|one| others.iter().map(|other| (*one, *other))).collect()
        };
        match (hop, self.proxies.len()) {
            (0, 0) => all(callers().collect(), callees().collect()),
            (0, _) => all(callers().collect(), vec![self.proxies[0]]),
            (hop, count) if hop >= count => all(vec![self.proxies[count - 1]], callees().collect()),
            (hop, _) => vec![(self.proxies[hop - 1], self.proxies[hop])],
        }
    }
}

/// Names the seed when a world breaks down by itself.
struct Blame<'a> {
    seed: u64,
    plan: &'a Plan,
}

impl Blame<'_> {
    fn on_panic<R>(&self, act: impl FnOnce() -> R) -> R {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)) {
            Ok(result) => result,
            Err(panic) => {
                eprintln!("CORDBOARD_SEED={:016x}\n{:#?}", self.seed, self.plan);
                std::panic::resume_unwind(panic)
            }
        }
    }
}
