//! A client on an endpoint with a media side, as an application would drive it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use client::account::AccountId;
use client::media::MediaEvent;
use client::session::{CommandId, SessionId, State};
use client::settings::{AccountSettings, Settings};
use client::{Client, ClientError, Data, Epoch, Notification, Sender};
use sip_endpoint::{Endpoint, Event, TransactionUser};

use crate::media_side::MediaSide;

/// The bit of our timers' tokens; the client's are others.
const MEDIA_TIMER: u64 = 1 << 62;

/// The transaction user of a node: a client with what belongs to it.
pub struct Softphone {
    /// The client.
    pub client: Client,
    /// Its media side.
    pub media: MediaSide,
    account: AccountId,
    notifications: Vec<Notification>,
    outcomes: BTreeMap<CommandId, Result<(), ClientError>>,
    scheduled: BTreeMap<u64, MediaEvent>,
    last_token: u64,
    /// Accepts what is offered, without being asked.
    pub accepts_all: bool,
}

impl Softphone {
    /// A softphone whose account is not there yet: it needs an endpoint.
    pub(crate) fn new(settings: Settings, epoch: Instant) -> Softphone {
        // 2026-11-21 01:53:19 UTC.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_225_999);
        let epoch = Epoch { instant: epoch, time };
        Softphone {
            client: Client::new(settings, epoch, "urn:uuid:00000000-0000-4000-8000-000000000001"),
            media: MediaSide::default(),
            account: AccountId::BONJOUR,
            notifications: Vec::new(),
            outcomes: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            last_token: 0,
            accepts_all: false,
        }
    }

    pub(crate) fn add_account(&mut self, now: Instant, endpoint: &mut Endpoint, settings: AccountSettings) {
        self.account =
            self.client.add_account(now, endpoint, settings).expect("a story writes accounts that are right");
        self.attend(now, endpoint);
    }

    /// The account that calls are made with.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Every notification so far.
    pub fn notifications(&self) -> &[Notification] {
        &self.notifications
    }

    /// How a command ended, if it has.
    pub fn outcome(&self, command: CommandId) -> Option<&Result<(), ClientError>> {
        self.outcomes.get(&command)
    }

    /// The last session that has begun, over or not.
    pub fn latest(&self) -> Option<SessionId> {
        self.notifications.iter().rev().find_map(|notification| match (&notification.sender, &notification.data) {
            (Sender::Session(id), Data::SessionChangedState { prev_state: State::Null, .. }) => Some(*id),
            _ => None,
        })
    }

    /// Takes news of the media side.
    pub fn media_event(&mut self, now: Instant, endpoint: &mut Endpoint, event: MediaEvent) {
        self.client.media_event(now, endpoint, event);
        self.attend(now, endpoint);
    }

    /// Takes everything away that the client has to say, and does what it orders.
    pub fn attend(&mut self, now: Instant, endpoint: &mut Endpoint) {
        loop {
            while let Some(command) = self.client.poll_media() {
                self.media.take(now, command);
            }
            while let Some((wait, event)) = self.media.next() {
                self.last_token += 1;
                self.scheduled.insert(self.last_token, event);
                endpoint.set_timer(now, wait, MEDIA_TIMER | self.last_token);
            }
            while let Some((command, result)) = self.client.poll_outcome() {
                let before = self.outcomes.insert(command, result);
                assert!(before.is_none(), "a command has one outcome");
            }
            let Some(notification) = self.client.poll_notification() else { return };
            self.notifications.push(notification.clone());
            self.react(now, endpoint, &notification);
        }
    }

    fn react(&mut self, now: Instant, endpoint: &mut Endpoint, notification: &Notification) {
        let Sender::Session(id) = notification.sender else { return };
        if !self.accepts_all {
            return;
        }
        // That it is too late by then is no fault.
        let _ = match notification.data {
            Data::SessionNewIncoming { streams } => self.client.accept(now, endpoint, id, streams),
            Data::SessionGotStreamProposal { proposer: client::Party::Remote, streams } => {
                self.client.accept_proposal(now, endpoint, id, streams)
            }
            _ => Ok(()),
        };
    }
}

impl TransactionUser for Softphone {
    type Message = Infallible;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, peers: &mut Vec<Infallible>) {
        match event {
            Event::TimerFired { token, .. } if token & (1 << 63) == 0 && token & MEDIA_TIMER != 0 => {
                if let Some(event) = self.scheduled.remove(&(token & !MEDIA_TIMER)) {
                    self.client.media_event(now, endpoint, event);
                }
            }
            event => self.client.event(now, endpoint, event, peers),
        }
        self.attend(now, endpoint);
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, message: Infallible) {
        match message {}
    }

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.client.drain(now, endpoint);
        self.attend(now, endpoint);
    }

    fn is_idle(&self) -> bool {
        self.client.is_empty() && self.media.streams().next().is_none()
    }
}
