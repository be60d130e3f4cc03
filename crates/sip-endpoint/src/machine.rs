//! The four machines as the two sides of the endpoint hold them, and what is made of their orders.

use bytes::Bytes;
use sip_message::{Method, Response, StatusCode, Transport};
use sip_transaction::{
    InviteClientTransaction, InviteServerTransaction, NonInviteClientTransaction, NonInviteServerTransaction, Outputs,
    Timer, Timers, invite_client, invite_server, non_invite_client, non_invite_server,
};

/// A client transaction.
pub(crate) enum ClientMachine {
    Invite(InviteClientTransaction),
    NonInvite(NonInviteClientTransaction),
}

/// What happens to a client transaction.
pub(crate) enum ClientInput<'a> {
    Response(&'a Response),
    CancelSent,
    Timer(Timer),
    TransportFailed,
}

impl ClientMachine {
    pub(crate) fn start(
        method: &Method,
        bytes: Bytes,
        transport: Transport,
        timers: &Timers,
    ) -> (ClientMachine, Outputs) {
        match method {
            Method::Invite => {
                let (machine, outputs) = InviteClientTransaction::start(bytes, transport, timers);
                (ClientMachine::Invite(machine), outputs)
            }
            _ => {
                let (machine, outputs) = NonInviteClientTransaction::start(bytes, transport, timers);
                (ClientMachine::NonInvite(machine), outputs)
            }
        }
    }

    pub(crate) fn handle(&mut self, input: ClientInput<'_>, timers: &Timers) -> Outputs {
        match self {
            ClientMachine::Invite(machine) => {
                use invite_client::Input;
                let input = match input {
                    ClientInput::Response(response) => Input::ResponseReceived(response),
                    ClientInput::CancelSent => Input::CancelSent,
                    ClientInput::Timer(timer) => Input::TimerFired(timer),
                    ClientInput::TransportFailed => Input::TransportFailed,
                };
                machine.handle(input, timers)
            }
            ClientMachine::NonInvite(machine) => {
                use non_invite_client::Input;
                let input = match input {
                    ClientInput::Response(response) => Input::ResponseReceived(response.status()),
                    // Only an INVITE can be cancelled (RFC 3261 §9.1).
                    ClientInput::CancelSent => return Outputs::new(),
                    ClientInput::Timer(timer) => Input::TimerFired(timer),
                    ClientInput::TransportFailed => Input::TransportFailed,
                };
                machine.handle(input, timers)
            }
        }
    }

    /// The INVITE as it was sent, when a provisional response came and no final one: the time for a CANCEL.
    pub(crate) fn cancellable_invite(&self) -> Option<Bytes> {
        match self {
            ClientMachine::Invite(machine) if machine.state() == invite_client::State::Proceeding => {
                machine.request().cloned()
            }
            _ => None,
        }
    }
}

/// A server transaction.
pub(crate) enum ServerMachine {
    Invite(InviteServerTransaction),
    NonInvite(NonInviteServerTransaction),
}

/// What happens to a server transaction.
pub(crate) enum ServerInput {
    Repeated,
    Ack,
    Respond(StatusCode, Bytes),
    Timer(Timer),
    TransportFailed,
}

impl ServerMachine {
    pub(crate) fn start(method: &Method, transport: Transport, timers: &Timers) -> (ServerMachine, Outputs) {
        match method {
            Method::Invite => {
                let (machine, outputs) = InviteServerTransaction::start(transport, timers);
                (ServerMachine::Invite(machine), outputs)
            }
            _ => {
                let (machine, outputs) = NonInviteServerTransaction::start(transport, timers);
                (ServerMachine::NonInvite(machine), outputs)
            }
        }
    }

    pub(crate) fn is_invite(&self) -> bool {
        matches!(self, ServerMachine::Invite(_))
    }

    pub(crate) fn handle(&mut self, input: ServerInput, timers: &Timers) -> Outputs {
        match self {
            ServerMachine::Invite(machine) => {
                use invite_server::Input;
                let input = match input {
                    ServerInput::Repeated => Input::InviteReceived,
                    ServerInput::Ack => Input::AckReceived,
                    ServerInput::Respond(status, bytes) => Input::Respond(status, bytes),
                    ServerInput::Timer(timer) => Input::TimerFired(timer),
                    ServerInput::TransportFailed => Input::TransportFailed,
                };
                machine.handle(input, timers)
            }
            ServerMachine::NonInvite(machine) => {
                use non_invite_server::Input;
                let input = match input {
                    ServerInput::Repeated => Input::RequestReceived,
                    // An ACK matches an INVITE or nothing (RFC 3261 §17.2.3).
                    ServerInput::Ack => return Outputs::new(),
                    ServerInput::Respond(status, bytes) => Input::Respond(status, bytes),
                    ServerInput::Timer(timer) => Input::TimerFired(timer),
                    ServerInput::TransportFailed => Input::TransportFailed,
                };
                machine.handle(input, timers)
            }
        }
    }
}
