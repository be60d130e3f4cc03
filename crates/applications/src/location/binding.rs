//! One binding of an address-of-record: RFC 3261 §10.3, with the path of RFC 3327, the instance and reg-id of RFC 5626
//! and the GRUU of RFC 5627. Texts are compact copies: a binding lives for hours and must not pin the datagram it came
//! in.

use std::borrow::Cow;
use std::time::Instant;

use servlet::SipFlow;
use sip_message::{ConnectionId, Uri};

/// Where a user can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The Contact URI.
    pub contact: Box<str>,
    /// The Contact's parameters that the registrar does not rule itself, from their `;` on.
    pub params: Box<str>,
    /// RFC 3261 §10.3: the last REGISTER that made or refreshed it.
    pub call_id: Box<str>,
    /// As above.
    pub cseq: u32,
    /// From here on it is no more.
    pub expires: Instant,
    /// When it was made or refreshed.
    pub updated: Instant,
    /// The preference, in thousandths.
    pub q: u16,
    /// RFC 3327 §5.3: the path vector as one list, empty without one.
    pub path: Box<str>,
    /// RFC 5626 §4.1: the content of `+sip.instance`, angle brackets and all; empty without one.
    pub instance: Box<str>,
    /// RFC 5626 §4.2; 0 for a binding that is not a flow of outbound.
    pub reg_id: u32,
    /// The only way there, when the contact's own address is none: outbound, WebSocket, TLS, NAT.
    pub flow: Option<SipFlow>,
    /// Who says so.
    pub user_agent: Box<str>,
    /// What temporary GRUUs of this instance name (RFC 5627 §5.4); 0 when none was asked for.
    pub(crate) gruu: u64,
}

/// A binding that a REGISTER asks for, in the words of its octets.
#[derive(Clone, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) contact: &'a str,
    pub(crate) params: Cow<'a, str>,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: u32,
    /// `None`: the binding shall go.
    pub(crate) expires: Option<Instant>,
    pub(crate) q: u16,
    pub(crate) path: Cow<'a, str>,
    pub(crate) instance: Cow<'a, str>,
    pub(crate) reg_id: u32,
    /// Whether the client understands GRUUs.
    pub(crate) wants_gruu: bool,
    pub(crate) flow: Option<SipFlow>,
    pub(crate) user_agent: &'a str,
}

impl Binding {
    /// Whether a REGISTER that asks for `draft` means this binding: by instance and reg-id (RFC 5626 §6), else by the
    /// contact's URI (RFC 3261 §10.3 step 7).
    pub(crate) fn is_meant_by(&self, contact: &str, instance: &str, reg_id: u32) -> bool {
        if reg_id != 0 {
            return self.reg_id == reg_id && same_instance(&self.instance, instance);
        }
        equivalent(&self.contact, contact)
    }

    /// Whether this binding is that of a later REGISTER of the same client, or of one with the same CSeq (RFC 3261 §10.3
    /// step 7: the update fails unless its CSeq is higher). What was only repeated: [`Binding::is_repeated_by`].
    pub(crate) fn is_newer_than(&self, call_id: &str, cseq: u32) -> bool {
        &*self.call_id == call_id && self.cseq >= cseq
    }

    /// Whether this draft is that of the very REGISTER which made the binding, come once more because its answer was
    /// lost: UDP repeats, and the answer to a registration is not kept for it (RFC 3261 §8.2.7).
    pub(crate) fn is_repeated_by(&self, now: Instant, draft: &Draft<'_>) -> bool {
        let interval = draft.expires.map(|expires| expires.saturating_duration_since(now));
        self.cseq == draft.cseq
            && *self.call_id == *draft.call_id
            && interval == Some(self.expires.saturating_duration_since(self.updated))
            && *self.contact == *draft.contact
            && *self.path == *draft.path
            && *self.instance == *draft.instance
            && self.reg_id == draft.reg_id
            && self.q == draft.q
            && self.flow == draft.flow
    }

    /// The connection that it ends with.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.flow.and_then(|flow| flow.as_flow().connection)
    }

    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.expires > now
    }

    /// Takes over what the draft says, copying only what is new.
    pub(crate) fn refresh(&mut self, now: Instant, draft: &Draft<'_>, expires: Instant) {
        assign(&mut self.contact, draft.contact);
        assign(&mut self.params, &draft.params);
        assign(&mut self.call_id, draft.call_id);
        assign(&mut self.path, &draft.path);
        assign(&mut self.instance, &draft.instance);
        assign(&mut self.user_agent, draft.user_agent);
        self.cseq = draft.cseq;
        self.expires = expires;
        self.updated = now;
        self.q = draft.q;
        self.reg_id = draft.reg_id;
        self.flow = draft.flow;
    }

    pub(crate) fn new(now: Instant, draft: &Draft<'_>, expires: Instant) -> Binding {
        Binding {
            contact: draft.contact.into(),
            params: draft.params.as_ref().into(),
            call_id: draft.call_id.into(),
            cseq: draft.cseq,
            expires,
            updated: now,
            q: draft.q,
            path: draft.path.as_ref().into(),
            instance: draft.instance.as_ref().into(),
            reg_id: draft.reg_id,
            gruu: 0,
            flow: draft.flow,
            user_agent: draft.user_agent.into(),
        }
    }
}

fn assign(field: &mut Box<str>, text: &str) {
    if **field != *text {
        *field = text.into();
    }
}

/// A URN is compared without regard to case but for what its scheme defines; UUIDs have none (RFC 4122 §3).
pub(crate) fn same_instance(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether two URIs are the same by RFC 3261 §19.1.4; most often they are the same octets.
pub(crate) fn equivalent(one: &str, other: &str) -> bool {
    one == other
        || match (Uri::parse(one), Uri::parse(other)) {
            (Ok(one), Ok(other)) => one.equivalent(&other),
            _ => false,
        }
}
