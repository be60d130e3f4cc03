//! Where a story plays: the world, and what can be done to all of it.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::settings::{AccountSettings, Settings};
use testkit::{Link, NodeId, World};

use crate::person::Person;
use crate::softphone::Softphone;
use crate::stranger::{Foreigner, Stranger};
use crate::wire::Wire;

/// The world of a story.
#[derive(Clone)]
pub struct Stage {
    world: Rc<RefCell<World>>,
    wire: Rc<RefCell<Wire>>,
    epoch: Instant,
}

impl Stage {
    /// An empty stage; see [`World::new`].
    pub fn new(seed: u64, epoch: Instant) -> Stage {
        Stage { world: Rc::new(RefCell::new(World::new(seed, epoch))), wire: Rc::default(), epoch }
    }

    /// The world.
    pub fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    /// The world, to change it.
    pub fn world_mut(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// Somebody with a softphone, whose address is `sip:name@name`.
    pub fn softphone(&self, name: &str) -> Person {
        self.softphone_with(name, |_, _| {})
    }

    /// Somebody with a softphone that is set up otherwise.
    pub fn softphone_with(&self, name: &str, set_up: impl FnOnce(&mut Settings, &mut AccountSettings)) -> Person {
        let mut settings = Settings::default();
        settings.audio.recordings_directory = Some("/recordings".into());
        let mut account = AccountSettings { id: format!("{name}@{name}"), ..AccountSettings::default() };
        account.sip.register = false;
        account.sip.outbound = false;
        set_up(&mut settings, &mut account);
        let node = self.world_mut().node(name, Softphone::new(settings, self.epoch));
        let wire = Rc::clone(&self.wire);
        let add = |phone: &mut Softphone, now: Instant, endpoint: &mut _| {
            phone.media.plug_in(wire, node);
            phone.add_account(now, endpoint, account);
        };
        self.world_mut().with(node, add);
        Person::new(Rc::clone(&self.world), node, name)
    }

    /// Somebody who speaks SIP by hand, and is reached at `sip:name@name`.
    pub fn stranger(&self, name: &str) -> Foreigner {
        let node = self.world_mut().node(name, Stranger::new(name));
        Foreigner::new(Rc::clone(&self.world), node, name)
    }

    /// Lets 300 ms pass: messages get through, and nothing is repeated yet.
    pub fn a_moment(&self) {
        self.passes(Duration::from_millis(300));
    }

    /// Lets time pass.
    pub fn passes(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            // A chat may begin while time passes; its messages are carried from the next look on.
            let step = left.min(Duration::from_millis(500));
            Wire::carry(&self.wire, &mut self.world_mut());
            self.world_mut().run_for(step);
            left -= step;
        }
    }

    /// What MSRP goes over.
    pub fn wire(&self) -> RefMut<'_, Wire> {
        self.wire.borrow_mut()
    }

    /// Lets seconds pass.
    pub fn seconds(&self, seconds: u64) {
        self.passes(Duration::from_secs(seconds));
    }

    /// Sets the link between all nodes.
    pub fn links(&self, link: Link) {
        self.world_mut().network_mut().set_everywhere(link);
    }

    /// The next datagrams from one to another are lost.
    pub fn loses(&self, from: NodeId, to: NodeId, count: u32) {
        self.world_mut().network_mut().lose_next(from, to, count);
    }

    /// Runs the world until it is at rest, and fails if anything is left in any table.
    #[track_caller]
    pub fn ends(&self) {
        Wire::carry(&self.wire, &mut self.world_mut());
        self.world_mut().run_until_idle();
        let leftovers = self.world().leftovers();
        if !leftovers.is_empty() {
            self.fail(&format!("something is left behind: {}", leftovers.join("; ")));
        }
    }

    /// Ends the story with the ladder of what has led here.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        self.world().fail(None, why)
    }
}
