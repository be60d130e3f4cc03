//! Plain functions as handlers: the annotated methods of the 2.0 model.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sip_message::{Method, StatusCode};

use crate::error::Result;
use crate::listener::LocalFuture;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::servlet::{SipServlet, not_handled};

/// Handlers for requests and responses, each with what it is for. The most specific one that fits is called: a method
/// counts more than a range of statuses, a narrow range more than a wide one, a condition more than none.
///
/// Two that are equally specific and could both fit are an error at deployment; conditions of the application's own can't
/// be compared, and the first that holds is called.
#[derive(Default)]
pub struct Handlers {
    requests: Vec<Handler<SipServletRequest>>,
    responses: Vec<Handler<SipServletResponse>>,
}

type Condition<M> = Arc<dyn Fn(&M) -> bool + Send + Sync>;

struct Handler<M> {
    method: Option<Method>,
    statuses: Option<RangeInclusive<u16>>,
    is_branch: bool,
    condition: Option<Condition<M>>,
    call: Arc<dyn Fn(M) -> LocalFuture + Send + Sync>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $method:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<F>(self, handler: impl Fn(SipServletRequest) -> F + Send + Sync + 'static) -> Handlers
        where
            F: Future<Output = Result> + 'static,
        {
            self.method(Method::$method, handler)
        }
    )*};
}

impl Handlers {
    /// None.
    pub fn new() -> Handlers {
        Handlers::default()
    }

    methods! {
        /// For INVITE.
        invite: Invite;
        /// For the ACK of a 2xx.
        ack: Ack;
        /// For OPTIONS.
        options: Options;
        /// For BYE.
        bye: Bye;
        /// For CANCEL.
        cancel: Cancel;
        /// For REGISTER.
        register: Register;
        /// For PRACK.
        prack: Prack;
        /// For SUBSCRIBE.
        subscribe: Subscribe;
        /// For NOTIFY.
        notify: Notify;
        /// For MESSAGE.
        message: Message;
        /// For INFO.
        info: Info;
        /// For UPDATE.
        update: Update;
        /// For REFER.
        refer: Refer;
        /// For PUBLISH.
        publish: Publish;
    }

    /// For a method of any name.
    #[must_use]
    pub fn method<F>(self, method: Method, handler: impl Fn(SipServletRequest) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.request(Some(method), handler)
    }

    /// For every request that no other handler is for.
    #[must_use]
    pub fn any_method<F>(self, handler: impl Fn(SipServletRequest) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.request(None, handler)
    }

    /// For requests of a method, or any, that meet a condition.
    #[must_use]
    pub fn request_when<F>(
        mut self,
        method: Option<Method>,
        condition: impl Fn(&SipServletRequest) -> bool + Send + Sync + 'static,
        handler: impl Fn(SipServletRequest) -> F + Send + Sync + 'static,
    ) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self = self.request(method, handler);
        if let Some(last) = self.requests.last_mut() {
            last.condition = Some(Arc::new(condition));
        }
        self
    }

    /// For responses with a status in this range, to requests of a method, or of any.
    #[must_use]
    pub fn response<F>(
        mut self,
        method: Option<Method>,
        statuses: RangeInclusive<u16>,
        handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static,
    ) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.responses.push(Handler {
            method,
            statuses: Some(statuses),
            is_branch: false,
            condition: None,
            call: Arc::new(move |response| Box::pin(handler(response))),
        });
        self
    }

    /// For 1xx.
    #[must_use]
    pub fn provisional_response<F>(self, handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.response(None, 100..=199, handler)
    }

    /// For 2xx.
    #[must_use]
    pub fn success_response<F>(self, handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.response(None, 200..=299, handler)
    }

    /// For 3xx.
    #[must_use]
    pub fn redirect_response<F>(self, handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.response(None, 300..=399, handler)
    }

    /// For 4xx, 5xx and 6xx.
    #[must_use]
    pub fn error_response<F>(self, handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.response(None, 400..=699, handler)
    }

    /// For the final responses of a proxy's branches.
    #[must_use]
    pub fn branch_response<F>(mut self, handler: impl Fn(SipServletResponse) -> F + Send + Sync + 'static) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self = self.response(None, 200..=699, handler);
        if let Some(last) = self.responses.last_mut() {
            last.is_branch = true;
        }
        self
    }

    fn request<F>(
        mut self,
        method: Option<Method>,
        handler: impl Fn(SipServletRequest) -> F + Send + Sync + 'static,
    ) -> Handlers
    where
        F: Future<Output = Result> + 'static,
    {
        self.requests.push(Handler {
            method,
            statuses: None,
            is_branch: false,
            condition: None,
            call: Arc::new(move |request| Box::pin(handler(request))),
        });
        self
    }

    /// The pairs that are equally specific and fit the same messages, in words.
    pub(crate) fn ambiguities(&self) -> Vec<String> {
        fn pairs<M>(handlers: &[Handler<M>]) -> impl Iterator<Item = String> {
            handlers.iter().enumerate().flat_map(move |(index, one)| {
                handlers[index + 1..]
                    .iter()
                    .filter(move |other| one.is_ambiguous_with(other))
                    .map(move |other| format!("a handler for {one} and another for {other}: neither is more specific"))
            })
        }
        pairs(&self.requests).chain(pairs(&self.responses)).collect()
    }

    fn for_request(&self, request: &SipServletRequest) -> Option<LocalFuture> {
        let method = request.method();
        let fitting = self.requests.iter().filter(|handler| {
            handler.method.as_ref().is_none_or(|wanted| *wanted == method)
                && handler.condition.as_ref().is_none_or(|holds| holds(request))
        });
        let best = first_best(fitting)?;
        Some((best.call)(request.clone()))
    }

    fn for_response(&self, response: &SipServletResponse, is_branch: bool) -> Option<LocalFuture> {
        let (method, status) = (response.method(), response.status().code());
        let fitting = self.responses.iter().filter(|handler| {
            handler.is_branch == is_branch
                && handler.method.as_ref().is_none_or(|wanted| *wanted == method)
                && handler.statuses.as_ref().is_none_or(|range| range.contains(&status))
        });
        let best = first_best(fitting)?;
        Some((best.call)(response.clone()))
    }
}

impl<M> Handler<M> {
    /// The more specific, the greater.
    fn rank(&self) -> (bool, std::cmp::Reverse<u16>, bool) {
        let width = self.statuses.as_ref().map_or(0, |range| range.end().saturating_sub(*range.start()));
        (self.method.is_some(), std::cmp::Reverse(width), self.condition.is_some())
    }

    fn is_ambiguous_with(&self, other: &Handler<M>) -> bool {
        let overlaps = match (&self.statuses, &other.statuses) {
            (Some(one), Some(other)) => one.start() <= other.end() && other.start() <= one.end(),
            _ => true,
        };
        self.condition.is_none()
            && other.condition.is_none()
            && self.is_branch == other.is_branch
            && self.method == other.method
            && overlaps
            && self.rank() == other.rank()
    }
}

fn first_best<'a, M>(fitting: impl Iterator<Item = &'a Handler<M>>) -> Option<&'a Handler<M>> {
    fitting.fold(None, |best: Option<&Handler<M>>, next| match best {
        Some(best) if best.rank() >= next.rank() => Some(best),
        _ => Some(next),
    })
}

impl<M> fmt::Display for Handler<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method}")?,
            None => f.write_str("any method")?,
        }
        match &self.statuses {
            Some(range) => write!(f, " {}-{}", range.start(), range.end()),
            None => Ok(()),
        }
    }
}

impl SipServlet for Handlers {
    async fn do_request(&self, request: SipServletRequest) -> Result {
        match self.for_request(&request) {
            Some(handling) => handling.await,
            None if matches!(request.method(), Method::Ack | Method::Cancel) => Ok(()),
            None => not_handled(&request),
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        if response.status() == StatusCode::TRYING {
            return Ok(());
        }
        match self.for_response(&response, false) {
            Some(handling) => handling.await,
            None => Ok(()),
        }
    }

    async fn do_branch_response(&self, response: SipServletResponse) -> Result {
        match self.for_response(&response, true) {
            Some(handling) => handling.await,
            None => Ok(()),
        }
    }
}
