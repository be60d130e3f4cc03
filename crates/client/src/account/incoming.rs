//! Requests that belong to no session: RFC 3261 §8.2, in its order.
//!
//! ```text
//!   §8.2.1 method         501, 405        SUBSCRIBE 489; in no dialog of ours 481
//!   §8.2.2 Request-URI    416, 404        the same by another way: 482
//!   §8.2.2.3 Require      420
//!   §8.2.3 content        415, 413, 400
//!   §8.2.4                MESSAGE, OPTIONS, NOTIFY
//! ```

use sip_endpoint::ServerId;
use sip_message::header::Require;
use sip_message::{Flow, HeaderName, Method, Request, Response, StatusCode, Uri};

use super::manager::AccountManager;
use super::message_summary::{self, Summary};
use super::{AccountId, message, options, sending};
use crate::desk::Desk;
use crate::notification::Sender;

/// Answers a request.
pub(super) fn request(
    manager: &mut AccountManager,
    desk: &mut Desk<'_>,
    server: ServerId,
    request: Request,
    flow: &Flow,
) {
    let in_dialog = request.headers().to_tag().is_some();
    let response = match request.method() {
        Method::Other(_) => explained(&request, StatusCode::NOT_IMPLEMENTED, HeaderName::Allow, sending::ALLOW),
        Method::Notify => match of_watch(manager, &request) {
            Some(number) => {
                return manager.in_watch(desk, number, |watch, bench, account| {
                    watch.notify(bench, account, server, request);
                });
            }
            None => unsolicited(manager, desk, &request, flow),
        },
        _ if in_dialog => Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        Method::Message => message(manager, desk, &request),
        Method::Options => options(manager, &request),
        Method::Subscribe => explained(&request, StatusCode::BAD_EVENT, HeaderName::AllowEvents, options::ALLOW_EVENTS),
        Method::Register | Method::Publish => {
            explained(&request, StatusCode::METHOD_NOT_ALLOWED, HeaderName::Allow, sending::ALLOW)
        }
        _ => Response::to(&request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
    };
    // A transaction that has ended is one whose peer does not wait any more.
    let _ = desk.endpoint.respond(desk.now, server, signed(response, manager));
}

fn message(manager: &mut AccountManager, desk: &mut Desk<'_>, request: &Request) -> Response {
    let account = match whose(manager, request) {
        Ok(account) => account,
        Err(status) => return Response::to(request, status),
    };
    if manager.remembered.is_merged(desk.now, request) {
        return Response::to(request, StatusCode::LOOP_DETECTED);
    }
    if let Some(refusal) = unsupported(request) {
        return refusal;
    }
    let (response, told) = message::receive(account, request);
    if let Some((sender, data)) = told {
        desk.post(sender, data);
    }
    response
}

fn options(manager: &AccountManager, request: &Request) -> Response {
    // §11.2: whoever asks the host, and no user, is answered as well.
    let asks_host = request.uri().sip().is_some_and(|uri| uri.raw_user().is_none());
    match whose(manager, request) {
        Err(status) if !asks_host => return Response::to(request, status),
        _ => {}
    }
    unsupported(request).unwrap_or_else(|| options::response(request))
}

/// RFC 3842 lets a mailbox tell of itself without being asked, as many servers do. It is believed when it comes from a
/// server of the account's: a lamp that anybody could light is none.
fn unsolicited(manager: &AccountManager, desk: &mut Desk<'_>, request: &Request, flow: &Flow) -> Response {
    let event = request.headers().first(HeaderName::Event).unwrap_or_default();
    let package = event.split(';').next().unwrap_or_default().trim();
    let account = manager.find_account(&request.uri());
    let is_known = account.is_some_and(|account| {
        let ip = flow.remote.ip().to_canonical();
        account.reach.flow.as_ref() == Some(flow) || account.credentials.hops().contains(&ip)
    });
    let is_summary = package.eq_ignore_ascii_case(message_summary::PACKAGE);
    let (Some(account), true, true) = (account, is_known, is_summary) else {
        return Response::to(request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
    };
    match Summary::of(request.headers(), request.body()) {
        Some(summary) => {
            desk.post(Sender::Account(account.id()), summary.to_data());
            Response::to(request, StatusCode::OK)
        }
        None => explained(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, HeaderName::Accept, message_summary::ACCEPT),
    }
}

/// The subscription that a NOTIFY may be of. Whether it is, its tags tell.
fn of_watch(manager: &AccountManager, request: &Request) -> Option<u32> {
    let call_id = request.headers().first(HeaderName::CallId)?;
    manager.watches.iter().find(|(_, watch)| watch.has_call_id(call_id)).map(|(number, _)| *number)
}

fn whose(manager: &AccountManager, request: &Request) -> Result<AccountId, StatusCode> {
    match request.uri() {
        Uri::Sip(_) => manager.find(&request.uri()).ok_or(StatusCode::NOT_FOUND),
        Uri::Tel(_) | Uri::Absolute(_) => Err(StatusCode::UNSUPPORTED_URI_SCHEME),
    }
}

/// §8.2.2.3: extensions that we do not have.
fn unsupported(request: &Request) -> Option<Response> {
    let required = request.headers().all::<Require<'_>>().filter_map(Result::ok);
    let missing: Vec<String> = required
        .map(|option| option.to_string())
        .filter(|option| !options::SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(option)))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let mut response = Response::to(request, StatusCode::BAD_EXTENSION);
    let pushed = response.headers_mut().push(HeaderName::Unsupported, missing.join(", "));
    pushed.expect("tokens of a parsed message have no line break");
    Some(response)
}

fn explained(request: &Request, status: StatusCode, name: HeaderName, value: &str) -> Response {
    let mut response = Response::to(request, status);
    response.headers_mut().push(name, value).expect("a constant has no line break");
    response
}

fn signed(mut response: Response, manager: &AccountManager) -> Response {
    let product = manager.user_agent();
    if !product.is_empty() && !response.headers().contains(HeaderName::Server) {
        // A product that no header can hold is left out.
        let _ = response.headers_mut().push(HeaderName::Server, product);
    }
    response
}
