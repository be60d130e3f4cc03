//! What the routing chapter shares: a router that answers as it is told and remembers what it was asked, and
//! applications that tell what they see.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use servlet::prelude::*;
use servlet::{
    RouterState, RoutingDirective, RoutingRegion, SipApplicationRouter, SipApplicationRouterInfo, SipRouteModifier,
    SipTargetedRequestInfo,
};

/// What the router was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub line: String,
    pub region: Option<RoutingRegion>,
    pub directive: RoutingDirective,
    pub targeted: Option<SipTargetedRequestInfo>,
    pub state: Option<RouterState>,
}

type Look = dyn Fn(&SipServletRequest) + Send + Sync;

/// A router that gives these answers in their order, and then none.
#[derive(Default)]
pub struct Script {
    answers: Mutex<VecDeque<Result<SipApplicationRouterInfo, Error>>>,
    asked: Mutex<Vec<Asked>>,
    pub deployed: Mutex<Vec<String>>,
    /// What it does with each request.
    look: Option<Box<Look>>,
}

impl Script {
    pub fn new(answers: impl IntoIterator<Item = SipApplicationRouterInfo>) -> Arc<Script> {
        Arc::new(Script { answers: Mutex::new(answers.into_iter().map(Ok).collect()), ..Script::default() })
    }

    pub fn failing(error: Error) -> Arc<Script> {
        Arc::new(Script { answers: Mutex::new([Err(error)].into()), ..Script::default() })
    }

    pub fn looking(application: &str, look: impl Fn(&SipServletRequest) + Send + Sync + 'static) -> Arc<Script> {
        let answers = Mutex::new([Ok(to(application))].into());
        Arc::new(Script { answers, look: Some(Box::new(look)), ..Script::default() })
    }

    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    pub fn directives(&self) -> Vec<RoutingDirective> {
        self.asked().iter().map(|asked| asked.directive).collect()
    }
}

impl SipApplicationRouter for Script {
    fn application_deployed(&self, names: &[String]) {
        self.deployed.lock().unwrap().extend_from_slice(names);
    }

    fn next_application(
        &self,
        request: &SipServletRequest,
        region: Option<&RoutingRegion>,
        directive: RoutingDirective,
        targeted: Option<&SipTargetedRequestInfo>,
        state: Option<&RouterState>,
    ) -> Result<SipApplicationRouterInfo, Error> {
        self.asked.lock().unwrap().push(Asked {
            line: format!("{} {}", request.method(), request.request_uri()),
            region: region.cloned(),
            directive,
            targeted: targeted.cloned(),
            state: state.cloned(),
        });
        if let Some(look) = &self.look {
            look(request);
        }
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(SipApplicationRouterInfo::default()))
    }
}

/// This application is next.
pub fn to(application: &str) -> SipApplicationRouterInfo {
    SipApplicationRouterInfo { next_application: Some(application.into()), ..SipApplicationRouterInfo::default() }
}

/// The same, with a region and a state to know it by.
pub fn marked(application: &str, region: RoutingRegion, state: u64) -> SipApplicationRouterInfo {
    SipApplicationRouterInfo { region, state: Some(RouterState::Number(state)), ..to(application) }
}

/// This application, or none, with routes.
pub fn routed(application: Option<&str>, modifier: SipRouteModifier, routes: &[&str]) -> SipApplicationRouterInfo {
    SipApplicationRouterInfo {
        next_application: application.map(Arc::from),
        routes: routes.iter().map(|route| Address::parse(route).unwrap()).collect(),
        route_modifier: modifier,
        ..SipApplicationRouterInfo::default()
    }
}

/// What applications have seen, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Sends every request on to where it goes, and tells of it and its responses.
pub struct Hop {
    name: String,
    log: Log,
    record_route: bool,
}

impl SipServlet for Hop {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        self.log.add(format!("{} {}", self.name, request.method()));
        if request.is_initial() {
            let proxy = request.proxy()?;
            proxy.set_record_route(self.record_route)?;
            proxy.proxy_to(&request.request_uri())?;
        }
        Ok(())
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        self.log.add(format!("{} {}", self.name, response.status().code()));
        Ok(())
    }
}

pub fn hop(name: &str, log: &Log) -> SipApplication {
    SipApplication::new(name).servlet(Hop { name: name.to_owned(), log: log.clone(), record_route: false })
}

pub fn recording_hop(name: &str, log: &Log) -> SipApplication {
    SipApplication::new(name).servlet(Hop { name: name.to_owned(), log: log.clone(), record_route: true })
}

/// Does one thing with each request.
pub fn doing(name: &str, act: impl Fn(SipServletRequest) -> Result + Send + Sync + Clone + 'static) -> SipApplication {
    SipApplication::new(name).handlers(Handlers::new().any_method(move |request| {
        let done = act(request);
        async { done }
    }))
}

/// Answers everything with 200, and tells of it.
pub fn answering(name: &str, log: &Log) -> SipApplication {
    let (log, told) = (log.clone(), name.to_owned());
    doing(name, move |request| {
        log.add(format!("{told} {}", request.method()));
        if request.method() != Method::Ack {
            request.create_response(StatusCode::OK)?.send()?;
        }
        Ok(())
    })
}
