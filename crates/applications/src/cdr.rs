//! Call detail records: who has spoken to whom, and for how long.
//!
//! A record is an attribute of the call's application session while the call lasts, so that it survives what the session
//! survives. When the call is over it goes to the [`CdrSink`] that the program has bound to the container, if there is
//! one.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use servlet::{Durable, Error, SipApplicationSession, SipServletRequest, StatusCode};

/// Takes finished records. Bound to the container as a resource: `Box<dyn CdrSink>`.
pub trait CdrSink {
    /// When a call is over. Called on the worker; what takes long belongs elsewhere.
    fn write(&self, record: &CallDetailRecord);
}

/// One call, or an attempt at one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDetailRecord {
    /// The Call-ID between the caller and us.
    pub call_id: String,
    /// The Call-ID between us and the callee; `None` when nobody was called.
    pub callee_call_id: Option<String>,
    /// The caller: the URI in From.
    pub from: String,
    /// Whom the caller wanted: the Request-URI.
    pub to: String,
    /// When the call came.
    pub started: Milliseconds,
    /// When it was answered, if it was.
    pub answered: Option<Milliseconds>,
    /// When it was over.
    pub ended: Option<Milliseconds>,
    /// How long it was talked.
    pub talked: Milliseconds,
    /// Who ended it.
    pub ended_by: Option<EndedBy>,
    /// The final status of the INVITE.
    pub status: u16,
    /// More about the end: the Reason header (RFC 3326) of the request that ended it, or our own words.
    pub reason: Option<String>,
}

/// Who has ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// He gave up, or hung up.
    Caller,
    /// He refused, or hung up; or somebody on the way to him refused.
    Callee,
    /// The server.
    Server,
}

/// A span of time; or a point in time, as the span since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milliseconds(pub u64);

impl Durable for CallDetailRecord {
    const VERSION: u16 = 1;
}

impl CallDetailRecord {
    /// The record of a call that comes now.
    pub fn of(invite: &SipServletRequest, now: SystemTime) -> CallDetailRecord {
        CallDetailRecord {
            call_id: invite.call_id(),
            callee_call_id: None,
            from: invite.from().uri().map(ToString::to_string).unwrap_or_default(),
            to: invite.request_uri().to_string(),
            started: now.into(),
            answered: None,
            ended: None,
            talked: Milliseconds(0),
            ended_by: None,
            status: 0,
            reason: None,
        }
    }

    /// Which side a message of this Call-ID comes from.
    pub fn side(&self, call_id: &str) -> EndedBy {
        if self.call_id == call_id { EndedBy::Caller } else { EndedBy::Callee }
    }

    fn end(&mut self, now: Milliseconds, ended_by: EndedBy, status: StatusCode, reason: Option<String>) {
        self.ended = Some(now);
        self.talked = Milliseconds(self.answered.map_or(0, |answered| now.0.saturating_sub(answered.0)));
        self.ended_by = Some(ended_by);
        // What ends an answered call does not unanswer it.
        self.status = if self.answered.is_some() { StatusCode::OK.code() } else { status.code() };
        self.reason = reason;
    }
}

const RECORD: &str = "cdr";

/// Keeps a record with its call.
pub fn keep(call: &SipApplicationSession, record: CallDetailRecord) -> Result<(), Error> {
    call.set_attribute(RECORD, record)
}

/// The record of a call that is not over.
pub fn record(call: &SipApplicationSession) -> Result<Option<CallDetailRecord>, Error> {
    Ok(call.attribute::<CallDetailRecord>(RECORD)?.map(|record| (*record).clone()))
}

/// Notes that the call is answered now.
pub fn answered(call: &SipApplicationSession) -> Result<(), Error> {
    let Some(mut record) = record(call)? else { return Ok(()) };
    record.answered = Some(call.servlet_context()?.time().into());
    keep(call, record)
}

/// Notes that the call ends now, hands the record to the sink and gives it; `None` when that was done before.
pub fn ended(
    call: &SipApplicationSession,
    ended_by: EndedBy,
    status: StatusCode,
    reason: Option<String>,
) -> Result<Option<CallDetailRecord>, Error> {
    let Some(mut record) = record(call)? else { return Ok(None) };
    let context = call.servlet_context()?;
    record.end(context.time().into(), ended_by, status, reason);
    call.remove_attribute(RECORD)?;
    if let Some(sink) = context.resource::<Box<dyn CdrSink>>() {
        sink.write(&record);
    }
    Ok(Some(record))
}

impl Milliseconds {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<SystemTime> for Milliseconds {
    /// Times before 1970 count as 1970.
    fn from(time: SystemTime) -> Milliseconds {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Milliseconds(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered_at(answered: Option<u64>) -> CallDetailRecord {
        CallDetailRecord {
            call_id: "a".into(),
            callee_call_id: Some("b".into()),
            from: "sip:alice@example.com".into(),
            to: "sip:bob@example.com".into(),
            started: Milliseconds(1_000),
            answered: answered.map(Milliseconds),
            ended: None,
            talked: Milliseconds(0),
            ended_by: None,
            status: 0,
            reason: None,
        }
    }

    #[test]
    fn talk_is_counted_from_the_answer() {
        let mut record = answered_at(Some(4_000));
        record.end(Milliseconds(10_500), EndedBy::Callee, StatusCode::REQUEST_TERMINATED, None);
        assert_eq!((record.talked, record.status), (Milliseconds(6_500), 200));
        assert_eq!(record.talked.duration(), Duration::from_millis(6_500));
    }

    #[test]
    fn a_call_that_was_not_answered_has_the_status_of_its_refusal() {
        let mut record = answered_at(None);
        record.end(Milliseconds(10_500), EndedBy::Callee, StatusCode::BUSY_HERE, Some("x".into()));
        assert_eq!((record.talked, record.status, record.reason.as_deref()), (Milliseconds(0), 486, Some("x")));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_endless_talk() {
        let mut record = answered_at(Some(4_000));
        record.end(Milliseconds(3_000), EndedBy::Caller, StatusCode::OK, None);
        assert_eq!(record.talked, Milliseconds(0));
    }

    #[test]
    fn a_record_that_was_written_down_reads_the_same() {
        use servlet::Attribute;
        let record = answered_at(Some(4_000));
        let written = record.write().unwrap();
        assert_eq!(CallDetailRecord::read(written.version, &written.octets), Some(record));
    }

    #[test]
    fn the_side_is_told_by_the_call_id() {
        let record = answered_at(None);
        assert_eq!((record.side("a"), record.side("b")), (EndedBy::Caller, EndedBy::Callee));
    }
}
