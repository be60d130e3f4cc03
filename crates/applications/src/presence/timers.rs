//! The timers of a presentity's application session: one for each thing that waits, found by what it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use servlet::{Durable, Error, IllegalState, NodeLocal, ServletTimer, SipApplicationSession};

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Wake {
    /// The publication with this number expires.
    Publication(u32),
    /// The subscription in the session with this id expires.
    Subscription(String),
    /// Watchers may be notified again.
    Notify,
}

impl Durable for Wake {
    const VERSION: u16 = 1;
}

/// The handles, so that none has to be looked for among the timers of a thousand watchers.
type Handles = NodeLocal<RefCell<BTreeMap<Wake, ServletTimer>>>;

const ATTRIBUTE: &str = "timers";

/// Starts a timer in the place of one that is for the same.
pub(super) fn start(session: &SipApplicationSession, wake: Wake, delay: Duration) -> Result<(), Error> {
    stop(session, &wake)?;
    let timer = session.create_timer(delay, wake.clone())?;
    handles(session)?.0.borrow_mut().insert(wake, timer);
    Ok(())
}

/// Stops a timer; nothing happens when there is none.
pub(super) fn stop(session: &SipApplicationSession, wake: &Wake) -> Result<(), Error> {
    let timer = handles(session)?.0.borrow_mut().remove(wake);
    if let Some(timer) = timer {
        timer.cancel();
    }
    Ok(())
}

/// Whether there is such a timer.
pub(super) fn is_running(session: &SipApplicationSession, wake: &Wake) -> Result<bool, Error> {
    Ok(handles(session)?.0.borrow().contains_key(wake))
}

/// What a timer that fires is for.
pub(super) fn fired(timer: &ServletTimer) -> Result<Option<Wake>, Error> {
    let Some(wake) = timer.info::<Wake>() else {
        return Ok(None);
    };
    handles(timer.application_session())?.0.borrow_mut().remove(&wake);
    Ok(Some((*wake).clone()))
}

fn handles(session: &SipApplicationSession) -> Result<Rc<Handles>, Error> {
    if let Some(handles) = session.attribute::<Handles>(ATTRIBUTE)? {
        return Ok(handles);
    }
    // The session is new, or it has come from elsewhere with its timers and without their handles.
    let known = session.timers()?.into_iter().filter_map(|timer| Some(((*timer.info::<Wake>()?).clone(), timer)));
    let handles: Handles = NodeLocal(RefCell::new(known.collect()));
    session.set_attribute(ATTRIBUTE, handles)?;
    session.attribute(ATTRIBUTE)?.ok_or(Error::IllegalState(IllegalState::InvalidApplicationSession))
}
