//! From arguments and files to an engine with the account that is meant.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;

use client::session::Route;
use client::settings::{AccountSettings, Encryption, Settings};
use sip_message::Transport;

use super::args::{AccountArgs, EncryptionArg, OutputArgs, ScriptArgs};
use super::assign::assign;
use super::capture::Capture;
use super::configure::chosen;
use super::exit::Outcome;
use super::files::Files;
use super::trace::{Both, Trace};
use crate::config::ConfigError;
use crate::engine::{Account, Engine, EngineError, EngineOptions};

/// Why a command ends before it has done anything, or because it can't go on.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) outcome: Outcome,
    pub(super) why: String,
}

impl Stop {
    pub(super) fn usage(why: impl std::fmt::Display) -> Stop {
        Stop { outcome: Outcome::Usage, why: why.to_string() }
    }

    pub(super) fn unavailable(why: impl std::fmt::Display) -> Stop {
        Stop { outcome: Outcome::Unavailable, why: why.to_string() }
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Stop {
        Stop::usage(error)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Stop {
        match error {
            EngineError::Settings(_) | EngineError::Client(_) => Stop::usage(error),
            error => Stop::unavailable(error),
        }
    }
}

/// What a command works with.
pub(super) struct Started {
    pub(super) engine: Engine,
    pub(super) account: Account,
    pub(super) routes: Vec<Route>,
    pub(super) settings: Settings,
    capture: Option<(PathBuf, Arc<Capture>)>,
}

/// What a command wants beside what the user has set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes<'a> {
    /// Whether the account registers as its settings say; otherwise it does not.
    pub(super) register: bool,
    /// How calls are made.
    pub(super) script: Option<&'a ScriptArgs>,
    /// The port for UDP and TCP.
    pub(super) port: Option<u16>,
    /// The port that is taken if it is free and no other is asked for.
    pub(super) usual_port: Option<u16>,
}

/// Starts an engine.
pub(super) async fn start(args: &AccountArgs, output: &OutputArgs, wishes: Wishes<'_>) -> Result<Started, Stop> {
    let files = Files::new(args.config_directory.as_deref())?;
    let (of_account, general): (Vec<_>, Vec<_>) = args.set.iter().partition(|set| set.starts_with("account."));
    let general: Vec<String> = general.into_iter().cloned().collect();
    let of_account: Vec<String> = of_account.into_iter().map(|set| set["account.".len()..].to_owned()).collect();
    let mut settings = assign(&files.settings()?, &Settings::default(), &general)?;
    if let Some(script) = wishes.script {
        script.apply(&mut settings);
    }
    settings.sip.port = port(&settings, wishes);
    let account = account(&files, args, &settings)?;
    let (options, capture) = options(&files, output)?;
    let engine = Engine::start_with(settings.clone(), options).await?;
    let account = match account {
        Some(account) => {
            let mut account = assign(&account, &account, &of_account)?;
            account.sip.register &= wishes.register;
            adapt(&mut account, wishes);
            engine.add_account(account).await?
        }
        None => {
            let account = engine.default_account().await?;
            let plain = account.settings().await?;
            let mut changed = assign(&plain, &plain, &of_account)?;
            adapt(&mut changed, wishes);
            account.set_settings(changed).await?;
            account
        }
    };
    let routes = args.route.iter().map(|route| read_route(route)).collect::<Result<_, _>>().map_err(Stop::usage)?;
    Ok(Started { engine, account, routes, settings, capture })
}

impl Started {
    /// Ends what is still there and stops; says if a capture is not whole.
    pub(super) async fn stop(self) -> Result<(), Stop> {
        self.engine.stop(std::time::Duration::from_secs(3)).await;
        match self.capture {
            Some((path, capture)) => {
                capture.finish().map_err(|error| Stop::unavailable(format!("{} is not whole: {error}", path.display())))
            }
            None => Ok(()),
        }
    }
}

impl ScriptArgs {
    fn apply(&self, settings: &mut Settings) {
        if let Some(input) = &self.input {
            settings.audio.input.clone_from(input);
        }
        if let Some(output) = &self.output {
            settings.audio.output.clone_from(output);
        }
        if !self.codecs.is_empty() {
            settings.audio.codecs.clone_from(&self.codecs);
        }
    }
}

fn adapt(account: &mut AccountSettings, wishes: Wishes<'_>) {
    let Some(script) = wishes.script else { return };
    if !script.codecs.is_empty() {
        account.rtp.codecs = None;
    }
    if let Some(encryption) = script.encryption {
        account.rtp.encryption = match encryption {
            EncryptionArg::Disabled => Encryption::Disabled,
            EncryptionArg::SdesOptional => Encryption::SdesOptional,
            EncryptionArg::SdesMandatory => Encryption::SdesMandatory,
            EncryptionArg::DtlsOptional => Encryption::DtlsOptional,
            EncryptionArg::DtlsMandatory => Encryption::DtlsMandatory,
            EncryptionArg::Opportunistic => Encryption::Opportunistic,
        };
    }
}

/// The port for UDP and TCP; the usual one only while nobody else has it.
fn port(settings: &Settings, wishes: Wishes<'_>) -> u16 {
    if let Some(port) = wishes.port {
        return port;
    }
    let usual = wishes.usual_port.filter(|port| settings.sip.port == 0 && is_free(settings, *port));
    usual.unwrap_or(settings.sip.port)
}

fn is_free(settings: &Settings, port: u16) -> bool {
    let addresses = settings.sip.address.map_or_else(sip_transport::local_addresses, |address| vec![address]);
    addresses.into_iter().all(|address| {
        let at = SocketAddr::new(address, port);
        [Transport::Udp, Transport::Tcp].into_iter().all(|transport| sip_transport::is_free(transport, at).is_ok())
    })
}

/// The account that is named, or the default one; none where there is none at all.
fn account(files: &Files, args: &AccountArgs, settings: &Settings) -> Result<Option<AccountSettings>, ConfigError> {
    let accounts = files.accounts()?;
    if let Some(name) = &args.account {
        return chosen(&accounts, name).cloned().map(Some);
    }
    if let Some(name) = &settings.default_account {
        return chosen(&accounts, name).cloned().map(Some);
    }
    Ok(accounts.into_iter().find(|account| account.enabled))
}

type Options = (EngineOptions, Option<(PathBuf, Arc<Capture>)>);

fn options(files: &Files, output: &OutputArgs) -> Result<Options, Stop> {
    let trace = output.trace_sip.as_ref().map(|path| {
        let trace = Trace::open(path);
        trace.map_err(|error| Stop::unavailable(format!("{} can't be written: {error}", path.display())))
    });
    let capture = output.pcap.as_ref().map(|path| {
        let capture = Capture::create(path);
        let capture =
            capture.map_err(|error| Stop::unavailable(format!("{} can't be written: {error}", path.display())));
        capture.map(|capture| (path.clone(), Arc::new(capture)))
    });
    let chat_tap = output.trace_msrp.as_ref().map(|path| {
        let trace = Trace::open(path).map(|trace| Arc::new(trace) as Arc<dyn msrp::driver::Tap>);
        trace.map_err(|error| Stop::unavailable(format!("{} can't be written: {error}", path.display())))
    });
    let (trace, capture, chat_tap) = (trace.transpose()?, capture.transpose()?, chat_tap.transpose()?);
    let capturing = capture.as_ref().map(|(_, capture)| capture.clone());
    let tap: Option<Arc<dyn sip_stack::Tap>> = match (trace.map(Arc::new), capturing.clone()) {
        (Some(trace), Some(capture)) => Some(Arc::new(Both(trace, capture))),
        (Some(trace), None) => Some(trace),
        (None, Some(capture)) => Some(capture),
        (None, None) => None,
    };
    let media_tap = capturing.map(|capture| capture as Arc<dyn media::driver::Tap>);
    let made = crate::engine::new_instance()?;
    let options = EngineOptions { instance: files.instance(|| made), tap, media_tap, chat_tap };
    Ok((options, capture))
}

/// `HOST[:PORT][;transport=tcp]`.
fn read_route(text: &str) -> Result<Route, String> {
    let (host, transport) = match text.split_once(';') {
        Some((host, parameter)) => (host, parameter.strip_prefix("transport=").unwrap_or(parameter)),
        None => (text, "udp"),
    };
    let transport = match transport.to_ascii_lowercase().as_str() {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        other => {
            return Err(format!("{text:?}: there is no transport {other:?} for a route; there are udp, tcp and tls"));
        }
    };
    let default_port = transport.default_port();
    let port_given = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let port_given = port_given && literal.is_none();
    let found = if port_given {
        host.to_socket_addrs()
    } else {
        (host.trim_matches(['[', ']']), default_port).to_socket_addrs()
    };
    let found = found.map_err(|error| format!("{text:?} is no route: {error}"))?.next();
    let addr = found.ok_or_else(|| format!("{text:?} is no route: it has no address"))?;
    let name = host.rsplit_once(':').filter(|_| port_given).map_or(host, |(name, _)| name);
    let tls_name = (transport == Transport::Tls).then(|| Arc::from(name));
    Ok(Route { addr, transport, tls_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_host_with_perhaps_a_port_and_a_transport() {
        let route = |text: &str| read_route(text).unwrap();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(route("127.0.0.1").addr, at("127.0.0.1:5060"));
        assert_eq!(route("127.0.0.1:5070;transport=tcp").transport, Transport::Tcp);
        assert_eq!(route("127.0.0.1;tls").addr.port(), 5061);
        assert_eq!(route("[::1]:5070").addr, at("[::1]:5070"));
        assert_eq!(route("::1").addr, at("[::1]:5060"));
        assert!(read_route("127.0.0.1;transport=pigeon").unwrap_err().contains("there are udp, tcp and tls"));
    }
}
