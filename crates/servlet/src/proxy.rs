//! `Proxy` and `ProxyBranch`: RFC 3261 §16 as an application sees it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Error;
use crate::flow::SipFlow;
use crate::request::SipServletRequest;
use crate::response::SipServletResponse;
use crate::spi::{BranchKey, Host, Interface, ProxyKey, ProxyOptions, ProxyPart};
use crate::uri::{SipUri, Uri};

/// Why something is cancelled: one value of the Reason header (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelReason {
    /// `SIP`, `Q.850` or another registered protocol.
    pub protocol: String,
    /// The protocol's number for it.
    pub cause: u16,
    /// In words.
    pub text: Option<String>,
}

/// The proxy operation of one request.
///
/// ```text
///   invite.proxy()?            settings, then          proxy_to(&targets)?
///                              create_proxy_branches() + start_proxy()
/// ```
#[derive(Clone)]
pub struct Proxy {
    host: Host,
    key: ProxyKey,
}

/// One target of a proxy operation, and the request that goes there.
#[derive(Clone)]
pub struct ProxyBranch {
    host: Host,
    key: BranchKey,
}

macro_rules! options {
    ($part:ident: $($(#[$get_doc:meta])* $get:ident, $(#[$set_doc:meta])* $set:ident, $field:ident: $of:ty;)*) => {$(
        $(#[$get_doc])*
        pub fn $get(&self) -> Result<$of, Error> {
            Ok(self.host.proxy_options(ProxyPart::$part(self.key))?.$field)
        }

        $(#[$set_doc])*
        pub fn $set(&self, $field: $of) -> Result<(), Error> {
            let options = self.host.proxy_options(ProxyPart::$part(self.key))?;
            self.host.set_proxy_options(ProxyPart::$part(self.key), ProxyOptions { $field, ..options })
        }
    )*};
}

impl Proxy {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, key: ProxyKey) -> Proxy {
        Proxy { host, key }
    }

    /// What the container calls it.
    #[doc(hidden)]
    pub fn key(&self) -> ProxyKey {
        self.key
    }

    /// The request that came.
    pub fn original_request(&self) -> Result<SipServletRequest, Error> {
        self.host.proxy_original_request(self.key)
    }

    /// Sends the request to a target: [`Proxy::create_proxy_branches`] and [`Proxy::start_proxy`].
    pub fn proxy_to(&self, target: &Uri) -> Result<(), Error> {
        self.proxy_to_all(std::slice::from_ref(target))
    }

    /// Sends the request to several targets, all at once or one after the other.
    pub fn proxy_to_all(&self, targets: &[Uri]) -> Result<(), Error> {
        self.create_proxy_branches(targets)?;
        self.start_proxy()
    }

    /// Makes a branch for each target, to be changed before they start.
    ///
    /// A target that is not `sip` or `sips` needs a Route to a SIP server in the request, else
    /// [`crate::IllegalArgument::Scheme`].
    pub fn create_proxy_branches(&self, targets: &[Uri]) -> Result<Vec<ProxyBranch>, Error> {
        self.host.create_proxy_branches(self.key, targets)
    }

    /// Starts every branch that was not started; while a sequential search runs, they wait for their turn.
    pub fn start_proxy(&self) -> Result<(), Error> {
        self.host.start_proxy(self.key)
    }

    /// The branch whose target is this URI.
    pub fn proxy_branch(&self, target: &Uri) -> Option<ProxyBranch> {
        self.proxy_branches()
            .into_iter()
            .find(|branch| branch.request().is_ok_and(|request| request.request_uri() == *target))
    }

    /// The branches that the application has made; see [`ProxyBranch::recursed_branches`] for those that redirections
    /// have.
    pub fn proxy_branches(&self) -> Vec<ProxyBranch> {
        self.host.proxy_branches(self.key)
    }

    /// Cancels every branch.
    pub fn cancel(&self) -> Result<(), Error> {
        self.cancel_because(&[])
    }

    /// Cancels every branch and says why.
    pub fn cancel_because(&self, reasons: &[CancelReason]) -> Result<(), Error> {
        self.host.cancel_proxy(ProxyPart::Proxy(self.key), reasons)
    }

    options! { Proxy:
        /// Whether all targets are tried at once. By default they are.
        parallel,
        /// Chooses between a parallel and a sequential search.
        set_parallel, parallel: bool;
        /// Whether redirections (3xx) are followed. By default they are.
        recurse,
        /// Chooses whether redirections are followed.
        set_recurse, recurse: bool;
        /// Whether the application is told of responses. By default it is.
        supervised,
        /// Chooses whether the application is told of responses to this request.
        set_supervised, supervised: bool;
        /// Whether branches run on after one has answered with 2xx or 6xx (RFC 3841 `no-cancel`). By default not.
        no_cancel,
        /// Chooses whether branches run on.
        set_no_cancel, no_cancel: bool;
        /// Whether branches that are made from now on stay in the path of the dialog. By default not.
        record_route,
        /// Chooses whether branches stay in the path. [`crate::IllegalState::ProxyStarted`] once it was started.
        set_record_route, record_route: bool;
        /// Whether a REGISTER's Path gets our address (RFC 3327). By default not.
        add_to_path,
        /// Chooses whether a REGISTER's Path gets our address.
        set_add_to_path, add_to_path: bool;
        /// How long the search takes at most: the whole of a parallel one, each target of a sequential one.
        proxy_timeout,
        /// Sets the time; more than zero.
        set_proxy_timeout, timeout: Duration;
    }

    /// The URI that goes into Record-Route. Parameters that are added to it come back with every request of the dialog.
    pub fn record_route_uri(&self) -> Result<SipUri, Error> {
        self.host.record_route_uri(ProxyPart::Proxy(self.key))
    }

    /// Changes parameters of that URI. Scheme, host, port and the parameters of RFC 3261 are the container's.
    pub fn set_record_route_uri(&self, uri: &SipUri) -> Result<(), Error> {
        self.host.set_record_route_uri(ProxyPart::Proxy(self.key), uri)
    }

    /// The URI that goes into the Path of a REGISTER.
    pub fn path_uri(&self) -> Result<SipUri, Error> {
        self.host.path_uri(ProxyPart::Proxy(self.key))
    }

    /// Changes parameters of that URI.
    pub fn set_path_uri(&self, uri: &SipUri) -> Result<(), Error> {
        self.host.set_path_uri(ProxyPart::Proxy(self.key), uri)
    }

    /// Sends from this address of ours.
    pub fn set_outbound_address(&self, address: IpAddr) -> Result<(), Error> {
        self.host.set_proxy_outbound_interface(ProxyPart::Proxy(self.key), Interface::Address(address))
    }

    /// Sends from this address and port of ours.
    pub fn set_outbound_interface(&self, interface: SocketAddr) -> Result<(), Error> {
        self.host.set_proxy_outbound_interface(ProxyPart::Proxy(self.key), Interface::Socket(interface))
    }

    /// Sends over an existing flow (RFC 5626), whatever the target's URI says.
    pub fn set_flow(&self, flow: Option<SipFlow>) -> Result<(), Error> {
        self.host.set_proxy_flow(ProxyPart::Proxy(self.key), flow)
    }
}

impl ProxyBranch {
    /// A handle; made by containers.
    #[doc(hidden)]
    pub fn new(host: Host, key: BranchKey) -> ProxyBranch {
        ProxyBranch { host, key }
    }

    /// What the container calls it.
    #[doc(hidden)]
    pub fn key(&self) -> BranchKey {
        self.key
    }

    /// The request that goes, or went, to the target. It may be changed before it goes; its Request-URI is the target.
    pub fn request(&self) -> Result<SipServletRequest, Error> {
        self.host.branch_request(self.key)
    }

    /// The last response; `None` before the first.
    pub fn response(&self) -> Option<SipServletResponse> {
        self.host.branch_response(self.key)
    }

    /// Whether the request has gone.
    pub fn is_started(&self) -> bool {
        self.host.branch_is_started(self.key)
    }

    /// The branches that redirections of this one have made.
    pub fn recursed_branches(&self) -> Vec<ProxyBranch> {
        self.host.recursed_branches(self.key)
    }

    /// The operation that it is part of.
    pub fn proxy(&self) -> Option<Proxy> {
        self.host.proxy_of_branch(self.key)
    }

    /// Cancels this branch and those that came of it.
    pub fn cancel(&self) -> Result<(), Error> {
        self.cancel_because(&[])
    }

    /// Cancels and says why.
    pub fn cancel_because(&self, reasons: &[CancelReason]) -> Result<(), Error> {
        self.host.cancel_proxy(ProxyPart::Branch(self.key), reasons)
    }

    options! { Branch:
        /// Whether redirections are followed here.
        recurse,
        /// Chooses whether redirections are followed here.
        set_recurse, recurse: bool;
        /// Whether this branch stays in the path of the dialog.
        record_route,
        /// Chooses whether this branch stays in the path. [`crate::IllegalState::ProxyStarted`] once it was started.
        set_record_route, record_route: bool;
        /// Whether a REGISTER's Path gets our address here.
        add_to_path,
        /// Chooses whether a REGISTER's Path gets our address here.
        set_add_to_path, add_to_path: bool;
        /// How long this branch may take.
        proxy_branch_timeout,
        /// Sets the time. In a parallel search it can only be made shorter.
        set_proxy_branch_timeout, timeout: Duration;
    }

    /// See [`Proxy::record_route_uri`].
    pub fn record_route_uri(&self) -> Result<SipUri, Error> {
        self.host.record_route_uri(ProxyPart::Branch(self.key))
    }

    /// See [`Proxy::set_record_route_uri`].
    pub fn set_record_route_uri(&self, uri: &SipUri) -> Result<(), Error> {
        self.host.set_record_route_uri(ProxyPart::Branch(self.key), uri)
    }

    /// See [`Proxy::path_uri`].
    pub fn path_uri(&self) -> Result<SipUri, Error> {
        self.host.path_uri(ProxyPart::Branch(self.key))
    }

    /// See [`Proxy::set_path_uri`].
    pub fn set_path_uri(&self, uri: &SipUri) -> Result<(), Error> {
        self.host.set_path_uri(ProxyPart::Branch(self.key), uri)
    }

    /// Sends from this address of ours.
    pub fn set_outbound_address(&self, address: IpAddr) -> Result<(), Error> {
        self.host.set_proxy_outbound_interface(ProxyPart::Branch(self.key), Interface::Address(address))
    }

    /// Sends from this address and port of ours.
    pub fn set_outbound_interface(&self, interface: SocketAddr) -> Result<(), Error> {
        self.host.set_proxy_outbound_interface(ProxyPart::Branch(self.key), Interface::Socket(interface))
    }

    /// Sends over an existing flow (RFC 5626).
    pub fn set_flow(&self, flow: Option<SipFlow>) -> Result<(), Error> {
        self.host.set_proxy_flow(ProxyPart::Branch(self.key), flow)
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Proxy) -> bool {
        self.key == other.key
    }
}

impl Eq for Proxy {}

impl PartialEq for ProxyBranch {
    fn eq(&self, other: &ProxyBranch) -> bool {
        self.key == other.key
    }
}

impl Eq for ProxyBranch {}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.key.slot)
    }
}

impl fmt::Debug for ProxyBranch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyBranch({})", self.key.slot)
    }
}

impl CancelReason {
    /// A reason without words.
    pub fn new(protocol: &str, cause: u16) -> CancelReason {
        CancelReason { protocol: protocol.to_owned(), cause, text: None }
    }
}
