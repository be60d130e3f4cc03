//! The events of an application session, one at a time.
//!
//! ```text
//!   submit ──► mailbox ──► begin ──► Work { future, then } ──poll──► Ready ──► after ──► settle ──► the next
//!                                                            └────► Pending: the session waits, others go on
//! ```
//!
//! An event changes the state when its turn comes and not before, so that a handler never sees a session change under
//! its hands. The container polls the futures itself; a wake-up is one more input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use servlet::spi::{AppId, AppSessionKey, BranchKey, ProxyKey, SessionKey, Task, TimerKey, TransactionKey};
use sip_message::{Flow, Request, Response, StatusCode};

use crate::core::Core;
use crate::wakes::Wakes;

/// What happens in an application session.
pub(crate) enum Job {
    /// A request, in its transaction.
    Request(TransactionKey),
    /// The ACK of a 2xx.
    Ack(SessionKey, Box<Ack>),
    /// The peer takes an INVITE back.
    Cancel { transaction: TransactionKey, cancel: Box<Request> },
    /// A response to a request that was sent.
    Response(TransactionKey, Box<Arrived>),
    /// There will be no response; this is what the request is to be treated as.
    Failed { transaction: TransactionKey, status: StatusCode },
    /// A server transaction is over.
    ServerEnded { transaction: TransactionKey, unanswered: bool },
    /// All that belongs to a request that was sent is over.
    ClientEnded(TransactionKey),
    /// A timer of the application's fires.
    Timer(TimerKey),
    /// The session's age is reached.
    Expiry,
    /// Something of a user agent's dialog is due.
    Dialog(SessionKey),
    /// A proxy operation's time is over.
    ProxyTimeout(ProxyKey),
    /// A branch's time is over.
    BranchTimeout(BranchKey),
    /// Something that the application did may have brought a proxy operation to its end.
    ProxyAdvance(ProxyKey),
    /// Something has ended; the session may be ready.
    Settle,
    /// Another handler that the one before has led to.
    Handler(Work),
    /// The application's own.
    Run(AppId, Task),
}

/// An ACK that has come.
pub(crate) struct Ack {
    pub(crate) request: Request,
    pub(crate) flow: Option<Flow>,
    pub(crate) popped: Popped,
}

/// A response that has come; without a flow from another application.
pub(crate) struct Arrived {
    pub(crate) response: Response,
    pub(crate) flow: Option<Flow>,
}

/// The routes that named us and were taken from a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Popped {
    /// The last one that was taken: its parameters are the application's.
    pub(crate) route: Option<servlet::Address>,
    /// The session that it names.
    pub(crate) session: Option<SessionKey>,
    /// The partition of the session that it names, whether that is known here or not.
    pub(crate) partition: Option<u8>,
    /// It was one that we have written, and nobody else could.
    pub(crate) trusted: bool,
    /// The way that the request has to take from here.
    pub(crate) flow: Option<Flow>,
}

/// Application code that an event has led to, and what the container does after it.
pub(crate) struct Work {
    pub(crate) app: AppId,
    pub(crate) future: Task,
    pub(crate) then: Then,
}

/// What the container does when a handler has come to its end.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// A request was handled: when it failed, 500.
    Requested(TransactionKey),
    /// A request of a dialog in which the application is a proxy goes on.
    Proxied(TransactionKey),
    /// The same for an ACK.
    AckProxied(SessionKey, Box<(Request, Popped)>),
    /// A proxy's response was shown to the application.
    Proxy(crate::proxy::Then),
    /// A timer has fired.
    TimerFired(TimerKey),
    /// The listeners have heard of the expiry.
    Expired,
    /// The application was told that no PRACK came, and should have rejected the INVITE.
    NoPrack(TransactionKey),
}

/// A handler that waits for something.
pub(crate) struct Running {
    work: Work,
}

impl Running {
    /// The handler without its session: it goes on by itself.
    pub(crate) fn into_task(self) -> (AppId, Task) {
        (self.work.app, self.work.future)
    }
}

impl Core {
    /// Puts an event behind those that wait.
    pub(crate) fn submit(&self, key: AppSessionKey, job: Job) {
        let mut state = self.state_mut();
        let Some(session) = state.app_sessions.get_mut(key) else {
            drop(state);
            return self.orphaned(job);
        };
        session.mailbox.push_back(job);
        if !session.queued {
            session.queued = true;
            state.runnable.push_back(key);
        }
    }

    /// Puts an event in front of those that wait: it is the rest of one that had its turn.
    pub(crate) fn submit_first(&self, key: AppSessionKey, job: Job) {
        let mut state = self.state_mut();
        let Some(session) = state.app_sessions.get_mut(key) else {
            drop(state);
            return self.orphaned(job);
        };
        session.mailbox.push_front(job);
        if !session.queued {
            session.queued = true;
            state.runnable.push_back(key);
        }
    }

    /// Lets every application session that has something to do, do it. Whether there was anything.
    pub(crate) fn run_jobs(&self, wakes: &mut Wakes) -> bool {
        let mut any = false;
        loop {
            let Some(key) = self.state_mut().runnable.pop_front() else { return any };
            any = true;
            if let Some(session) = self.state_mut().app_sessions.get_mut(key) {
                session.queued = false;
            }
            self.run_session(key, wakes);
        }
    }

    /// A handler's wake-up: it is polled again.
    pub(crate) fn resume(&self, key: AppSessionKey, wakes: &mut Wakes) {
        let running = self.state_mut().app_sessions.get_mut(key).and_then(|session| session.running.take());
        let Some(running) = running else { return };
        if self.poll(key, running.work, wakes) {
            self.run_session(key, wakes);
        }
    }

    fn run_session(&self, key: AppSessionKey, wakes: &mut Wakes) {
        loop {
            let mut state = self.state_mut();
            let Some(session) = state.app_sessions.get_mut(key) else { return };
            if session.running.is_some() {
                return;
            }
            let Some(job) = session.mailbox.pop_front() else {
                if session.mailbox.capacity() > 16 {
                    session.mailbox.shrink_to_fit();
                }
                // Another session's handler may have done something to this one.
                let unsettled = session.unsettled;
                drop(state);
                if unsettled {
                    self.settle(key);
                }
                return;
            };
            drop(state);
            match self.begin(key, job) {
                Some(work) => {
                    if !self.poll(key, work, wakes) {
                        return;
                    }
                }
                None => self.settle(key),
            }
            if self.draining.get() {
                self.state_mut().count_calls(key);
            }
        }
    }

    /// Polls a handler, and does what comes after it. Whether it has come to its end.
    fn poll(&self, key: AppSessionKey, mut work: Work, wakes: &mut Wakes) -> bool {
        let call_id = self.state().call_id_of(key);
        if let Some(call_id) = call_id {
            (self.settings.handles_call)(&call_id);
        }
        let waker = wakes.waker(wakes_key(key));
        let mut context = Context::from_waker(&waker);
        match poll_contained(work.future.as_mut(), &mut context) {
            Ok(Poll::Pending) => {
                let mut state = self.state_mut();
                match state.app_sessions.get_mut(key) {
                    Some(session) => session.running = Some(Box::new(Running { work })),
                    // It has invalidated its own session, and goes on without it.
                    None => {
                        drop(state);
                        let Work { app, future, then } = work;
                        self.spawned.borrow_mut().push((app, future));
                        drop(self.after(key, then, false));
                    }
                }
                false
            }
            Ok(Poll::Ready(result)) => {
                let failed = result.is_err();
                if let Err(error) = result {
                    self.app(work.app).counters.failed_handlers.add(1);
                    tracing::warn!(application = %self.app(work.app).name, %error, "a handler has failed");
                }
                self.finish(key, work, failed);
                true
            }
            Err(panic) => {
                self.app(work.app).counters.failed_handlers.add(1);
                tracing::error!(application = %self.app(work.app).name, %panic, "a handler has panicked");
                self.finish(key, work, true);
                true
            }
        }
    }

    fn finish(&self, key: AppSessionKey, work: Work, failed: bool) {
        // What the handler has held is let go before anything else is done.
        let Work { future, then, .. } = work;
        drop(future);
        let mut next = self.after(key, then, failed);
        while let Some(more) = next.take() {
            if self.state().app_sessions.get(key).is_some() {
                self.submit_first(key, Job::Handler(more));
            } else {
                // Nobody is left to be told; what comes after it is for others.
                next = self.after(key, more.then, false);
            }
        }
        self.settle(key);
    }
}

/// What wakes name a session by.
pub(crate) fn wakes_key(key: AppSessionKey) -> u64 {
    u64::from(key.slot) << 32 | u64::from(key.generation)
}

/// The session that a wake-up names.
pub(crate) fn session_of_wake(key: u64) -> AppSessionKey {
    AppSessionKey { slot: (key >> 32) as u32, generation: key as u32 }
}

/// Polls application code; a panic in it ends there.
pub(crate) fn poll_contained<F: Future + ?Sized>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Result<Poll<F::Output>, String> {
    catch_unwind(AssertUnwindSafe(|| future.poll(context))).map_err(|panic| panic_text(&*panic))
}

/// Calls application code that does not wait; a panic in it ends there.
pub(crate) fn contained<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panic_text(&*panic))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a value that is no text".to_owned())
}
