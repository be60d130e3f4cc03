//! What our timers at the endpoint are for, written into their tokens.

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerToken {
    /// A binding of the address-of-record in this slot expires.
    Expiry(u32),
    /// A branch of this response context may have waited long enough (RFC 3261 §16.8).
    TimerC(u64),
    /// A call has been up for so long that it is no longer waited for.
    Call(u64),
}

const KIND: u64 = 0xff << 56;
const EXPIRY: u64 = 1 << 56;
const TIMER_C: u64 = 2 << 56;
const CALL: u64 = 3 << 56;

impl TimerToken {
    pub(crate) fn write(self) -> u64 {
        match self {
            TimerToken::Expiry(slot) => EXPIRY | u64::from(slot),
            TimerToken::TimerC(context) => TIMER_C | context & !KIND,
            TimerToken::Call(call) => CALL | TimerToken::trim(call),
        }
    }

    /// The bits of a number that fit into a token.
    pub(crate) fn trim(number: u64) -> u64 {
        number & !KIND
    }

    pub(crate) fn read(token: u64) -> Option<TimerToken> {
        match token & KIND {
            EXPIRY => Some(TimerToken::Expiry(token as u32)),
            TIMER_C => Some(TimerToken::TimerC(token & !KIND)),
            CALL => Some(TimerToken::Call(TimerToken::trim(token))),
            _ => None,
        }
    }
}
