//! Call back: the server calls whoever asks, then whom he wants, and connects the two.
//!
//! Asked for in either of two ways:
//! - a MESSAGE to `callback` whose text is whom to call, `sip:bob@example.com` or `bob`; it is answered 202;
//! - a call to `callback-bob`; it is refused with 480, and the caller is called back.
//!
//! Third party call control, flow III (RFC 3725 §4.3), which lets the wanted phone ring for as long as it likes:
//!
//! ```text
//!   caller                         here                       wanted
//!     │ INVITE without offer        │                           │
//!     │◄────────────────────────────┤   CallingCaller           │
//!     │ 200 offer1                  │                           │
//!     ├────────────────────────────►│                           │
//!     │           ACK black hole    │   INVITE without offer    │
//!     │◄────────────────────────────┼──────────────────────────►│
//!     │                             │   CallingWanted           │
//!     │            INVITE offer2'   │               200 offer2  │
//!     │◄────────────────────────────┼◄──────────────────────────┤
//!     │ 200 answer2'                │   Connecting              │
//!     ├────────────────────────────►│ ACK answer2               │
//!     │                        ACK  ├──────────────────────────►│
//!     │◄────────────────────────────┤   Talking                 │
//! ```
//!
//! After that both are the legs of a B2BUA ([`crate::two_legs`]). Whoever hangs up ends both. To strangers the server
//! calls nobody: both sides are users of our domains, unless the container has authenticated who asks.

mod descriptions;
mod state;

use std::time::Duration;

use servlet::{
    Address, CancelReason, Content, Method, Result, SipApplication, SipApplicationSession, SipServlet,
    SipServletMessage, SipServletRequest, SipServletResponse, StatusCode, Uri,
};

use crate::addressee::{begins_call, local_user, neighbour, target, user_of_ours};
use crate::b2bua::EndsBoth;
use crate::domains::Domains;
use crate::two_legs;

use descriptions::Descriptions;
use sdp::SessionDescription;
use state::{CALLER, DESCRIPTIONS, LEG, Leg, PAIR, Pair, Stage, caller, leg_of, set_stage, stage};

/// What can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The user that is asked.
    pub user: String,
    /// Our domains.
    pub domains: Domains,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { user: "callback".to_owned(), domains: Domains::default() }
    }
}

/// The application.
pub fn application(settings: Settings) -> SipApplication {
    SipApplication::new("callback")
        .session_timeout(servlet::Minutes(12 * 60))
        .servlet(Callback(settings))
        .on_timer(|timer| async move { offer_again(timer.application_session()) })
        .error_listener(EndsBoth)
        .application_session_listener(EndsBoth)
}

/// Messages and calls that ask to be called back.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    let Some(user) = local_user(request, &settings.domains) else { return false };
    match request.method() {
        Method::Message => user == settings.user,
        Method::Invite => begins_call(request) && wanted_in(settings, &user).is_some(),
        _ => false,
    }
}

/// `bob` of `callback-bob`.
fn wanted_in<'u>(settings: &Settings, user: &'u str) -> Option<&'u str> {
    user.strip_prefix(&settings.user)?.strip_prefix('-').filter(|wanted| !wanted.is_empty())
}

struct Callback(Settings);

impl SipServlet for Callback {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        let call = request.application_session()?;
        match (request.method(), stage(&call)?) {
            (Method::Message | Method::Invite, None) => self.asked(&request),
            // A CANCEL of what is refused already.
            (_, None | Some(Stage::Over)) => refuse(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
            (_, Some(Stage::Talking)) | (Method::Bye | Method::Ack, Some(_)) => {
                let change = two_legs::request(&request, &|message| translate(message))?;
                if change.is_some() { set_stage(&call, Stage::Over) } else { Ok(()) }
            }
            // There is nobody yet to agree with.
            (_, Some(_)) => refuse(&request, StatusCode::REQUEST_PENDING),
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        let call = response.application_session()?;
        let leg = leg_of(&response.session()?)?;
        let is_first = response.request().is_some_and(|request| request.is_initial());
        let (method, status) = (response.method(), response.status());
        match (stage(&call)?, leg, is_first) {
            (Some(Stage::Talking), _, false) => two_legs::response(&response, &|message| translate(message)).map(drop),
            _ if method != Method::Invite || status.is_provisional() => Ok(()),
            (Some(Stage::CallingCaller), Some(Leg::Caller), true) if status.is_success() => {
                call_wanted(&call, &response)
            }
            (Some(Stage::CallingWanted), Some(Leg::Wanted), true) if status.is_success() => {
                offer_caller(&call, &response)
            }
            (Some(Stage::Connecting), Some(Leg::Caller), false) if status.is_success() => connect(&call, &response),
            (Some(Stage::Connecting), Some(Leg::Caller), false) if status == StatusCode::REQUEST_PENDING => {
                // RFC 3261 §14.1: the owner of the Call-ID tries again after 2.1 to 4 seconds.
                let random = call.servlet_context()?.random() % 1_900;
                call.create_timer(Duration::from_millis(2_100 + random), ())?;
                Ok(())
            }
            // A second phone of either has answered too, or it is too late.
            _ if status.is_success() => two_legs::surplus(&response),
            (Some(Stage::Talking | Stage::Over) | None, _, _) => Ok(()),
            _ => give_up(&call, status),
        }
    }
}

impl Callback {
    fn asked(&self, request: &SipServletRequest) -> Result {
        if request.method() == Method::Message && matches!(request.content(), Ok(Content::Octets(_))) {
            return refuse(request, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let (Some(wanted), Some(caller)) = (self.wanted(request), request.from().uri().cloned()) else {
            return refuse(request, StatusCode::BAD_REQUEST);
        };
        let (wanted, caller) = match request.remote_user() {
            Some(_) => (Some(wanted), Some(caller)),
            None => (self.user_of_ours(&wanted, request), self.user_of_ours(&caller, request)),
        };
        let (Some(wanted), Some(caller)) = (wanted, caller) else { return refuse(request, StatusCode::FORBIDDEN) };
        let response = match request.method() {
            Method::Message => request.create_response(StatusCode::ACCEPTED)?,
            _ => request.create_response_with_reason(StatusCode::TEMPORARILY_UNAVAILABLE, "You Are Called Back")?,
        };
        response.send()?;
        call_caller(request, Pair { caller: Address::new(caller), wanted: Address::new(wanted) })
    }

    fn wanted(&self, request: &SipServletRequest) -> Option<Uri> {
        let called = request.request_uri();
        match request.content() {
            Ok(Content::Text(text)) if request.method() == Method::Message => Some(text.trim())
                .filter(|text| !text.contains(char::is_whitespace))
                .and_then(|text| target(text, &called)),
            _ if request.method() == Method::Message => None,
            _ => neighbour(wanted_in(&self.0, &called.as_sip()?.user()?)?, &called),
        }
    }

    /// The user whom a URI names, without anything that would lead a call elsewhere; `None` if he is not ours.
    fn user_of_ours(&self, uri: &Uri, request: &SipServletRequest) -> Option<Uri> {
        neighbour(&user_of_ours(request.as_message(), uri, &self.0.domains)?, uri)
    }
}

// ----- the flow, step by step ----------------------------------------------------------------------------------------

fn call_caller(asked: &SipServletRequest, pair: Pair) -> Result {
    let call = asked.application_session()?;
    // The phone shows who is going to be called.
    let mut from = asked.to().without_tag();
    let name = pair.wanted.uri().and_then(|uri| uri.as_sip()?.user());
    from.set_display_name(name.as_deref())?;
    let invite = call.servlet_context()?.sip_factory().create_request(&call, Method::Invite, &from, &pair.caller)?;
    invite.session()?.set_attribute(LEG, Leg::Caller)?;
    call.set_attribute(PAIR, pair)?;
    set_stage(&call, Stage::CallingCaller)?;
    Ok(invite.send()?)
}

fn call_wanted(call: &SipApplicationSession, answer: &SipServletResponse) -> Result {
    call.set_attribute(CALLER, answer.session()?.id())?;
    let ack = answer.create_ack()?;
    let Some(offer) = description(answer) else {
        ack.send()?;
        return give_up(call, StatusCode::NOT_ACCEPTABLE_HERE);
    };
    // RFC 8866 §5.2: numeric; kept below 2^53 for peers that count in floating point.
    let session_id = call.servlet_context()?.random() >> 11;
    let (descriptions, nothing) = Descriptions::black_hole(&offer, session_id);
    call.set_attribute(DESCRIPTIONS, descriptions)?;
    ack.set_content(nothing.to_string(), SDP)?;
    ack.send()?;
    let Some(pair) = call.attribute::<Pair>(PAIR)? else { return Ok(()) };
    let factory = call.servlet_context()?.sip_factory();
    let invite = factory.create_request(call, Method::Invite, &pair.caller, &pair.wanted)?;
    invite.session()?.set_attribute(LEG, Leg::Wanted)?;
    invite.b2bua_helper()?.link_sip_sessions(&answer.session()?, &invite.session()?)?;
    set_stage(call, Stage::CallingWanted)?;
    Ok(invite.send()?)
}

fn offer_caller(call: &SipApplicationSession, answer: &SipServletResponse) -> Result {
    two_legs::keep(answer)?;
    let (Some(offer), Some(caller)) = (description(answer), caller(call)?) else {
        return give_up(call, StatusCode::NOT_ACCEPTABLE_HERE);
    };
    // Of several phones of the wanted one, this is the one that answered.
    let (helper, wanted) = (two_legs::helper(answer)?, answer.session()?);
    if helper.linked_session(&caller)?.as_ref() != Some(&wanted) {
        helper.unlink_sip_sessions(&caller)?;
        helper.link_sip_sessions(&caller, &wanted)?;
    }
    let invite = caller.create_request(Method::Invite)?;
    invite.set_content(change(call, |descriptions| descriptions.for_caller(offer))?, SDP)?;
    set_stage(call, Stage::Connecting)?;
    Ok(invite.send()?)
}

fn offer_again(call: &SipApplicationSession) -> Result {
    let (Some(Stage::Connecting), Some(caller)) = (stage(call)?, caller(call)?) else { return Ok(()) };
    let Some(descriptions) = call.attribute::<Descriptions>(DESCRIPTIONS)? else { return Ok(()) };
    let invite = caller.create_request(Method::Invite)?;
    invite.set_content(descriptions.caller_knows().to_owned(), SDP)?;
    Ok(invite.send()?)
}

fn connect(call: &SipApplicationSession, answer: &SipServletResponse) -> Result {
    answer.create_ack()?.send()?;
    let wanted = call.sip_sessions()?.into_iter().find(two_legs::is_kept);
    let (Some(description), Some(wanted)) = (description(answer), wanted) else {
        return give_up(call, StatusCode::NOT_ACCEPTABLE_HERE);
    };
    let description = change(call, |descriptions| descriptions.for_wanted(description))?;
    two_legs::acknowledge_with(&wanted, &description, SDP)?;
    set_stage(call, Stage::Talking)
}

/// Ends what there is, and says why (RFC 3326).
fn give_up(call: &SipApplicationSession, status: StatusCode) -> Result {
    set_stage(call, Stage::Over)?;
    two_legs::end(call, &[CancelReason::new("SIP", status.code())])
}

// ----- what they say -------------------------------------------------------------------------------------------------

const SDP: &str = "application/sdp";

fn description(message: &SipServletMessage) -> Option<SessionDescription> {
    SessionDescription::parse(message.raw_content()).ok()
}

/// Makes what one says fit for the other.
fn translate(message: &SipServletMessage) -> Result {
    let is_sdp = message.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(SDP));
    let Some(description) = description(message).filter(|_| is_sdp) else { return Ok(()) };
    let call = message.application_session()?;
    let goes_to_caller = leg_of(&message.session()?)? == Some(Leg::Caller);
    let text = change(&call, |descriptions| match goes_to_caller {
        true => descriptions.for_caller(description),
        false => descriptions.for_wanted(description),
    })?;
    Ok(message.set_content(text, SDP)?)
}

fn change(call: &SipApplicationSession, with: impl FnOnce(&mut Descriptions) -> SessionDescription) -> Result<String> {
    let kept = call.attribute::<Descriptions>(DESCRIPTIONS)?.ok_or(Lost)?;
    let mut descriptions = (*kept).clone();
    let text = with(&mut descriptions).to_string();
    call.set_attribute(DESCRIPTIONS, descriptions)?;
    Ok(text)
}

/// The session has forgotten what it can't go on without.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the call has lost its descriptions")
    }
}

impl std::error::Error for Lost {}

fn refuse(request: &SipServletRequest, status: StatusCode) -> Result {
    match request.method() {
        Method::Ack | Method::Cancel => Ok(()),
        _ => Ok(request.create_response(status)?.send()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_call_wants_stands_behind_the_dash() {
        let settings = Settings::default();
        assert_eq!(wanted_in(&settings, "callback-bob"), Some("bob"));
        assert_eq!(wanted_in(&settings, "callback-bob-smith"), Some("bob-smith"));
        assert_eq!(wanted_in(&settings, "callback"), None);
        assert_eq!(wanted_in(&settings, "callback-"), None);
        assert_eq!(wanted_in(&settings, "callbackbob"), None);
    }
}
