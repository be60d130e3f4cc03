//! The Contact of the application's dialogs (RFC 3261 §8.1.1.8, §12.1.1): which messages have one of ours, and what it
//! says.
//!
//! ```text
//!   <sip:alice@192.0.2.1:5060;transport=tcp;x=y>;audio
//!         │         │              │         │     └── the application's wish
//!         │         └── listener ──┘         └──────── the application's wish
//!         └─────────────────────────────────────────── the application's wish
//! ```
//!
//! It names the listener that the peer can reach us at: the interface that the application has chosen, the one that the
//! peer's message came to, or the one of the transport that the request leaves by. A peer that is reached over a
//! connection of its own needs no better address than that, since it has the connection.

use std::net::IpAddr;

use servlet::spi::SessionKey;
use servlet::{Address, HeaderContext, SipUri, Uri as ServletUri, merge_contact};
use sip_dialog::Dialog;
use sip_endpoint::Listener;
use sip_message::{Flow, Host, Method, StatusCode, Transport, Uri, UriBuf};

use crate::core::Core;
use crate::session::Session;
use crate::state::State;

/// Whether the container puts its Contact into such a message: requests that make a dialog or change its target, and the
/// responses by which the other side learns of ours. What a REGISTER, a redirection or an OPTIONS says there is no
/// address of a dialog.
pub(crate) fn belongs_in(context: HeaderContext<'_>) -> bool {
    match context {
        HeaderContext::Request(method) => names_a_target(method),
        HeaderContext::Response(method, status) => {
            status != StatusCode::TRYING && status.code() < 300 && names_a_target(method)
        }
    }
}

fn names_a_target(method: &Method) -> bool {
    // Whatever makes a dialog also refreshes its target.
    Dialog::is_target_refresh(method)
}

impl Core {
    /// Our Contact in a session, for a message that answers what came over `flow`, or goes to `next_hop`.
    pub(crate) fn contact_for(
        &self,
        session: SessionKey,
        flow: Option<&Flow>,
        next_hop: Option<&Uri<'_>>,
        wish: Option<&Address>,
    ) -> Address {
        let ours = self.state().own_contact(session, flow, next_hop);
        match wish {
            Some(wish) => merge_contact(&ours, wish),
            None => ours,
        }
    }
}

impl State {
    fn own_contact(&self, session: SessionKey, flow: Option<&Flow>, next_hop: Option<&Uri<'_>>) -> Address {
        let session = self.sessions.get(session).map(|session| &**session);
        let hop = Hop::of(flow, next_hop);
        let secure =
            hop.secure || session.and_then(Session::dialog).is_some_and(|dialog| is_sips(&dialog.remote_target));
        let uri =
            self.own_listener(session, flow, &hop).and_then(|listener| uri_of(listener, &listener.sent_by, secure));
        // Without a listener nothing leaves, and nobody reads this.
        let nowhere = || UriBuf::parse("sip:localhost.invalid").expect("a URI");
        Address::new(ServletUri::from_uri_buf(uri.unwrap_or_else(nowhere)))
    }

    fn own_listener(&self, session: Option<&Session>, flow: Option<&Flow>, hop: &Hop) -> Option<&Listener> {
        let chosen = session.and_then(Session::interface).and_then(|(ip, port)| {
            let at = |listener: &&Listener| listener.local.ip() == ip && listener.transport == hop.transport;
            let exact = |listener: &&Listener| at(listener) && Some(listener.local.port()) == port;
            // The port is a wish, the address is not.
            let mut listeners = self.listeners.iter();
            listeners
                .clone()
                .find(exact)
                .or_else(|| listeners.clone().find(at))
                .or_else(|| listeners.find(|listener| listener.local.ip() == ip))
        });
        let of_flow = || flow.and_then(|flow| self.listeners.iter().find(|listener| listener.id == flow.listener));
        let fits = |listener: &&Listener| {
            let same_family = hop.remote.is_none_or(|remote| remote.is_ipv4() == listener.local.is_ipv4());
            same_family && listener.transport == hop.transport
        };
        chosen
            .or_else(of_flow)
            .or_else(|| self.listeners.iter().find(fits))
            .or_else(|| self.listeners.iter().find(|listener| listener.transport == Transport::Udp))
            .or_else(|| self.listeners.first())
    }

    /// Our interfaces, as an application chooses among them.
    pub(crate) fn interface_uris(&self) -> Vec<SipUri> {
        let uri = |listener: &Listener| {
            // Who listens everywhere is not told apart by the address that it listens at.
            let everywhere = listener.local.ip().is_unspecified();
            let local = if everywhere { listener.sent_by.to_string() } else { listener.local.to_string() };
            let mut uri = SipUri::try_from(ServletUri::from_uri_buf(uri_of(listener, &local, false)?)).ok()?;
            uri.set_transport_param(listener.transport.uri_param()).ok()?;
            Some(uri)
        };
        self.listeners.iter().filter_map(uri).collect()
    }

    /// What stands behind the @ of our Call-IDs.
    pub(crate) fn own_host(&self) -> &str {
        let sent_by = self.listeners.first().map_or("localhost.invalid", |listener| &*listener.sent_by);
        match sent_by.rfind(':') {
            Some(at) if !sent_by[at..].contains(']') => &sent_by[..at],
            _ => sent_by,
        }
    }
}

/// How a message leaves.
struct Hop {
    transport: Transport,
    remote: Option<IpAddr>,
    /// Every hop has to be protected, so that ours is named by a SIPS URI (RFC 3261 §12.1.1, §8.1.1.8).
    secure: bool,
}

impl Hop {
    fn of(flow: Option<&Flow>, next_hop: Option<&Uri<'_>>) -> Hop {
        let uri = next_hop.and_then(Uri::sip);
        let secure = uri.is_some_and(|uri| uri.is_secure());
        if let Some(flow) = flow {
            return Hop { transport: flow.transport, remote: Some(flow.remote.ip()), secure };
        }
        let default = if secure { Transport::Tls } else { Transport::Udp };
        let Some(uri) = uri else { return Hop { transport: default, remote: None, secure } };
        // RFC 3261 §26.2.2 and RFC 7118 §5.4: under sips, tcp and ws are protected too.
        let transport = match (uri.transport(), secure) {
            (Some(Transport::Tcp), true) => Transport::Tls,
            (Some(Transport::Ws), true) => Transport::Wss,
            (Some(transport), _) => transport,
            (None, _) => default,
        };
        Hop { transport, remote: uri.maddr().unwrap_or_else(|| uri.host()).ip(), secure }
    }
}

fn uri_of(listener: &Listener, host_port: &str, secure: bool) -> Option<UriBuf> {
    let secure = secure && listener.transport.is_secure();
    let scheme = if secure { "sips" } else { "sip" };
    let transport = match listener.transport {
        // An address is reached by UDP when nothing else is said; for a name DNS is asked (RFC 3263 §4.1).
        Transport::Udp if !matches!(Host::parse(host_port), Ok(Host::Name(_))) => "",
        Transport::Udp => ";transport=udp",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls if secure => "",
        Transport::Tls => ";transport=tls",
        Transport::Ws | Transport::Wss => ";transport=ws",
    };
    UriBuf::parse(format!("{scheme}:{host_port}{transport}")).ok()
}

fn is_sips(uri: &UriBuf) -> bool {
    uri.as_uri().sip().is_some_and(|uri| uri.is_secure())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Instant, SystemTime};

    use servlet::spi::{AppId, Interface};
    use sip_message::ListenerId;

    use super::*;
    use crate::session::{NewSession, SessionRole};
    use crate::state::Clock;

    fn listener(id: u16, transport: Transport, local: &str, sent_by: &str) -> Listener {
        Listener { id: ListenerId(id), transport, local: local.parse().unwrap(), sent_by: sent_by.into() }
    }

    fn state() -> State {
        let now = Instant::now();
        let mut state = State::new(now, Clock::new(now, SystemTime::UNIX_EPOCH));
        state.listeners = [
            listener(0, Transport::Udp, "192.0.2.1:5060", "192.0.2.1:5060"),
            listener(1, Transport::Tcp, "192.0.2.1:5060", "192.0.2.1:5060"),
            listener(2, Transport::Tls, "192.0.2.1:5061", "proxy.example.com"),
            listener(3, Transport::Udp, "[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            listener(4, Transport::Udp, "198.51.100.7:5070", "198.51.100.7:5070"),
            listener(5, Transport::Wss, "192.0.2.1:443", "ws.example.com:443"),
            listener(6, Transport::Udp, "0.0.0.0:5080", "edge.example.com"),
        ]
        .into();
        state
    }

    fn session(state: &mut State) -> SessionKey {
        let app_session = state.open_app_session(AppId(0), "app".into(), None, None);
        let new = NewSession {
            app_session,
            call_id: "1@h".into(),
            role: SessionRole::Uac,
            local_tag: "t".into(),
            servlet: 0,
        };
        state.open_session(new).unwrap()
    }

    fn towards(state: &State, session: SessionKey, next_hop: &str) -> String {
        let next_hop = UriBuf::parse(next_hop).unwrap();
        state.own_contact(session, None, Some(&next_hop.as_uri())).to_string()
    }

    fn flow(listener: u16, transport: Transport) -> Flow {
        let address: SocketAddr = "192.0.2.1:1".parse().unwrap();
        Flow { transport, listener: ListenerId(listener), local: address, remote: address, connection: None }
    }

    #[test]
    fn a_contact_names_the_listener_of_the_transport_that_the_request_leaves_by() {
        let mut state = state();
        let session = session(&mut state);
        assert_eq!(towards(&state, session, "sip:a@192.0.2.9"), "<sip:192.0.2.1:5060>");
        assert_eq!(towards(&state, session, "sip:a@h;transport=tcp"), "<sip:192.0.2.1:5060;transport=tcp>");
        assert_eq!(towards(&state, session, "sip:a@h;transport=tls"), "<sip:proxy.example.com;transport=tls>");
        assert_eq!(towards(&state, session, "sip:a@[2001:db8::9]"), "<sip:[2001:db8::1]:5060>");
    }

    /// RFC 3261 §8.1.1.8: "If the Request-URI or top Route header field value contains a SIPS URI, the Contact header
    /// field MUST contain a SIPS URI as well."
    #[test]
    fn a_sips_target_gets_a_sips_contact() {
        let mut state = state();
        let session = session(&mut state);
        assert_eq!(towards(&state, session, "sips:a@h"), "<sips:proxy.example.com>");
        assert_eq!(towards(&state, session, "sips:a@h;transport=tcp"), "<sips:proxy.example.com>");
        assert_eq!(towards(&state, session, "sips:a@h;transport=ws"), "<sips:ws.example.com:443;transport=ws>");
    }

    #[test]
    fn an_answer_names_the_listener_that_the_request_came_to() {
        let mut state = state();
        let session = session(&mut state);
        let contact =
            |listener, transport| state.own_contact(session, Some(&flow(listener, transport)), None).to_string();
        assert_eq!(contact(4, Transport::Udp), "<sip:198.51.100.7:5070>");
        assert_eq!(contact(5, Transport::Wss), "<sip:ws.example.com:443;transport=ws>");
        assert_eq!(contact(6, Transport::Udp), "<sip:edge.example.com;transport=udp>");
    }

    #[test]
    fn the_chosen_interface_comes_before_everything_and_its_port_is_a_wish() {
        let mut state = state();
        let session = session(&mut state);
        let mut contact = |interface: Interface, next_hop: &str| {
            state.sessions.get_mut(session).unwrap().make_ua().interface = Some(interface);
            towards(&state, session, next_hop)
        };
        let exact = Interface::Socket("198.51.100.7:5070".parse().unwrap());
        assert_eq!(contact(exact, "sip:a@h"), "<sip:198.51.100.7:5070>");
        let other_port = Interface::Socket("198.51.100.7:9".parse().unwrap());
        assert_eq!(contact(other_port, "sip:a@h"), "<sip:198.51.100.7:5070>");
        let address = Interface::Address("192.0.2.1".parse().unwrap());
        assert_eq!(contact(address, "sip:a@h;transport=tcp"), "<sip:192.0.2.1:5060;transport=tcp>");
    }

    #[test]
    fn a_transport_without_a_listener_leaves_the_first_udp_listener() {
        let mut state = state();
        let session = session(&mut state);
        assert_eq!(towards(&state, session, "sip:a@h;transport=ws"), "<sip:192.0.2.1:5060>");
    }

    #[test]
    fn interfaces_are_told_by_their_addresses() {
        let interfaces: Vec<String> = state().interface_uris().iter().map(|uri| uri.as_str().to_owned()).collect();
        assert_eq!(interfaces[0], "sip:192.0.2.1:5060;transport=udp");
        assert_eq!(interfaces[2], "sip:192.0.2.1:5061;transport=tls");
        assert_eq!(interfaces[3], "sip:[2001:db8::1]:5060;transport=udp");
        assert_eq!(interfaces[6], "sip:edge.example.com;transport=udp");
    }

    #[test]
    fn a_call_id_has_the_host_of_the_first_listener_without_its_port() {
        let mut state = state();
        assert_eq!(state.own_host(), "192.0.2.1");
        state.listeners = [listener(0, Transport::Udp, "[::1]:5060", "[::1]")].into();
        assert_eq!(state.own_host(), "[::1]");
        state.listeners = [listener(0, Transport::Udp, "[::1]:5060", "[::1]:5060")].into();
        assert_eq!(state.own_host(), "[::1]");
    }

    /// RFC 3261 table 2; RFC 6665 §4.1.2, RFC 3311 §5.1.
    #[test]
    fn only_what_makes_a_dialog_or_changes_its_target_has_a_contact_of_ours() {
        let request = |method: &Method| belongs_in(HeaderContext::Request(method));
        let response =
            |method: &Method, code: u16| belongs_in(HeaderContext::Response(method, StatusCode::new(code).unwrap()));
        for method in [Method::Invite, Method::Subscribe, Method::Refer, Method::Notify, Method::Update] {
            assert!(request(&method) && response(&method, 200) && response(&method, 183), "{method}");
            for code in [100, 302, 404, 485, 600] {
                assert!(!response(&method, code), "{method} {code}");
            }
        }
        for method in [
            Method::Register,
            Method::Options,
            Method::Bye,
            Method::Cancel,
            Method::Prack,
            Method::Message,
            Method::Publish,
            Method::Info,
            Method::Ack,
        ] {
            assert!(!request(&method) && !response(&method, 200), "{method}");
        }
    }
}
