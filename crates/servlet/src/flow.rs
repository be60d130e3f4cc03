//! Flows: transport associations that a peer has opened (RFC 5626).

use sip_message::Flow;

use crate::message::SipServletMessage;

/// An association with a peer over one transport. Requests that are sent over it reach the peer behind its NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SipFlow(Flow);

impl SipFlow {
    /// The flow that a message came on; `None` when it was made here.
    pub fn of(message: &SipServletMessage) -> Option<SipFlow> {
        message.facts().flow.map(SipFlow)
    }

    /// As the layers below call it.
    pub fn as_flow(&self) -> &Flow {
        &self.0
    }
}

impl From<Flow> for SipFlow {
    fn from(flow: Flow) -> SipFlow {
        SipFlow(flow)
    }
}
