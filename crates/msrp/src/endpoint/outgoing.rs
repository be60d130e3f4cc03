//! A message on its way out: how much of it was written, answered and reported.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};

use super::types::{Content, OutgoingMessage};
use crate::chunk::{FailureReport, Ranges};

/// Messages up to this length keep their order in a session; longer ones let others overtake them.
const LONGEST_LINE: u64 = 16_384;

pub(super) struct Outgoing {
    pub(super) number: u64,
    pub(super) content_type: Arc<str>,
    pub(super) success_report: bool,
    pub(super) failure_report: FailureReport,
    pub(super) source: Source,
    /// The offset of the next octet to be written.
    pub(super) next: u64,
    pub(super) total: Option<u64>,
    /// A part of it has gone out.
    pub(super) has_begun: bool,
    /// All of it has gone out.
    pub(super) is_written: bool,
    /// Chunks without their response, where silence is a failure.
    pub(super) unanswered: u32,
    pub(super) answered: Ranges,
    pub(super) reported: Ranges,
    pub(super) due: Option<Instant>,
    pub(super) is_bulk: bool,
    /// Among those whose turn will come; a streamed one whose octets are missing is not.
    pub(super) has_turn: bool,
}

pub(super) enum Source {
    Whole(Bytes),
    Streamed { parts: VecDeque<Bytes>, buffered: usize, is_wanted: bool, is_last: bool },
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Delivered,
}

impl Outgoing {
    pub(super) fn new(number: u64, message: OutgoingMessage) -> Outgoing {
        let mut reported = Ranges::default();
        let (source, next, total) = match message.content {
            Content::Whole(content) => {
                let total = content.len() as u64;
                (Source::Whole(content), 0, Some(total))
            }
            Content::Streamed { size, from } => {
                reported.add(0, from);
                let parts = VecDeque::new();
                (Source::Streamed { parts, buffered: 0, is_wanted: false, is_last: size == Some(from) }, from, size)
            }
        };
        let is_bulk = matches!(source, Source::Streamed { .. }) || total.is_none_or(|total| total > LONGEST_LINE);
        Outgoing {
            number,
            content_type: message.content_type,
            success_report: message.success_report,
            failure_report: message.failure_report,
            source,
            next,
            total,
            has_begun: false,
            is_written: false,
            unanswered: 0,
            answered: reported.clone(),
            reported,
            due: None,
            is_bulk,
            has_turn: false,
        }
    }

    /// What can be written next, as far as it lies together; `None` where octets are missing.
    pub(super) fn available(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Whole(content) => Some(content.get(self.next as usize..).unwrap_or_default()),
            Source::Streamed { parts, is_last, .. } => match parts.front() {
                Some(part) => Some(part),
                None if *is_last => Some(&[]),
                None => None,
            },
        }
    }

    /// So many of the available octets have been written.
    pub(super) fn advance(&mut self, count: usize) {
        self.next += count as u64;
        if let Source::Streamed { parts, buffered, .. } = &mut self.source
            && let Some(part) = parts.front_mut()
        {
            part.advance(count);
            *buffered -= count;
            if part.is_empty() {
                parts.pop_front();
            }
        }
    }

    /// Whether the last octet has been written.
    pub(super) fn is_exhausted(&self) -> bool {
        match &self.source {
            Source::Whole(content) => self.next >= content.len() as u64,
            Source::Streamed { parts, is_last, .. } => *is_last && parts.is_empty(),
        }
    }

    /// Whether its octets are those that its size promised. Only a streamed one can break its word.
    pub(super) fn keeps_its_word(&self) -> bool {
        match &self.source {
            Source::Whole(_) => true,
            Source::Streamed { buffered, is_last, .. } => {
                let supplied = self.next + *buffered as u64;
                self.total.is_none_or(|total| if *is_last { supplied == total } else { supplied <= total })
            }
        }
    }

    /// Whether the sender may consider it done, given what was asked for.
    pub(super) fn fate(&self) -> Fate {
        let is_delivered = self.is_written
            && match (self.success_report, self.failure_report) {
                (true, _) => self.total.is_some_and(|total| self.reported.covers(total)),
                (false, FailureReport::Yes) => self.unanswered == 0,
                (false, FailureReport::No) => true,
                // An error may still come; silence will tell.
                (false, FailureReport::Partial) => false,
            };
        if is_delivered { Fate::Delivered } else { Fate::Open }
    }

    /// What silence means for it.
    pub(super) fn silence_is_consent(&self) -> bool {
        !self.success_report && self.failure_report == FailureReport::Partial
    }

    /// How much its receiver is known to have.
    pub(super) fn acknowledged(&self) -> u64 {
        self.reported.len().max(self.answered.len())
    }
}
