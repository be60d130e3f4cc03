//! Prepaid calls: a back-to-back user agent that ends a call when the caller's balance is used up.
//!
//! ```text
//!   INVITE ──► balance? ──none──► 402
//!                 │ reserved
//!                 ▼
//!          second leg ──refused, cancelled──► all of it back
//!                 │ 2xx: the talk begins, and the timer
//!                 ▼
//!              talking ──BYE of either side──► what was not talked comes back
//!                 └─────timer──► BYE to both
//! ```
//!
//! A call reserves the whole balance, so a second call of the same caller is refused while the first one lasts. What has
//! to survive the process (the record with the beginning of the talk, the reservation, the timer) is kept in the session.
//! Balances themselves are the process's: they begin as the settings say. The caller is whom the container has
//! authenticated, else whoever From names.
//!
//! Left to [`crate::two_legs`]: everything that is said in a call. Left to [`crate::cdr`]: the record.

mod accounts;
mod tariff;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use servlet::{
    CancelReason, Durable, Minutes, Result, ServletContext, ServletTimer, SipApplication, SipApplicationSession,
    SipApplicationSessionListener, SipErrorListener, SipServlet, SipServletListener, SipServletRequest,
    SipServletResponse, SipUri, StatusCode, TimerListener,
};

use crate::addressee::{begins_call, caller};
use crate::b2bua::EndsBoth;
use crate::cdr::{self, CallDetailRecord, EndedBy};
use crate::two_legs::{self, Change, UNCHANGED};

use accounts::{Accounts, Movement, Reservation};
pub use tariff::Tariff;

/// What can be chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The callers who pay in advance, and the seconds that they have.
    pub balances: BTreeMap<String, u64>,
    /// What a talk costs.
    pub tariff: Tariff,
    /// Where calls go first, if not where their Request-URI says.
    pub next_hop: Option<SipUri>,
}

/// The application.
pub fn application(settings: Settings) -> SipApplication {
    let prepaid = Prepaid(Arc::new(settings));
    SipApplication::new("prepaid")
        .servlet(prepaid.clone())
        .timer_listener(prepaid.clone())
        .error_listener(prepaid.clone())
        .application_session_listener(prepaid)
        .servlet_listener(Bookkeeper)
}

/// The calls of those who pay in advance.
pub fn wants(settings: &Settings, request: &SipServletRequest) -> bool {
    begins_call(request) && caller(request).is_some_and(|user| settings.balances.contains_key(&user))
}

#[derive(Clone)]
struct Prepaid(Arc<Settings>);

/// The attribute that holds the [`Reservation`].
const RESERVATION: &str = "prepaid.reservation";

/// What the timer is for.
#[derive(Serialize, Deserialize)]
struct BalanceUsedUp;

impl Durable for BalanceUsedUp {
    const VERSION: u16 = 1;
}

impl SipServlet for Prepaid {
    fn init(&self, context: &ServletContext) -> Result {
        context.local(Accounts::default).open(self.0.balances.clone());
        Ok(())
    }

    async fn do_request(&self, request: SipServletRequest) -> Result {
        if begins_call(&request) {
            return self.begin(&request);
        }
        let call = request.application_session()?;
        match two_legs::request(&request, UNCHANGED)? {
            Some(Change::Cancelled | Change::Ended) => {
                let side = cdr::record(&call)?.map_or(EndedBy::Server, |record| record.side(&request.call_id()));
                self.settle(&call, side, StatusCode::REQUEST_TERMINATED, request.header("Reason"))
            }
            _ => Ok(()),
        }
    }

    async fn do_response(&self, response: SipServletResponse) -> Result {
        let call = response.application_session()?;
        match two_legs::response(&response, UNCHANGED)? {
            Some(Change::Answered) => self.begin_to_count(&call),
            Some(Change::Refused(status)) => self.settle(&call, EndedBy::Callee, status, response.header("Reason")),
            _ => Ok(()),
        }
    }
}

impl TimerListener for Prepaid {
    async fn timeout(&self, timer: ServletTimer) -> Result {
        let call = timer.application_session();
        let words = "the balance is used up";
        let reason = CancelReason { text: Some(words.to_owned()), ..CancelReason::new("SIP", 402) };
        self.settle(call, EndedBy::Server, StatusCode::PAYMENT_REQUIRED, Some(words.to_owned()))?;
        two_legs::end(call, &[reason])
    }
}

impl SipErrorListener for Prepaid {
    async fn no_ack_received(&self, request: SipServletRequest, response: SipServletResponse) -> Result {
        let call = request.application_session()?;
        self.settle(&call, EndedBy::Server, StatusCode::REQUEST_TIMEOUT, Some("no ACK".to_owned()))?;
        EndsBoth.no_ack_received(request, response).await
    }

    async fn no_prack_received(&self, request: SipServletRequest, response: SipServletResponse) -> Result {
        let call = request.application_session()?;
        self.settle(&call, EndedBy::Server, StatusCode::SERVER_TIMEOUT, Some("no PRACK".to_owned()))?;
        EndsBoth.no_prack_received(request, response).await
    }
}

impl SipApplicationSessionListener for Prepaid {
    async fn session_expired(&self, call: SipApplicationSession) -> Result {
        EndsBoth.session_expired(call).await
    }

    /// Whatever has ended the call, it is accounted for.
    fn session_ready_to_invalidate(&self, call: &SipApplicationSession) {
        // There is nobody to tell of an error; the container has noted it where it happened.
        let _ = self.settle(call, EndedBy::Server, StatusCode::REQUEST_TIMEOUT, None);
    }
}

impl Prepaid {
    fn begin(&self, invite: &SipServletRequest) -> Result {
        let call = invite.application_session()?;
        let context = call.servlet_context()?;
        let mut record = CallDetailRecord::of(invite, context.time());
        cdr::keep(&call, record.clone())?;
        let reservation = context.local(Accounts::default).reserve(&caller(invite).unwrap_or_default());
        if self.0.tariff.longest(reservation.seconds).is_none() {
            invite.create_response(StatusCode::PAYMENT_REQUIRED)?.send()?;
            return self.settle(&call, EndedBy::Server, StatusCode::PAYMENT_REQUIRED, None);
        }
        Accounts::book_everywhere(&context, reservation.taken());
        call.set_attribute(RESERVATION, reservation)?;
        match two_legs::place(invite, self.0.next_hop.as_ref())? {
            Ok(second) => {
                record.callee_call_id = Some(second.call_id());
                Ok(cdr::keep(&call, record)?)
            }
            Err(status) => self.settle(&call, EndedBy::Server, status, None),
        }
    }

    fn begin_to_count(&self, call: &SipApplicationSession) -> Result {
        cdr::answered(call)?;
        let Some(reservation) = call.attribute::<Reservation>(RESERVATION)? else { return Ok(()) };
        if let Some(longest) = self.0.tariff.longest(reservation.seconds) {
            call.create_timer(longest, BalanceUsedUp)?;
        }
        // From now on the timer ends the call if nobody does, however long nothing is sent in it.
        call.set_expires(Minutes(0))?;
        Ok(())
    }

    /// Writes the record and gives back what was not talked; once for each call.
    fn settle(&self, call: &SipApplicationSession, by: EndedBy, status: StatusCode, reason: Option<String>) -> Result {
        for timer in call.timers()? {
            timer.cancel();
        }
        let Some(record) = cdr::ended(call, by, status, reason)? else { return Ok(()) };
        let Some(reservation) = call.attribute::<Reservation>(RESERVATION)? else { return Ok(()) };
        call.remove_attribute(RESERVATION)?;
        let used = record.answered.map_or(0, |_| self.0.tariff.charge(record.talked.duration()));
        // The timer is as late as timers are; that is not the caller's to pay.
        let used = used.min(reservation.seconds);
        Accounts::book_everywhere(&call.servlet_context()?, reservation.given_back(used));
        call.set_expires(AFTERMATH)?;
        Ok(())
    }
}

/// How long a call that is over may wait for the answers to its BYEs.
const AFTERMATH: Minutes = Minutes(3);

/// Hears of what other workers book.
struct Bookkeeper;

impl SipServletListener for Bookkeeper {
    fn published(&self, context: &ServletContext, message: &Arc<dyn Any + Send + Sync>) {
        if let Some(movement) = message.downcast_ref::<Movement>() {
            context.local(Accounts::default).book(movement);
        }
    }
}
