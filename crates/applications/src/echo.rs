//! The echo user agent: answers every call at once and sends back what it hears, for those who set up a phone. A MESSAGE
//! comes back too.
//!
//! An RFC 3261 §13 callee with offer and answer as RFC 3264 has them: hold, resume and other codecs by re-INVITE or
//! UPDATE (RFC 3311), an offer of its own when the INVITE has none, session timers (RFC 4028).
//!
//! Left to the program: the sockets of the mirror, behind [`Mirrors`]. Left to the container: dialogs, 2xx that are sent
//! again, the refreshes of session timers.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use sdp::{
    Capabilities, Codec, Input, OfferAnswer, Origin, Output, PayloadType, SessionDescription, State, StreamCapability,
};
use servlet::{
    KeepAlivePreference, Method, NodeLocal, Result, SipApplication, SipFlow, SipServlet, SipServletRequest,
    SipServletResponse, SipSession, StatusCode,
};

use crate::addressee::local_user;
use crate::domains::Domains;

/// Where the media comes from. Bound to the container as a resource: `Box<dyn Mirrors>`.
pub trait Mirrors {
    /// A mirror at one of our addresses, for a peer that has signalled this address; `None` when there is none to have.
    fn open(&self, local: IpAddr, peer: Option<IpAddr>) -> Option<Box<dyn Mirror>>;
}

/// A place that sends RTP back; it ends when it is dropped.
pub trait Mirror {
    /// Where it receives.
    fn addr(&self) -> SocketAddr;
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The user that is called.
    pub user: String,
    /// Our domains.
    pub domains: Domains,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { user: "echo".to_owned(), domains: Domains::default() }
    }
}

/// The application.
pub fn application(_settings: Settings) -> SipApplication {
    SipApplication::new("echo").servlet(Echo)
}

/// What is for the echo user, but for registrations and subscriptions, which others may want.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    matches!(request.method(), Method::Invite | Method::Options | Method::Message)
        && local_user(request, &settings.domains).is_some_and(|user| user == settings.user)
}

struct Echo;

impl SipServlet for Echo {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        match request.method() {
            Method::Invite | Method::Update => describe(&request),
            Method::Ack => answer_came(&request),
            Method::Message => send_back(&request),
            Method::Bye | Method::Info | Method::Options => reply(&request, StatusCode::OK),
            Method::Cancel => Ok(()),
            // RFC 3515 §2.4.2: it refers nobody to anybody.
            Method::Refer => reply(&request, StatusCode::DECLINE),
            _ => reply(&request, StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}

/// What a call has on this node. After a failover the next offer gets another mirror.
struct Call {
    capabilities: Capabilities,
    session: RefCell<OfferAnswer>,
    _mirror: Box<dyn Mirror>,
}

/// The attribute that holds the [`Call`].
const CALL: &str = "echo.call";

/// What we have said last, so that another node goes on with the next version of it (RFC 3264 §8).
const DESCRIPTION: &str = "echo.description";

/// The 200 to an INVITE or an UPDATE, with an answer to its offer, or an offer when it has none; or a refusal.
fn describe(request: &SipServletRequest) -> Result {
    let offer = match request.content_length() {
        0 => None,
        _ => match SessionDescription::parse(request.raw_content()) {
            Ok(offer) => Some(offer),
            Err(_) => return reply(request, StatusCode::BAD_REQUEST),
        },
    };
    let session = request.session()?;
    if session.attribute::<NodeLocal<Call>>(CALL)?.is_none() {
        match open(request, &session, offer.as_ref()) {
            Ok(call) => session.set_attribute(CALL, NodeLocal(call))?,
            Err(status) => return reply(request, status),
        }
    }
    let Some(call) = session.attribute::<NodeLocal<Call>>(CALL)? else { return Ok(()) };
    let description = match (offer, request.method()) {
        (Some(offer), _) => call.0.answer(offer).map(Some),
        (None, Method::Invite) => call.0.offer().map(Some),
        // RFC 3311 §5.1: an UPDATE without an offer is a refresh.
        (None, _) => Ok(None),
    };
    match description {
        Ok(description) => {
            let response = response(request, StatusCode::OK)?;
            if let Some(description) = description {
                let text = description.to_string();
                session.set_attribute(DESCRIPTION, text.clone())?;
                response.set_content(text, "application/sdp")?;
            }
            response.set_session_keep_alive(KeepAlivePreference::default())?;
            Ok(response.send()?)
        }
        Err(status) => reply(request, status),
    }
}

/// A mirror for a call, and what it can do.
fn open(
    request: &SipServletRequest,
    session: &SipSession,
    offer: Option<&SessionDescription>,
) -> Result<Call, StatusCode> {
    let context = session.servlet_context().map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
    let mirrors = context.resource::<Box<dyn Mirrors>>().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    // A call that comes from another application here has no address of ours yet.
    let interface = || context.outbound_interfaces().first()?.host().parse().ok();
    let local = request.local_addr().map(|local| local.ip()).or_else(interface);
    let local = local.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let mirror = mirrors.open(local, offer.and_then(peer_address)).ok_or(StatusCode::BUSY_HERE)?;
    let before = session.attribute::<String>(DESCRIPTION).ok().flatten();
    let before = before.and_then(|text| SessionDescription::parse(text.as_bytes()).ok());
    let origin = match before {
        Some(before) => Origin { session_version: before.origin.session_version.saturating_add(1), ..before.origin },
        // RFC 8866 §5.2: numeric; kept below 2^53 for peers that count in floating point.
        None => Origin::new(context.random() >> 11, mirror.addr().ip()),
    };
    Ok(Call {
        capabilities: capabilities(mirror.addr(), origin),
        session: RefCell::new(OfferAnswer::new()),
        _mirror: mirror,
    })
}

impl Call {
    fn answer(&self, offer: SessionDescription) -> Result<SessionDescription, StatusCode> {
        let mut session = self.session.borrow_mut();
        session.handle(Input::RemoteOffer(offer.clone())).map_err(|violation| owed(violation.status()))?;
        let Ok(answer) = self.capabilities.answer_in(&session, &offer) else {
            // What was agreed before stays (RFC 3261 §14.2).
            let _ = session.handle(Input::Rejected);
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        };
        sent(session.handle(Input::LocalAnswer(answer)))
    }

    fn offer(&self) -> Result<SessionDescription, StatusCode> {
        let mut session = self.session.borrow_mut();
        let offer = self.capabilities.offer_in(&session);
        sent(session.handle(Input::LocalOffer(offer)))
    }
}

fn sent(output: Result<Output, sdp::Violation>) -> Result<SessionDescription, StatusCode> {
    match output {
        Ok(Output::SendAnswer(description) | Output::SendOffer(description)) => Ok(description),
        Ok(_) => Err(StatusCode::SERVER_INTERNAL_ERROR),
        Err(violation) => Err(owed(violation.status())),
    }
}

fn owed(status: Option<u16>) -> StatusCode {
    status.and_then(StatusCode::new).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR)
}

/// The answer to an offer of ours (RFC 3261 §13.2.1). A call without it has no media and is ended.
fn answer_came(ack: &SipServletRequest) -> Result {
    let session = ack.session()?;
    let Some(call) = session.attribute::<NodeLocal<Call>>(CALL)? else { return Ok(()) };
    let mut offered = call.0.session.borrow_mut();
    if offered.state() != State::LocalOfferPending {
        return Ok(());
    }
    let answer = SessionDescription::parse(ack.raw_content()).ok();
    match answer.map(|answer| offered.handle(Input::RemoteAnswer(answer))) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Ok(session.terminate_dialog()?),
    }
}

/// Sends the text back: in the dialog if there is one, else the way that it came.
fn send_back(message: &SipServletRequest) -> Result {
    reply(message, StatusCode::OK)?;
    // RFC 3834 §2: what answers by itself does not answer those that answer by themselves.
    let is_automatic = message.header("Auto-Submitted").is_some_and(|by| !by.eq_ignore_ascii_case("no"));
    let kind = message.content_type().filter(|_| message.content_length() > 0 && !is_automatic);
    let Some(kind) = kind else { return Ok(()) };
    let back = if message.is_initial() {
        let call = message.application_session()?;
        let factory = call.servlet_context()?.sip_factory();
        let back = factory.create_request(&call, Method::Message, &message.to(), &message.from())?;
        back.session()?.set_flow(SipFlow::of(message))?;
        back
    } else {
        message.session()?.create_request(Method::Message)?
    };
    back.set_content(message.raw_content(), &kind)?;
    back.set_header("Auto-Submitted", "auto-replied")?;
    Ok(back.send()?)
}

fn reply(request: &SipServletRequest, status: StatusCode) -> Result {
    Ok(response(request, status)?.send()?)
}

fn response(request: &SipServletRequest, status: StatusCode) -> Result<SipServletResponse> {
    let response = request.create_response(status)?;
    if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED {
        response.set_header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, MESSAGE")?;
    }
    if request.method() == Method::Options {
        response.set_header("Accept", "application/sdp, text/plain")?;
    }
    Ok(response)
}

/// Every codec that a phone is likely to offer: a mirror understands them all, since it looks into no packet.
fn capabilities(mirror: SocketAddr, origin: Origin) -> Capabilities {
    let dynamic = |number| PayloadType::new(number).expect("a payload type is below 128");
    let codecs = [
        Codec::opus(dynamic(111)),
        Codec::g722(),
        Codec::pcmu(),
        Codec::pcma(),
        Codec::telephone_event(dynamic(101), 8_000),
    ];
    Capabilities::new(origin, mirror.ip()).with(StreamCapability::audio(mirror.port(), &codecs))
}

fn peer_address(offer: &SessionDescription) -> Option<IpAddr> {
    let media = offer.media.first()?;
    offer.connection_of(media)?.ip()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Mirror for Fixed {
        fn addr(&self) -> SocketAddr {
            SocketAddr::from(([192, 0, 2, 1], 40_000))
        }
    }

    fn call() -> Call {
        let mirror = Box::new(Fixed);
        let origin = Origin::new(7, mirror.addr().ip());
        Call {
            capabilities: capabilities(mirror.addr(), origin),
            session: RefCell::new(OfferAnswer::new()),
            _mirror: mirror,
        }
    }

    fn offer(version: u64, media: &str) -> SessionDescription {
        let text = format!("v=0\r\no=- 1 {version} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{media}");
        SessionDescription::parse(text.as_bytes()).unwrap()
    }

    const PCMA: &str = "m=audio 5000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";

    #[test]
    fn an_offer_is_answered_with_the_mirrors_address_and_the_common_codec() {
        let answer = call().answer(offer(1, PCMA)).unwrap().to_string();
        assert!(answer.contains("m=audio 40000 RTP/AVP 8\r\n"), "{answer}");
        assert!(answer.contains("c=IN IP4 192.0.2.1\r\n"), "{answer}");
    }

    /// RFC 3264 §8.4.
    #[test]
    fn whoever_holds_is_not_sent_anything_until_he_resumes() {
        let call = call();
        call.answer(offer(1, PCMA)).unwrap();
        let held = call.answer(offer(2, &format!("{PCMA}a=sendonly\r\n"))).unwrap();
        assert!(held.to_string().contains("a=recvonly"), "{held}");
        let resumed = call.answer(offer(3, PCMA)).unwrap();
        assert!(!resumed.to_string().contains("a=recvonly"), "{resumed}");
        assert_eq!((held.origin.session_version, resumed.origin.session_version), (1, 2));
    }

    #[test]
    fn what_can_not_be_mirrored_is_refused_and_the_call_goes_on_as_it_was() {
        let call = call();
        call.answer(offer(1, PCMA)).unwrap();
        let image = offer(2, "m=image 5000 udptl t38\r\n");
        assert_eq!(call.answer(image), Err(StatusCode::NOT_ACCEPTABLE_HERE));
        assert_eq!(call.session.borrow().state(), State::Idle);
        assert!(call.answer(offer(3, PCMA)).is_ok());
    }

    /// RFC 3261 §13.3.1: an INVITE without an offer is answered with one.
    #[test]
    fn an_offer_of_ours_waits_for_its_answer() {
        let call = call();
        let ours = call.offer().unwrap();
        assert_eq!(ours.media.len(), 1);
        assert_eq!(call.session.borrow().state(), State::LocalOfferPending);
        assert_eq!(call.answer(offer(1, PCMA)), Err(StatusCode::REQUEST_PENDING));
        assert_eq!(call.session.borrow().state(), State::LocalOfferPending);
    }
}
