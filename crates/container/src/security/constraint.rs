//! What a deployment descriptor says about security: `security-constraint` and `login-config` (SIP Servlet 1.1).
//!
//! Where several constraints fit one servlet and method, all of them hold: roles are added up as in the Servlet
//! specification, a constraint that admits nobody precludes, and the strictest transport is asked for. (The Java rule
//! lets the weakest transport hold, so that a second constraint can quietly open what the first has closed.)

use sip_message::Method;

/// The constraints of an application, and how its users log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityPolicy {
    /// The constraints.
    pub constraints: Vec<SecurityConstraint>,
    /// How users log in. Without it nobody can, and what asks for a role admits nobody.
    pub login: Option<LoginConfig>,
}

/// Which requests are protected, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityConstraint {
    /// The servlets, by name. Empty: all.
    pub servlets: Vec<Box<str>>,
    /// The methods. Empty: all.
    pub methods: Vec<Method>,
    /// Whether to ask as a proxy does, with 407 instead of 401.
    pub proxy_authentication: bool,
    /// Who may send them.
    pub roles: AllowedRoles,
    /// What the hop has to be.
    pub transport_guarantee: TransportGuarantee,
}

impl Default for SecurityConstraint {
    /// All requests of all servlets, for everybody, on any transport.
    fn default() -> SecurityConstraint {
        SecurityConstraint {
            servlets: Vec::new(),
            methods: Vec::new(),
            proxy_authentication: false,
            roles: AllowedRoles::Everybody,
            transport_guarantee: TransportGuarantee::None,
        }
    }
}

/// The `auth-constraint` of a [`SecurityConstraint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedRoles {
    /// There is no `auth-constraint`: nobody is asked who he is.
    Everybody,
    /// Users in one of these roles. None of them: nobody.
    Only(Vec<Box<str>>),
    /// `*`: users who are in any role at all.
    AnyRole,
}

impl AllowedRoles {
    /// What an `auth-constraint` with these role names means.
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> AllowedRoles {
        let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        if names.iter().any(|name| &**name == "*") { AllowedRoles::AnyRole } else { AllowedRoles::Only(names) }
    }

    /// Whether a user in `roles` is meant.
    pub fn admits(&self, roles: &[Box<str>]) -> bool {
        match self {
            AllowedRoles::Everybody => true,
            AllowedRoles::Only(allowed) => allowed.iter().any(|role| roles.contains(role)),
            AllowedRoles::AnyRole => !roles.is_empty(),
        }
    }
}

/// The `user-data-constraint` of a [`SecurityConstraint`]. The last two both mean TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportGuarantee {
    /// Any transport.
    #[default]
    None,
    /// Nobody may change what is sent.
    Integral,
    /// Nobody may read what is sent.
    Confidential,
}

/// How users log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginConfig {
    /// The realm of the digest; its name is printed to users and is part of each HA1.
    pub realm: Box<str>,
    /// Whether an identity that somebody else vouches for is taken instead of a password.
    pub identity_assertion: Option<IdentityAssertion>,
}

impl LoginConfig {
    /// By password only.
    pub fn digest(realm: impl Into<Box<str>>) -> LoginConfig {
        LoginConfig { realm: realm.into(), identity_assertion: None }
    }
}

/// An identity that somebody else vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityAssertion {
    /// How it is said.
    pub scheme: IdentityScheme,
    /// Whether it may be missing.
    pub support: IdentitySupport,
}

/// Which header says the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityScheme {
    /// P-Asserted-Identity of a peer in the trust domain (RFC 3325).
    PAssertedIdentity,
    /// Identity, a signature (RFC 8224). It is checked before by whoever fills in
    /// [`FlowFacts::verified_identity`](super::FlowFacts::verified_identity).
    Identity,
}

/// Whether an identity may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySupport {
    /// Who has none is asked for a password.
    Supported,
    /// Who has none is refused with 428.
    Required,
}

/// What all constraints that fit one request say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) secure: bool,
    pub(super) roles: AllowedRoles,
    pub(super) proxy_authentication: bool,
}

impl SecurityPolicy {
    /// What is asked of a request for this servlet; `None` when no constraint fits.
    pub(super) fn demand(&self, servlet: &str, method: &Method) -> Option<Demand> {
        let mut fitting = self.constraints.iter().filter(|constraint| constraint.fits(servlet, method)).peekable();
        fitting.peek()?;
        let mut demand = Demand { secure: false, roles: AllowedRoles::Everybody, proxy_authentication: false };
        for constraint in fitting {
            demand.secure |= constraint.transport_guarantee != TransportGuarantee::None;
            demand.proxy_authentication |= constraint.proxy_authentication;
            demand.roles = demand.roles.and(&constraint.roles);
        }
        Some(demand)
    }
}

impl SecurityConstraint {
    fn fits(&self, servlet: &str, method: &Method) -> bool {
        (self.servlets.is_empty() || self.servlets.iter().any(|name| **name == *servlet))
            && (self.methods.is_empty() || self.methods.contains(method))
    }
}

impl AllowedRoles {
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, AllowedRoles::Only(roles) if roles.is_empty())
    }

    fn and(&self, other: &AllowedRoles) -> AllowedRoles {
        match (self, other) {
            (one, other) if one.is_nobody() || other.is_nobody() => AllowedRoles::Only(Vec::new()),
            (AllowedRoles::Everybody, roles) | (roles, AllowedRoles::Everybody) => roles.clone(),
            (AllowedRoles::AnyRole, _) | (_, AllowedRoles::AnyRole) => AllowedRoles::AnyRole,
            (AllowedRoles::Only(one), AllowedRoles::Only(other)) => {
                AllowedRoles::Only(one.iter().chain(other).cloned().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> SecurityConstraint {
        SecurityConstraint { roles: AllowedRoles::of_names(names.iter().copied()), ..SecurityConstraint::default() }
    }

    fn demand(constraints: &[SecurityConstraint]) -> Demand {
        let policy = SecurityPolicy { constraints: constraints.to_vec(), login: None };
        policy.demand("main", &Method::Invite).unwrap()
    }

    #[test]
    fn a_constraint_fits_its_servlets_and_methods() {
        let constraint = SecurityConstraint {
            servlets: vec!["voicemail".into()],
            methods: vec![Method::Invite, Method::Message],
            ..SecurityConstraint::default()
        };
        let policy = SecurityPolicy { constraints: vec![constraint], login: None };
        assert!(policy.demand("voicemail", &Method::Invite).is_some());
        assert!(policy.demand("voicemail", &Method::Options).is_none());
        assert!(policy.demand("main", &Method::Invite).is_none());
        let everything = SecurityPolicy { constraints: vec![SecurityConstraint::default()], login: None };
        assert!(everything.demand("main", &Method::Other("FOO".into())).is_some());
    }

    #[test]
    fn the_roles_of_two_constraints_are_added_up() {
        let both = demand(&[roles(&["agent"]), roles(&["boss"])]);
        assert!(both.roles.admits(&["agent".into()]) && both.roles.admits(&["boss".into()]));
        assert!(!both.roles.admits(&["guest".into()]) && !both.roles.admits(&[]));
    }

    #[test]
    fn a_constraint_that_admits_nobody_precludes_whatever_others_say() {
        assert!(demand(&[roles(&["agent"]), roles(&[]), roles(&["*"])]).roles.is_nobody());
        assert!(demand(&[SecurityConstraint::default(), roles(&[])]).roles.is_nobody());
    }

    #[test]
    fn a_constraint_on_the_transport_opens_no_door_that_another_closed() {
        let tls = SecurityConstraint {
            transport_guarantee: TransportGuarantee::Confidential,
            ..SecurityConstraint::default()
        };
        let both = demand(&[roles(&["agent"]), tls]);
        assert!(both.secure);
        assert!(!both.roles.admits(&["guest".into()]));
    }

    #[test]
    fn the_star_is_any_role_and_not_none() {
        let any = demand(&[roles(&["*"])]).roles;
        assert!(any.admits(&["whatever".into()]));
        assert!(!any.admits(&[]));
    }
}
