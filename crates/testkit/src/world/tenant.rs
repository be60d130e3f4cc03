//! A transaction user of any type, as a node holds it.

use std::any::Any;
use std::rc::Rc;
use std::time::Instant;

use sip_endpoint::{Endpoint, Event, TransactionUser};

/// [`TransactionUser`], with what users tell each other wrapped up: the shards of one node have users of one type.
pub(super) trait Tenant {
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, said: &mut Vec<Rc<dyn Any>>);
    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, said: &mut Vec<Rc<dyn Any>>);
    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: &dyn Any);
    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint);
    fn is_idle(&self) -> bool;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<U: TransactionUser + 'static> Tenant for U {
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, said: &mut Vec<Rc<dyn Any>>) {
        let mut peers = Vec::new();
        TransactionUser::event(self, now, endpoint, event, &mut peers);
        said.extend(peers.into_iter().map(wrapped));
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, said: &mut Vec<Rc<dyn Any>>) {
        let mut peers = Vec::new();
        TransactionUser::woken(self, now, endpoint, &mut peers);
        said.extend(peers.into_iter().map(wrapped));
    }

    fn message(&mut self, now: Instant, endpoint: &mut Endpoint, message: &dyn Any) {
        let message: &U::Message = message.downcast_ref().expect("the shards of a node have users of one type");
        TransactionUser::message(self, now, endpoint, message.clone());
    }

    fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        TransactionUser::drain(self, now, endpoint);
    }

    fn is_idle(&self) -> bool {
        TransactionUser::is_idle(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

fn wrapped<M: 'static>(message: M) -> Rc<dyn Any> {
    Rc::new(message)
}
