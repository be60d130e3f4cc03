//! Who gets which event: registrations, exchanges and subscriptions by the owner of a client transaction or a timer; the
//! requests that belong to no session by [`incoming`].

use sip_endpoint::{ClientId, Event, TimerId};
use sip_message::{Flow, Response, StatusCode};

use super::account::Account;
use super::exchange::Exchange;
use super::manager::{AccountManager, Entry, bench};
use super::registration::{News, Registration};
use super::sending::{Bench, Owner};
use super::watch::Watch;
use super::{AccountId, incoming};
use crate::desk::Desk;

impl AccountManager {
    // ---- events -----------------------------------------------------------------------------------------------------

    /// The network is another: everything is registered and subscribed anew.
    pub(crate) fn network_changed(&mut self, desk: &mut Desk<'_>) {
        self.bonjour.clear(desk);
        for id in self.ids() {
            self.in_registration(desk, id, |registration, bench, account| {
                registration.network_changed(bench, account);
                News::Nothing
            });
        }
        let numbers: Vec<u32> = self.watches.keys().copied().collect();
        for number in numbers {
            self.in_watch(desk, number, Watch::begin_anew);
        }
    }

    /// Takes leave of everybody.
    pub(crate) fn drain(&mut self, desk: &mut Desk<'_>) {
        for id in self.ids() {
            self.stop(desk, id);
        }
        self.end_watches(desk, |_| true);
    }

    /// Whether nothing goes on that has to be waited for. A transaction that lingers after its answer is nothing.
    pub(crate) fn is_idle(&self) -> bool {
        let rests = |entry: &Entry| entry.registration.as_ref().is_none_or(Registration::is_idle);
        self.exchanges.is_empty() && self.watches.is_empty() && self.entries.values().all(rests)
    }

    /// Takes an event; gives back what is not the accounts'. A request that comes here belongs to no session, and is
    /// answered.
    pub(crate) fn event(&mut self, desk: &mut Desk<'_>, event: Event) -> Option<Event> {
        match event {
            Event::Request { server, request, flow } => {
                incoming::request(self, desk, server, request, &flow);
                None
            }
            Event::Response { client, response, flow } => match self.owners.get(&client).copied() {
                Some(owner) => {
                    self.response(desk, owner, client, response, &flow);
                    None
                }
                None => Some(Event::Response { client, response, flow }),
            },
            Event::Failed { client, status } => match self.owners.get(&client).copied() {
                Some(owner) => {
                    self.failed(desk, owner, client, status);
                    None
                }
                None => Some(Event::Failed { client, status }),
            },
            Event::ClientEnded { client } => match self.owners.remove(&client) {
                Some(_) => None,
                None => Some(Event::ClientEnded { client }),
            },
            Event::TimerFired { timer, token } => match Owner::of_token(token) {
                Some(owner) => {
                    self.timer_fired(desk, owner, timer);
                    None
                }
                None => Some(Event::TimerFired { timer, token }),
            },
            Event::FlowAlive { flow, mapped } => {
                for id in self.ids() {
                    self.in_registration(desk, id, |registration, bench, account| {
                        registration.flow_alive(bench, account, &flow, mapped)
                    });
                }
                None
            }
            Event::FlowEnded { flow } => {
                for id in self.ids() {
                    self.in_registration(desk, id, |registration, bench, account| {
                        registration.flow_ended(bench, account, &flow);
                        News::Nothing
                    });
                }
                Some(Event::FlowEnded { flow })
            }
            other => Some(other),
        }
    }

    fn response(&mut self, desk: &mut Desk<'_>, owner: Owner, client: ClientId, response: Response, flow: &Flow) {
        match owner {
            Owner::Registration(id) => self.in_registration(desk, id, |registration, bench, account| {
                registration.response(bench, account, client, &response, flow)
            }),
            Owner::Exchange(number) => self.in_exchange(desk, number, |exchange, bench, account| {
                exchange.response(bench, account, client, &response, flow)
            }),
            Owner::Watch(number) => self.in_watch(desk, number, |watch, bench, account| {
                watch.response(bench, account, client, response, flow);
            }),
        }
    }

    fn failed(&mut self, desk: &mut Desk<'_>, owner: Owner, client: ClientId, status: StatusCode) {
        match owner {
            Owner::Registration(id) => self.in_registration(desk, id, |registration, bench, account| {
                registration.failed(bench, account, client, status)
            }),
            Owner::Exchange(number) => {
                self.in_exchange(desk, number, |exchange, bench, _| exchange.failed(bench, client, status));
            }
            Owner::Watch(number) => self.in_watch(desk, number, |watch, bench, account| {
                watch.failed(bench, account, client, status);
            }),
        }
    }

    fn timer_fired(&mut self, desk: &mut Desk<'_>, owner: Owner, timer: TimerId) {
        match owner {
            Owner::Registration(id) => self.in_registration(desk, id, |registration, bench, account| {
                registration.timer_fired(bench, account, timer)
            }),
            Owner::Exchange(number) => self.in_exchange(desk, number, |exchange, bench, _| {
                exchange.timer_fired(bench, timer);
                false
            }),
            Owner::Watch(number) => self.in_watch(desk, number, |watch, bench, account| {
                watch.timer_fired(bench, account, timer);
            }),
        }
    }

    pub(super) fn in_registration(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        act: impl FnOnce(&mut Registration, &mut Bench<'_, '_>, &mut Account) -> News,
    ) {
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let Some(Entry { account, registration: Some(registration), .. }) = entries.get_mut(&id) else { return };
        let news = act(registration, &mut bench, account);
        match news {
            News::Nothing => {}
            News::Registered => self.watch_summary(desk, id),
            News::Ended => self.sweep(),
        }
    }

    /// `act` says whether the exchange is over.
    fn in_exchange(
        &mut self,
        desk: &mut Desk<'_>,
        number: u32,
        act: impl FnOnce(&mut Exchange, &mut Bench<'_, '_>, &mut Account) -> bool,
    ) {
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let Some(entry) = entries.get_mut(&exchange.account) else { return };
        if act(exchange, &mut bench, &mut entry.account) {
            self.exchanges.remove(&number);
            self.sweep();
        }
    }

    pub(super) fn in_watch(
        &mut self,
        desk: &mut Desk<'_>,
        number: u32,
        act: impl FnOnce(&mut Watch, &mut Bench<'_, '_>, &mut Account),
    ) {
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let Some(watch) = self.watches.get_mut(&number) else { return };
        let Some(entry) = entries.get_mut(&watch.account) else { return };
        act(watch, &mut bench, &mut entry.account);
        if watch.is_over() {
            self.watches.remove(&number);
            self.sweep();
        }
    }
}
