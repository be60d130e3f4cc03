//! The route set of a dialog: RFC 3261 §12.1 builds it, §12.2.1.1 sends by it.
//!
//! ```text
//!   route set      first has lr      Request-URI        Route
//!   empty          –                 remote target      none
//!   R1 R2 R3       yes (loose)       remote target      R1, R2, R3
//!   R1 R2 R3       no (strict)       R1                 R2, R3, remote target
//! ```

use sip_message::header::{Route, TypedHeader as _};
use sip_message::{HeaderName, Headers, Request, UriBuf};

/// The proxies that asked to stay on the path, in the order in which a request of ours visits them.
///
/// Held calls keep it for hours: it is one text, a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSet(Box<str>);

impl RouteSet {
    /// No proxy.
    pub fn empty() -> RouteSet {
        RouteSet::default()
    }

    /// The Record-Routes of a request, in order: the UAS's (RFC 3261 §12.1.1). A value that can't be read is an error of
    /// the peer, and `None`.
    pub fn of_request(headers: &Headers) -> Option<RouteSet> {
        RouteSet::join(&RouteSet::read(headers)?)
    }

    /// The Record-Routes of a response, in reverse: the UAC's (RFC 3261 §12.1.2).
    pub fn of_response(headers: &Headers) -> Option<RouteSet> {
        let mut entries = RouteSet::read(headers)?;
        entries.reverse();
        RouteSet::join(&entries)
    }

    /// A route set that was written down, or that was configured; `None` when an entry is no route.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Option<RouteSet> {
        let entries: Vec<&str> = entries.into_iter().collect();
        let readable = entries.iter().all(|entry| Route::parse(entry).is_ok());
        if readable { RouteSet::join(&entries) } else { None }
    }

    /// The entries, as they stand in Route.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        // No header value has a line break: a folded one was unfolded when it was read.
        self.0.split_terminator('\n')
    }

    /// Whether there is no proxy.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URI to which a request is sent first: that of the first route, or the target itself.
    pub fn next_hop(&self, target: &UriBuf) -> UriBuf {
        self.first().map_or_else(|| target.clone(), |route| route.uri().to_buf())
    }

    /// Writes Request-URI and Route of a request to `target`.
    pub(crate) fn apply(&self, request: &mut Request, target: &UriBuf) {
        request.headers_mut().remove(HeaderName::Route);
        match self.first() {
            None => request.set_uri(target),
            Some(first) if first.is_loose() => {
                request.set_uri(target);
                self.push_routes(request, 0);
            }
            Some(first) => {
                // Headers of the URI don't belong into a Request-URI (RFC 3261 §19.1.1, table 1).
                request.set_uri(&first.uri().to_buf().without_headers());
                self.push_routes(request, 1);
                push_route(request, &format!("<{target}>"));
            }
        }
    }

    fn push_routes(&self, request: &mut Request, from: usize) {
        for entry in self.entries().skip(from) {
            push_route(request, entry);
        }
    }

    /// Whether the first element routes strictly: it wants its own URI in the request line (RFC 3261 §12.2.1.1).
    pub fn is_strict(&self) -> bool {
        self.first().is_some_and(|first| !first.is_loose())
    }

    fn first(&self) -> Option<Route<'_>> {
        self.entries().next().map(|entry| Route::parse(entry).expect("checked when the route set was made"))
    }

    fn read(headers: &Headers) -> Option<Vec<&str>> {
        let values = headers.values(HeaderName::RecordRoute);
        values.map(|value| Route::parse(value).ok().map(|_| value)).collect()
    }

    fn join(entries: &[&str]) -> Option<RouteSet> {
        let fit = !entries.iter().any(|entry| entry.contains(['\r', '\n']));
        fit.then(|| RouteSet(entries.iter().flat_map(|entry| [entry, "\n"]).collect::<String>().into()))
    }
}

fn push_route(request: &mut Request, entry: &str) {
    request.headers_mut().push(HeaderName::Route, entry).expect("a route that was read has no line break");
}
