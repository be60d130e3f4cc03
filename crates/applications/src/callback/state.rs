//! What a call back has to remember.

use serde::{Deserialize, Serialize};
use servlet::{Address, Durable, Result, SipApplicationSession, SipSession};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    CallingCaller,
    CallingWanted,
    Connecting,
    Talking,
    Over,
}

impl Durable for Stage {
    const VERSION: u16 = 1;
}

/// The two who are connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) caller: Address,
    pub(super) wanted: Address,
}

impl Durable for Pair {
    const VERSION: u16 = 1;
}

/// Which of the two a SIP session is with; an attribute of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leg {
    Caller,
    Wanted,
}

impl Durable for Leg {
    const VERSION: u16 = 1;
}

pub(super) const LEG: &str = "callback.leg";

/// Attributes of the application session.
const STAGE: &str = "callback.stage";
pub(super) const PAIR: &str = "callback.pair";
pub(super) const DESCRIPTIONS: &str = "callback.descriptions";

/// The id of the caller's SIP session: of the one that answered, if the call to him was forked.
pub(super) const CALLER: &str = "callback.caller";

pub(super) fn stage(call: &SipApplicationSession) -> Result<Option<Stage>> {
    Ok(call.attribute::<Stage>(STAGE)?.map(|stage| *stage))
}

pub(super) fn set_stage(call: &SipApplicationSession, stage: Stage) -> Result {
    Ok(call.set_attribute(STAGE, stage)?)
}

pub(super) fn caller(call: &SipApplicationSession) -> Result<Option<SipSession>> {
    let Some(id) = call.attribute::<String>(CALLER)? else { return Ok(None) };
    Ok(call.sip_session(&id)?)
}

pub(super) fn leg_of(session: &SipSession) -> Result<Option<Leg>> {
    Ok(session.attribute::<Leg>(LEG)?.map(|leg| *leg))
}
