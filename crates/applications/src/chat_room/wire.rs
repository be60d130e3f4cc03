//! Between the switchboard, whose messages come from elsewhere, and the application sessions of this worker, whose events
//! are handled one at a time.
//!
//! ```text
//!   Switchboard::poll ──► listen (a task of the worker, woken from any thread)
//!                           └──► SipApplicationSession::run: an event of the room's, in its turn
//! ```

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use servlet::{Result, ServletContext, SipApplicationSession, StatusCode};

use super::Settings;
use super::focus;
use super::refusal::NotDone;
use super::room::ParticipantId;
use super::switchboard::{Happening, Switchboard};

/// How many happenings are handed on before whoever handles them has a turn.
const AT_ONCE: usize = 64;

/// The MSRP sessions of this worker, with the rooms that they belong to.
#[derive(Default)]
pub(super) struct Wires {
    latest: Cell<u64>,
    rooms: RefCell<HashMap<ParticipantId, SipApplicationSession>>,
}

/// An MSRP session; it ends when it is dropped.
pub(super) struct Wire {
    id: ParticipantId,
    switchboard: Rc<Box<dyn Switchboard>>,
    wires: Rc<Wires>,
}

impl Wire {
    /// One more, of a room. Nothing is opened yet.
    pub(super) fn of(room: &SipApplicationSession) -> Result<Wire, NotDone> {
        let context = room.servlet_context()?;
        let switchboard = context.resource::<Box<dyn Switchboard>>().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let wires = context.local(Wires::default);
        let id = ParticipantId(wires.latest.get() + 1);
        wires.latest.set(id.0);
        wires.rooms.borrow_mut().insert(id, room.clone());
        Ok(Wire { id, switchboard, wires })
    }

    pub(super) fn id(&self) -> ParticipantId {
        self.id
    }

    pub(super) fn switchboard(&self) -> &dyn Switchboard {
        &**self.switchboard
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.wires.rooms.borrow_mut().remove(&self.id);
        self.switchboard.close(self.id);
    }
}

/// Hears what happens in the MSRP sessions of this worker, as long as it runs.
pub(super) async fn listen(settings: Arc<Settings>, context: ServletContext) -> Result {
    let Some(switchboard) = context.resource::<Box<dyn Switchboard>>() else { return Ok(()) };
    let wires = context.local(Wires::default);
    poll_fn(move |task| hear(&settings, &**switchboard, &wires, task)).await
}

fn hear(
    settings: &Arc<Settings>,
    switchboard: &dyn Switchboard,
    wires: &Wires,
    task: &mut Context<'_>,
) -> Poll<Result> {
    for _ in 0..AT_ONCE {
        let Poll::Ready((id, happening)) = switchboard.poll(task) else { return Poll::Pending };
        let room = wires.rooms.borrow().get(&id).cloned();
        if let Some(room) = room {
            hand_on(settings, &room, id, happening);
        }
    }
    task.waker().wake_by_ref();
    Poll::Pending
}

fn hand_on(settings: &Arc<Settings>, room: &SipApplicationSession, id: ParticipantId, happening: Happening) {
    let settings = Arc::clone(settings);
    let its_room = room.clone();
    // A room that is over has closed its wires.
    let _ = room.run(async move { focus::happened(&settings, &its_room, id, happening) });
}
