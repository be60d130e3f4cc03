//! What the location services of other workers are told, so that every worker has all bindings.

use servlet::SipFlow;

use super::binding::{Binding, Draft};

/// News for the other workers.
#[derive(Clone, Debug)]
pub enum News {
    /// A REGISTER has changed bindings.
    Changed(Change),
    /// A flow has ended, and so have the bindings that need it (RFC 5626 §7).
    FlowEnded(SipFlow),
}

/// What one REGISTER has changed.
#[derive(Clone, Debug)]
pub struct Change {
    pub(super) address_of_record: Box<str>,
    pub(super) updates: Vec<Update>,
}

#[derive(Clone, Debug)]
pub(super) enum Update {
    Put(Binding),
    Remove { contact: Box<str>, instance: Box<str>, reg_id: u32, call_id: Box<str>, cseq: u32 },
    Clear { call_id: Box<str>, cseq: u32 },
}

impl Change {
    /// The address-of-record whose bindings have changed, as `user@domain`.
    pub fn address_of_record(&self) -> &str {
        &self.address_of_record
    }

    /// Whether a binding was made or refreshed.
    pub fn adds(&self) -> bool {
        self.updates.iter().any(|update| matches!(update, Update::Put(_)))
    }
}

impl Update {
    pub(super) fn removal(draft: &Draft<'_>) -> Update {
        Update::Remove {
            contact: draft.contact.into(),
            instance: draft.instance.as_ref().into(),
            reg_id: draft.reg_id,
            call_id: draft.call_id.into(),
            cseq: draft.cseq,
        }
    }
}
