//! The timers of RFC 3261 §17 and its Table 4, with Timer L and Timer M of RFC 6026 §8.11.
//!
//! Nothing here runs: a machine orders a [`Timer`], its owner keeps it on a wheel and hands it back when it has fired.
//! Timer C (RFC 3261 §16.6 step 11) is not in the list. It belongs to a proxy's response context, which answers it with
//! a CANCEL; what ends the transaction then is [`Timer::Cancel`].

use std::fmt;
use std::time::Duration;

use sip_message::Transport;

/// A timer of one transaction. Of each [`TimerRole`] at most one is armed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// When an INVITE without any response is sent again. Starts at T1 and doubles until Timer B. Not on reliable
    /// transports. §17.1.1.2.
    A,
    /// When an INVITE without any response is given up: 64·T1. §17.1.1.2.
    B,
    /// When no more copies of a failure to an INVITE are expected: at least 32 s, or at once on reliable transports.
    /// §17.1.1.2.
    D,
    /// When a request other than INVITE is sent again. Starts at T1, doubles up to T2, and is T2 after a provisional
    /// response. Not on reliable transports. §17.1.2.2.
    E,
    /// When a request other than INVITE is given up: 64·T1. §17.1.2.2.
    F,
    /// When a failure to an INVITE is sent again for want of an ACK. Starts at T1 and doubles up to T2. Not on reliable
    /// transports. §17.2.1.
    G,
    /// When the wait for the ACK is given up: 64·T1. §17.2.1.
    H,
    /// When no more copies of the ACK are expected: T4, or at once on reliable transports. §17.2.1.
    I,
    /// When no more copies of a request other than INVITE are expected: 64·T1, or at once on reliable transports.
    /// §17.2.2.
    J,
    /// When no more copies of a response to a request other than INVITE are expected: T4, or at once on reliable
    /// transports. §17.1.2.2.
    K,
    /// When no more copies of an accepted INVITE are expected: 64·T1 on every transport. RFC 6026 §7.1.
    L,
    /// When no more 2xx responses to an INVITE are expected, neither copies nor those of other branches: 64·T1 on every
    /// transport. RFC 6026 §7.2.
    M,
    /// When a 100 (Trying) is due because the transaction user is silent: 200 ms after an INVITE (§17.2.1); after
    /// another request when its client's Timer E has reached T2 (RFC 4320 §4.1).
    Trying100,
    /// When a cancelled INVITE is given up because no final response follows: 64·T1 after the CANCEL. §9.1.
    Cancel,
    /// When a request other than INVITE that was not answered is forgotten, because its client has given up: 64·T1.
    /// RFC 4320 §4.2.
    Expiry,
}

impl Timer {
    /// What the timer is for. An owner needs one handle for each role and no list.
    pub fn role(self) -> TimerRole {
        match self {
            Timer::A | Timer::E | Timer::G | Timer::Trying100 => TimerRole::Sending,
            _ => TimerRole::Waiting,
        }
    }
}

/// The two uses of a timer. A machine has at most one timer of each armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerRole {
    /// When it fires, something is sent: A, E, G and the one for 100 (Trying).
    Sending,
    /// When it fires, the wait is over and the transaction ends: all others.
    Waiting,
}

/// T1, T2 and T4 (RFC 3261 §17, Table 4), and what follows from them. One value serves all transactions of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    t1: Duration,
    t2: Duration,
    t4: Duration,
}

/// Values that no transaction can run with; the caller's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimersError {
    /// T1 is zero, so that nothing would ever wait for an answer.
    T1IsZero,
    /// T2, the longest interval between retransmissions, is shorter than T1, the first.
    T2BelowT1,
}

impl fmt::Display for TimersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimersError::T1IsZero => "T1 must be longer than zero",
            TimersError::T2BelowT1 => "T2 must not be shorter than T1",
        })
    }
}

impl std::error::Error for TimersError {}

impl Default for Timers {
    /// T1 = 500 ms, T2 = 4 s, T4 = 5 s.
    fn default() -> Timers {
        Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// Other values than the default. RFC 3261 §17.1.1.2 allows a smaller T1 in closed networks only and recommends a
    /// larger one on slow links.
    pub fn new(t1: Duration, t2: Duration, t4: Duration) -> Result<Timers, TimersError> {
        if t1.is_zero() {
            return Err(TimersError::T1IsZero);
        }
        if t2 < t1 {
            return Err(TimersError::T2BelowT1);
        }
        Ok(Timers { t1, t2, t4 })
    }

    /// The estimate of the round-trip time.
    pub fn t1(&self) -> Duration {
        self.t1
    }

    /// The longest interval between retransmissions of a request other than INVITE and of a failure to an INVITE.
    pub fn t2(&self) -> Duration {
        self.t2
    }

    /// The longest time that a message stays in the network.
    pub fn t4(&self) -> Duration {
        self.t4
    }

    /// 64·T1: Timers B, F, H, L and M, and those of a cancelled INVITE and of an unanswered request.
    pub fn timeout(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer A when the INVITE has been sent `sent` times: T1, 2·T1, 4·T1 …
    pub fn a(&self, sent: u8) -> Duration {
        let doublings = u32::from(sent.saturating_sub(1)).min(31);
        self.t1.saturating_mul(1 << doublings)
    }

    /// Timer E, and Timer G, when the message has been sent `sent` times: as [`Timers::a`], but T2 at most.
    pub fn e(&self, sent: u8) -> Duration {
        self.a(sent).min(self.t2)
    }

    /// Timer D. It has to outlast the server's Timer H, whose T1 is not known here, hence the 32 s.
    pub fn d(&self, transport: Transport) -> Duration {
        unless_reliable(transport, self.timeout().max(Duration::from_secs(32)))
    }

    /// Timer J.
    pub fn j(&self, transport: Transport) -> Duration {
        unless_reliable(transport, self.timeout())
    }

    /// Timer K, and Timer I.
    pub fn k(&self, transport: Transport) -> Duration {
        unless_reliable(transport, self.t4)
    }

    /// When the 100 (Trying) to an INVITE is due. RFC 3261 §17.2.1.
    pub fn invite_trying(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// When the 100 (Trying) to another request is due, and before which it may not be sent over UDP: the time until a
    /// client's Timer E is reset to T2, which is 3.5 s by default. RFC 4320 §4.1.
    pub fn non_invite_trying(&self) -> Duration {
        let mut elapsed = Duration::ZERO;
        let mut interval = self.t1;
        while interval < self.t2 {
            elapsed = elapsed.saturating_add(interval);
            interval = interval.saturating_mul(2);
        }
        elapsed
    }
}

fn unless_reliable(transport: Transport, wait: Duration) -> Duration {
    if transport.is_reliable() { Duration::ZERO } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_defaults_are_those_of_table_4() {
        let timers = Timers::default();
        assert_eq!(timers.timeout(), seconds(32.0));
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7].map(|sent| timers.a(sent)),
            [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(seconds)
        );
        assert_eq!([1, 2, 3, 4, 5, 9].map(|sent| timers.e(sent)), [0.5, 1.0, 2.0, 4.0, 4.0, 4.0].map(seconds));
        assert_eq!(timers.d(Transport::Udp), seconds(32.0));
        assert_eq!(timers.k(Transport::Udp), seconds(5.0));
        assert_eq!(timers.j(Transport::Udp), seconds(32.0));
        for reliable in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
            assert_eq!([timers.d(reliable), timers.k(reliable), timers.j(reliable)], [Duration::ZERO; 3]);
        }
    }

    /// RFC 3261 §17.1.1.2: "an absolute minimum of 32s is used instead of basing Timer D on T1".
    #[test]
    fn timer_d_is_never_below_32_seconds() {
        let timers = Timers::new(seconds(0.01), seconds(0.1), seconds(0.1)).unwrap();
        assert_eq!(timers.d(Transport::Udp), seconds(32.0));
        let timers = Timers::new(seconds(2.0), seconds(4.0), seconds(5.0)).unwrap();
        assert_eq!(timers.d(Transport::Udp), seconds(128.0));
    }

    #[test]
    fn timer_e_reaches_t2_after_three_and_a_half_seconds() {
        assert_eq!(Timers::default().non_invite_trying(), seconds(3.5));
        let flat = Timers::new(seconds(1.0), seconds(1.0), seconds(1.0)).unwrap();
        assert_eq!(flat.non_invite_trying(), Duration::ZERO);
    }

    #[test]
    fn values_that_no_transaction_can_run_with_are_refused() {
        let second = seconds(1.0);
        assert_eq!(Timers::new(Duration::ZERO, second, second), Err(TimersError::T1IsZero));
        assert_eq!(Timers::new(second, seconds(0.5), second), Err(TimersError::T2BelowT1));
        let longest = Timers::new(Duration::MAX, Duration::MAX, Duration::MAX).unwrap();
        assert_eq!(longest.a(255), Duration::MAX);
        assert_eq!(longest.timeout(), Duration::MAX);
        assert_eq!(longest.non_invite_trying(), Duration::ZERO);
    }
}
