//! Streams through a relay of ours, RFC 4976 §5.1: AUTH on a connection that stays, before our path is told, and again before
//! what the relay gave runs out. What an AUTH says is left to [`AuthClient`], the answer to a challenge to whoever ordered the
//! stream, and what is sent through the relay to the endpoint.
//!
//! ```text
//!   begin ─► connection, AUTH ─► 401 ─► AUTH ─► 200 ─► News::Ready ─► at 4/5 of its time: AUTH ─► 200 …
//!                   └───────────────┴──────────────┐                          │
//!           refused, silent, unreachable ─► News::Failed          refused, silent, gone ─► News::Lost
//! ```
//!
//! Streams at the same relay share a connection (RFC 4975 §5.4); the last of them lets it go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::command::{Answer, RelayPlan, StreamKey};
use crate::chunk::Head;
use crate::endpoint::{ConnectionId, Endpoint};
use crate::relay::client::{AuthClient, AuthError, Step};
use crate::uri::{MsrpUri, Path};

/// RFC 4976 §8, where the relay's URI names no port.
const PORT: u16 = 2855;

/// What becomes of a stream at its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// When the relay has let it in.
    Ready {
        /// Our path, for the description.
        path: Path,
        /// Where the endpoint itself is.
        address: SocketAddr,
    },
    /// When it will not be let in.
    Failed(Arc<str>),
    /// When it was in, and is no more.
    Lost(Arc<str>),
}

/// The streams of an engine that go through a relay. A client has few of them.
#[derive(Default)]
pub(super) struct Relayed(HashMap<StreamKey, Client>);

struct Client {
    auth: AuthClient,
    answer: Answer,
    host: Arc<str>,
    address: SocketAddr,
    connection: ConnectionId,
    /// The AUTH whose response is awaited.
    asked: Option<u64>,
    /// Our relays as they are visited, once they have let us in.
    use_path: Option<Path>,
}

impl Relayed {
    /// Asks a relay to let a stream in, whose own URI is `us`.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        stream: StreamKey,
        plan: &RelayPlan,
        us: MsrpUri,
        address: SocketAddr,
    ) {
        let relay = &plan.uri;
        let host: Arc<str> = relay.host().into();
        // §9.2: the relay is known by the name in its certificate.
        let port = relay.port().unwrap_or(PORT);
        let connection = endpoint.connect(now, host.clone(), port, relay.is_secure(), None);
        let mut auth = AuthClient::new(vec![relay.clone()], us, None);
        let first = auth.start(now, endpoint.transaction_id());
        let answer = plan.answer.clone();
        let mut client = Client { auth, answer, host, address, connection, asked: None, use_path: None };
        // It waits with the endpoint until the connection is there.
        client.ask(now, endpoint, first);
        self.0.insert(stream, client);
    }

    /// Takes the response to a request. Without one there is nothing to do: the time is watched here, and why a connection is
    /// gone comes behind.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        request: u64,
        response: Option<&Head>,
    ) -> Option<(StreamKey, News)> {
        let response = response?;
        let (&stream, client) = self.0.iter_mut().find(|(_, client)| client.asked == Some(request))?;
        let Client { auth, answer, .. } = client;
        match auth.handle(now, response, endpoint.transaction_id(), &mut |challenge| answer(challenge)) {
            Ok(Step::Send(next)) => {
                client.ask(now, endpoint, Some(*next));
                None
            }
            Ok(Step::Ready { use_path, .. }) => Some((stream, client.let_in(use_path)?)),
            Ok(Step::Nothing) => None,
            Err(error) => self.give_up(now, endpoint, stream, &error),
        }
    }

    /// A connection is gone, and with it what relays gave on it.
    pub(super) fn gone(&mut self, connection: ConnectionId, why: &str) -> Vec<(StreamKey, News)> {
        let of_connection = self.0.extract_if(|_, client| client.connection == connection);
        of_connection
            .map(|(stream, client)| (stream, client.bad_news(&format!("the connection is gone: {why}"))))
            .collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(|client| client.auth.next_timeout()).min()
    }

    pub(super) fn timeout(&mut self, now: Instant, endpoint: &mut Endpoint) -> Vec<(StreamKey, News)> {
        let mut silent = Vec::new();
        for (stream, client) in &mut self.0 {
            if client.auth.next_timeout().is_none_or(|at| at > now) {
                continue;
            }
            match client.auth.handle_timeout(now, endpoint.transaction_id()) {
                Ok(again) => client.ask(now, endpoint, again),
                Err(error) => silent.push((*stream, error)),
            }
        }
        silent.into_iter().filter_map(|(stream, error)| self.give_up(now, endpoint, stream, &error)).collect()
    }

    /// The relays of a stream as they are visited, and the connection to the first of them.
    pub(super) fn way(&self, stream: StreamKey) -> Option<(Vec<MsrpUri>, ConnectionId)> {
        let client = self.0.get(&stream)?;
        Some((client.use_path.as_ref()?.uris().to_vec(), client.connection))
    }

    /// A stream is over.
    pub(super) fn leave(&mut self, now: Instant, endpoint: &mut Endpoint, stream: StreamKey) {
        let Some(client) = self.0.remove(&stream) else { return };
        if self.0.values().all(|other| other.connection != client.connection) {
            endpoint.disconnect(now, client.connection);
        }
    }

    fn give_up(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        stream: StreamKey,
        error: &AuthError,
    ) -> Option<(StreamKey, News)> {
        let news = self.0.get(&stream)?.bad_news(&error.to_string());
        self.leave(now, endpoint, stream);
        Some((stream, news))
    }
}

impl Client {
    fn ask(&mut self, now: Instant, endpoint: &mut Endpoint, head: Option<Head>) {
        if let Some(head) = head {
            self.asked = endpoint.request(now, self.connection, head).ok();
        }
    }

    /// News the first time; a renewal changes nothing.
    fn let_in(&mut self, use_path: Path) -> Option<News> {
        if let Some(known) = &self.use_path {
            if *known != use_path {
                // §9.4 wants another offer then; the session goes on by the URI that its peer knows, while that holds.
                tracing::warn!(relay = %self.host, "the relay has renewed another URI than we have");
            }
            return None;
        }
        self.use_path = Some(use_path);
        let path = self.auth.path_attribute()?;
        Some(News::Ready { path, address: self.address })
    }

    fn bad_news(&self, why: &str) -> News {
        let why = format!("relay {}: {why}", self.host).into();
        if self.use_path.is_some() { News::Lost(why) } else { News::Failed(why) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::chunk::{Framer, FramerLimits};
    use crate::endpoint::{Config, Input, Limits, Output, Timers};

    const ONE: StreamKey = StreamKey(1);
    const OTHER: StreamKey = StreamKey(2);
    const SECOND: Duration = Duration::from_secs(1);

    /// An endpoint without sockets; the relay is the test.
    struct World {
        now: Instant,
        endpoint: Endpoint,
        relayed: Relayed,
        told: Vec<(StreamKey, News)>,
        closed: Vec<ConnectionId>,
    }

    impl World {
        fn new() -> World {
            let mut number = 0_u64;
            let random = Box::new(move || {
                number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
                number
            });
            let endpoint = Endpoint::new(Config { limits: Limits::default(), timers: Timers::default(), random });
            let (now, relayed) = (Instant::now(), Relayed::default());
            World { now, endpoint, relayed, told: Vec::new(), closed: Vec::new() }
        }

        fn begin(&mut self, stream: StreamKey) -> ConnectionId {
            let answer: Answer = Arc::new(|challenge| {
                assert_eq!((challenge.method, challenge.host), ("AUTH", "relay.example.com"));
                Some(format!("Digest to {}", challenge.challenge))
            });
            let plan = RelayPlan { uri: "msrps://relay.example.com;tcp".parse().unwrap(), answer };
            let us = format!("msrps://127.0.0.1:9/us{};tcp", stream.0).parse().unwrap();
            let address = "127.0.0.1:9".parse().unwrap();
            self.relayed.begin(self.now, &mut self.endpoint, stream, &plan, us, address);
            self.relayed.0[&stream].connection
        }

        fn connected(&mut self, connection: ConnectionId) {
            self.endpoint.handle(self.now, Input::Connected { connection });
        }

        /// What the relay hears next.
        fn asked(&mut self, connection: ConnectionId) -> Option<Head> {
            self.settle();
            let mut octets = BytesMut::new();
            self.endpoint.poll_chunk(self.now, connection, &mut octets, 4096);
            let mut framer = Framer::new(FramerLimits::default());
            framer.feed(octets.freeze());
            framer.next().unwrap().map(|piece| Head::clone(&piece.head))
        }

        fn says(&mut self, connection: ConnectionId, request: &Head, status: &str, more: &str) {
            let (id, us) = (request.transaction(), request.get("From-Path").unwrap());
            let from = request.get("To-Path").unwrap();
            let text = format!("MSRP {id} {status}\r\nTo-Path: {us}\r\nFrom-Path: {from}\r\n{more}-------{id}$\r\n");
            self.endpoint.handle(self.now, Input::Received { connection, bytes: Bytes::from(text) });
            self.settle();
        }

        /// Challenged, and let in by this URI.
        fn lets_in(&mut self, connection: ConnectionId, uri: &str) {
            let first = self.asked(connection).expect("an AUTH");
            assert_eq!(first.get("Authorization"), None);
            self.says(connection, &first, "401 Unauthorized", "WWW-Authenticate: Digest nonce=\"x\"\r\n");
            let second = self.asked(connection).expect("another AUTH");
            assert_eq!(second.get("Authorization"), Some("Digest to Digest nonce=\"x\""));
            self.says(connection, &second, "200 OK", &format!("Use-Path: {uri}\r\nExpires: 100\r\n"));
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.endpoint.handle_timeout(self.now);
            let news = self.relayed.timeout(self.now, &mut self.endpoint);
            self.told.extend(news);
            self.settle();
        }

        fn settle(&mut self) {
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Answered { request, head, .. } => {
                        let news = self.relayed.answered(self.now, &mut self.endpoint, request, head.as_deref());
                        self.told.extend(news);
                    }
                    Output::Connection { connection, gone: Some(why) } => {
                        self.told.extend(self.relayed.gone(connection, &why));
                    }
                    Output::Close { connection } => self.closed.push(connection),
                    _ => {}
                }
            }
        }
    }

    const URI: &str = "msrps://relay.example.com:2855/a;tcp";

    fn ready(us: &str) -> News {
        let path = format!("{URI} msrps://127.0.0.1:9/{us};tcp").parse().unwrap();
        News::Ready { path, address: "127.0.0.1:9".parse().unwrap() }
    }

    /// RFC 4976 §5.1: the path for the other side begins with the relay, and what we send goes there first.
    #[test]
    fn a_stream_is_let_in_with_its_password_and_renews_what_it_got() {
        let mut world = World::new();
        let relay = world.begin(ONE);
        assert_eq!(world.relayed.way(ONE), None);
        world.connected(relay);
        world.lets_in(relay, URI);
        assert_eq!(world.told, [(ONE, ready("us1"))]);
        assert_eq!(world.relayed.way(ONE), Some((vec![URI.parse().unwrap()], relay)));

        world.pass(79 * SECOND);
        assert_eq!(world.asked(relay), None, "there is time");
        assert_eq!(world.relayed.next_timeout(), Some(world.now + SECOND));
        world.pass(SECOND);
        world.lets_in(relay, URI);
        assert_eq!(world.told.len(), 1, "a renewal is no news");
        world.pass(80 * SECOND);
        world.lets_in(relay, URI);
        assert_eq!(world.relayed.way(ONE), Some((vec![URI.parse().unwrap()], relay)));
    }

    #[test]
    fn a_relay_that_refuses_or_is_silent_or_can_not_be_reached_is_told_with_its_fault() {
        let failed = |why: &str| News::Failed(format!("relay relay.example.com: {why}").into());

        let mut world = World::new();
        let relay = world.begin(ONE);
        world.connected(relay);
        for _ in 0..2 {
            let asked = world.asked(relay).expect("an AUTH");
            world.says(relay, &asked, "401 Unauthorized", "WWW-Authenticate: Digest nonce=\"x\"\r\n");
        }
        assert_eq!(world.told, [(ONE, failed("the relay does not know this user by this password"))]);
        assert_eq!(world.closed, [relay]);

        let mut world = World::new();
        let relay = world.begin(ONE);
        world.connected(relay);
        assert!(world.asked(relay).is_some());
        world.pass(30 * SECOND);
        assert_eq!(world.told, [(ONE, failed("the relay does not answer"))]);
        assert_eq!(world.closed, [relay]);

        let mut world = World::new();
        let connection = world.begin(ONE);
        world.endpoint.handle(world.now, Input::Closed { connection, reason: "refused".into() });
        world.settle();
        assert_eq!(world.told, [(ONE, failed("the connection is gone: refused"))]);
        assert_eq!(world.relayed.next_timeout(), None);
    }

    #[test]
    fn a_stream_whose_renewal_is_refused_is_lost() {
        let mut world = World::new();
        let relay = world.begin(ONE);
        world.connected(relay);
        world.lets_in(relay, URI);
        world.pass(80 * SECOND);
        let again = world.asked(relay).expect("an AUTH");
        world.says(relay, &again, "403 Forbidden", "");
        let why = "relay relay.example.com: the relay refused: 403 Forbidden";
        assert_eq!(world.told[1..], [(ONE, News::Lost(why.into()))]);
    }

    /// RFC 4975 §5.4.
    #[test]
    fn streams_share_the_connection_to_their_relay_until_the_last_one_leaves() {
        let mut world = World::new();
        let relay = world.begin(ONE);
        world.connected(relay);
        world.lets_in(relay, URI);
        assert_eq!(world.begin(OTHER), relay);
        world.lets_in(relay, URI);
        assert_eq!(world.told[1..], [(OTHER, ready("us2"))]);
        world.relayed.leave(world.now, &mut world.endpoint, ONE);
        world.settle();
        assert_eq!(world.closed, []);
        world.relayed.leave(world.now, &mut world.endpoint, OTHER);
        world.settle();
        assert_eq!(world.closed, [relay]);
        assert_eq!(world.relayed.next_timeout(), None);
    }

    #[test]
    fn the_end_of_the_connection_is_the_end_of_all_its_streams() {
        let mut world = World::new();
        let relay = world.begin(ONE);
        world.connected(relay);
        world.lets_in(relay, URI);
        world.begin(OTHER);
        world.endpoint.handle(world.now, Input::Closed { connection: relay, reason: "closed by the peer".into() });
        world.settle();
        let why: Arc<str> = "relay relay.example.com: the connection is gone: closed by the peer".into();
        world.told.sort_by_key(|(stream, _)| *stream);
        assert_eq!(world.told[1..], [(ONE, News::Lost(why.clone())), (OTHER, News::Failed(why))]);
    }
}
