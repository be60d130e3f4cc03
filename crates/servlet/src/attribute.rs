//! Attributes of sessions: typed values that can be written down, or say in their type that they can't.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Address, SipApplicationSession, SipSession, Uri};

/// A value that a session can keep. Implemented by everything that is [`Durable`], and by [`NodeLocal`].
///
/// A value that is neither does not compile as an attribute: what would be lost when a session moves is seen when the
/// application is built, not when the machine fails.
pub trait Attribute: 'static {
    /// The octets to keep, and the version of their form; `None` for what stays on this node.
    fn write(&self) -> Option<Replica>;

    /// After the value was bound to a session under `name`: `SipSessionBindingListener` and its application session
    /// counterpart.
    fn value_bound(&self, _event: &BindingEvent) {}

    /// After the value was unbound: removed, replaced, or its session became invalid.
    fn value_unbound(&self, _event: &BindingEvent) {}

    /// Before the session is written down to be continued elsewhere or later.
    fn session_will_passivate(&self, _event: &BindingEvent) {}

    /// After the session has come back.
    fn session_did_activate(&self, _event: &BindingEvent) {}
}

/// A value that can be written down and read again, also by a later version of the application.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Balance {
///     seconds: u32,
/// }
///
/// impl servlet::Durable for Balance {
///     const VERSION: u16 = 1;
/// }
/// ```
pub trait Durable: Serialize + DeserializeOwned + 'static {
    /// Goes up when the form changes in a way that serde does not bridge.
    const VERSION: u16;

    /// Reads what an older version has written. By default only the present form is understood.
    fn read(version: u16, octets: &[u8]) -> Option<Self> {
        if version == Self::VERSION { postcard::from_bytes(octets).ok() } else { None }
    }

    /// See [`Attribute::value_bound`].
    fn bound(&self, _event: &BindingEvent) {}

    /// See [`Attribute::value_unbound`].
    fn unbound(&self, _event: &BindingEvent) {}

    /// See [`Attribute::session_will_passivate`].
    fn will_passivate(&self, _event: &BindingEvent) {}

    /// See [`Attribute::session_did_activate`].
    fn did_activate(&self, _event: &BindingEvent) {}
}

/// A value as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The version of the form.
    pub version: u16,
    /// The octets.
    pub octets: Vec<u8>,
}

/// Says of a value that it stays on this node: a socket, a channel, a handle. It is gone after a failover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLocal<T>(pub T);

impl<T: Durable> Attribute for T {
    fn write(&self) -> Option<Replica> {
        // A map with keys that postcard can't order is the type's mistake, and it shows as a value that is not kept.
        postcard::to_stdvec(self).ok().map(|octets| Replica { version: T::VERSION, octets })
    }

    fn value_bound(&self, event: &BindingEvent) {
        self.bound(event);
    }

    fn value_unbound(&self, event: &BindingEvent) {
        self.unbound(event);
    }

    fn session_will_passivate(&self, event: &BindingEvent) {
        self.will_passivate(event);
    }

    fn session_did_activate(&self, event: &BindingEvent) {
        self.did_activate(event);
    }
}

impl<T: 'static> Attribute for NodeLocal<T> {
    fn write(&self) -> Option<Replica> {
        None
    }
}

macro_rules! durable {
    ($($of:ty),*) => { $(impl Durable for $of { const VERSION: u16 = 1; })* };
}

durable!((), bool, u8, u16, u32, u64, i32, i64, f64, String, Vec<u8>, Vec<String>, Uri, Address, std::time::Duration);

impl<T: Durable> Durable for Option<T> {
    const VERSION: u16 = T::VERSION;
}

/// A session, of either kind, and the name that a value is bound to in it.
#[derive(Clone, Debug)]
pub struct BindingEvent {
    /// Where the value is or was bound.
    pub holder: Holder,
    /// The attribute's name.
    pub name: Rc<str>,
}

/// What has attributes.
#[derive(Clone, Debug)]
pub enum Holder {
    /// An application session.
    Application(SipApplicationSession),
    /// A SIP session.
    Session(SipSession),
}

/// An attribute whose type is forgotten; what containers keep.
#[derive(Clone)]
pub struct AttributeValue(Rc<dyn Erased>);

trait Erased: Any {
    fn attribute(&self) -> &dyn Attribute;
    fn any(self: Rc<Self>) -> Rc<dyn Any>;
    fn type_name(&self) -> &'static str;
}

impl<T: Attribute> Erased for T {
    fn attribute(&self) -> &dyn Attribute {
        self
    }

    fn any(self: Rc<Self>) -> Rc<dyn Any> {
        self
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}

impl AttributeValue {
    /// Forgets the type.
    pub fn new(value: impl Attribute) -> AttributeValue {
        AttributeValue(Rc::new(value))
    }

    /// The value, if it is a `T`.
    pub fn get<T: Attribute>(&self) -> Option<Rc<T>> {
        Rc::clone(&self.0).any().downcast().ok()
    }

    /// The value's behaviour.
    pub fn attribute(&self) -> &dyn Attribute {
        self.0.attribute()
    }

    /// Which type it was; to name it in a message.
    pub fn type_name(&self) -> &'static str {
        Erased::type_name(&*self.0)
    }
}

impl fmt::Debug for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}
