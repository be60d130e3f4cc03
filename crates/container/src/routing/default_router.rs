//! The default application router, JSR 289 appendix C: for each method the applications that an initial request visits, in
//! the order of a [file](super::dar).
//!
//! NEW begins with the first row of the method, CONTINUE goes on behind the row that was chosen last. REVERSE begins with
//! the first row again, and leaves out the application that asks and those that act on its side of the call: they have
//! had their turn.
//!
//! An application may stand in several rows of a method and is visited for each, for the caller and for the callee, say.
//! Rows of applications that are not deployed are chosen like others; that is the container's to answer, with 500
//! (§15.4.1). [`DefaultApplicationRouter::missing`] tells before.
//!
//! A request that CONTINUEs with another method than it began with, or after the file has changed, finds its place behind
//! the first row of the application that asks; where that has none, at the beginning.

use std::sync::Arc;

use servlet::{
    Address, Error, RouterState, RoutingDirective, RoutingRegion, SipApplicationRouter, SipApplicationRouterInfo,
    SipRouteModifier, SipServletRequest, SipTargetedRequestInfo, Uri,
};
use sip_message::{Method, Request};

use super::chain::Chain;
use super::dar::{DarError, DarRow, DarTable, Direction, Subscriber};
use super::rule_router::origin_of;
use super::subscriber::SubscriberUri;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct DefaultApplicationRouter {
    methods: Vec<(Method, Vec<Row>)>,
    others: Vec<Row>,
    overlooked: Vec<Overlooked>,
}

/// A row, as it is needed for each request.
#[derive(Clone, Debug)]
struct Row {
    application: Arc<str>,
    mark: Mark,
    subscriber: SubscriberUri,
    region: RoutingRegion,
    routes: Vec<Address>,
    modifier: SipRouteModifier,
    direction: Option<Direction>,
}

/// An application in the state of a request: [`Chain::own`] has room for two. It is made of the name, so that a router of
/// a new file knows it again; 0 is none.
type Mark = u32;

const MARK_BITS: u32 = Chain::OWN_BITS / 2;

/// What a file says and the router does not heed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlooked {
    /// The line of the row.
    pub line: u32,
    /// What is not heeded.
    pub what: OverlookedPart,
}

/// A part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlookedPart {
    /// A condition that is not understood: the row is for all requests of its method.
    Option {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A subscriber that is no URI: the application is asked on nobody's behalf.
    Subscriber(String),
}

impl DefaultApplicationRouter {
    /// A router for the text of a file. A text with a mistake in it is refused whole.
    pub fn read(text: &str) -> Result<DefaultApplicationRouter, DarError> {
        Ok(DefaultApplicationRouter::new(&DarTable::parse(text)?))
    }

    /// A router for a file that was read.
    pub fn new(table: &DarTable) -> DefaultApplicationRouter {
        let mut marks = Marks::default();
        let mut overlooked: Vec<Overlooked> = Vec::new();
        for (line, option) in table.ignored() {
            let what = OverlookedPart::Option { key: option.key.clone(), value: option.value.clone() };
            overlooked.push(Overlooked { line, what });
        }
        let mut compiled = |rows: &[DarRow]| {
            let rows = rows.iter().map(|row| Row::new(row, &mut marks, &mut overlooked));
            rows.collect::<Vec<Row>>()
        };
        let methods = table.methods().map(|method| (method.clone(), compiled(table.rows_for(method)))).collect();
        let others = compiled(table.rows_for_others());
        overlooked.sort_by_key(|overlooked| overlooked.line);
        // The rows for any method stand behind those of each.
        overlooked.dedup();
        DefaultApplicationRouter { methods, others, overlooked }
    }

    /// What the file says and the router does not heed, by lines.
    pub fn overlooked(&self) -> &[Overlooked] {
        &self.overlooked
    }

    /// The applications of the file that are none of these, each once: requests that come to their rows end with 500.
    pub fn missing<'r>(&'r self, deployed: &[&str]) -> Vec<&'r str> {
        let mut missing = Vec::new();
        for row in self.methods.iter().flat_map(|(_, rows)| rows).chain(&self.others) {
            let name = &*row.application;
            if !deployed.contains(&name) && !missing.contains(&name) {
                missing.push(name);
            }
        }
        missing
    }

    /// The next application for a request. `origin` tells whether it has come to the container or was begun in it; of one
    /// that goes on the state tells that.
    pub fn choose(
        &self,
        request: &Request,
        origin: Direction,
        region: Option<&RoutingRegion>,
        directive: RoutingDirective,
        targeted: Option<&SipTargetedRequestInfo>,
        state: Option<&RouterState>,
    ) -> SipApplicationRouterInfo {
        let rows = self.rows_for(request.method());
        let chain = match directive {
            RoutingDirective::New => Chain::begun(origin),
            RoutingDirective::Continue => Chain::of(state).map_or(Chain::begun(origin), |chain| going_on(chain, rows)),
            RoutingDirective::Reverse => Chain::reversed(region, own(Chain::of(state).map_or(0, last), 0)),
        };
        if let Some(targeted) = targeted.filter(|_| directive == RoutingDirective::New) {
            return aimed_at(&targeted.application_name, rows, request, chain);
        }
        let mut rest = rows.iter().enumerate().skip(chain.next.into());
        let chosen = rest.find(|(_, row)| {
            row.direction.is_none_or(|wanted| wanted == chain.origin)
                && !chain.leaves_out(&row.region)
                && row.mark != asking(chain)
        });
        chosen.map_or_else(SipApplicationRouterInfo::default, |(place, row)| row.answer(request, place, chain))
    }

    fn rows_for(&self, method: &Method) -> &[Row] {
        let own = self.methods.iter().find(|(other, _)| other == method);
        own.map_or(&self.others, |(_, rows)| rows)
    }
}

impl SipApplicationRouter for DefaultApplicationRouter {
    fn next_application(
        &self,
        request: &SipServletRequest,
        region: Option<&RoutingRegion>,
        directive: RoutingDirective,
        targeted: Option<&SipTargetedRequestInfo>,
        state: Option<&RouterState>,
    ) -> Result<SipApplicationRouterInfo, Error> {
        let origin = origin_of(request);
        Ok(self.choose(&request.sip_request(), origin, region, directive, targeted, state))
    }
}

/// The owner of a session gets what is aimed at it, whether it has a row or not.
fn aimed_at(name: &str, rows: &[Row], request: &Request, chain: Chain) -> SipApplicationRouterInfo {
    match rows.iter().enumerate().find(|(_, row)| *row.application == *name) {
        Some((place, row)) => SipApplicationRouterInfo {
            routes: Vec::new(),
            route_modifier: SipRouteModifier::NoRoute,
            ..row.answer(request, place, chain)
        },
        None => SipApplicationRouterInfo {
            next_application: Some(name.into()),
            // Behind the last row: nobody else was to see it.
            state: Some(Chain::over(chain.origin).state()),
            ..SipApplicationRouterInfo::default()
        },
    }
}

/// Behind the row that was chosen last, if that is one of these.
fn going_on(chain: Chain, rows: &[Row]) -> Chain {
    let last = last(chain);
    let chosen = usize::from(chain.next).checked_sub(1).and_then(|place| rows.get(place));
    if last == 0 || chosen.is_some_and(|row| row.mark == last) {
        return chain;
    }
    let next = rows.iter().position(|row| row.mark == last).map_or(0, |place| place + 1);
    Chain { next: u16::try_from(next).unwrap_or(u16::MAX), ..chain }
}

fn own(asking: Mark, last: Mark) -> u64 {
    u64::from(asking) << MARK_BITS | u64::from(last)
}

/// The application that was chosen last.
fn last(chain: Chain) -> Mark {
    chain.own as Mark & ((1 << MARK_BITS) - 1)
}

/// The application that has sent the request back; 0 when none has.
fn asking(chain: Chain) -> Mark {
    (chain.own >> MARK_BITS) as Mark
}

impl Row {
    fn new(row: &DarRow, marks: &mut Marks, overlooked: &mut Vec<Overlooked>) -> Row {
        let (application, mark) = marks.of(&row.app);
        let subscriber = match &row.subscriber {
            Subscriber::Header(name) => SubscriberUri::header(name),
            Subscriber::Literal(text) => Uri::parse(text).ok().map(SubscriberUri::Fixed),
        };
        if let (None, Subscriber::Literal(text)) = (&subscriber, &row.subscriber)
            && !text.is_empty()
        {
            overlooked.push(Overlooked { line: row.line, what: OverlookedPart::Subscriber(text.clone()) });
        }
        Row {
            application,
            mark,
            subscriber: subscriber.unwrap_or_default(),
            region: row.region.clone(),
            routes: row.route.iter().map(|route| Address::from(route.as_name_addr())).collect(),
            modifier: row.modifier,
            direction: row.direction,
        }
    }

    fn answer(&self, request: &Request, place: usize, chain: Chain) -> SipApplicationRouterInfo {
        let next = u16::try_from(place + 1).unwrap_or(u16::MAX);
        SipApplicationRouterInfo {
            next_application: Some(Arc::clone(&self.application)),
            region: self.region.clone(),
            subscriber_uri: self.subscriber.of(request),
            routes: self.routes.clone(),
            route_modifier: self.modifier,
            state: Some(Chain { next, own: own(asking(chain), self.mark), ..chain }.state()),
        }
    }
}

/// The applications of a file, each with the mark of its name.
#[derive(Default)]
struct Marks(Vec<(Arc<str>, Mark)>);

impl Marks {
    fn of(&mut self, name: &str) -> (Arc<str>, Mark) {
        if let Some((name, mark)) = self.0.iter().find(|(known, _)| **known == *name) {
            return (Arc::clone(name), *mark);
        }
        let mut mark = hash(name);
        // Two names with one mark would be one application.
        while mark == 0 || self.0.iter().any(|(_, taken)| *taken == mark) {
            mark = (mark + 1) & ((1 << MARK_BITS) - 1);
        }
        let name: Arc<str> = name.into();
        self.0.push((Arc::clone(&name), mark));
        (name, mark)
    }
}

/// FNV-1a, folded: the same in every process.
fn hash(name: &str) -> Mark {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    ((hash >> 41 ^ hash >> 18 ^ hash) & ((1 << MARK_BITS) - 1)) as Mark
}
