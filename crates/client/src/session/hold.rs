//! Hold, by our side: RFC 3264 §8.4, RFC 6337 §5.3. That of the peer's is seen where an agreement is followed.
//!
//! ```text
//!   hold ──► re-INVITE: sendonly (inactive, if the peer holds, too) ──┬── 2xx: GotHoldRequest(local)
//!                                                                     └── refused: an error for the caller, nothing posted
//! ```

use super::CommandId;
use super::core::Session;
use super::queue::Command;
use super::work::Work;
use crate::error::ClientError;
use crate::notification::{Data, Party};

impl Session {
    /// Holds the peer.
    pub(crate) fn hold(&mut self, work: &mut Work<'_>) -> Result<CommandId, ClientError> {
        if !self.is_up() {
            return Err(self.illegal("hold"));
        }
        Ok(self.enqueue(work, Command::Hold))
    }

    /// Holds the peer no longer.
    pub(crate) fn unhold(&mut self, work: &mut Work<'_>) -> Result<CommandId, ClientError> {
        if !self.is_up() {
            return Err(self.illegal("unhold"));
        }
        Ok(self.enqueue(work, Command::Unhold))
    }

    /// The peer has agreed to the hold that we wanted, or to its end.
    pub(super) fn hold_was_accepted(&mut self, work: &mut Work<'_>) -> Result<(), ClientError> {
        self.follow(work);
        let held_before = self.on_hold();
        if self.on_hold_by_local != self.wants_hold {
            self.on_hold_by_local = self.wants_hold;
            let originator = Party::Local;
            self.post(
                work,
                match self.wants_hold {
                    true => Data::SessionGotHoldRequest { originator },
                    false => Data::SessionGotUnholdRequest { originator },
                },
            );
        }
        self.recording_follows_hold(work, held_before);
        Ok(())
    }
}
