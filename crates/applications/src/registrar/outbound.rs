//! Client-initiated connections at the registrar: RFC 5626 §6; and which contacts can be reached over the flow that
//! their REGISTER came on, and in no other way.

use servlet::SipFlow;
use sip_message::header::Via;
use sip_message::{Flow, HeaderName, Host, NameAddr, Request, SipUri, StatusCode, Transport};

use crate::answer::Refusal;
use crate::location::Draft;

/// Whether outbound processing is applied to a REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    /// The first hop is us, or has said `ob` in its Path.
    Possible,
    /// A first hop that is not us lacks support.
    FirstHopLacksSupport,
}

impl Outbound {
    pub(super) fn of(request: &Request) -> Outbound {
        if is_first_hop(request) {
            return Outbound::Possible;
        }
        let ob = request
            .headers()
            .first(HeaderName::Path)
            .is_some_and(|path| NameAddr::parse(path).is_ok_and(|path| path.uri().sip().is_some_and(|uri| uri.ob())));
        if ob { Outbound::Possible } else { Outbound::FirstHopLacksSupport }
    }

    /// The reg-id that counts. 439 for a client that relies on a first hop which does not know of outbound.
    pub(super) fn admit(self, request: &Request, reg_id: u32) -> Result<u32, Refusal> {
        match self {
            _ if reg_id == 0 => Ok(0),
            Outbound::Possible => Ok(reg_id),
            Outbound::FirstHopLacksSupport if supports(request) => {
                Err(Refusal::new(StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT))
            }
            Outbound::FirstHopLacksSupport => Ok(0),
        }
    }
}

/// Whether the client knows of outbound.
pub(super) fn supports(request: &Request) -> bool {
    let headers = request.headers();
    headers.has_token(HeaderName::Supported, "outbound") || headers.has_token(HeaderName::Require, "outbound")
}

/// RFC 5626 §6: a REGISTER makes at most one binding when one of them is a flow.
pub(super) fn check_single_flow(drafts: &[Draft<'_>]) -> Result<(), Refusal> {
    let made = drafts.iter().filter(|draft| draft.expires.is_some());
    if made.clone().any(|draft| draft.reg_id != 0) && made.count() > 1 {
        return Err(Refusal::because(StatusCode::BAD_REQUEST, "One Contact for each flow"));
    }
    Ok(())
}

/// The flow that a contact can only be reached over, if it is so: a flow of outbound (RFC 5626 §6), a WebSocket
/// (RFC 7118 §5), a TLS connection whose client has no certificate to be called back by, or a client that believes to be
/// at an address where its packets do not come from, so that a translator stands between us.
pub(super) fn only_way(request: &Request, flow: Option<SipFlow>, draft: &Draft<'_>) -> Option<SipFlow> {
    let way = flow?;
    if !draft.path.is_empty() || !is_first_hop(request) {
        return None;
    }
    let flow = way.as_flow();
    let bound = draft.reg_id != 0
        || matches!(flow.transport, Transport::Ws | Transport::Wss | Transport::Tls)
        || SipUri::parse(draft.contact).is_ok_and(|uri| is_behind_translator(request, flow, uri.host()));
    bound.then_some(way)
}

/// Whether the client names, in its Via and as `host`, an address that is not the one its packets come from.
fn is_behind_translator(request: &Request, flow: &Flow, host: Host<'_>) -> bool {
    let Some(Ok(via)) = request.headers().get::<Via>() else { return false };
    let remote = flow.remote.ip().to_canonical();
    match (host.ip(), via.host().ip()) {
        (Some(contact), Some(sent_by)) => contact == sent_by && sent_by.to_canonical() != remote,
        _ => false,
    }
}

/// Whether the sender is a user agent and no proxy stands between (RFC 5626 §5.1: by the Via).
pub(crate) fn is_first_hop(request: &Request) -> bool {
    request.headers().values(HeaderName::Via).nth(1).is_none()
}
