//! Requests and responses on their way, RFC 4976 §6.2 and §6.4.

use std::sync::Arc;
use std::time::Instant;

use super::link::{Incoming, Outgoing, Pending, Route};
use super::{FAILURES, Relay, Taken};
use crate::chunk::{ByteRange, Continuation, FailureReport, Head, Method, Piece, Start, Status};
use crate::endpoint::ConnectionId;
use crate::uri::{MsrpUri, Path};

/// Why a request does not go on.
enum Refusal {
    /// It was not for us: §6.2 has its connection dropped.
    NotOurs,
    /// With this response.
    Code(u16, &'static str),
}

impl Relay {
    pub(super) fn take(&mut self, now: Instant, connection: ConnectionId, piece: Piece) -> Taken {
        if let Start::Response(code, _) = piece.head.start() {
            let code = *code;
            if piece.end.is_some() {
                self.take_response(connection, &piece.head, code);
            }
            return Taken::Done;
        }
        // Whoever does not read its own responses is not read from.
        if self.is_full(connection) {
            return Taken::Blocked(connection, piece);
        }
        if piece.offset == 0 {
            return self.take_first(now, connection, piece);
        }
        match self.links.get(&connection).and_then(|link| link.incoming.clone()) {
            Some(Incoming::Forward(route)) => self.forward(connection, piece, &route),
            Some(Incoming::Ignore) | None => {
                self.remember(connection, &piece, || Incoming::Ignore);
                Taken::Done
            }
        }
    }

    /// The first piece of a request, often the only one.
    fn take_first(&mut self, now: Instant, connection: ConnectionId, piece: Piece) -> Taken {
        let head = &piece.head;
        let (Ok(to), Ok(from), None) = (head.to_path(), head.from_path(), head.fault()) else {
            self.refuse(connection, head, None, 400, "Malformed");
            self.remember(connection, &piece, || Incoming::Ignore);
            return Taken::Done;
        };
        if !self.is_ours(to.first()) {
            self.statistics.refused += 1;
            self.close(connection);
            return Taken::Done;
        }
        if self.is_for_us(&to, head, connection, now) {
            if piece.end.is_some() {
                self.take_auth(now, connection, head, &to, from);
            }
            self.remember(connection, &piece, || Incoming::Ignore);
            return Taken::Done;
        }
        match self.route(now, connection, &to, &from) {
            Ok(route) => {
                if let Some(link) = self.links.get_mut(&connection) {
                    link.is_proven = true;
                }
                self.forward(connection, piece, &Arc::new(route))
            }
            Err(Refusal::NotOurs) => {
                self.statistics.refused += 1;
                self.close(connection);
                Taken::Done
            }
            Err(Refusal::Code(code, comment)) => {
                self.refuse(connection, head, Some(to.first()), code, comment);
                self.remember(connection, &piece, || Incoming::Ignore);
                Taken::Done
            }
        }
    }

    /// An AUTH at its relay: to the relay itself, or to the URI that is to be renewed.
    fn is_for_us(&self, to: &Path, head: &Head, connection: ConnectionId, now: Instant) -> bool {
        let renews = || {
            let id = to.first().session_id().unwrap_or_default();
            self.grants.get(id, now).is_some_and(|grant| grant.connection == connection)
        };
        head.method() == Some(&Method::Auth) && to.uris().len() == 1 && (to.first().session_id().is_none() || renews())
    }

    /// §6.4: from the client of a URI outwards, or from outside to the client of a URI. Where our own URIs follow each other,
    /// as between two clients of ours, all of them are visited here.
    fn route(&mut self, now: Instant, connection: ConnectionId, to: &Path, from: &Path) -> Result<Route, Refusal> {
        let us = to.first().clone();
        let mut ahead = to.clone();
        let mut behind = from.clone();
        let mut sender = None;
        while self.is_ours(ahead.first()) {
            let here = ahead.first().clone();
            let id = here.session_id().unwrap_or_default();
            let grant = self.grants.get(id, now).ok_or(Refusal::Code(481, "No such URI here"))?;
            if !grant.uri.matches(&here) && !grant.uri.matches_session_id(&here) {
                return Err(Refusal::NotOurs);
            }
            let rest = ahead.rest().ok_or(Refusal::Code(481, "The path ends here"))?;
            behind = behind.after(here.clone()).map_err(|_| Refusal::Code(400, "The path is too long"))?;
            if rest.matches(&grant.client) {
                let target = grant.connection;
                if sender.is_none() && grant.peer(from.first()).is_none_or(|known| known != connection) {
                    let links = &self.links;
                    self.grants.learn(id, from.first(), connection, |peer| links.contains_key(&peer));
                }
                return Ok(Route { target, to: rest, from: behind, us, origin: from.clone() });
            }
            // Only its own client may go out by a URI, and only by the first one.
            let is_client = sender.is_none() && from.matches(&grant.client);
            if is_client && grant.connection != connection {
                return Err(Refusal::Code(506, "That URI is on another connection"));
            }
            if !is_client {
                return Err(Refusal::Code(403, "Neither from nor to the client of that URI"));
            }
            // §6.4.2: who has come to us is met on the connection that he came by.
            let peer = grant.peer(rest.first()).filter(|peer| self.links.contains_key(peer));
            sender = Some(grant.user.clone());
            ahead = rest;
            if let Some(target) = peer {
                return Ok(Route { target, to: ahead, from: behind, us, origin: from.clone() });
            }
        }
        let user = sender.ok_or(Refusal::NotOurs)?;
        if !self.authority.allows(&user, ahead.first()) {
            return Err(Refusal::Code(403, "That next hop is not allowed"));
        }
        let target = self.connection_to(now, ahead.first()).ok_or(Refusal::Code(408, "Too many next hops"))?;
        Ok(Route { target, to: ahead, from: behind, us, origin: from.clone() })
    }

    /// Lets a piece go on.
    fn forward(&mut self, connection: ConnectionId, piece: Piece, route: &Arc<Route>) -> Taken {
        if self.links.get(&route.target).is_none_or(|link| link.is_closing) {
            // It was there when the first piece came.
            self.refuse(connection, &piece.head, Some(&route.us), 408, "The next hop is gone");
            self.remember(connection, &piece, || Incoming::Ignore);
            return Taken::Done;
        }
        if self.is_full(route.target) {
            return Taken::Blocked(route.target, piece);
        }
        let is_send = piece.head.method() == Some(&Method::Send);
        let is_whole = piece.offset == 0 && piece.end.is_some();
        if !is_send && !is_whole {
            // Only a SEND can be cut.
            self.refuse(connection, &piece.head, Some(&route.us), 413, "Too long");
            self.remember(connection, &piece, || Incoming::Ignore);
            return Taken::Done;
        }
        let Some(range) = range_of(&piece) else {
            self.refuse(connection, &piece.head, Some(&route.us), 400, "Malformed Byte-Range");
            self.remember(connection, &piece, || Incoming::Ignore);
            return Taken::Done;
        };
        let transaction = self.transaction(route.target, &piece.body);
        let replaced = (is_send && !is_whole).then_some(range);
        let method = piece.head.method().cloned().unwrap_or(Method::Other("".into()));
        let head = rewritten(&piece.head, Head::request(transaction, method.clone(), &route.to, &route.from), replaced);
        let report = piece.head.failure_report();
        let pending = match method {
            Method::Send if report == FailureReport::No => None,
            Method::Send => Some(Pending::Send {
                back: connection,
                us: route.us.clone(),
                origin: route.origin.clone(),
                message_id: piece.head.message_id().unwrap_or_default().into(),
                range,
                is_timed: report == FailureReport::Yes,
            }),
            // RFC 4975 §7.1.2: nobody answers a REPORT.
            Method::Report => None,
            _ => Some(Pending::Request {
                back: connection,
                head: Box::new(Head::clone(&piece.head)),
                us: route.us.clone(),
            }),
        };
        self.remember(connection, &piece, || Incoming::Forward(route.clone()));
        // §6.4.1: the previous hop has its answer at once.
        if is_send && report == FailureReport::Yes && piece.end.is_some() {
            self.answer(connection, &piece.head, &route.us, 200, "OK");
        }
        let body = piece.head.has_body().then_some(piece.body);
        let end = piece.end.unwrap_or(Continuation::More);
        self.statistics.forwarded += 1;
        self.send(route.target, Outgoing { transaction, head, body, end }, pending);
        Taken::Done
    }

    /// §6.4.3.
    fn take_response(&mut self, connection: ConnectionId, head: &Head, code: u16) {
        let Ok(to) = head.to_path() else { return };
        if !self.is_ours(to.first()) || head.fault().is_some() {
            return;
        }
        let pending = self.links.get_mut(&connection).and_then(|link| link.settle(head.transaction()));
        match pending {
            None => return,
            Some(Pending::Send { .. }) if code == 200 => {}
            Some(pending @ Pending::Send { .. }) => {
                let comment = match head.start() {
                    Start::Response(_, comment) => comment.clone(),
                    Start::Request(_) => "".into(),
                };
                self.fail(pending, code, &comment);
            }
            Some(Pending::Request { back, head: request, .. }) => self.pass_response(back, &request, head, &to, code),
        }
        self.resume_waiters(connection);
    }

    /// The response to what was no SEND goes the whole way back.
    fn pass_response(&mut self, back: ConnectionId, request: &Head, head: &Head, to: &Path, code: u16) {
        let Ok(mut from) = head.from_path() else { return };
        let mut ahead = to.clone();
        // Between two clients of ours, all of our URIs are visited here.
        while self.is_ours(ahead.first()) {
            let (Some(rest), Ok(behind)) = (ahead.rest(), from.after(ahead.first().clone())) else { return };
            (ahead, from) = (rest, behind);
        }
        let mut response = head.clone();
        response.set_transaction(request.transaction());
        response.set_paths(&ahead, &from);
        self.respond(back, response);
        // §6.3: whoever tries passwords at the relay behind us tries them through us.
        let is_stale =
            head.get("WWW-Authenticate").is_some_and(|value| value.to_ascii_lowercase().contains("stale=true"));
        if code == 401 && !is_stale && request.get("Authorization").is_some() {
            self.count_failure(back);
        }
    }

    /// A request that went on has failed.
    pub(super) fn fail(&mut self, pending: Pending, code: u16, comment: &str) {
        match pending {
            Pending::Send { back, us, origin, message_id, range, .. } => {
                let transaction = self.transaction(back, &bytes::Bytes::new());
                let report = Head::request(transaction, Method::Report, &origin, &Path::from(us))
                    .with("Message-ID", message_id)
                    .with("Byte-Range", range)
                    .with("Status", Status { namespace: 0, code, comment: comment.into() });
                self.statistics.reported += 1;
                self.send(back, Outgoing::bodiless(report), None);
            }
            Pending::Request { back, head, us } => self.answer(back, &head, &us, code, comment),
        }
    }

    /// A request that does not go on. `us` is unknown where its path cannot be read.
    fn refuse(
        &mut self,
        connection: ConnectionId,
        head: &Head,
        us: Option<&MsrpUri>,
        code: u16,
        comment: &'static str,
    ) {
        self.statistics.refused += 1;
        if let Some(us) = us.cloned().or_else(|| head.to_path().ok().map(|to| to.first().clone())) {
            self.answer(connection, head, &us, code, comment);
        }
        if self.links.get(&connection).is_some_and(|link| !link.is_proven) {
            self.count_failure(connection);
        }
    }

    /// Responds, if a response is wanted.
    pub(super) fn answer(&mut self, connection: ConnectionId, head: &Head, us: &MsrpUri, code: u16, comment: &str) {
        let is_wanted = match head.method() {
            Some(Method::Send) => match head.failure_report() {
                FailureReport::Yes => true,
                FailureReport::Partial => code != 200,
                FailureReport::No => false,
            },
            Some(Method::Report) | None => false,
            Some(_) => true,
        };
        if is_wanted && let Ok(response) = head.response(us, code, comment) {
            let response = match head.message_id().filter(|_| head.method() == Some(&Method::Send)) {
                // Not RFC 4975's, but so RFC 4976 §3 prints it.
                Some(id) => response.with("Message-ID", id),
                None => response,
            };
            self.respond(connection, response);
        }
    }

    pub(super) fn count_failure(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.get_mut(&connection) else { return };
        link.failures += 1;
        if link.failures >= FAILURES {
            self.close(connection);
        }
    }
}

/// Which octets of the message a piece has.
fn range_of(piece: &Piece) -> Option<ByteRange> {
    let range = piece.head.byte_range().ok()?.unwrap_or(ByteRange::UNKNOWN);
    let start = range.start.checked_add(piece.offset)?;
    let end = start.checked_add(piece.body.len() as u64)? - 1;
    Some(ByteRange { start, end: Some(end), total: range.total })
}

/// The request's fields behind other paths, and perhaps with another range.
fn rewritten(request: &Head, mut head: Head, range: Option<ByteRange>) -> Head {
    let is = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    for (name, value) in request.iter() {
        match range {
            _ if is(name, "To-Path") || is(name, "From-Path") => {}
            Some(range) if is(name, "Byte-Range") => head.push(name, range),
            _ => head.push(name, value),
        }
    }
    head
}
