//! What holds of the notifications of every session, whatever happens in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::session::State;
use client::{Data, Party, Streams};

/// The first rule that the notifications of a session that is over have broken.
pub fn broken(told: &[&Data]) -> Option<String> {
    let mut watch = Watch::default();
    for (at, data) in told.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| told.get(before)).copied();
        if let Err(rule) = watch.see(before, data) {
            return Some(format!("{rule}: {}", data.name()));
        }
    }
    watch.end().err().map(|rule| format!("{rule}, at the end"))
}

#[derive(Default)]
struct Watch {
    state: State,
    over: bool,
    failed: bool,
    will_end: bool,
    will_start: bool,
    did_start: bool,
    held: [bool; 2],
    streams: Streams,
    proposal: Option<Party>,
    recording: Recording,
    transfer: bool,
    may_chat: bool,
    /// How many files it is for whose end was not told.
    files: i8,
    messages: BTreeSet<Arc<str>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Recording {
    #[default]
    None,
    Starting,
    Running,
    Stopping,
}

type Rule = Result<(), &'static str>;

impl Watch {
    fn see(&mut self, before: Option<&Data>, data: &Data) -> Rule {
        rule(!self.over, "nothing comes after DidEnd")?;
        rule(before.is_some() || matches!(data, Data::SessionChangedState { .. }), "the state changes first")?;
        match data {
            Data::SessionChangedState { prev_state, state } => self.state_changes(*prev_state, *state),
            Data::SessionNewIncoming { streams } | Data::SessionNewOutgoing { streams }
                if streams.chat || streams.file =>
            {
                self.may_chat = true;
                self.files = i8::from(streams.file);
                rule(matches!(before, Some(Data::SessionChangedState { .. })), "the state changes first")
            }
            Data::SessionNewIncoming { .. } => rule(came_with(before, State::Incoming), "the state changes first"),
            Data::SessionNewOutgoing { .. } => rule(came_with(before, State::Calling), "the state changes first"),
            Data::SessionGotRingIndication | Data::SessionGotProvisionalResponse { .. } => {
                rule(self.state == State::Calling, "only who calls is told of 1xx")
            }
            Data::SessionWillStart => {
                rule(!self.will_start && !self.did_start, "WillStart comes once")?;
                self.will_start = true;
                rule(matches!(self.state, State::Calling | State::Accepting), "WillStart comes before ESTABLISHED")
            }
            Data::SessionDidStart => {
                rule(self.will_start && !self.did_start, "DidStart comes once, after WillStart")?;
                self.did_start = true;
                rule(came_with(before, State::Established), "DidStart comes with ESTABLISHED")?;
                // What goes over MSRP is bound later.
                rule(!self.streams.is_empty() || self.may_chat, "a session starts with a stream")
            }
            Data::SessionDidFail { .. } => {
                self.failed = true;
                rule(came_with(before, State::Terminated), "DidFail comes with TERMINATED")?;
                rule(!self.will_end, "what we end does not fail")
            }
            Data::SessionWillEnd => {
                self.will_end = true;
                rule(came_with(before, State::Terminating), "WillEnd comes with TERMINATING")
            }
            Data::SessionDidEnd { originator, .. } => {
                self.over = true;
                let follows =
                    came_with(before, State::Terminated) || matches!(before, Some(Data::SessionDidFail { .. }));
                rule(follows, "DidEnd comes with TERMINATED or DidFail")?;
                rule(!self.will_end || *originator == Party::Local, "what we end we have ended")
            }
            Data::SessionGotHoldRequest { originator } => self.hold(*originator, true),
            Data::SessionGotUnholdRequest { originator } => self.hold(*originator, false),
            Data::SessionGotStreamUpdate { streams } => {
                let changed = std::mem::replace(&mut self.streams, *streams) != *streams;
                rule(changed, "GotStreamUpdate tells a change")
            }
            Data::SessionGotStreamProposal { proposer, .. } => {
                rule(self.proposal.is_none(), "one proposal at a time")?;
                self.proposal = Some(*proposer);
                let state = if *proposer == Party::Local { State::Proposing } else { State::Proposed };
                rule(came_with(before, state), "a proposal comes with its state")
            }
            Data::SessionAcceptedStreamProposal { proposer } | Data::SessionRejectedStreamProposal { proposer, .. } => {
                rule(self.proposal.take() == Some(*proposer), "an answer is that of a proposal")?;
                rule(came_with(before, State::Established), "an answer comes with ESTABLISHED")
            }
            Data::SessionWillStartRecordingAudio { .. } => self.recording(&[Recording::None], Recording::Starting),
            Data::SessionDidStartRecordingAudio { .. } => self.recording(&[Recording::Starting], Recording::Running),
            Data::SessionWillStopRecordingAudio { .. } => {
                self.recording(&[Recording::Starting, Recording::Running], Recording::Stopping)
            }
            Data::SessionDidStopRecordingAudio { .. } => {
                self.recording(&[Recording::Starting, Recording::Stopping], Recording::None)
            }
            Data::FileTransferHandlerDidEnd { .. } => {
                self.files -= 1;
                rule(self.files == 0, "a file has one end")
            }
            Data::FileTransferHandlerProgress { .. } => rule(self.files == 1, "a file that has ended does not go on"),
            Data::SessionDidDeliverMessage { message_id, .. }
            | Data::SessionDidNotDeliverMessage { message_id, .. } => {
                rule(self.messages.insert(Arc::clone(message_id)), "a message has one end")
            }
            Data::SessionTransferNewOutgoing { .. } => {
                rule(!std::mem::replace(&mut self.transfer, true), "one transfer at a time")
            }
            Data::SessionTransferDidFail { .. } | Data::SessionTransferDidEnd => {
                self.transfer = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn state_changes(&mut self, from: State, to: State) -> Rule {
        rule(from == self.state, "each state follows the one before")?;
        self.state = to;
        rule(is_legal(from, to), "only the transitions of the table")
    }

    fn hold(&mut self, originator: Party, held: bool) -> Rule {
        let at = usize::from(originator == Party::Remote);
        rule(std::mem::replace(&mut self.held[at], held) != held, "hold and unhold take turns")
    }

    fn recording(&mut self, from: &[Recording], to: Recording) -> Rule {
        let before = std::mem::replace(&mut self.recording, to);
        rule(from.contains(&before), "a recording goes through its steps")
    }

    fn end(&self) -> Rule {
        rule(self.over && self.state == State::Terminated, "every session ends")?;
        rule(self.streams.is_empty(), "no stream outlives its session")?;
        rule(self.recording == Recording::None, "no recording outlives its session")?;
        rule(self.files == 0, "every file has an end")?;
        rule(!self.transfer, "no transfer outlives its session")
    }
}

/// Whether the notification before is that of the change to this state.
fn came_with(before: Option<&Data>, wanted: State) -> bool {
    matches!(before, Some(Data::SessionChangedState { state, .. }) if *state == wanted)
}

fn rule(holds: bool, rule: &'static str) -> Rule {
    if holds { Ok(()) } else { Err(rule) }
}

/// The table of the reference.
fn is_legal(from: State, to: State) -> bool {
    use State::*;
    matches!(
        (from, to),
        (Null, Calling | Incoming)
            | (Calling, Established | Terminating | Terminated)
            | (Incoming, Accepting | Terminating | Terminated)
            | (Accepting, Established | Terminating | Terminated)
            | (Established, Proposing | Proposed | Terminating | Terminated)
            | (Proposing | Proposed, Established | Terminating | Terminated)
            | (Terminating, Terminated)
    )
}
