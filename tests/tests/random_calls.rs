//! Ten thousand random calls from one seed: through up to three record-routing proxies, forked, answered, rejected,
//! cancelled at any moment, re-negotiated by both sides at once, over links that lose, delay, reorder and repeat, with
//! partitions and broken connections. Afterwards every table is empty, and what the two sides of every call say about it
//! fits together (see `verdict.rs` for what that means).
//!
//! When one fails, its seed is printed with the ladder of the call; `CORDBOARD_SEED=<seed>` plays just that one.
//! `CORDBOARD_CALLS=<number>` makes so many calls of a fresh seed, to search longer.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "random_calls/plan.rs"]
mod plan;
mod stories_support;
#[path = "random_calls/tally.rs"]
mod tally;
#[path = "random_calls/verdict.rs"]
mod verdict;

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use container::{Container, ContainerLoad};
use sip_message::{HeaderName, Transport, UriBuf};
use testkit::{End, NodeId, Order, Outcome, Person, Phone, Random, Record, Story};

use plan::{CALLERS, Plan};
use stories_support::{config, register, secs, server};
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
    let calls =
        std::env::var("CORDBOARD_CALLS").map_or(1_000, |calls| calls.parse().expect("CORDBOARD_CALLS is a number"));
    random_calls(seed, calls);
}

/// The tables of one proxy get full, and empty again.
#[test]
fn five_thousand_calls_in_one_minute_in_one_world() {
    if seed_from_environment().is_some() {
        return;
    }
    let has_proxy = |seed: &u64| Plan::draw_crowd(*seed, 1).proxies > 0;
    for seed in (0x0c0d_b0a4_d000_0002..).filter(has_proxy).take(3) {
        let mut tally = Tally::default();
        judge(seed, &Plan::draw_crowd(seed, 5_000), &mut tally);
        eprintln!("{tally}");
    }
}

/// A verdict that finds nothing wrong with anything would let everything pass.
#[test]
fn the_verdict_sees_what_does_not_fit() {
    let answered = (1..)
        .map(|seed| (Plan::draw(seed), seed))
        .filter(|(plan, _)| plan.callees == 1 && !plan.may_lose())
        .find_map(|(plan, seed)| {
            let (story, cast) = play_out(seed, &plan);
            let sides = all_sides(&plan, &cast).swap_remove(0);
            drop(story);
            (sides.caller.outcome == Some(Outcome::Answered)).then_some((plan, sides))
        });
    let (plan, honest) = answered.unwrap();
    let finds = |tamper: fn(&mut Sides)| {
        let mut sides = honest.clone();
        tamper(&mut sides);
        sides.contradiction(&plan, &plan.calls[0]).is_some()
    };
    assert!(!finds(|_| ()));
    assert!(finds(|sides| sides.caller.outcome = None));
    assert!(finds(|sides| sides.caller.outcome = Some(Outcome::TimedOut)));
    assert!(finds(|sides| sides.caller.outcome = Some(Outcome::Cancelled)));
    assert!(finds(|sides| sides.caller.contradictions.push(Outcome::TimedOut)));
    assert!(finds(|sides| sides.caller.talks.clear()));
    assert!(finds(|sides| sides.caller.talks[0].end = None));
    assert!(finds(|sides| sides.caller.talks[0].remote_tag.push('x')));
    assert!(finds(|sides| sides.callees[0].outcome = Some(Outcome::Cancelled)));
    assert!(finds(|sides| sides.callees[0].outcome = Some(Outcome::Unacknowledged)));
    assert!(finds(|sides| {
        sides.caller.talks[0].end = Some(End::PeerHungUp);
        sides.callees[0].talks[0].end = Some(End::PeerHungUp);
    }));
    assert!(finds(|sides| sides.callees.clear()));
}

/// Plays worlds until so many calls were made.
fn random_calls(seed: u64, calls: usize) -> Tally {
    let mut seeds = Random::new(seed);
    let mut tally = Tally::default();
    let begun = Instant::now();
    while tally.calls < calls {
        play(seeds.draw(), &mut tally);
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
    judge(seed, &Plan::draw(seed), tally);
}

fn judge(seed: u64, plan: &Plan, tally: &mut Tally) {
    let (story, cast) = Blame { seed, plan }.on_panic(|| play_out(seed, plan));
    for (number, (call, sides)) in plan.calls.iter().zip(all_sides(plan, &cast)).enumerate() {
        tally.count(&sides);
        if let Some(why) = sides.contradiction(plan, call) {
            let ladder = story.world().ladder(Some(&call.call_id));
            panic!("CORDBOARD_SEED={seed:016x} call {number}: {why}\n{call:#?}\n{ladder}");
        }
    }
    let mut leftovers = story.world().leftovers();
    for proxy in &cast.proxies {
        let load = story.world().user::<Container>(*proxy).load();
        if load != ContainerLoad::default() {
            leftovers.push(format!("{}: {load:?}", story.world().name(*proxy)));
        }
    }
    if !leftovers.is_empty() {
        let ladder = story.world().ladder(None);
        panic!("CORDBOARD_SEED={seed:016x}: something is left behind: {}\n{ladder}", leftovers.join("; "));
    }
    tally.messages += story.world().network().trace().len();
}

fn play_out(seed: u64, plan: &Plan) -> (Story, Cast) {
    let story = Story::new(seed, Instant::now());
    let cast = assemble(&story, plan);
    perform(&story, plan, &cast);
    (story, cast)
}

/// What everybody has noted about each call.
fn all_sides(plan: &Plan, cast: &Cast) -> Vec<Sides> {
    let callers: Vec<_> = cast.callers.iter().map(by_call).collect();
    let callees: Vec<_> = cast.callees.iter().map(by_call).collect();
    let sides = plan.calls.iter().map(|call| {
        // A callee is called again when an INVITE that got no answer was sent once more by another way (RFC 3263 §4.3).
        let found = callees.iter().enumerate().flat_map(|(number, records)| {
            let records = records.get(&call.call_id).into_iter().flatten();
            records.map(move |record| (number, record.clone()))
        });
        let (numbers, callees) = found.unzip();
        let caller = callers[call.caller].get(&call.call_id).expect("every call was placed")[0].clone();
        Sides { caller, callees, numbers }
    });
    sides.collect()
}

fn by_call(person: &Person) -> BTreeMap<String, Vec<Record>> {
    let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in person.records() {
        records.entry(record.call_id.clone()).or_default().push(record);
    }
    records
}

/// Callers, proxies and callees; the callees are registered while the network is still good.
fn assemble(story: &Story, plan: &Plan) -> Cast {
    let callers: Vec<Person> = (0..CALLERS).map(|n| story.person(&format!("caller{n}"))).collect();
    let proxies: Vec<NodeId> = (1..=plan.proxies)
        .map(|n| match n == plan.proxies {
            true => config(&["home", "home.test"]),
            false => config(&[&format!("proxy{n}")]),
        })
        .zip(&plan.record_route)
        .map(|(mut config, record_route)| {
            config.proxy.record_route = *record_route;
            server(story, config)
        })
        .collect();
    let callees: Vec<Person> =
        (0..plan.callees).map(|n| story.person_with(&format!("bob{n}"), "sip:bob@home.test")).collect();
    for (person, transport) in callers.iter().chain(&callees).zip(&plan.transports) {
        person.speaks(*transport);
        // Callers give up before callees do.
        person.phone(|phone| phone.set_patience(secs(240)));
    }
    let called = match plan.proxies {
        0 => format!("sip:bob@bob0{}", transport_param(plan.transports[CALLERS])),
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
    if let Some((proxy, at, span)) = plan.outage {
        let proxy = cast.proxies[proxy];
        story.world_mut().after(at, move |world| world.set_down(proxy, true));
        story.world_mut().after(at + span, move |world| world.set_down(proxy, false));
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
    // RFC 3261 §17: 64·T1 for a BYE that nobody answers, 64·T1 for what it may still be repeated, and what messages take.
    story.run_for(secs(32 + 32 + 11));
    let world = story.world();
    for node in world.nodes() {
        let load = world.endpoint(node).load();
        let busy = load.servers + load.clients + load.pending;
        let contexts = match cast.proxies.contains(&node) {
            true => world.user::<Container>(node).load().proxies,
            false => 0,
        };
        assert!(
            busy + contexts == 0,
            "{} has {load:?} after everybody has hung up\n{}",
            world.name(node),
            world.ladder(None)
        );
    }
    drop(world);
    // The registrations still have their hour.
    story.world_mut().run_until_idle();
}

fn place_later(story: &Story, cast: &Cast, call: &plan::CallPlan) {
    let order = Order {
        to: cast.called.clone(),
        call_id: Some(call.call_id.clone()),
        script: call.script.clone(),
        fields: if call.is_long { vec![(HeaderName::Subject, "long ".repeat(300))] } else { Vec::new() },
    };
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
