//! The location service: which bindings an address-of-record has. RFC 3261 §10.3, RFC 5626 §6 and §7, RFC 5627 §5.
//!
//! Every shard holds a copy. A REGISTER changes the copy of the shard that it came to and becomes a [`Change`] for the
//! others, which apply it by the same order of Call-ID and CSeq, so that it does not matter which shard hears of which
//! REGISTER first. Bindings expire by one timer for each address-of-record, set late: a refresh leaves it alone, and
//! when it fires too early it is set again.
//!
//! Who may change what is the registrar's business; which binding serves which request is the proxy's.

mod binding;

use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};
use sip_endpoint::{Endpoint, TimerId};
use sip_message::{ConnectionId, Flow};
use smallvec::SmallVec;

pub(crate) use binding::{Binding, Draft, equivalent, same_instance};

use super::config::Secret;
use super::mac::{Mac, Purpose};
use super::table::Table;
use super::timers::TimerToken;

/// Why an update was not made; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A later REGISTER of the same client came first (RFC 3261 §10.3 steps 6 and 7).
    OutOfOrder,
    /// The address-of-record would have more bindings than allowed.
    TooManyBindings,
    /// The table is full.
    Full,
}

/// What the other shards are told of an update.
#[derive(Clone, Debug)]
pub struct Change {
    aor: Box<str>,
    updates: Vec<Update>,
}

#[derive(Clone, Debug)]
enum Update {
    Put(Binding),
    Remove { contact: Box<str>, instance: Box<str>, reg_id: u32, call_id: Box<str>, cseq: u32 },
    Clear { call_id: Box<str>, cseq: u32 },
}

/// The bindings of all addresses-of-record.
pub(crate) struct Location {
    secret: Secret,
    max_bindings: usize,
    max_total: usize,
    shared: bool,
    /// Slots by the name of their address-of-record.
    names: HashTable<u32>,
    slots: Vec<Option<Box<AddressOfRecord>>>,
    free: Vec<u32>,
    total: usize,
    /// Slots with bindings that can be reached over this connection only.
    by_connection: Table<ConnectionId, HashSet<u32, FixedState>>,
    by_gruu: Table<u64, u32>,
}

struct AddressOfRecord {
    /// `user@host` in canonical form.
    name: Box<str>,
    bindings: SmallVec<[Binding; 1]>,
    timer: Option<(TimerId, Instant)>,
}

impl Location {
    pub(crate) fn new(secret: Secret, max_bindings: usize, max_total: usize, shared: bool) -> Location {
        Location {
            secret,
            max_bindings,
            max_total,
            shared,
            names: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            total: 0,
            by_connection: Table::new(),
            by_gruu: Table::new(),
        }
    }

    /// The live bindings of an address-of-record.
    pub(crate) fn bindings(&self, now: Instant, aor: &str) -> impl Iterator<Item = &Binding> {
        self.bindings_in(now, self.find(aor))
    }

    /// The address-of-record and the instance that temporary GRUUs with this number name (RFC 5627 §5.4).
    pub(crate) fn of_gruu(&self, gruu: u64) -> Option<(&str, &str)> {
        let entry = self.entry(*self.by_gruu.get(&gruu)?)?;
        let binding = entry.bindings.iter().find(|binding| binding.gruu == gruu)?;
        Some((&entry.name, &binding.instance))
    }

    /// How many bindings there are.
    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// Adds, refreshes and removes bindings: all that is asked for, or nothing (RFC 3261 §10.3 step 7). What it gives
    /// back is for the other shards.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        aor: &str,
        drafts: &[Draft<'_>],
    ) -> Result<Option<Arc<Change>>, Refused> {
        let known = self.find(aor);
        self.check(now, known, drafts)?;
        let mut updates = Vec::with_capacity(if self.shared { drafts.len() } else { 0 });
        let slot = known.unwrap_or_else(|| self.insert(aor));
        for draft in drafts {
            if self.bindings_in(now, Some(slot)).any(|binding| binding.is_repeated_by(now, draft)) {
                continue;
            }
            match draft.expires {
                Some(expires) => {
                    let binding = self.put(now, endpoint, slot, draft, expires);
                    if self.shared {
                        updates.extend(binding.map(Update::Put));
                    }
                }
                None => {
                    self.remove_where(slot, |b| b.is_meant_by(draft.contact, &draft.instance, draft.reg_id));
                    if self.shared {
                        updates.push(Update::removal(draft));
                    }
                }
            }
        }
        self.settle(now, endpoint, slot);
        Ok(self.change(aor, updates))
    }

    /// Removes all bindings of an address-of-record (RFC 3261 §10.3 step 6: `Contact: *`).
    pub(crate) fn clear(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        aor: &str,
        call_id: &str,
        cseq: u32,
    ) -> Result<Option<Arc<Change>>, Refused> {
        if self.bindings(now, aor).any(|binding| binding.is_newer_than(call_id, cseq)) {
            return Err(Refused::OutOfOrder);
        }
        if let Some(slot) = self.find(aor) {
            self.remove_where(slot, |_| true);
            self.settle(now, endpoint, slot);
        }
        Ok(self.change(aor, vec![Update::Clear { call_id: call_id.into(), cseq }]))
    }

    /// Applies what another shard has done.
    pub(crate) fn apply(&mut self, now: Instant, endpoint: &mut Endpoint, change: &Change) {
        let slot = self.find(&change.aor).unwrap_or_else(|| self.insert(&change.aor));
        for update in &change.updates {
            match update {
                Update::Put(binding) => self.put_copy(slot, binding),
                Update::Remove { contact, instance, reg_id, call_id, cseq } => self.remove_where(slot, |b| {
                    b.is_meant_by(contact, instance, *reg_id) && !b.is_newer_than(call_id, *cseq)
                }),
                Update::Clear { call_id, cseq } => self.remove_where(slot, |b| !b.is_newer_than(call_id, *cseq)),
            }
        }
        self.settle(now, endpoint, slot);
    }

    /// Removes what can be reached over this flow only (RFC 5626 §7).
    pub(crate) fn flow_ended(&mut self, now: Instant, endpoint: &mut Endpoint, flow: &Flow) {
        let Some(connection) = flow.connection else { return };
        for slot in self.by_connection.remove(&connection).unwrap_or_default() {
            self.remove_where(slot, |binding| binding.flow.is_some_and(|f| f.connection == Some(connection)));
            self.settle(now, endpoint, slot);
        }
    }

    /// Removes what has expired in a slot, and waits for the rest.
    pub(crate) fn timer_fired(&mut self, now: Instant, endpoint: &mut Endpoint, timer: TimerId, slot: u32) {
        let Some(entry) = self.entry_mut(slot) else { return };
        if entry.timer.is_none_or(|(armed, _)| armed != timer) {
            return;
        }
        entry.timer = None;
        self.settle(now, endpoint, slot);
    }

    fn bindings_in(&self, now: Instant, slot: Option<u32>) -> impl Iterator<Item = &Binding> {
        let entry = slot.and_then(|slot| self.entry(slot));
        entry.into_iter().flat_map(|entry| entry.bindings.iter()).filter(move |binding| binding.is_live(now))
    }

    fn check(&self, now: Instant, slot: Option<u32>, drafts: &[Draft<'_>]) -> Result<(), Refused> {
        let live = || self.bindings_in(now, slot);
        let mut count = live().count();
        let mut added = 0;
        for draft in drafts {
            let mut meant = live().filter(|b| b.is_meant_by(draft.contact, &draft.instance, draft.reg_id)).peekable();
            let exists = meant.peek().is_some();
            let is_late = |b: &Binding| b.is_newer_than(draft.call_id, draft.cseq) && !b.is_repeated_by(now, draft);
            if meant.any(is_late) {
                return Err(Refused::OutOfOrder);
            }
            match (draft.expires, exists) {
                (Some(_), false) => added += 1,
                (None, true) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        if added > 0 && count + added > self.max_bindings {
            return Err(Refused::TooManyBindings);
        }
        if added > 0 && self.total + added > self.max_total {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Adds or refreshes one binding, and gives a copy of it when other shards have to be told.
    fn put(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        slot: u32,
        draft: &Draft<'_>,
        expires: Instant,
    ) -> Option<Binding> {
        let gruu = self.gruu_for(endpoint, slot, draft);
        let shared = self.shared;
        let entry = self.slots.get_mut(slot as usize)?.as_mut()?;
        let meant = |b: &Binding| b.is_meant_by(draft.contact, &draft.instance, draft.reg_id);
        let at = match entry.bindings.iter().position(meant) {
            Some(at) => at,
            None => {
                let mut binding = Binding::new(now, draft, expires);
                // Is put in below, so that the connection is seen to be new.
                binding.flow = None;
                entry.bindings.push(binding);
                self.total += 1;
                entry.bindings.len() - 1
            }
        };
        let binding = &mut entry.bindings[at];
        let before = binding.connection();
        binding.refresh(now, draft, expires);
        binding.gruu = gruu;
        let after = binding.connection();
        let copy = shared.then(|| binding.clone());
        self.reindex(slot, before, after);
        copy
    }

    fn put_copy(&mut self, slot: u32, binding: &Binding) {
        let Some(Some(entry)) = self.slots.get_mut(slot as usize) else { return };
        let meant = |b: &Binding| b.is_meant_by(&binding.contact, &binding.instance, binding.reg_id);
        let mut before = None;
        match entry.bindings.iter_mut().find(|b| meant(b)) {
            Some(known) if known.is_newer_than(&binding.call_id, binding.cseq) => return,
            Some(known) => {
                if known.gruu != 0 && known.gruu != binding.gruu {
                    self.by_gruu.remove(&known.gruu);
                }
                before = known.connection();
                *known = binding.clone();
            }
            None => {
                entry.bindings.push(binding.clone());
                self.total += 1;
            }
        }
        if binding.gruu != 0 {
            // All bindings of an instance name the same GRUUs.
            for sibling in entry.bindings.iter_mut().filter(|b| same_instance(&b.instance, &binding.instance)) {
                if sibling.gruu != binding.gruu {
                    self.by_gruu.remove(&sibling.gruu);
                    sibling.gruu = binding.gruu;
                }
            }
            self.by_gruu.insert(binding.gruu, slot);
        }
        self.reindex(slot, before, binding.connection());
    }

    /// The number of the temporary GRUUs that a binding gets: that of its instance, unless the client has begun anew,
    /// which makes all earlier temporary GRUUs invalid (RFC 5627 §5.1).
    fn gruu_for(&mut self, endpoint: &mut Endpoint, slot: u32, draft: &Draft<'_>) -> u64 {
        if draft.instance.is_empty() {
            return 0;
        }
        let Some(Some(entry)) = self.slots.get_mut(slot as usize) else { return 0 };
        let siblings = || entry.bindings.iter().filter(|b| same_instance(&b.instance, &draft.instance));
        let known = siblings().map(|b| b.gruu).find(|gruu| *gruu != 0);
        let previous = siblings().filter(|b| draft.reg_id == 0 || b.reg_id == draft.reg_id).max_by_key(|b| b.updated);
        let anew = previous.is_some_and(|b| *b.call_id != *draft.call_id);
        match known {
            Some(gruu) if !anew => gruu,
            None if !draft.wants_gruu => 0,
            _ => {
                if let Some(gruu) = known {
                    self.by_gruu.remove(&gruu);
                }
                let gruu = if draft.wants_gruu { endpoint.random() | 1 } else { 0 };
                for b in entry.bindings.iter_mut().filter(|b| same_instance(&b.instance, &draft.instance)) {
                    b.gruu = gruu;
                }
                if gruu != 0 {
                    self.by_gruu.insert(gruu, slot);
                }
                gruu
            }
        }
    }

    fn remove_where(&mut self, slot: u32, mut gone: impl FnMut(&Binding) -> bool) {
        let Some(Some(entry)) = self.slots.get_mut(slot as usize) else { return };
        let mut left: SmallVec<[ConnectionId; 2]> = SmallVec::new();
        let mut at = 0;
        while at < entry.bindings.len() {
            if !gone(&entry.bindings[at]) {
                at += 1;
                continue;
            }
            let binding = entry.bindings.remove(at);
            self.total -= 1;
            if binding.gruu != 0 && !entry.bindings.iter().any(|b| b.gruu == binding.gruu) {
                self.by_gruu.remove(&binding.gruu);
            }
            left.extend(binding.connection());
        }
        for connection in left {
            self.reindex(slot, Some(connection), None);
        }
    }

    /// Drops what has expired; then either waits for the next expiry or forgets the address-of-record.
    fn settle(&mut self, now: Instant, endpoint: &mut Endpoint, slot: u32) {
        self.remove_where(slot, |binding| !binding.is_live(now));
        let Some(entry) = self.entry_mut(slot) else { return };
        let Some(first) = entry.bindings.iter().map(|binding| binding.expires).min() else {
            if let Some((timer, _)) = entry.timer.take() {
                endpoint.cancel_timer(timer);
            }
            self.forget(slot);
            return;
        };
        match entry.timer {
            Some((_, at)) if at <= first => {}
            armed => {
                if let Some((timer, _)) = armed {
                    endpoint.cancel_timer(timer);
                }
                let after = first.saturating_duration_since(now);
                entry.timer = Some((endpoint.set_timer(now, after, TimerToken::Expiry(slot).write()), first));
            }
        }
    }

    /// Keeps `by_connection` true when a binding of this slot has changed its connection.
    fn reindex(&mut self, slot: u32, before: Option<ConnectionId>, after: Option<ConnectionId>) {
        if before == after {
            return;
        }
        if let Some(connection) = after {
            self.by_connection.entry_or_insert_with(connection, HashSet::default).insert(slot);
        }
        let Some(connection) = before else { return };
        if self.entry(slot).is_some_and(|entry| entry.bindings.iter().any(|b| b.connection() == Some(connection))) {
            return;
        }
        if let Some(slots) = self.by_connection.get_mut(&connection) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    fn change(&self, aor: &str, updates: Vec<Update>) -> Option<Arc<Change>> {
        (self.shared && !updates.is_empty()).then(|| Arc::new(Change { aor: aor.into(), updates }))
    }

    fn find(&self, aor: &str) -> Option<u32> {
        self.names.find(self.hash(aor), |slot| self.entry(*slot).is_some_and(|entry| *entry.name == *aor)).copied()
    }

    fn insert(&mut self, aor: &str) -> u32 {
        let entry = Some(Box::new(AddressOfRecord { name: aor.into(), bindings: SmallVec::new(), timer: None }));
        // A slot that was free may have been cut off the end since, and may be in use again.
        let is_free = |slots: &[Option<_>], slot: u32| matches!(slots.get(slot as usize), Some(None));
        let free = std::iter::from_fn(|| self.free.pop()).find(|slot| is_free(&self.slots, *slot));
        let slot = match free {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        let (hash, slots, secret) = (self.hash(aor), &self.slots, &self.secret);
        self.names.insert_unique(hash, slot, |slot| rehash(slots, secret, *slot));
        slot
    }

    fn forget(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Ok(found) = self.names.find_entry(self.hash(&entry.name), |candidate| *candidate == slot) {
            found.remove();
        }
        self.free.push(slot);
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        if self.names.is_empty() {
            self.free = Vec::new();
            self.names = HashTable::new();
        } else if self.names.capacity() > 64 && self.names.len() < self.names.capacity() / 8 {
            let (room, slots, secret) = (self.names.len() * 2, &self.slots, &self.secret);
            self.names.shrink_to(room, |slot| rehash(slots, secret, *slot));
        }
    }

    fn entry(&self, slot: u32) -> Option<&AddressOfRecord> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut AddressOfRecord> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Keyed, because strangers choose the names.
    fn hash(&self, aor: &str) -> u64 {
        hash(&self.secret, aor)
    }
}

impl Update {
    fn removal(draft: &Draft<'_>) -> Update {
        Update::Remove {
            contact: draft.contact.into(),
            instance: draft.instance.as_ref().into(),
            reg_id: draft.reg_id,
            call_id: draft.call_id.into(),
            cseq: draft.cseq,
        }
    }
}

fn hash(secret: &Secret, aor: &str) -> u64 {
    let mut mac = Mac::new(secret, Purpose::AddressOfRecord);
    mac.write(aor.as_bytes());
    mac.finish()
}

fn rehash(slots: &[Option<Box<AddressOfRecord>>], secret: &Secret, slot: u32) -> u64 {
    match slots.get(slot as usize) {
        Some(Some(entry)) => hash(secret, &entry.name),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use sip_endpoint::Settings;
    use sip_message::{ListenerId, Transport};

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(Settings {
            listeners: Vec::new(),
            partition: 0,
            seed: 1,
            datagram_limit: 1300,
            max_pending: 10,
            timers: Default::default(),
            product: "".into(),
        })
    }

    fn location() -> Location {
        Location::new(Secret([1, 2]), 10, 1_000_000, false)
    }

    fn draft(contact: &str, expires: Option<Instant>) -> Draft<'_> {
        Draft {
            contact,
            params: Cow::Borrowed(""),
            call_id: contact,
            cseq: 1,
            expires,
            q: 1000,
            path: Cow::Borrowed(""),
            instance: Cow::Borrowed(""),
            reg_id: 0,
            wants_gruu: false,
            flow: None,
            user_agent: "",
        }
    }

    fn over(connection: u64) -> Option<Flow> {
        let addr = "192.0.2.1:5060".parse().unwrap();
        Some(Flow {
            transport: Transport::Tcp,
            listener: ListenerId(0),
            local: addr,
            remote: addr,
            connection: Some(ConnectionId(connection)),
        })
    }

    #[test]
    fn a_location_service_that_has_emptied_is_small_again() {
        let (mut endpoint, mut location, now) = (endpoint(), location(), Instant::now());
        let until = Some(now + Duration::from_secs(60));
        let name = |n: u32| format!("user{n}@example.com");
        for n in 0..5000 {
            location.update(now, &mut endpoint, &name(n), &[draft("sip:a@192.0.2.9", until)]).unwrap();
        }
        assert_eq!(location.len(), 5000);
        // All but one go, in an order that leaves holes everywhere.
        for n in (0..5000).step_by(2).chain((1..5000).step_by(2)).filter(|n| *n != 7) {
            let gone = Draft { cseq: 2, ..draft("sip:a@192.0.2.9", None) };
            location.update(now, &mut endpoint, &name(n), &[gone]).unwrap();
        }
        assert_eq!(location.len(), 1);
        assert!(location.slots.capacity() <= 64 && location.names.capacity() <= 64);
        assert_eq!(location.bindings(now, &name(7)).count(), 1);
        for n in 0..100 {
            location.update(now, &mut endpoint, &name(n), &[draft("sip:b@192.0.2.9", until)]).unwrap();
        }
        assert_eq!(location.len(), 101);
        assert!((0..100).all(|n| location.bindings(now, &name(n)).any(|b| &*b.contact == "sip:b@192.0.2.9")));
    }

    #[test]
    fn the_index_of_connections_follows_the_bindings() {
        let (mut endpoint, mut location, now) = (endpoint(), location(), Instant::now());
        let until = Some(now + Duration::from_secs(60));
        let bound = |connection, cseq| Draft { flow: over(connection), cseq, ..draft("sip:a@192.0.2.9", until) };
        location.update(now, &mut endpoint, "a@x", &[bound(1, 1)]).unwrap();
        assert_eq!(location.by_connection.len(), 1);
        location.update(now, &mut endpoint, "a@x", &[bound(2, 2)]).unwrap();
        assert_eq!(location.by_connection.len(), 1);
        location.flow_ended(now, &mut endpoint, &over(1).unwrap());
        assert_eq!(location.len(), 1);
        location.flow_ended(now, &mut endpoint, &over(2).unwrap());
        assert_eq!((location.len(), location.by_connection.len(), endpoint.load().timers), (0, 0, 0));
        location.update(now, &mut endpoint, "a@x", &[bound(3, 1)]).unwrap();
        let gone = Draft { expires: None, ..bound(3, 2) };
        location.update(now, &mut endpoint, "a@x", &[gone]).unwrap();
        assert_eq!((location.len(), location.by_connection.len()), (0, 0));
    }
}
