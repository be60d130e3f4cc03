//! What the proxy's chapters share: an application that proxies as it is told, and writes down what it is told.

use std::sync::{Arc, Mutex};

use servlet::prelude::*;
use servlet::{IllegalState, Proxy, SipServletMessage};

use crate::world::{Sent, World};

/// What the application was told, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

type Setup = dyn Fn(&SipServletRequest, &Proxy) -> Result + Send + Sync;
type OnResponse = dyn Fn(&SipServletResponse) -> Result + Send + Sync;

/// Proxies every initial request to these targets.
pub struct Forwarder {
    pub log: Log,
    targets: Vec<Uri>,
    setup: Box<Setup>,
    on_response: Box<OnResponse>,
}

/// A forwarder and its log.
pub fn forwarder(targets: &[&str]) -> (Forwarder, Log) {
    let log = Log::default();
    let targets = targets.iter().map(|target| Uri::parse(target).unwrap()).collect();
    let forwarder =
        Forwarder { log: log.clone(), targets, setup: Box::new(|_, _| Ok(())), on_response: Box::new(|_| Ok(())) };
    (forwarder, log)
}

impl Forwarder {
    /// What is done before it starts.
    pub fn setup(mut self, setup: impl Fn(&SipServletRequest, &Proxy) -> Result + Send + Sync + 'static) -> Forwarder {
        self.setup = Box::new(setup);
        self
    }

    /// What is done when a final response is shown: one of a branch, or the best.
    pub fn on_response(mut self, act: impl Fn(&SipServletResponse) -> Result + Send + Sync + 'static) -> Forwarder {
        self.on_response = Box::new(act);
        self
    }

    pub fn world(self) -> World {
        World::new(SipApplication::new("forwarder").servlet(self))
    }

    fn note(&self, what: &str, message: &SipServletMessage) {
        let state = message.session().and_then(|session| session.state());
        self.log
            .add(format!("{what} {}", state.map_or("gone".to_owned(), |state| format!("{state:?}").to_uppercase())));
    }
}

impl SipServlet for Forwarder {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        self.note(request.method().as_str(), &request);
        if !request.is_initial() || request.method() == Method::Cancel {
            return Ok(());
        }
        let proxy = request.proxy()?;
        (self.setup)(&request, &proxy)?;
        match proxy.proxy_to_all(&self.targets) {
            Err(Error::IllegalState(IllegalState::NoBranches)) if self.targets.is_empty() => Ok(()),
            other => Ok(other?),
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        self.note(&response.status().to_string(), &response);
        assert!(!response.is_branch_response());
        if response.status().is_final() { (self.on_response)(&response) } else { Ok(()) }
    }

    async fn do_branch_response(&self, response: SipServletResponse) -> Result {
        self.note(&format!("branch {}", response.status()), &response);
        assert!(response.is_branch_response());
        (self.on_response)(&response)
    }
}

/// The requests of this method among what was sent.
pub fn requests(sent: &[Sent], method: &str) -> Vec<Sent> {
    sent.iter().filter(|sent| sent.method() == method).cloned().collect()
}

/// The statuses of the responses among what was sent.
pub fn statuses(sent: &[Sent]) -> Vec<u16> {
    sent.iter().map(Sent::status).filter(|status| *status != 0).collect()
}
