//! The messages that wait for one recipient: which, in which order, and when the next is tried. RFC 3428 §7 for expiry,
//! §8 for one at a time.
//!
//! ```text
//!              next                 Delivered, Refused: it leaves the queue, the next follows
//!   waiting ──────────► underway ──────┤
//!      ▲                               │ Away, Failed, or no answer
//!      └── 30 s, 1 min, 2 min … 1 h ───┘        a registration: at once
//! ```
//!
//! Nothing is sent here and nothing is kept: the store has the messages, the queue their names.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use servlet::{Durable, StatusCode};

use super::store::MessageId;

/// The messages of one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    waiting: VecDeque<Entry>,
    underway: Option<Underway>,
    /// Deliveries in a row that have met nobody.
    misses: u32,
    /// Nothing is tried before.
    not_before: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: MessageId,
    original: String,
    sender: String,
    expires_at: Moment,
    /// How often it has failed for another reason than that nobody was there.
    failures: u8,
}

/// The first message of the queue, while somebody is asked to take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Underway {
    call_id: String,
    since: Moment,
}

impl Durable for Queue {
    const VERSION: u16 = 1;
}

/// A point in time, in milliseconds since 1970: a queue outlives processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub u64);

/// A message that comes to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The name that it has in the store.
    pub id: MessageId,
    /// What tells the request from every other: a message that is sent twice waits once.
    pub original: String,
    /// Who has sent it.
    pub sender: String,
    /// From then on it is of no use.
    pub expires_at: Moment,
}

/// How much may wait for one recipient, and how often he is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Messages of one sender, so that nobody uses up the room of all others.
    pub messages_of_one_sender: usize,
    /// After the first miss; every further one doubles it.
    pub first_retry: Duration,
    /// What it doubles to.
    pub longest_retry: Duration,
}

/// Why a message can't wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// As many wait as may.
    Full,
    /// It waits already.
    Known,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody has it, or another store does.
    Delivered,
    /// Nobody wants this message, now or later.
    Refused,
    /// Nobody was there.
    Away,
    /// It did not work, and may later.
    Failed,
}

/// How long a delivery may be without an answer: as long as a proxy operation, and a while.
const PATIENCE: Duration = Duration::from_secs(240);

/// A message that fails so often for its own reasons must not keep the others from their recipient.
const MAX_FAILURES: u8 = 5;

impl Queue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait, the one that is underway among them.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this may be put behind the others.
    pub fn check(&self, limits: &Limits, original: &str, sender: &str) -> Result<(), NotQueued> {
        if self.waiting.iter().any(|entry| entry.original == original) {
            return Err(NotQueued::Known);
        }
        let of_sender = self.waiting.iter().filter(|entry| entry.sender == sender).count();
        if self.waiting.len() >= limits.messages || of_sender >= limits.messages_of_one_sender {
            return Err(NotQueued::Full);
        }
        Ok(())
    }

    /// Puts a message behind the others.
    pub fn add(&mut self, limits: &Limits, now: Moment, message: Arrival) -> Result<(), NotQueued> {
        self.check(limits, &message.original, &message.sender)?;
        if self.waiting.is_empty() {
            // It has just failed; were the recipient to come this very moment, nobody would tell of it any more.
            self.misses = 0;
            self.not_before = now + limits.first_retry;
        }
        let Arrival { id, original, sender, expires_at } = message;
        self.waiting.push_back(Entry { id, original, sender, expires_at, failures: 0 });
        Ok(())
    }

    /// Whether a message with this Call-ID is one of ours on its way.
    pub fn is_underway(&self, call_id: &str) -> bool {
        self.underway.as_ref().is_some_and(|underway| underway.call_id == call_id)
    }

    /// The message that is to be delivered now.
    pub fn next(&self, now: Moment) -> Option<MessageId> {
        if self.underway.is_some() || now < self.not_before {
            return None;
        }
        self.waiting.front().map(|entry| entry.id)
    }

    /// The first message goes to its recipient.
    pub fn begun(&mut self, now: Moment, call_id: &str) {
        self.underway = Some(Underway { call_id: call_id.to_owned(), since: now });
    }

    /// The first message has found nobody, and was not even sent.
    pub fn missed(&mut self, limits: &Limits, now: Moment) {
        self.underway = None;
        self.wait(limits, now, None);
    }

    /// What became of a delivery; the message that the store may forget. `retry_after` is the peer's wish.
    pub fn answered(
        &mut self,
        limits: &Limits,
        now: Moment,
        call_id: &str,
        outcome: Outcome,
        retry_after: Option<Duration>,
    ) -> Option<MessageId> {
        if !self.is_underway(call_id) {
            return None;
        }
        self.underway = None;
        match outcome {
            Outcome::Delivered | Outcome::Refused => {
                self.misses = 0;
                self.not_before = now;
                self.drop_first()
            }
            Outcome::Away => {
                self.wait(limits, now, retry_after);
                None
            }
            Outcome::Failed => {
                self.wait(limits, now, retry_after);
                let first = self.waiting.front_mut()?;
                first.failures = first.failures.saturating_add(1);
                if first.failures >= MAX_FAILURES { self.drop_first() } else { None }
            }
        }
    }

    /// The first message is not in the store any more, or can't be sent at all.
    pub fn drop_first(&mut self) -> Option<MessageId> {
        self.waiting.pop_front().map(|entry| entry.id)
    }

    /// The recipient is there, from now or soon on.
    pub fn registered(&mut self, from: Moment) {
        self.misses = 0;
        self.not_before = from;
    }

    /// Lets go what has expired, and gives up an answer that does not come; the messages that the store may forget. What
    /// is underway is left alone.
    pub fn time_passed(&mut self, limits: &Limits, now: Moment) -> Vec<MessageId> {
        if self.underway.as_ref().is_some_and(|underway| underway.since + PATIENCE <= now) {
            self.missed(limits, now);
        }
        let mut is_first_safe = self.underway.is_some();
        let mut expired = Vec::new();
        self.waiting.retain(|entry| {
            let stays = std::mem::take(&mut is_first_safe) || entry.expires_at > now;
            if !stays {
                expired.push(entry.id);
            }
            stays
        });
        expired
    }

    /// How long until something is to be done.
    pub fn wake_after(&self, now: Moment) -> Option<Duration> {
        let expiry = self.waiting.iter().map(|entry| entry.expires_at).min()?;
        let moment = match &self.underway {
            Some(underway) => underway.since + PATIENCE,
            None => self.not_before.min(expiry),
        };
        Some(Duration::from_millis(moment.0.saturating_sub(now.0)))
    }

    fn wait(&mut self, limits: &Limits, now: Moment, retry_after: Option<Duration>) {
        let doubled = limits.first_retry.saturating_mul(1 << self.misses.min(20));
        let pause = doubled.max(retry_after.unwrap_or_default()).min(limits.longest_retry);
        self.misses = self.misses.saturating_add(1);
        self.not_before = now + pause;
    }
}

impl Outcome {
    /// What a final response to a delivery means. RFC 3428 §7: a 6xx is "delivered successfully, but refused".
    pub fn of(status: StatusCode) -> Outcome {
        match status.code() {
            200..=299 => Outcome::Delivered,
            404 | 408 | 430 | 480 | 503 => Outcome::Away,
            // Challenges that only the sender could answer may be over tomorrow, as may what is busy.
            300..=399 | 401 | 407 | 486 | 487 | 491 | 500 | 502 | 504 | 580 => Outcome::Failed,
            _ => Outcome::Refused,
        }
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits {
        messages: 4,
        messages_of_one_sender: 3,
        first_retry: Duration::from_secs(30),
        longest_retry: Duration::from_secs(100),
    };
    const START: Moment = Moment(1_000_000);

    fn arrival(id: u64) -> Arrival {
        let expires_at = START + 1000 * SECOND;
        Arrival { id: MessageId(id), original: format!("call {id}"), sender: "alice".to_owned(), expires_at }
    }

    fn queue(ids: &[u64]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            queue.add(&LIMITS, START, arrival(*id)).unwrap();
        }
        queue
    }

    fn answered(queue: &mut Queue, now: Moment, outcome: Outcome) -> Option<MessageId> {
        queue.begun(now, "ours");
        queue.answered(&LIMITS, now, "ours", outcome, None)
    }

    #[test]
    fn messages_are_delivered_in_their_order_and_one_at_a_time() {
        let mut queue = queue(&[1, 2]);
        assert_eq!(queue.next(START), None, "they have just failed");
        queue.registered(START + SECOND);
        assert_eq!((queue.next(START), queue.next(START + SECOND)), (None, Some(MessageId(1))));
        queue.begun(START + SECOND, "ours");
        assert!(queue.is_underway("ours") && !queue.is_underway("theirs"));
        assert_eq!(queue.next(START + SECOND), None);
        let now = START + 2 * SECOND;
        assert_eq!(queue.answered(&LIMITS, now, "ours", Outcome::Delivered, None), Some(MessageId(1)));
        assert_eq!(queue.next(now), Some(MessageId(2)));
        assert_eq!(answered(&mut queue, now, Outcome::Delivered), Some(MessageId(2)));
        assert!(queue.is_empty() && queue.wake_after(now).is_none());
    }

    #[test]
    fn an_answer_to_another_request_is_none() {
        let mut queue = queue(&[1]);
        queue.begun(START, "ours");
        let before = queue.clone();
        assert_eq!(queue.answered(&LIMITS, START, "theirs", Outcome::Delivered, None), None);
        assert_eq!(queue, before);
    }

    #[test]
    fn somebody_who_is_away_is_tried_less_and_less_often_until_he_registers() {
        let mut queue = queue(&[1]);
        let mut now = START;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            assert_eq!(answered(&mut queue, now, Outcome::Away), None);
            let pause = queue.wake_after(now).unwrap();
            pauses.push(pause.as_secs());
            now = now + pause;
            assert_eq!(queue.next(now), Some(MessageId(1)));
        }
        assert_eq!(pauses, [30, 60, 100, 100]);
        queue.registered(now);
        assert_eq!(answered(&mut queue, now, Outcome::Away), None);
        assert_eq!(queue.wake_after(now), Some(30 * SECOND));
    }

    #[test]
    fn a_wish_of_the_peer_makes_the_pause_longer_within_bounds() {
        for (wish, pause) in [(10, 30), (50, 50), (1_000_000, 100)] {
            let mut queue = queue(&[1]);
            queue.begun(START, "ours");
            queue.answered(&LIMITS, START, "ours", Outcome::Away, Some(wish * SECOND));
            assert_eq!(queue.wake_after(START), Some(pause * SECOND));
        }
    }

    #[test]
    fn a_message_that_nobody_can_take_does_not_block_the_others() {
        let mut queue = queue(&[1, 2]);
        for _ in 1..MAX_FAILURES {
            assert_eq!(answered(&mut queue, START, Outcome::Failed), None);
        }
        assert_eq!(answered(&mut queue, START, Outcome::Failed), Some(MessageId(1)));
        assert_eq!(answered(&mut queue, START, Outcome::Refused), Some(MessageId(2)));
    }

    #[test]
    fn being_away_is_no_failure_of_a_message() {
        let mut queue = queue(&[1]);
        for _ in 0..=2 * MAX_FAILURES {
            assert_eq!(answered(&mut queue, START, Outcome::Away), None);
        }
        assert_eq!(queue.len(), 1);
    }

    /// RFC 3428 §7.
    #[test]
    fn what_has_expired_is_not_delivered_any_more() {
        let mut queue = queue(&[1]);
        let soon = Arrival { expires_at: START + 5 * SECOND, ..arrival(2) };
        queue.add(&LIMITS, START, soon).unwrap();
        assert_eq!(queue.wake_after(START), Some(5 * SECOND));
        assert_eq!(queue.time_passed(&LIMITS, START + 4 * SECOND), []);
        assert_eq!(queue.time_passed(&LIMITS, START + 5 * SECOND), [MessageId(2)]);
        queue.begun(START, "ours");
        assert_eq!(queue.time_passed(&LIMITS, START + 200 * SECOND), []);
        assert_eq!(queue.len(), 1, "what is underway has an answer to come");
    }

    /// The process that has sent it may not be the one that waits.
    #[test]
    fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
        let mut queue = queue(&[1]);
        queue.begun(START, "ours");
        assert_eq!(queue.wake_after(START), Some(PATIENCE));
        let now = START + PATIENCE;
        assert_eq!(queue.time_passed(&LIMITS, now), []);
        assert!(!queue.is_underway("ours"));
        assert_eq!(queue.next(now + LIMITS.first_retry), Some(MessageId(1)));
    }

    #[test]
    fn a_message_waits_once_and_nobody_fills_the_queue_alone() {
        let mut queue = queue(&[1, 2, 3]);
        let again = Arrival { id: MessageId(9), ..arrival(1) };
        assert_eq!(queue.add(&LIMITS, START, again), Err(NotQueued::Known));
        assert_eq!(queue.add(&LIMITS, START, arrival(4)), Err(NotQueued::Full));
        let of_bob = |id| Arrival { sender: "bob".to_owned(), ..arrival(id) };
        assert_eq!(queue.add(&LIMITS, START, of_bob(4)), Ok(()));
        assert_eq!(queue.add(&LIMITS, START, of_bob(5)), Err(NotQueued::Full));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn what_is_written_down_reads_as_itself() {
        let mut queue = queue(&[1, 2]);
        queue.begun(START, "ours");
        let replica = servlet::Attribute::write(&queue).unwrap();
        assert_eq!(Queue::read(replica.version, &replica.octets), Some(queue));
    }

    #[test]
    fn a_response_says_whether_to_try_again() {
        let outcome = |code| Outcome::of(StatusCode::new(code).unwrap());
        for (codes, expected) in [
            (&[200, 202][..], Outcome::Delivered),
            (&[404, 408, 480, 503], Outcome::Away),
            (&[302, 407, 486, 500], Outcome::Failed),
            (&[400, 403, 413, 415, 488, 600, 603], Outcome::Refused),
        ] {
            for code in codes {
                assert_eq!(outcome(*code), expected, "{code}");
            }
        }
    }
}
