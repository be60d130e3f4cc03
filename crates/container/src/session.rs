//! SIP sessions: the record, and how a message finds it.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use servlet::spi::{AppId, AppSessionKey, Interface, SessionFacts, SessionKey, TransactionKey};
use servlet::{KeepAlivePreference, RoutingRegion, SessionState, Uri};
use sip_dialog::reliable::{AckKeeper, ReliableReceiver, SuccessSender};
use sip_dialog::session_timer::SessionTimer;
use sip_dialog::subscription::SubscriptionUses;
use sip_dialog::{Attempt, Dialog};
use sip_message::{Flow, Request, Response};
use smallvec::SmallVec;

use crate::attributes::Attributes;
use crate::state::{Armed, State};

/// One SIP session. It is valid as long as it is in its table.
pub(crate) struct Session {
    pub(crate) facts: Rc<SessionFacts>,
    pub(crate) app: AppId,
    pub(crate) app_session: AppSessionKey,
    /// The servlet that handles it, by its place in the application.
    pub(crate) servlet: u16,
    pub(crate) role: SessionRole,
    pub(crate) state: SessionState,
    pub(crate) dialog: Dialogue,
    /// The tag of ours: To at a UAS, From at a UAC; empty at a proxy.
    pub(crate) local_tag: Box<str>,
    /// Transactions without a final response; whether as their server.
    pub(crate) open: SmallVec<[(TransactionKey, bool); 2]>,
    /// The transaction that has begun it, as long as that lasts.
    pub(crate) initial: Option<TransactionKey>,
    pub(crate) invalidate_when_ready: bool,
    /// It is ready to be invalidated, by the rules of its role.
    pub(crate) ready: bool,
    /// It is being invalidated.
    pub(crate) ending: bool,
    pub(crate) linked: Option<SessionKey>,
    pub(crate) attributes: Attributes,
    /// What the router said; `None` for a session that no request from outside has begun.
    pub(crate) routed: Option<Rc<Routed>>,
    /// What user agents have.
    pub(crate) ua: Option<Box<Ua>>,
}

/// What the application is in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionRole {
    /// Not known yet: a request has come.
    Undecided,
    Uas,
    Uac,
    Proxy {
        /// Whether requests of the dialog come through here.
        record_routing: bool,
    },
}

/// What a session knows of its dialog.
pub(crate) enum Dialogue {
    /// Nothing.
    None,
    /// A UAC's requests that have made no dialog.
    Attempt(Box<Attempt>),
    /// A user agent's dialog.
    Ua(Box<Dialog>),
}

/// What an application router has decided about the request that began a session.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    pub(crate) region: RoutingRegion,
    pub(crate) subscriber: Option<Uri>,
    pub(crate) state: Option<servlet::RouterState>,
}

/// What a user agent's session has beside the dialog.
#[derive(Default)]
pub(crate) struct Ua {
    /// 2xx of ours without ACK.
    pub(crate) successes: SuccessSender<Success>,
    /// ACKs of ours, for 2xx that come again.
    pub(crate) acks: AckKeeper<Request>,
    /// Reliable provisional responses of the peer's, of the INVITE with this number.
    pub(crate) provisionals: Option<(u32, ReliableReceiver)>,
    /// Reliable provisional responses of ours.
    pub(crate) reliable: Option<Box<crate::ua_reliable::Reliable>>,
    pub(crate) session_timer: SessionTimer,
    pub(crate) keep_alive: Option<KeepAlivePreference>,
    pub(crate) refresh: crate::ua_session_timer::Refresh,
    pub(crate) subscriptions: SubscriptionUses,
    /// An INVITE has made the dialog, and no BYE has ended it.
    pub(crate) has_call: bool,
    /// For what repeats itself; see [`State::armed_of`].
    pub(crate) timer: Armed,
    pub(crate) interface: Option<Interface>,
    pub(crate) flow: Option<Flow>,
    /// Whether the application has called `terminate_dialog`.
    pub(crate) terminating: bool,
    /// A BYE that waits for the ACK of our 2xx, with its Reason.
    pub(crate) bye_due: Option<Option<Box<str>>>,
    /// 2xx to INVITEs that the application has not acknowledged, by CSeq.
    pub(crate) unacknowledged: SmallVec<[u32; 1]>,
    /// What peers have asked for, and how it was answered.
    pub(crate) credentials: crate::security::SessionCredentials,
    /// The session that this one was derived from by forking.
    pub(crate) derived_from: Option<SessionKey>,
    /// The sessions that were derived from this one.
    pub(crate) derived: Vec<SessionKey>,
    /// Whether it was derived from another one, whatever has become of that.
    pub(crate) is_derived: bool,
    /// The other leg's session of the one that it was derived from.
    pub(crate) peer_of_origin: Option<SessionKey>,
    /// Requests that were made for another leg's, and not sent.
    pub(crate) unsent: SmallVec<[Unsent; 1]>,
    /// Responses that the application has to acknowledge: 2xx to INVITE and reliable provisional ones.
    pub(crate) pending: SmallVec<[servlet::SipServletResponse; 1]>,
    /// Forks that come later are terminated.
    pub(crate) terminate_forks: bool,
    /// By Join or Replaces.
    pub(crate) corresponding: Option<(servlet::Correspondence, SessionKey)>,
}

/// A request that was made for another leg's, and not sent.
pub(crate) struct Unsent {
    pub(crate) request: servlet::SipServletRequest,
    /// The other leg's.
    pub(crate) original: TransactionKey,
}

/// A 2xx that is repeated until its ACK comes.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) transaction: TransactionKey,
    pub(crate) response: Rc<Response>,
}

impl Session {
    pub(crate) fn ua_mut(&mut self) -> Option<&mut Ua> {
        self.ua.as_deref_mut()
    }

    /// What user agents have; made at the first use.
    pub(crate) fn make_ua(&mut self) -> &mut Ua {
        self.ua.get_or_insert_default()
    }

    pub(crate) fn is_proxy(&self) -> bool {
        matches!(self.role, SessionRole::Proxy { .. })
    }

    pub(crate) fn dialog(&self) -> Option<&Dialog> {
        match &self.dialog {
            Dialogue::Ua(dialog) => Some(dialog),
            _ => None,
        }
    }

    pub(crate) fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match &mut self.dialog {
            Dialogue::Ua(dialog) => Some(dialog),
            _ => None,
        }
    }

    /// The address that messages of this session shall leave from.
    pub(crate) fn interface(&self) -> Option<(IpAddr, Option<u16>)> {
        match self.ua.as_ref()?.interface? {
            Interface::Address(ip) => Some((ip, None)),
            Interface::Socket(SocketAddr::V4(v4)) => Some(((*v4.ip()).into(), Some(v4.port()))),
            Interface::Socket(SocketAddr::V6(v6)) => Some(((*v6.ip()).into(), Some(v6.port()))),
        }
    }
}

/// What a new session begins with.
pub(crate) struct NewSession {
    pub(crate) app_session: AppSessionKey,
    pub(crate) call_id: Rc<str>,
    pub(crate) role: SessionRole,
    pub(crate) local_tag: Box<str>,
    pub(crate) servlet: u16,
}

impl State {
    /// Enters a session into its application session. `None` when that is no more.
    pub(crate) fn open_session(&mut self, new: NewSession) -> Option<SessionKey> {
        let app = self.app_sessions.get(new.app_session).filter(|session| !session.ending)?.app;
        let (number, partition, created) = (self.new_number(), self.partition(), self.time());
        let facts = Rc::new(SessionFacts {
            number,
            partition,
            call_id: new.call_id,
            created,
            last_accessed: std::cell::Cell::new(created),
        });
        let key = self.sessions.insert(Box::new(Session {
            facts,
            app,
            app_session: new.app_session,
            servlet: new.servlet,
            role: new.role,
            state: SessionState::Initial,
            dialog: Dialogue::None,
            local_tag: "".into(),
            open: SmallVec::new(),
            initial: None,
            invalidate_when_ready: true,
            ready: false,
            ending: false,
            linked: None,
            attributes: Attributes::default(),
            routed: None,
            ua: None,
        }));
        self.by_number.insert(number, key);
        if let Some(app_session) = self.app_sessions.get_mut(new.app_session) {
            app_session.sessions.push(key);
        }
        self.set_local_tag(key, new.local_tag);
        Some(key)
    }

    /// Gives a session its tag, by which requests find it.
    pub(crate) fn set_local_tag(&mut self, key: SessionKey, tag: Box<str>) {
        if tag.is_empty() {
            return;
        }
        self.unindex(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.local_tag = tag;
        let hash = self.dialog_hasher.hash_one((&*session.facts.call_id, &*session.local_tag));
        let (sessions, hasher) = (&self.sessions, &self.dialog_hasher);
        self.by_dialog.insert_unique(hash, key, |other| match sessions.get(*other) {
            Some(session) => hasher.hash_one((&*session.facts.call_id, &*session.local_tag)),
            None => 0,
        });
    }

    /// The session of a request of a dialog: by Call-ID, our tag and the peer's. With `fork`, a session whose dialog is
    /// with another tag, or has none yet, is found too: the peer may be another fork of the same request.
    pub(crate) fn find_dialog(
        &self,
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
        fork: bool,
    ) -> Option<SessionKey> {
        let hash = self.dialog_hasher.hash_one((call_id, local_tag));
        let mut other_fork = None;
        for key in self.by_dialog.iter_hash(hash) {
            let Some(session) = self.sessions.get(*key) else { continue };
            if *session.facts.call_id != *call_id || *session.local_tag != *local_tag {
                continue;
            }
            match &session.dialog {
                Dialogue::Ua(dialog) if *dialog.id.remote_tag == *remote_tag => return Some(*key),
                Dialogue::Ua(_) => {
                    let is_root = session.ua.as_ref().is_none_or(|ua| ua.derived_from.is_none());
                    if is_root || other_fork.is_none() {
                        other_fork = Some(*key);
                    }
                }
                Dialogue::None | Dialogue::Attempt(_) => other_fork = Some(*key),
            }
        }
        other_fork.filter(|_| fork)
    }

    /// Takes a session out of the table of dialogs.
    pub(crate) fn unindex(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.local_tag.is_empty() {
            return;
        }
        let hash = self.dialog_hasher.hash_one((&*session.facts.call_id, &*session.local_tag));
        if let Ok(entry) = self.by_dialog.find_entry(hash, |other| *other == key) {
            entry.remove();
        }
        if self.by_dialog.capacity() > 256 && self.by_dialog.len() < self.by_dialog.capacity() / 8 {
            let (sessions, hasher) = (&self.sessions, &self.dialog_hasher);
            let wanted = self.by_dialog.len() * 2;
            self.by_dialog.shrink_to(wanted, |other| match sessions.get(*other) {
                Some(session) => hasher.hash_one((&*session.facts.call_id, &*session.local_tag)),
                None => 0,
            });
        }
    }
}
