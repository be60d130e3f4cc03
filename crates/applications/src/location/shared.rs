//! The location service as the applications of one worker share it: bound to the container, found by
//! `context.resource::<SharedLocation>()`.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use servlet::SipFlow;

use super::bindings::{Bindings, STEP};
use super::change::News;
use super::{Binding, LocationSettings};

/// See the module's text of [`crate::location`].
pub struct SharedLocation {
    bindings: RefCell<Bindings>,
    watchers: RefCell<Vec<Rc<Watcher>>>,
}

type Watcher = dyn Fn(&Registered<'_>);

/// That a user can be reached, by a new contact or by one that was refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered<'a> {
    /// `user@domain`.
    pub address_of_record: &'a str,
    /// Whether the REGISTER came to this worker. The others hear of it too.
    pub here: bool,
}

impl SharedLocation {
    /// A location service without bindings.
    pub fn new(settings: LocationSettings) -> SharedLocation {
        SharedLocation { bindings: RefCell::new(Bindings::new(settings)), watchers: RefCell::default() }
    }

    /// The bindings of an address-of-record (`user@domain`), by falling preference; among equals the one that was
    /// refreshed last is first.
    pub fn bindings(&self, now: Instant, address_of_record: &str) -> Vec<Binding> {
        let table = self.table(now);
        let mut bindings: Vec<Binding> = table.of(now, address_of_record).cloned().collect();
        bindings.sort_by(|a, b| b.q.cmp(&a.q).then(b.updated.cmp(&a.updated)));
        bindings
    }

    /// Whether an address-of-record has a binding.
    pub fn is_registered(&self, now: Instant, address_of_record: &str) -> bool {
        self.table(now).of(now, address_of_record).next().is_some()
    }

    /// How many bindings there are.
    pub fn len(&self, now: Instant) -> usize {
        let mut table = self.bindings.borrow_mut();
        while table.expire_some(now, STEP) {}
        table.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self, now: Instant) -> bool {
        self.len(now) == 0
    }

    /// Calls `watcher` whenever a binding was made or refreshed, after that; for as long as the worker lives.
    pub fn on_registered(&self, watcher: impl Fn(&Registered<'_>) + 'static) {
        self.watchers.borrow_mut().push(Rc::new(watcher));
    }

    /// Takes over what another worker tells.
    pub fn told(&self, now: Instant, news: &News) {
        match news {
            News::FlowEnded(flow) => self.flow_ended(now, flow),
            News::Changed(change) => {
                self.bindings.borrow_mut().apply(now, change);
                if change.adds() {
                    self.tell_watchers(change.address_of_record(), false);
                }
            }
        }
    }

    /// Removes what can be reached over this flow only (RFC 5626 §7).
    pub fn flow_ended(&self, now: Instant, flow: &SipFlow) {
        self.bindings.borrow_mut().flow_ended(now, flow);
    }

    /// The table, to look something up.
    pub(crate) fn table(&self, now: Instant) -> Ref<'_, Bindings> {
        self.bindings.borrow_mut().expire_some(now, STEP);
        self.bindings.borrow()
    }

    /// The table, to change it.
    pub(crate) fn table_mut(&self) -> RefMut<'_, Bindings> {
        self.bindings.borrow_mut()
    }

    /// Tells those who wait for a user. The table must not be held meanwhile.
    pub(crate) fn tell_watchers(&self, address_of_record: &str, here: bool) {
        // A watcher may look at the location service, and may bring another watcher.
        let watchers = self.watchers.borrow().clone();
        for watcher in watchers {
            watcher(&Registered { address_of_record, here });
        }
    }
}

impl fmt::Debug for SharedLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bindings.try_borrow() {
            Ok(bindings) => write!(f, "SharedLocation({})", bindings.len()),
            Err(_) => f.write_str("SharedLocation"),
        }
    }
}
