//! Who may use an application: the security part of the deployment descriptor (SIP Servlet 1.1, `security-constraint`
//! and `login-config`), with digest of RFC 3261 §22 and RFC 8760, and the asserted identity of RFC 3325.
//!
//! ```text
//!   request ──► begin ──► no constraint, or one that asks for nobody ─────────────────► Admitted
//!                 │
//!                 ├─ TLS asked for and not there; a constraint that admits nobody ────► Refused: 403
//!                 ├─ no identity where one is REQUIRED ───────────────────────────────► Refused: 428
//!                 ├─ no credentials, or none that can be read ────────────────────────► Refused: 401, 407
//!                 │
//!                 └─ NeedsUser ──► the owner asks the UserStore, for as long as it takes
//!                                       │
//!                                     verify ──► the store failed ────────────────────► Refused: 503, 500
//!                                       ├─ wrong digest; nonce old, foreign or used ──► Refused: 401, 407
//!                                       ├─ right, and not in the role ────────────────► Refused: 403
//!                                       └─ right, and in the role ────────────────────► Admitted, with a Principal
//! ```
//!
//! [`AccessControl`] judges requests that come in; [`answer_challenge`] answers what others ask of us. Both use the digest
//! of `sip_dialog`. Left to others: polling the store's future, the To tag of a refusal, carrying a principal from one
//! message to another, and checking signatures of RFC 8224.

mod access_control;
mod answer;
mod asserted;
mod constraint;
mod denial;
mod tries;
mod trust;
mod users;

pub use access_control::{AccessControl, DigestSettings, PendingLogin, Step, Verdict};
pub use answer::{Answered, ChallengeRealms, SessionCredentials, answer_challenge, carry_credentials};
pub use asserted::{strip_untrusted_identity, withhold_private_identity};
pub use constraint::{
    AllowedRoles, IdentityAssertion, IdentityScheme, IdentitySupport, LoginConfig, SecurityConstraint, SecurityPolicy,
    TransportGuarantee,
};
pub use denial::{Denial, DenialReason};
pub use trust::{FlowFacts, IpNetwork, TrustDomain, TrustError};
pub use users::{ConfiguredUsers, LookUp, Principal, Proof, StoreError, User, UserStore, look_up};
