//! REFER: RFC 3515, and Refer-Sub (RFC 4488). A REFER asks to try another resource, and subscribes to how that goes.
//!
//! The subscription is one to `refer`. Of several REFERs in a dialog each but the first has its CSeq as `id`
//! (RFC 3515 §2.4.6). The body of its NOTIFYs is the status line of what was tried (`message/sipfrag`, RFC 3420).

use std::time::{Duration, Instant};

use sip_message::header::{ReferSub, ReferTo, TypedHeader as _};
use sip_message::{HeaderName, Method, Request, Response, StatusCode, UriBuf};

use super::notifier::{Notifier, NotifierPolicy, NotifierState};
use super::{Body, EventId, ServerKey};
use crate::dialog::Dialog;
use crate::fields;

/// How long the subscription lasts that nobody asked a time for. The agent ends it when the tried request has its final
/// response; a minute more than an INVITE rings at most.
const DURATION: Duration = Duration::from_secs(240);

/// What a REFER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferRequest {
    /// The resource to try.
    pub refer_to: UriBuf,
    /// Whether the subscription is wanted: no with Refer-Sub: false.
    pub subscribes: bool,
}

impl ReferRequest {
    /// Reads a REFER; the error is the status that it deserves. "A REFER request implementing this specification MUST
    /// contain exactly one Refer-To" (RFC 3515 §2.4.1).
    pub fn of(request: &Request) -> Result<ReferRequest, StatusCode> {
        let mut values = request.headers().fields_of(HeaderName::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(StatusCode::BAD_REQUEST);
        };
        let refer_to = ReferTo::parse(value).map_err(|_| StatusCode::BAD_REQUEST)?;
        Ok(ReferRequest {
            refer_to: refer_to.uri().to_buf(),
            subscribes: !says_no(request.headers().first(HeaderName::ReferSub)),
        })
    }
}

impl Notifier {
    /// Accepts a REFER in a dialog that has checked it: 202, and a NOTIFY that says 100 Trying. `first`: whether it is
    /// the first of this dialog.
    pub fn accept_refer(
        now: Instant,
        transaction: ServerKey,
        request: &Request,
        dialog: &mut Dialog,
        first: bool,
        policy: NotifierPolicy,
    ) -> Notifier {
        let cseq = fields::cseq_of(request.headers(), &Method::Refer).filter(|_| !first);
        let event = EventId { package: "refer".into(), id: cseq.map(|cseq| cseq.to_string().into()) };
        let mut notifier = Notifier::new(event, policy, NotifierState::Active, Some(progress(StatusCode::TRYING)));
        let response = super::tagged(request, StatusCode::ACCEPTED, &dialog.id.local_tag);
        notifier.accept_with(now, dialog, transaction, response, DURATION);
        notifier
    }
}

/// The response to a REFER that is accepted without a subscription (RFC 4488 §4): 200 with Refer-Sub: false.
pub fn accept_without_subscription(request: &Request, local_tag: &str) -> Response {
    let mut response = super::tagged(request, StatusCode::OK, local_tag);
    fields::set(response.headers_mut(), HeaderName::ReferSub, "false");
    response
}

/// The body of a NOTIFY that says how far the tried request is (RFC 3515 §2.4.5).
pub fn progress(status: StatusCode) -> Body {
    let line = format!("SIP/2.0 {} {}\r\n", status.code(), status.reason_phrase());
    Body { content_type: "message/sipfrag;version=2.0".into(), octets: line.into() }
}

/// The status in the body of a NOTIFY; `None` when it has none.
pub fn status_of(notify: &Request) -> Option<StatusCode> {
    let text = std::str::from_utf8(notify.body()).ok()?;
    let rest = text.strip_prefix("SIP/2.0 ")?;
    StatusCode::new(rest.get(..3)?.parse().ok()?)
}

/// Whether the 2xx to our REFER says that there is no subscription: "If the REFER-Recipient supports the extension and is
/// willing to process the REFER transaction without establishing an implicit subscription, it MUST insert the Refer-Sub
/// header field set to false in the 2xx response" (RFC 4488 §4).
pub fn declines_subscription(request: &Request, response: &Response) -> bool {
    *request.method() == Method::Refer
        && says_no(request.headers().first(HeaderName::ReferSub))
        && says_no(response.headers().first(HeaderName::ReferSub))
}

fn says_no(refer_sub: Option<&str>) -> bool {
    refer_sub.is_some_and(|value| ReferSub::parse(value).is_ok_and(|refer_sub| !refer_sub.is_true()))
}
