//! A container with some applications on it, in a world of phones.

pub mod by_hand;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use applications::cdr::{CallDetailRecord, CdrSink};
use applications::domains::Domains;
use applications::ring_group::{self, Group};
use container::routing::dar::Direction;
use container::routing::{Entry, RuleRouter};
use container::{Clock, Container, ContainerLoad, Resources, Settings};
use servlet::{Method, SipApplication, SipServlet, SipServletRequest, SipUri};
use testkit::{NodeId, Story};

/// An offer or an answer of one audio stream.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                       m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";

/// The same on hold (RFC 3264 §8.4).
pub const HOLD: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                        m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendonly\r\n";

/// The records of calls that are over.
#[derive(Clone, Default)]
pub struct Records(Rc<RefCell<Vec<CallDetailRecord>>>);

impl Records {
    pub fn taken(&self) -> Vec<CallDetailRecord> {
        self.0.take()
    }
}

impl CdrSink for Records {
    fn write(&self, record: &CallDetailRecord) {
        self.0.borrow_mut().push(record.clone());
    }
}

/// A container that is being put together. Its node is in the domain that all of its applications serve.
pub struct Server {
    applications: Vec<SipApplication>,
    entries: Vec<Entry>,
    resources: Resources,
    shards: u16,
}

impl Server {
    pub fn new() -> Server {
        Server { applications: Vec::new(), entries: Vec::new(), resources: Resources::default(), shards: 1 }
    }

    /// How many workers share its address.
    #[must_use]
    pub fn shards(self, shards: u16) -> Server {
        Server { shards, ..self }
    }

    /// One more application, for the requests that it wants.
    #[must_use]
    pub fn application(
        mut self,
        application: SipApplication,
        wants: impl Fn(&SipServletRequest) -> bool + Send + Sync + 'static,
    ) -> Server {
        self.entries.push(Entry::new(application.name()).predicate(wants).direction(Direction::Inbound));
        self.applications.push(application);
        self
    }

    /// Users of this domain are found at a node of their own name.
    #[must_use]
    pub fn locating(mut self, domain: &'static str) -> Server {
        let is_ours =
            move |request: &SipServletRequest| request.request_uri().as_sip().is_some_and(|uri| uri.host() == domain);
        self.entries.push(Entry::new("location").predicate(is_ours));
        self.applications.push(SipApplication::new("location").servlet(Location));
        self
    }

    #[must_use]
    pub fn resource<T: 'static>(mut self, value: T) -> Server {
        self.resources = self.resources.with(Rc::new(value));
        self
    }

    #[must_use]
    pub fn records(self, records: &Records) -> Server {
        self.resource::<Box<dyn CdrSink>>(Box::new(records.clone()))
    }

    /// Runs it at a node of this name.
    pub fn at(self, story: &Story, name: &str) -> NodeId {
        let now = story.world().now();
        let router = Arc::new(RuleRouter::new(self.entries).unwrap());
        let container = || {
            let mut builder = Container::builder()
                .router(router.clone())
                .settings(Settings { domains: vec![name.into()], shards: self.shards, ..Settings::default() })
                .resources(self.resources.clone())
                .clock(Clock::new(now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)));
            for application in &self.applications {
                builder = builder.application(application.clone());
            }
            builder.build(now).unwrap()
        };
        let node = story.server(name, container());
        for _ in 1..self.shards {
            story.world_mut().shard(node, container());
        }
        node
    }
}

struct Location;

impl SipServlet for Location {
    async fn do_request(&self, request: SipServletRequest) -> servlet::Result {
        let user = request.request_uri().as_sip().and_then(SipUri::user).unwrap_or_default();
        if request.is_initial() && request.method() != Method::Cancel {
            request.proxy()?.proxy_to(&SipUri::new(&user, &user)?.into())?;
        }
        Ok(())
    }
}

/// Runs the story to its end, and fails if anything is left in any table, of the container's too.
#[track_caller]
pub fn ends(story: &Story) {
    story.ends();
    let left: Vec<ContainerLoad> = {
        let world = story.world();
        let servers = world.nodes().filter(|node| ["example.test", "fork"].contains(&world.name(*node)));
        servers.map(|server| world.user::<Container>(server).load()).collect()
    };
    for left in left {
        story.expect_eq(left, ContainerLoad::default(), "what is left in the container");
    }
}

/// A proxy that tries several targets at once for `bob`.
pub fn fork(story: &Story, name: &str, targets: &[&str]) -> NodeId {
    let members = targets.iter().map(|target| (*target).to_owned()).collect();
    let group = Group { members, record_route: false, ..Group::default() };
    let settings = ring_group::Settings { groups: [("bob".to_owned(), group)].into(), domains: Domains::new([name]) };
    Server::new().application(ring_group::application(settings), |_| true).at(story, name)
}
