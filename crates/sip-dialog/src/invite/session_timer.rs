//! The session timer of a session here: RFC 4028 §10. What it is and how it is agreed on: [`crate::session_timer`].

use sip_message::Method;

use super::api::{Body, Event, Step, Termination};
use super::session::{How, Phase, Session};
use crate::session_timer::SessionTimerEvent;

impl Session {
    pub(crate) fn session_timer_reached(&mut self, step: &mut Step<'_>) {
        if self.phase != Phase::Established {
            return;
        }
        match self.timer.time_passed(step.now) {
            Some(SessionTimerEvent::Expired) => self.say_bye(step, Termination::SessionExpired),
            Some(SessionTimerEvent::Refresh) => self.refresh(step),
            None => {}
        }
    }

    /// Refreshes the session: by an UPDATE without an offer, or a re-INVITE with the last one.
    fn refresh(&mut self, step: &mut Step<'_>) {
        let updating = self.sent.iter().any(|sent| *sent.request.method() == Method::Update);
        if self.invite_in_progress() || updating || self.glare.is_some() {
            // What is in progress refreshes, too, if it succeeds.
            self.timer.postpone(step.now + step.policy.timers.t2());
            return;
        }
        let offer = self.negotiation.as_ref().and_then(|negotiation| negotiation.last_sent()).map(Body::sdp);
        let refreshed = match offer {
            _ if self.peer.allows_update => self
                .make_request(step, Method::Update)
                .is_some_and(|update| self.send_update(step, update, How::Refresh).is_ok()),
            Some(offer) => self.make_request(step, Method::Invite).is_some_and(|mut invite| {
                super::reinvite::set_description(&mut invite, offer.octets);
                self.send_reinvite(step, invite, How::Refresh).is_ok()
            }),
            None => false,
        };
        if !refreshed {
            step.event(Event::RefreshDue { dialog: self.key });
        }
    }
}
