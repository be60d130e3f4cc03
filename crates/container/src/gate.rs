//! The guard at the door of one application: before one of its servlets sees a request from outside, the constraints of
//! its deployment are asked (`security-constraint` of SIP Servlet 1.1; what it means is judged by [`crate::security`]).
//!
//! ```text
//!   request ──► begin ──► Admitted, Refused
//!                 └─────► the store is asked ──► it knows at once ──► verify ──► Admitted, Refused
//!                                           └──► it has to wait ──► Pending ───► Admitted, Refused
//! ```
//!
//! A request that comes from another application of the container was let in at that one's door and is not asked again.
//! The To tag of a refusal is the dispatcher's to add.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use sip_message::{Flow, Request, Response, Transport};

use crate::jobs::poll_contained;
use crate::security::{
    AccessControl, Denial, DenialReason, FlowFacts, LookUp, PendingLogin, Principal, Step, StoreError, TrustDomain,
    User, UserStore, Verdict, strip_untrusted_identity,
};

/// See the module's text.
#[derive(Clone)]
pub(crate) struct Gate {
    control: Rc<RefCell<AccessControl>>,
    users: Rc<dyn UserStore>,
    role_names: Rc<[RoleName]>,
}

/// What a servlet calls a role: `security-role-ref`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleName {
    pub(crate) servlet: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) role: Box<str>,
}

/// What is known of a request at once.
pub(crate) enum Check {
    Admitted(Option<servlet::Principal>),
    Refused(Box<Response>),
    /// The store of the users has to be waited for.
    Pending(Pin<Box<dyn Future<Output = Admission>>>),
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Admission {
    Admitted(Option<servlet::Principal>),
    Refused(Box<Response>),
}

impl Gate {
    pub(crate) fn new(control: AccessControl, users: Rc<dyn UserStore>, role_names: Vec<RoleName>) -> Gate {
        Gate { control: Rc::new(RefCell::new(control)), users, role_names: role_names.into() }
    }

    /// Judges a request for a servlet. `flow` is the way it came from outside; `None` from another application.
    pub(crate) fn check(&self, servlet: &str, request: &Request, flow: Option<&Flow>, time: SystemTime) -> Check {
        let Some(flow) = flow else { return Check::Admitted(None) };
        let step = self.control.borrow_mut().begin(servlet, request, &facts(flow), time);
        let pending = match step {
            Step::Decided(verdict) => return self.admission(servlet, verdict, request).into(),
            Step::NeedsUser(pending) => pending,
        };
        let mut look_up = pending.look_up(&self.users);
        // The configuration's users are there at once; then nothing has to wait.
        if let Poll::Ready(found) = asked(&mut look_up, &mut Context::from_waker(Waker::noop())) {
            return self.verify(servlet, pending, found, request, time).into();
        }
        let (gate, servlet, request) = (self.clone(), Box::<str>::from(servlet), request.clone());
        Check::Pending(Box::pin(async move {
            let found = poll_fn(|context| asked(&mut look_up, context)).await;
            gate.verify(&servlet, pending, found, &request, time)
        }))
    }

    fn verify(
        &self,
        servlet: &str,
        pending: PendingLogin,
        found: Result<Option<User>, StoreError>,
        request: &Request,
        time: SystemTime,
    ) -> Admission {
        let verdict = self.control.borrow_mut().verify(pending, found, request, time);
        self.admission(servlet, verdict, request)
    }

    fn admission(&self, servlet: &str, verdict: Verdict, request: &Request) -> Admission {
        match verdict {
            Verdict::Admitted(principal) => Admission::Admitted(principal.map(|known| self.principal(servlet, &known))),
            Verdict::Refused(denial) => {
                tell(&denial);
                Admission::Refused(Box::new(denial.response(request)))
            }
        }
    }

    /// Whom the application sees, with the names that its servlet has for the roles: such a name means the role that it
    /// is linked with, and not one that happens to be called so.
    fn principal(&self, servlet: &str, known: &Principal) -> servlet::Principal {
        let names = || self.role_names.iter().filter(|name| *name.servlet == *servlet);
        let own = known.roles.iter().filter(|role| !names().any(|name| name.name == **role));
        let linked = names().filter(|name| known.is_in_role(&name.role)).map(|name| &name.name);
        servlet::Principal { name: (&*known.name).into(), roles: own.chain(linked).cloned().collect() }
    }
}

/// Asks the store. One that panics is broken, and the application is not to be blamed for it.
fn asked(look_up: &mut LookUp<'static>, context: &mut Context<'_>) -> Poll<Result<Option<User>, StoreError>> {
    poll_contained(look_up.as_mut(), context).unwrap_or_else(|panic| Poll::Ready(Err(StoreError::Broken(panic.into()))))
}

/// Takes the identity that a stranger claims out of a request from outside (RFC 3325 §5), before any application sees it.
/// Whether there was any.
pub(crate) fn strip_untrusted(trust: &TrustDomain, request: &mut Request, flow: &Flow) -> bool {
    !trust.trusts(&facts(flow)) && strip_untrusted_identity(request.headers_mut())
}

/// A flow says nothing of certificates: names in a trust domain hold for nobody here.
fn facts(flow: &Flow) -> FlowFacts<'static> {
    FlowFacts::new(flow.remote.ip(), matches!(flow.transport, Transport::Tls | Transport::Wss))
}

fn tell(denial: &Denial) {
    match &denial.reason {
        DenialReason::Store(error) => tracing::warn!(%error, "a user can't be looked up"),
        reason => tracing::debug!(status = denial.status.code(), ?reason, "a request is refused"),
    }
}

impl From<Admission> for Check {
    fn from(admission: Admission) -> Check {
        match admission {
            Admission::Admitted(principal) => Check::Admitted(principal),
            Admission::Refused(response) => Check::Refused(response),
        }
    }
}

#[cfg(test)]
mod tests;
