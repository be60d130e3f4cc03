//! Calls told as sentences: a world, and people with telephones in it.
//!
//! ```
//! # fn tell(beginning: std::time::Instant) {
//! use testkit::{Outcome, Story};
//!
//! let story = Story::new(1, beginning);
//! let (alice, bob) = (story.person("alice"), story.person("bob"));
//! alice.calls(&bob);
//! story.a_moment();
//! bob.answers();
//! story.a_moment();
//! alice.hangs_up();
//! story.ends();
//! story.expect(alice.outcome() == Some(Outcome::Answered), "alice was answered");
//! # }
//! # tell(std::time::Instant::now());
//! ```

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sip_endpoint::TransactionUser;
use sip_message::{Message, StatusCode, Transport, UriBuf};

use crate::network::{Fate, Link};
use crate::phone::{Action, CallId, End, Order, Outcome, Phone, Record, Script};
use crate::world::{NodeId, World};

/// A world that is told about.
#[derive(Clone)]
pub struct Story {
    world: Rc<RefCell<World>>,
}

/// Somebody with a telephone. What is said of them concerns their latest call.
#[derive(Clone)]
pub struct Person {
    world: Rc<RefCell<World>>,
    node: NodeId,
}

impl Story {
    /// A story in an empty world; see [`World::new`].
    pub fn new(seed: u64, epoch: Instant) -> Story {
        Story { world: Rc::new(RefCell::new(World::new(seed, epoch))) }
    }

    /// The world.
    pub fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    /// The world, to change it.
    pub fn world_mut(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// Somebody who is reached at their phone directly: `sip:alice@alice`.
    pub fn person(&self, name: &str) -> Person {
        self.person_with(name, &format!("sip:{name}@{name}"))
    }

    /// Somebody of a domain: `sip:alice@example.test`.
    pub fn person_of(&self, name: &str, domain: &str) -> Person {
        self.person_with(name, &format!("sip:{name}@{domain}"))
    }

    /// Somebody whose phone is called `name` and who is known by this address-of-record.
    #[track_caller]
    pub fn person_with(&self, name: &str, address: &str) -> Person {
        let address = UriBuf::parse(address).expect("a story writes URIs that can be read");
        let node = self.world_mut().node(name, Phone::new(address));
        self.person_on(node)
    }

    /// Somebody at a node that was made by hand, with a [`Phone`] on it.
    pub fn person_on(&self, node: NodeId) -> Person {
        Person { world: Rc::clone(&self.world), node }
    }

    /// A node of another kind, such as a proxy. Its name resolves to it.
    pub fn server(&self, name: &str, user: impl TransactionUser + 'static) -> NodeId {
        self.world_mut().node(name, user)
    }

    /// Lets 300 ms pass: messages get through, and nothing is repeated yet.
    pub fn a_moment(&self) {
        self.run_for(Duration::from_millis(300));
    }

    /// Lets time pass.
    pub fn run_for(&self, span: Duration) {
        self.world_mut().run_for(span);
    }

    /// Sets the link between all nodes.
    pub fn links(&self, link: Link) {
        self.world_mut().network_mut().set_everywhere(link);
    }

    /// Runs the world until it is at rest, and fails if anything is left in any table.
    #[track_caller]
    pub fn ends(&self) {
        self.world_mut().run_until_idle();
        let leftovers = self.world().leftovers();
        if !leftovers.is_empty() {
            self.world().fail(None, &format!("something is left behind: {}", leftovers.join("; ")));
        }
    }

    /// The messages from one node to another, with what became of them.
    pub fn sent(&self, from: NodeId, to: NodeId) -> Vec<(Message, Fate)> {
        self.world().network().trace().between(from, to).collect()
    }

    /// Fails with the ladder unless `holds`.
    #[track_caller]
    pub fn expect(&self, holds: bool, claim: &str) {
        self.world().expect(holds, claim);
    }

    /// Fails with the ladder unless both are equal.
    #[track_caller]
    pub fn expect_eq<T: PartialEq + std::fmt::Debug>(&self, is: T, should_be: T, what: &str) {
        if is != should_be {
            self.world().fail(None, &format!("{what}: is {is:?}, should be {should_be:?}"));
        }
    }
}

impl Person {
    /// Their phone's node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Their address-of-record.
    pub fn address(&self) -> UriBuf {
        self.world.borrow().user::<Phone>(self.node).address().clone()
    }

    /// Changes something about their phone.
    pub fn phone<R>(&self, change: impl FnOnce(&mut Phone) -> R) -> R {
        self.world.borrow_mut().with(self.node, |phone: &mut Phone, _, _| change(phone))
    }

    /// Calls somebody.
    pub fn calls(&self, other: &Person) -> CallId {
        self.calls_uri(other.address().as_str())
    }

    /// Calls a URI.
    #[track_caller]
    pub fn calls_uri(&self, uri: &str) -> CallId {
        self.places(Order::to(UriBuf::parse(uri).expect("a story writes URIs that can be read")))
    }

    /// Calls as ordered.
    pub fn places(&self, order: Order) -> CallId {
        self.note(&format!("calls {}", order.to));
        self.world.borrow_mut().with(self.node, |phone: &mut Phone, now, endpoint| phone.call(now, endpoint, order))
    }

    /// Lets it ring.
    pub fn rings(&self) {
        self.does(Action::Ring, "lets it ring");
    }

    /// Takes the call.
    pub fn answers(&self) {
        self.does(Action::Answer, "answers");
    }

    /// Rejects the call.
    pub fn rejects(&self, status: StatusCode) {
        self.does(Action::Reject(status), "rejects the call");
    }

    /// Hangs up.
    pub fn hangs_up(&self) {
        self.does(Action::HangUp, "hangs up");
    }

    /// Sends a re-INVITE.
    pub fn reinvites(&self) {
        self.does(Action::Reinvite, "sends a re-INVITE");
    }

    /// Lets it ring after `ring`, and answers after `answer`, whenever called.
    pub fn usually_answers(&self, ring: Duration, answer: Duration) {
        self.usually(Script::nothing().then(ring, Action::Ring).then(answer, Action::Answer));
    }

    /// Does this whenever called.
    pub fn usually(&self, script: Script) {
        self.phone(|phone| phone.set_habit(script));
    }

    /// Sends calls by way of these proxies.
    #[track_caller]
    pub fn goes_through(&self, proxies: &[&str]) {
        let parse = |uri: &&str| UriBuf::parse(*uri).expect("a story writes URIs that can be read");
        let proxies = proxies.iter().map(parse).collect();
        self.phone(|phone| phone.set_outbound(proxies));
    }

    /// Is reached by this transport.
    pub fn speaks(&self, transport: Transport) {
        self.phone(|phone| phone.set_transport(transport));
    }

    /// Registers for an hour, with this preference.
    #[track_caller]
    pub fn registers_at(&self, registrar: &str, q: &str) {
        let registrar = UriBuf::parse(registrar).expect("a story writes URIs that can be read");
        self.world.borrow_mut().with(self.node, |phone: &mut Phone, now, endpoint| {
            phone.register(now, endpoint, &registrar, 3600, q);
        });
    }

    /// Registers another address in place of the phone's own: calls are diverted there.
    #[track_caller]
    pub fn diverts_to(&self, registrar: &str, contact: &str) {
        let contact = UriBuf::parse(contact).expect("a story writes URIs that can be read");
        self.phone(|phone| phone.set_registered_contact(contact));
        self.registers_at(registrar, "1.0");
    }

    /// What the registrar said to the last registration.
    pub fn registered(&self) -> Option<StatusCode> {
        self.world.borrow().user::<Phone>(self.node).registered()
    }

    /// All calls, in the order in which they came.
    pub fn records(&self) -> Vec<Record> {
        self.world.borrow().user::<Phone>(self.node).records().collect()
    }

    /// The latest call.
    pub fn record(&self) -> Option<Record> {
        self.records().pop()
    }

    /// The calls that are not over.
    pub fn lasting(&self) -> Vec<CallId> {
        let world = self.world.borrow();
        let phone = world.user::<Phone>(self.node);
        phone.calls().filter(|call| phone.record(*call).lasts()).collect()
    }

    /// How the latest call went.
    pub fn outcome(&self) -> Option<Outcome> {
        self.record()?.outcome
    }

    /// Whether the latest call is a talk that has not ended.
    pub fn talks(&self) -> bool {
        self.record().is_some_and(|record| record.talk().is_some_and(|talk| talk.end.is_none()))
    }

    /// How the latest talk ended.
    pub fn end(&self) -> Option<End> {
        self.record()?.talk()?.end
    }

    /// Whether there was any call.
    pub fn was_called(&self) -> bool {
        self.record().is_some()
    }

    fn does(&self, action: Action, what: &str) {
        self.note(what);
        let latest = self.world.borrow().user::<Phone>(self.node).current();
        let Some(call) = latest else { return };
        self.world.borrow_mut().with(self.node, |phone: &mut Phone, now, endpoint| {
            phone.act(now, endpoint, call, action);
        });
    }

    fn note(&self, what: &str) {
        let mut world = self.world.borrow_mut();
        let text = format!("{} {what}", world.name(self.node));
        world.note(Some(self.node), text);
    }
}
