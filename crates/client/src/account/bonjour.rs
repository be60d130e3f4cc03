//! The account without a server: who is in the neighbourhood, and what the neighbourhood is told of us, as phones of this
//! kind do it (DNS-SD, RFC 6763, with the service `_sipuri`). The mDNS (RFC 6762) is the driver's; here is what it finds
//! and what it announces. There is no registration and no authentication: a call goes to the Contact that was announced.

use std::collections::BTreeMap;
use std::sync::Arc;

use sip_message::{Transport, UriBuf};

use super::AccountId;
use super::account::Account;
use crate::desk::Desk;
use crate::notification::{Data, Sender};

/// As many are known at once: anybody on the link can announce what he likes.
const MAX_NEIGHBOURS: usize = 512;
/// The longest label of a name (RFC 1035 §2.3.4), in octets.
const MAX_LABEL: usize = 63;

/// Somebody in the neighbourhood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name, to be shown.
    pub name: Arc<str>,
    /// Where it is.
    pub uri: UriBuf,
}

/// What is announced of us for one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// `_sipuri._udp` or `_sipuri._tcp`; TLS is announced as the latter.
    pub service: &'static str,
    /// The instance's name: one label.
    pub instance: String,
    /// The port.
    pub port: u16,
    /// The TXT record: `txtvers`, `name`, `contact`, `instance_id`.
    pub txt: Vec<(&'static str, String)>,
}

/// The neighbourhood of the account [`AccountId::BONJOUR`].
#[derive(Debug, Default)]
pub struct BonjourAccount {
    /// By the full names of their services.
    neighbours: BTreeMap<Box<str>, Neighbour>,
}

impl BonjourAccount {
    /// Those who are there.
    pub fn neighbours(&self) -> impl Iterator<Item = &Neighbour> {
        self.neighbours.values()
    }

    /// A service was found, or says something else of itself now.
    pub(super) fn found(&mut self, desk: &mut Desk<'_>, account: &Account, service: &str, neighbour: Neighbour) {
        let transport = neighbour.uri.as_uri().sip().and_then(|uri| uri.transport()).unwrap_or(Transport::Udp);
        let own = account.contact_uri(desk.endpoint, transport, None);
        if neighbour.uri.as_uri().equivalent(&own.as_uri()) {
            return;
        }
        match self.neighbours.get(service) {
            Some(known) if *known == neighbour => return,
            Some(_) => self.lost(desk, service),
            None if self.neighbours.len() >= MAX_NEIGHBOURS => return,
            None => {}
        }
        let data = Data::BonjourAccountDidAddNeighbour { name: neighbour.name.clone(), uri: neighbour.uri.clone() };
        self.neighbours.insert(service.into(), neighbour);
        desk.post(Sender::Account(AccountId::BONJOUR), data);
    }

    /// A service is there no longer.
    pub(super) fn lost(&mut self, desk: &mut Desk<'_>, service: &str) {
        if let Some(gone) = self.neighbours.remove(service) {
            let data = Data::BonjourAccountDidRemoveNeighbour { uri: gone.uri };
            desk.post(Sender::Account(AccountId::BONJOUR), data);
        }
    }

    /// All are gone: the account is not used any more, or the network is another.
    pub(super) fn clear(&mut self, desk: &mut Desk<'_>) {
        let services: Vec<Box<str>> = self.neighbours.keys().cloned().collect();
        for service in services {
            self.lost(desk, &service);
        }
    }
}

/// What is announced for one of our transports; `None` when there is no listener for it.
pub(super) fn announcement(
    desk: &Desk<'_>,
    account: &Account,
    transport: Transport,
    instance: &str,
) -> Option<Announcement> {
    let listener = desk.endpoint.listener_for(transport, None)?;
    let contact = account.contact_uri(desk.endpoint, transport, None);
    let name = account.settings().display_name.clone().unwrap_or_else(|| account.contact_user().to_owned());
    Some(Announcement {
        service: if transport == Transport::Udp { "_sipuri._udp" } else { "_sipuri._tcp" },
        instance: label(&name, &listener.sent_by, transport),
        port: listener.local.port(),
        txt: vec![
            ("txtvers", "1".into()),
            ("name", name),
            ("contact", format!("<{contact}>")),
            ("instance_id", instance.to_owned()),
        ],
    })
}

/// `Alice (192.0.2.1:5060 udp)`: readable, and ours alone.
fn label(name: &str, sent_by: &str, transport: Transport) -> String {
    let behind = format!(" ({sent_by} {})", transport.uri_param());
    let mut end = name.len().min(MAX_LABEL.saturating_sub(behind.len()));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{behind}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_never_too_long_and_never_cut_within_a_character() {
        assert_eq!(label("Alice", "192.0.2.1:5060", Transport::Udp), "Alice (192.0.2.1:5060 udp)");
        let long = label(&"é".repeat(60), "host.example", Transport::Tcp);
        assert!(long.len() <= MAX_LABEL && long.ends_with(" (host.example tcp)"), "{long}");
    }
}
