//! The echo user agent: answers every call at once and sends back what it hears, for those who set up a phone.
//!
//! A user of the INVITE usage of `sip-dialog` and nothing more: what RFC 3261 §13 to §15 asks of a callee is done there.
//! Left to others: the sockets of the mirror, behind [`Mirrors`].

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use sdp::{Capabilities, Codec, Origin, PayloadType, SessionDescription, StreamCapability};
use sip_dialog::invite::{
    Body, ClientKey, Event as CallEvent, Failure, Input, InviteUsage, Output, Policy, ServerKey, Termination,
};
use sip_endpoint::{ClientId, Endpoint, Event, SendTo, ServerId, TimerId};
use sip_message::header::To;
use sip_message::{Flow, HeaderName, Method, NameAddrBuf, Request, Response, StatusCode, UriBuf};

use super::{LOCAL_TIMER, LocalUser};

/// Where the echo user agent gets its media from.
pub trait Mirrors {
    /// A mirror at one of our addresses, for a peer that has signalled this address; `None` when there is none to have.
    fn open(&mut self, local: IpAddr, peer: Option<IpAddr>) -> Option<Box<dyn Mirror>>;
}

/// A place that sends RTP back; it ends when it is dropped.
pub trait Mirror {
    /// Where it receives.
    fn addr(&self) -> SocketAddr;
}

/// See the module's text.
pub struct Echo {
    mirrors: Box<dyn Mirrors>,
    calls: HashMap<u64, Call, foldhash::fast::FixedState>,
    /// Calls by our tag, which every request in their dialogs has.
    by_tag: HashMap<Box<str>, u64, foldhash::fast::FixedState>,
    /// Calls by the requests that we have sent.
    by_client: HashMap<ClientId, (u64, ClientKey), foldhash::fast::FixedState>,
    last: u64,
    draining: bool,
}

struct Call {
    usage: InviteUsage,
    tag: Box<str>,
    capabilities: Capabilities,
    /// Requests that wait for our answer, by the name that the usage has for them.
    servers: Vec<(ServerKey, ServerId)>,
    timer: Option<(Instant, TimerId)>,
    _mirror: Box<dyn Mirror>,
}

impl Echo {
    /// A user agent without calls.
    pub fn new(mirrors: Box<dyn Mirrors>) -> Echo {
        Echo {
            mirrors,
            calls: HashMap::default(),
            by_tag: HashMap::default(),
            by_client: HashMap::default(),
            last: 0,
            draining: false,
        }
    }

    fn request(&mut self, now: Instant, endpoint: &mut Endpoint, server: ServerId, request: Request, flow: &Flow) {
        if let Some(number) = self.call_of(&request) {
            self.last += 1;
            let transaction = ServerKey(self.last);
            let Some(call) = self.calls.get_mut(&number) else { return };
            call.servers.push((transaction, server));
            return self.tell(now, endpoint, number, Input::RequestReceived { transaction, request });
        }
        let in_dialog = request.headers().get::<To>().is_some_and(|to| to.is_ok_and(|to| to.tag().is_some()));
        let response = match request.method() {
            _ if in_dialog => Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
            Method::Invite if self.draining => Response::to(&request, StatusCode::SERVICE_UNAVAILABLE),
            Method::Invite => match self.answer(now, endpoint, server, &request, flow) {
                Ok(()) => return,
                Err(response) => *response,
            },
            // It has heard the message; RFC 3428 §7 wants no more of it.
            Method::Options | Method::Message => Response::to(&request, StatusCode::OK),
            _ => Response::to(&request, StatusCode::METHOD_NOT_ALLOWED),
        };
        // The request began its transaction in this very event.
        let _ = endpoint.respond(now, server, with_allow(response));
    }

    /// Takes a new call and answers it.
    fn answer(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        server: ServerId,
        invite: &Request,
        flow: &Flow,
    ) -> Result<(), Box<Response>> {
        let refuse = |status| Box::new(Response::to(invite, status));
        let offer = match invite.body().is_empty() {
            true => None,
            false => Some(SessionDescription::parse(invite.body()).map_err(|_| refuse(StatusCode::BAD_REQUEST))?),
        };
        let signalled = offer.as_ref().and_then(peer_address);
        let mirror =
            self.mirrors.open(flow.local.ip(), signalled).ok_or_else(|| refuse(StatusCode::TEMPORARILY_UNAVAILABLE))?;
        let capabilities = capabilities(mirror.addr(), endpoint.random());
        let tag = endpoint.new_tag();
        self.last += 1;
        let transaction = ServerKey(self.last);
        let contact = contact(endpoint, flow).ok_or_else(|| refuse(StatusCode::SERVER_INTERNAL_ERROR))?;
        let policy = Policy { contact: Some(contact), ..Policy::default() };
        let secure = flow.transport.is_secure();
        let usage = InviteUsage::answer(transaction, invite, &tag, secure, policy, endpoint.random())?;
        self.last += 1;
        let number = self.last;
        let tag: Box<str> = tag.into();
        self.by_tag.insert(tag.clone(), number);
        let servers = vec![(transaction, server)];
        self.calls.insert(number, Call { usage, tag, capabilities, servers, timer: None, _mirror: mirror });
        let dialog = self.calls.get(&number).and_then(|call| call.usage.dialogs().next().map(|(dialog, _)| dialog));
        let response = match (self.calls.get(&number), dialog) {
            (Some(call), Some(dialog)) => with_allow(call.describe(dialog, invite)),
            _ => Response::to(invite, StatusCode::SERVER_INTERNAL_ERROR),
        };
        self.tell(now, endpoint, number, Input::Respond { transaction, response, reliably: false });
        Ok(())
    }

    /// Tells a call's usage what has happened and does what it orders.
    fn tell(&mut self, now: Instant, endpoint: &mut Endpoint, number: u64, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(call) = self.calls.get_mut(&number) else { return };
            if let Err(misuse) = call.usage.handle(now, input) {
                tracing::debug!(%misuse, "the echo user agent asked for what can't be");
            }
            while let Some(output) = call.usage.poll_output() {
                match output {
                    Output::SendRequest { transaction, request } => {
                        match endpoint.send(now, request, SendTo::NextHop, None) {
                            Ok(client) => {
                                self.by_client.insert(client, (number, transaction));
                            }
                            Err(_) => inputs.push(Input::RequestFailed { transaction, failure: Failure::NotSent }),
                        }
                    }
                    // A callee sends no ACK but to its own re-INVITEs, and this one sends none.
                    Output::SendAck(ack) => drop(endpoint.send_ack(now, ack, SendTo::NextHop)),
                    Output::CancelRequest { .. } => {}
                    Output::SendResponse { transaction, response } => {
                        call.respond(now, endpoint, transaction, response)
                    }
                    Output::Event(event) => {
                        if let Some(input) = call.decide(event) {
                            inputs.push(input);
                        }
                    }
                }
            }
        }
        self.settle(now, endpoint, number);
    }

    /// Arms the call's next timer, or forgets the call when it is over.
    fn settle(&mut self, now: Instant, endpoint: &mut Endpoint, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if call.usage.is_over() {
            if let Some((_, timer)) = call.timer.take() {
                endpoint.cancel_timer(timer);
            }
            if let Some(call) = self.calls.remove(&number) {
                self.by_tag.remove(&call.tag);
            }
            return;
        }
        let due = call.usage.next_timeout();
        if call.timer.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        if let Some((_, timer)) = call.timer.take() {
            endpoint.cancel_timer(timer);
        }
        call.timer = due.map(|at| {
            let after = at.checked_duration_since(now).unwrap_or(Duration::ZERO);
            (at, endpoint.set_timer(now, after, LOCAL_TIMER | number))
        });
    }

    fn call_of(&self, request: &Request) -> Option<u64> {
        let to = request.headers().get::<To>()?.ok()?;
        self.by_tag.get(to.tag()?).copied()
    }
}

impl LocalUser for Echo {
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        match event {
            Event::Request { server, request, flow } => self.request(now, endpoint, server, request, &flow),
            Event::Ack { request, .. } => {
                if let Some(number) = self.call_of(&request) {
                    self.tell(now, endpoint, number, Input::AckReceived(request));
                }
            }
            Event::Response { client, response, .. } => {
                if let Some((number, transaction)) = self.by_client.get(&client).copied() {
                    self.tell(now, endpoint, number, Input::ResponseReceived { transaction, response });
                }
            }
            Event::Failed { client, status } => {
                if let Some((number, transaction)) = self.by_client.get(&client).copied() {
                    let timed_out = status == StatusCode::REQUEST_TIMEOUT;
                    let failure = if timed_out { Failure::TimedOut } else { Failure::NotSent };
                    self.tell(now, endpoint, number, Input::RequestFailed { transaction, failure });
                }
            }
            Event::ClientEnded { client } => drop(self.by_client.remove(&client)),
            Event::TimerFired { token, .. } => {
                let number = token & !LOCAL_TIMER;
                if let Some(call) = self.calls.get_mut(&number) {
                    call.timer = None;
                    self.tell(now, endpoint, number, Input::TimeReached);
                }
            }
            // It answers at once, so that there is never anything left to cancel.
            Event::Cancelled { .. } | Event::ServerEnded { .. } | Event::FlowEnded { .. } => {}
        }
    }

    fn drain(&mut self) {
        self.draining = true;
    }

    fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }
}

impl Call {
    fn respond(&mut self, now: Instant, endpoint: &mut Endpoint, transaction: ServerKey, response: Response) {
        let Some(at) = self.servers.iter().position(|(key, _)| *key == transaction) else { return };
        let (_, server) = self.servers[at];
        // A 2xx to an INVITE is sent again until its ACK comes; all others are given once.
        let repeats = response.status().is_success()
            && response
                .headers()
                .get::<sip_message::header::Cseq>()
                .is_some_and(|cseq| cseq.is_ok_and(|cseq| cseq.method == Method::Invite));
        if response.status().is_final() && !repeats {
            self.servers.remove(at);
        }
        if endpoint.respond(now, server, response).is_err() {
            self.servers.retain(|(key, _)| *key != transaction);
        }
    }

    /// What the user agent wants done about an event.
    fn decide(&mut self, event: CallEvent) -> Option<Input> {
        match event {
            CallEvent::Request { dialog, transaction, request } => {
                let response = match request.method() {
                    Method::Invite | Method::Update => self.describe(dialog, &request),
                    // RFC 3515 §2.4.2: it refers nobody to anybody.
                    Method::Refer => Response::to(&request, StatusCode::DECLINE),
                    Method::Info | Method::Message | Method::Options => Response::to(&request, StatusCode::OK),
                    _ => Response::to(&request, StatusCode::METHOD_NOT_ALLOWED),
                };
                Some(Input::Respond { transaction, response: with_allow(response), reliably: false })
            }
            CallEvent::Terminated { reason: Termination::AckNotReceived, .. } => {
                tracing::debug!("an echo call ended: no ACK");
                None
            }
            _ => None,
        }
    }

    /// The 200 to an INVITE or an UPDATE, with an answer to its offer, or an offer when it has none.
    fn describe(&self, dialog: sip_dialog::invite::DialogKey, request: &Request) -> Response {
        let Some(session) = self.usage.offer_answer(dialog) else {
            return Response::to(request, StatusCode::SERVER_INTERNAL_ERROR);
        };
        let description = if request.body().is_empty() {
            (*request.method() == Method::Invite).then(|| self.capabilities.offer_in(session))
        } else {
            let Ok(offer) = SessionDescription::parse(request.body()) else {
                return Response::to(request, StatusCode::BAD_REQUEST);
            };
            match self.capabilities.answer_in(session, &offer) {
                Ok(answer) => Some(answer),
                Err(_) => return Response::to(request, StatusCode::NOT_ACCEPTABLE_HERE),
            }
        };
        let mut response = Response::to(request, StatusCode::OK);
        if let Some(description) = description {
            let body = Body::sdp(description);
            response.set_body(body.content_type, body.octets).expect("a media type has no line break");
        }
        response
    }
}

/// Every codec that a phone is likely to offer: a mirror understands them all, since it looks into no packet.
fn capabilities(mirror: SocketAddr, session_id: u64) -> Capabilities {
    let dynamic = |number| PayloadType::new(number).expect("a payload type is below 128");
    let codecs = [
        Codec::opus(dynamic(111)),
        Codec::g722(),
        Codec::pcmu(),
        Codec::pcma(),
        Codec::telephone_event(dynamic(101), 8_000),
    ];
    // RFC 8866 §5.2: numeric; kept below 2^53 for peers that count in floating point.
    let origin = Origin::new(session_id >> 11, mirror.ip());
    Capabilities::new(origin, mirror.ip()).with(StreamCapability::audio(mirror.port(), &codecs))
}

fn peer_address(offer: &SessionDescription) -> Option<IpAddr> {
    let media = offer.media.first()?;
    offer.connection_of(media)?.address.as_str().parse().ok()
}

fn contact(endpoint: &Endpoint, flow: &Flow) -> Option<NameAddrBuf> {
    let listener = endpoint.listener_of(flow)?;
    let scheme = if flow.transport.is_secure() { "sips" } else { "sip" };
    let transport = flow.transport.uri_param();
    let uri = UriBuf::parse(format!("{scheme}:echo@{};transport={transport}", listener.sent_by)).ok()?;
    Some(NameAddrBuf::new(&uri))
}

fn with_allow(mut response: Response) -> Response {
    if response.status().is_success() || response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let methods = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, MESSAGE, PRACK";
        response.headers_mut().set(HeaderName::Allow, methods).expect("tokens have no line break");
    }
    response
}
