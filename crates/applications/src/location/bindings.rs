//! The bindings of all addresses-of-record: RFC 3261 §10.3 step 7, RFC 5626 §6 and §7, RFC 5627 §5.4.

use std::collections::BTreeSet;
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use servlet::SipFlow;
use sip_message::ConnectionId;
use smallvec::SmallVec;

use super::LocationSettings;
use super::addresses::Addresses;
use super::binding::{Binding, Draft, same_instance};
use super::change::{Change, Update};
use crate::table::Table;

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

/// See the module's text.
pub(crate) struct Bindings {
    settings: LocationSettings,
    addresses: Addresses,
    total: usize,
    /// When which slot is looked at for bindings that have expired; each slot stands here once.
    due: BTreeSet<(Instant, u32)>,
    /// Slots with bindings that can be reached over this connection only.
    by_connection: Table<ConnectionId, HashSet<u32, FixedState>>,
    by_gruu: Table<u64, u32>,
}

impl Bindings {
    pub(crate) fn new(settings: LocationSettings) -> Bindings {
        Bindings {
            settings,
            addresses: Addresses::new(settings.secret),
            total: 0,
            due: BTreeSet::new(),
            by_connection: Table::new(),
            by_gruu: Table::new(),
        }
    }

    /// The live bindings of an address-of-record.
    pub(crate) fn of(&self, now: Instant, address_of_record: &str) -> impl Iterator<Item = &Binding> {
        self.in_slot(now, self.addresses.find(address_of_record))
    }

    /// The address-of-record and the instance that temporary GRUUs with this number name (RFC 5627 §5.4).
    pub(crate) fn of_gruu(&self, now: Instant, gruu: u64) -> Option<(&str, &str)> {
        let entry = self.addresses.get(*self.by_gruu.get(&gruu)?)?;
        let binding = entry.bindings.iter().find(|binding| binding.gruu == gruu && binding.is_live(now))?;
        Some((&entry.name, &binding.instance))
    }

    /// How many bindings there are, those among them whose expiry nobody has noticed yet.
    pub(crate) fn len(&self) -> usize {
        self.total
    }

    pub(crate) fn settings(&self) -> &LocationSettings {
        &self.settings
    }

    /// Adds, refreshes and removes bindings: all that is asked for, or nothing (RFC 3261 §10.3 step 7). What it gives
    /// back is for the other workers.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        random: &mut dyn FnMut() -> u64,
        address_of_record: &str,
        drafts: &[Draft<'_>],
    ) -> Result<Option<Change>, Refused> {
        self.expire_some(now, STEP);
        let known = self.addresses.find(address_of_record);
        self.check(now, known, drafts)?;
        let shared = self.settings.shared;
        let mut updates = Vec::with_capacity(if shared { drafts.len() } else { 0 });
        // Making room may have taken the address-of-record away, when all its bindings had expired.
        let slot = match self.addresses.find(address_of_record) {
            Some(slot) => slot,
            None => self.addresses.insert(address_of_record),
        };
        for draft in drafts {
            if self.in_slot(now, Some(slot)).any(|binding| binding.is_repeated_by(now, draft)) {
                continue;
            }
            match draft.expires {
                Some(expires) => {
                    let binding = self.put(now, random, slot, draft, expires);
                    updates.extend(binding.map(Update::Put));
                }
                None => {
                    self.remove_where(slot, |b| b.is_meant_by(draft.contact, &draft.instance, draft.reg_id));
                    if shared {
                        updates.push(Update::removal(draft));
                    }
                }
            }
        }
        self.settle(now, slot);
        Ok(self.change(address_of_record, updates))
    }

    /// Removes all bindings of an address-of-record (RFC 3261 §10.3 step 6: `Contact: *`).
    pub(crate) fn clear(
        &mut self,
        now: Instant,
        address_of_record: &str,
        call_id: &str,
        cseq: u32,
    ) -> Result<Option<Change>, Refused> {
        self.expire_some(now, STEP);
        if self.of(now, address_of_record).any(|binding| binding.is_newer_than(call_id, cseq)) {
            return Err(Refused::OutOfOrder);
        }
        if let Some(slot) = self.addresses.find(address_of_record) {
            self.remove_where(slot, |_| true);
            self.settle(now, slot);
        }
        Ok(self.change(address_of_record, vec![Update::Clear { call_id: call_id.into(), cseq }]))
    }

    /// Applies what another worker has done.
    pub(crate) fn apply(&mut self, now: Instant, change: &Change) {
        self.expire_some(now, STEP);
        let name = change.address_of_record();
        let slot = self.addresses.find(name).unwrap_or_else(|| self.addresses.insert(name));
        for update in &change.updates {
            match update {
                Update::Put(binding) => self.put_copy(slot, binding),
                Update::Remove { contact, instance, reg_id, call_id, cseq } => self.remove_where(slot, |b| {
                    b.is_meant_by(contact, instance, *reg_id) && !b.is_newer_than(call_id, *cseq)
                }),
                Update::Clear { call_id, cseq } => self.remove_where(slot, |b| !b.is_newer_than(call_id, *cseq)),
            }
        }
        self.settle(now, slot);
    }

    /// Removes what can be reached over this flow only (RFC 5626 §7).
    pub(crate) fn flow_ended(&mut self, now: Instant, flow: &SipFlow) {
        let Some(connection) = flow.as_flow().connection else { return };
        for slot in self.by_connection.remove(&connection).unwrap_or_default() {
            self.remove_where(slot, |binding| binding.connection() == Some(connection));
            self.settle(now, slot);
        }
    }

    /// Looks at so many addresses-of-record that are due, at most, and removes what has expired there. Whether some are
    /// left.
    pub(crate) fn expire_some(&mut self, now: Instant, most: usize) -> bool {
        for _ in 0..most {
            match self.due.first() {
                Some(&(at, slot)) if at <= now => {
                    self.due.pop_first();
                    if let Some(entry) = self.addresses.get_mut(slot) {
                        entry.due = None;
                    }
                    self.settle(now, slot);
                }
                _ => return false,
            }
        }
        self.due.first().is_some_and(|(at, _)| *at <= now)
    }

    fn in_slot(&self, now: Instant, slot: Option<u32>) -> impl Iterator<Item = &Binding> {
        let entry = slot.and_then(|slot| self.addresses.get(slot));
        entry.into_iter().flat_map(|entry| entry.bindings.iter()).filter(move |binding| binding.is_live(now))
    }

    fn check(&mut self, now: Instant, slot: Option<u32>, drafts: &[Draft<'_>]) -> Result<(), Refused> {
        let live = || self.in_slot(now, slot);
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
        if added > 0 && count + added > self.settings.max_bindings {
            return Err(Refused::TooManyBindings);
        }
        if added > 0 {
            // Nobody is refused for what has expired.
            while self.total + added > self.settings.max_total && self.expire_some(now, STEP) {}
            if self.total + added > self.settings.max_total {
                return Err(Refused::Full);
            }
        }
        Ok(())
    }

    /// Adds or refreshes one binding, and gives a copy of it when other workers have to be told.
    fn put(
        &mut self,
        now: Instant,
        random: &mut dyn FnMut() -> u64,
        slot: u32,
        draft: &Draft<'_>,
        expires: Instant,
    ) -> Option<Binding> {
        let gruu = self.gruu_for(random, slot, draft);
        let shared = self.settings.shared;
        let entry = self.addresses.get_mut(slot)?;
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
        let Some(entry) = self.addresses.get_mut(slot) else { return };
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
        if !binding.instance.is_empty() {
            // All bindings of an instance name the same GRUUs, or none.
            for sibling in entry.bindings.iter_mut().filter(|b| same_instance(&b.instance, &binding.instance)) {
                if sibling.gruu != binding.gruu {
                    self.by_gruu.remove(&sibling.gruu);
                    sibling.gruu = binding.gruu;
                }
            }
        }
        if binding.gruu != 0 {
            self.by_gruu.insert(binding.gruu, slot);
        }
        self.reindex(slot, before, binding.connection());
    }

    /// The number of the temporary GRUUs that a binding gets: that of its instance, unless the client has begun anew,
    /// which makes all earlier temporary GRUUs invalid (RFC 5627 §5.1).
    fn gruu_for(&mut self, random: &mut dyn FnMut() -> u64, slot: u32, draft: &Draft<'_>) -> u64 {
        if draft.instance.is_empty() {
            return 0;
        }
        let Some(entry) = self.addresses.get_mut(slot) else { return 0 };
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
                let gruu = if draft.wants_gruu { random() | 1 } else { 0 };
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
        let Some(entry) = self.addresses.get_mut(slot) else { return };
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

    /// Drops what has expired; then either notes the next expiry or forgets the address-of-record. A refresh leaves the
    /// note alone: it is looked at too early then, and written anew.
    fn settle(&mut self, now: Instant, slot: u32) {
        self.remove_where(slot, |binding| !binding.is_live(now));
        let Some(entry) = self.addresses.get_mut(slot) else { return };
        let noted = entry.due;
        let first = entry.bindings.iter().map(|binding| binding.expires).min();
        if let (Some(noted), Some(first)) = (noted, first)
            && noted <= first
        {
            return;
        }
        entry.due = first;
        if let Some(noted) = noted {
            self.due.remove(&(noted, slot));
        }
        match first {
            Some(first) => drop(self.due.insert((first, slot))),
            None => self.addresses.forget(slot),
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
        let entry = self.addresses.get(slot);
        if entry.is_some_and(|entry| entry.bindings.iter().any(|b| b.connection() == Some(connection))) {
            return;
        }
        if let Some(slots) = self.by_connection.get_mut(&connection) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    fn change(&self, address_of_record: &str, updates: Vec<Update>) -> Option<Change> {
        let told = self.settings.shared && !updates.is_empty();
        told.then(|| Change { address_of_record: address_of_record.into(), updates })
    }
}

/// How many addresses-of-record one operation looks at for expiry: more than it can add, so that they can't pile up.
pub(super) const STEP: usize = 32;

#[cfg(test)]
mod tests;
