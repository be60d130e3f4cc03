//! Kamailio as the next hop over TLS (`kamailio/next_hop.cfg`), and as an MSRP relay (`kamailio/msrp_relay.cfg`).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::certificates::Identity;
use crate::process::Process;
use crate::{ports, presence, workspace};

const START: Duration = Duration::from_secs(8);

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    _process: Process,
    address: SocketAddr,
}

impl Kamailio {
    /// Whether this module of it (`tls`, `msrp`) is installed; says so aloud if it is not, and panics where `CI` is set.
    pub fn has(module: &str) -> bool {
        let has = modules().is_some_and(|folder| folder.join(format!("{module}.so")).is_file());
        if !has {
            assert!(std::env::var_os("CI").is_none(), "Kamailio's module {module} is not installed");
            eprintln!("\n*** NOT TESTED, Kamailio's module {module} is not installed ***\n");
        }
        has
    }

    /// Takes calls over TLS with this certificate and hands them to the callee over UDP.
    pub fn before(callee: SocketAddr, identity: &Identity, authority: &Path) -> Kamailio {
        let folder = workspace::run_folder().join("kamailio");
        fs::create_dir_all(&folder).expect("the run folder is writable");
        let tls = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let tls_config = folder.join("tls.cfg");
        let text = format!(
            "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\n\
             certificate = {}\nprivate_key = {}\n\
             [client:default]\nmethod = TLSv1.2+\nverify_certificate = yes\nrequire_certificate = yes\n\
             ca_list = {}\n",
            identity.certificate.display(),
            identity.key.display(),
            authority.display()
        );
        fs::write(&tls_config, text).expect("the run folder is writable");

        let words = [
            ("@UDP@", ports::free().to_string()),
            ("@TLS@", tls.port().to_string()),
            ("@CALLEE@", callee.port().to_string()),
            ("@TLS_CONFIG@", tls_config.display().to_string()),
        ];
        Kamailio::start("next_hop.cfg", &words, tls, &folder)
    }

    /// An MSRP relay (RFC 4976) for whoever knows the password in this realm.
    pub fn msrp_relay(realm: &str, password: &str) -> Kamailio {
        let folder = workspace::run_folder().join("kamailio");
        fs::create_dir_all(&folder).expect("the run folder is writable");
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let words = [
            ("@PORT@", address.port().to_string()),
            ("@REALM@", realm.to_owned()),
            ("@PASSWORD@", password.to_owned()),
        ];
        Kamailio::start("msrp_relay.cfg", &words, address, &folder)
    }

    /// Fills in a template, and waits until the address is bound.
    fn start(template: &str, words: &[(&str, String)], address: SocketAddr, folder: &Path) -> Kamailio {
        let template = workspace::here().join("kamailio").join(template);
        let text = fs::read_to_string(template).expect("the template is part of this crate");
        let modules = modules().expect("the test asked").display().to_string();
        let text = text.replace("@MODULES@", &modules);
        let text = words.iter().fold(text, |text, (word, meaning)| text.replace(word, meaning));
        let config = folder.join("kamailio.cfg");
        fs::write(&config, text).expect("the run folder is writable");

        let mut command = Command::new(presence::find("kamailio").expect("the test asked whether it is there"));
        command.args(["-DD", "-E", "-m", "64", "-M", "8", "-f"]).arg(config);
        command.arg("-Y").arg(folder).arg("-P").arg(folder.join("pid"));
        let mut process = Process::start("kamailio", command, folder);
        let deadline = Instant::now() + START;
        while !ports::is_bound(address.port(), true) {
            assert!(process.ended().is_none(), "Kamailio ended at once");
            assert!(Instant::now() < deadline, "Kamailio did not bind {address}");
            thread::sleep(Duration::from_millis(20));
        }
        Kamailio { _process: process, address }
    }

    /// The URI of its callee, over TLS.
    pub fn callee(&self) -> String {
        format!("sip:callee@{};transport=tls", self.address)
    }

    /// Its URI as a relay, as an account names it.
    pub fn relay(&self) -> String {
        format!("msrp://{}", self.address)
    }
}

/// Where distributions put its modules.
fn modules() -> Option<PathBuf> {
    [
        "/usr/lib/x86_64-linux-gnu/kamailio/modules/",
        "/usr/lib/aarch64-linux-gnu/kamailio/modules/",
        "/usr/lib64/kamailio/modules/",
        "/usr/local/lib64/kamailio/modules/",
    ]
    .map(PathBuf::from)
    .into_iter()
    .find(|folder| folder.is_dir())
}
