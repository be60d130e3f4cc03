//! Which application session a request is for: one that it is aimed at, one of its key, or a fresh one.

use std::hash::BuildHasher;

use servlet::spi::{AppId, AppSessionKey, SessionKey};
use servlet::{Correspondence, SessionState, SipServletRequest, SipTargetedRequestType};
use sip_dialog::Role;
use sip_endpoint::partition_of_tag;
use sip_message::header::{Join, Replaces};
use sip_message::{HeaderName, Method, Request, StatusCode};

use crate::core::Core;
use crate::jobs::Popped;
use crate::transaction::Peer;

impl Core {
    pub(super) fn application_session_for(
        &self,
        handle: &SipServletRequest,
        app: AppId,
        target: Option<&Target>,
        peer: Peer,
    ) -> Result<AppSessionKey, Placement> {
        if let Some(target) = target {
            return self.not_too_busy(target.session);
        }
        let deployed = self.app(app);
        let Some(key_of) = &deployed.application.parts.key else {
            return self.create_app_session(app, None).map_err(|error| placement(&error));
        };
        handle.facts().read_only.set(true);
        let key = crate::jobs::contained(|| key_of(handle));
        handle.facts().read_only.set(false);
        let key = match key {
            Ok(key) => key.filter(|key| !key.is_empty()),
            Err(panic) => {
                tracing::error!(application = %deployed.name, %panic, "a key method has panicked");
                return Err(Placement::Failed);
            }
        };
        let Some(key) = key else {
            return self.create_app_session(app, None).map_err(|error| placement(&error));
        };
        if let Some(owner) = self.owner_of_key(&deployed.name, &key)
            && matches!(peer, Peer::Server(_))
        {
            return Err(Placement::Elsewhere(owner));
        }
        let present = self.state().by_key.get(&(app, key.as_str().into())).copied();
        match present {
            Some(session) => self.not_too_busy(session),
            None => self.create_app_session(app, Some(&key)).map_err(|error| placement(&error)),
        }
    }

    /// What begins something has to be refused when too much waits for a session's handler; what is in a dialog has not.
    fn not_too_busy(&self, session: AppSessionKey) -> Result<AppSessionKey, Placement> {
        let state = self.state();
        let waiting = state.app_sessions.get(session).map_or(0, |record| record.mailbox.len());
        if waiting < self.settings.max_waiting { Ok(session) } else { Err(Placement::Busy) }
    }

    /// The shard that a key's session lives on, when that is another one: every shard computes the same.
    pub(super) fn owner_of_key(&self, application: &str, key: &str) -> Option<u8> {
        if self.settings.shards < 2 {
            return None;
        }
        let [one, two] = self.settings.secret;
        let hash = foldhash::quality::FixedState::with_seed(one ^ two).hash_one((application, key));
        let owner = (hash % u64::from(self.settings.shards)) as u8;
        (owner != self.state().partition()).then_some(owner)
    }

    /// The session that a request is aimed at: by an encoded URI, by Join or by Replaces.
    pub(super) fn target_of(&self, request: &Request, popped: &Popped) -> Result<Option<Target>, TargetFault> {
        let encoded = popped.route.as_ref().and_then(|route| route.uri()?.parameter(servlet::ENCODED_SESSION));
        let encoded = encoded.or_else(|| {
            let uri = request.uri().sip()?;
            uri.params().value(servlet::ENCODED_SESSION).map(std::borrow::Cow::into_owned)
        });
        if let Some(id) = encoded {
            return self.encoded_target(&id);
        }
        let headers = request.headers();
        let (join, replaces) = (headers.contains(HeaderName::Join), headers.contains(HeaderName::Replaces));
        if !join && !replaces {
            return Ok(None);
        }
        // RFC 3891 §3, RFC 3911 §4: in an INVITE, one, and not both.
        if *request.method() != Method::Invite || join && replaces {
            return Err(TargetFault::Refuse(StatusCode::BAD_REQUEST));
        }
        if join {
            let Some(Ok(join)) = headers.get::<Join<'_>>() else {
                return Err(TargetFault::Refuse(StatusCode::BAD_REQUEST));
            };
            return self.dialog_target(Correspondence::Join, join.call_id(), join.to_tag(), join.from_tag(), false);
        }
        let Some(Ok(replaces)) = headers.get::<Replaces<'_>>() else {
            return Err(TargetFault::Refuse(StatusCode::BAD_REQUEST));
        };
        let early_only = replaces.params().contains("early-only");
        self.dialog_target(
            Correspondence::Replaces,
            replaces.call_id(),
            replaces.to_tag(),
            replaces.from_tag(),
            early_only,
        )
    }

    pub(super) fn encoded_target(&self, id: &str) -> Result<Option<Target>, TargetFault> {
        let state = self.state();
        let Some((partition, number)) = parse_id(id) else { return Ok(None) };
        if partition != state.partition() && u16::from(partition) < self.settings.shards {
            return Err(TargetFault::Elsewhere(partition));
        }
        let found = state.app_by_number.get(&number).copied();
        Ok(found.and_then(|session| {
            let record = state.app_sessions.get(session).filter(|record| record.facts.id() == id)?;
            let kind = SipTargetedRequestType::EncodedUri;
            Some(Target { kind, app: record.app, session, corresponding: None })
        }))
    }

    pub(super) fn dialog_target(
        &self,
        header: Correspondence,
        call_id: &str,
        to_tag: &str,
        from_tag: &str,
        early_only: bool,
    ) -> Result<Option<Target>, TargetFault> {
        let state = self.state();
        if let Some(partition) = partition_of_tag(to_tag)
            && partition != state.partition()
            && u16::from(partition) < self.settings.shards
        {
            return Err(TargetFault::Elsewhere(partition));
        }
        let Some(key) = state.find_dialog(call_id, to_tag, from_tag, false) else { return Ok(None) };
        let Some(record) = state.sessions.get(key).filter(|record| !record.is_proxy()) else { return Ok(None) };
        let is_call = record.ua.as_ref().is_some_and(|ua| ua.has_call) || record.state == SessionState::Early;
        if record.state == SessionState::Terminated {
            return Err(TargetFault::Refuse(StatusCode::DECLINE));
        }
        if !is_call {
            return Err(TargetFault::Refuse(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        }
        // RFC 3891 §3, RFC 3911 §4: an early dialog that the peer has begun can't be taken over.
        let is_callee = record.dialog().is_some_and(|dialog| dialog.role == Role::Uas);
        if record.state == SessionState::Early && is_callee {
            return Err(TargetFault::Refuse(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        }
        if early_only && record.state == SessionState::Confirmed {
            // RFC 3891 §3: "486 Busy Here".
            return Err(TargetFault::Refuse(StatusCode::BUSY_HERE));
        }
        let kind = match header {
            Correspondence::Join => SipTargetedRequestType::Join,
            Correspondence::Replaces => SipTargetedRequestType::Replaces,
        };
        Ok(Some(Target { kind, app: record.app, session: record.app_session, corresponding: Some((header, key)) }))
    }
}

/// The session that a request is aimed at.
pub(super) struct Target {
    pub(super) kind: SipTargetedRequestType,
    pub(super) app: AppId,
    pub(super) session: AppSessionKey,
    pub(super) corresponding: Option<(Correspondence, SessionKey)>,
}

pub(super) enum TargetFault {
    Refuse(StatusCode),
    Elsewhere(u8),
}

/// Why there is no application session for a request.
pub(super) enum Placement {
    Elsewhere(u8),
    Busy,
    Failed,
}

fn placement(error: &servlet::Error) -> Placement {
    match error {
        servlet::Error::IllegalState(_) => Placement::Busy,
        _ => Placement::Failed,
    }
}

/// Partition and number of an application session's id.
fn parse_id(id: &str) -> Option<(u8, u64)> {
    let number = id.split(':').next()?;
    if number.len() != 18 || !number.is_ascii() {
        return None;
    }
    Some((u8::from_str_radix(&number[..2], 16).ok()?, u64::from_str_radix(&number[2..], 16).ok()?))
}
