//! mDNS (RFC 6762) for the account without a server: what is announced of us on the link, and who else is there.

use std::sync::Arc;

use client::account::Neighbour;
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use sip_message::{NameAddrBuf, Transport, UriBuf};

use super::EngineError;
use super::desk::Desk;

/// The services that such phones announce.
const SERVICES: [&str; 2] = ["_sipuri._udp.local.", "_sipuri._tcp.local."];

/// Our presence on the link; ends when it is dropped.
pub(super) struct Neighbourhood {
    daemon: ServiceDaemon,
}

impl Neighbourhood {
    /// Announces us and listens for others.
    pub(super) async fn enter(desk: &Desk) -> Result<Neighbourhood, EngineError> {
        let daemon = ServiceDaemon::new().map_err(failed)?;
        for transport in [Transport::Udp, Transport::Tcp] {
            let wanted = desk.ask(move |worker, now, endpoint| worker.client.announcement(now, endpoint, transport));
            let Some(announcement) = wanted.await? else { continue };
            let host = format!("cordboard-{}.local.", std::process::id());
            let kind = format!("{}.local.", announcement.service);
            let info = ServiceInfo::new(
                &kind,
                &announcement.instance,
                &host,
                (),
                announcement.port,
                announcement.txt.as_slice(),
            );
            daemon.register(info.map_err(failed)?.enable_addr_auto()).map_err(failed)?;
        }
        for service in SERVICES {
            let found = daemon.browse(service).map_err(failed)?;
            let desk = desk.clone();
            // Ends when the daemon does.
            std::thread::spawn(move || {
                while let Ok(event) = found.recv() {
                    hear(&desk, event);
                }
            });
        }
        Ok(Neighbourhood { daemon })
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        // The others are told that we go; nothing waits for it.
        let _ = self.daemon.shutdown();
    }
}

fn hear(desk: &Desk, event: ServiceEvent) {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            if let Some(neighbour) = neighbour(&service) {
                let name = service.fullname.clone();
                desk.tell_and_wait(move |worker, now, endpoint| {
                    worker.client.neighbour_found(now, endpoint, &name, neighbour);
                });
            }
        }
        ServiceEvent::ServiceRemoved(_, name) => {
            desk.tell_and_wait(move |worker, now, endpoint| worker.client.neighbour_lost(now, endpoint, &name));
        }
        _ => {}
    }
}

/// Who it says it is; nobody if its Contact can't be read.
fn neighbour(service: &ResolvedService) -> Option<Neighbour> {
    let contact = NameAddrBuf::parse(service.txt_properties.get_property_val_str("contact")?).ok()?;
    let uri = UriBuf::parse(contact.uri().to_string()).ok()?;
    let name = service.txt_properties.get_property_val_str("name").unwrap_or(&service.fullname);
    Some(Neighbour { name: Arc::from(name), uri })
}

fn failed(error: mdns_sd::Error) -> EngineError {
    EngineError::Settings(format!("bonjour.enabled: {error}").into())
}
