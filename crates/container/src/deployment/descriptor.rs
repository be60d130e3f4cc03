//! What a `sip.xml` adds to an application (JSR 289 §20). Its servlets are those of the code, found by servlet-name or
//! servlet-class, or because there is only one; what refers to another is a mistake, for a constraint that protects nothing would open a door quietly.

use std::sync::Arc;

use servlet::Minutes;

use super::{Deployment, DeploymentError, DeploymentMistake, DeploymentWarning, RoleName, Selection};
use crate::routing::sip_xml::{self, ServletSelection, SessionTimeout, SipXml};
use crate::security::{
    AllowedRoles, IdentityAssertion, IdentityScheme, IdentitySupport, LoginConfig, SecurityConstraint,
    TransportGuarantee,
};

impl Deployment {
    /// Adds what a descriptor says. It takes the place of what was said before where there can be one value only, and of
    /// the application's own choice of servlets.
    ///
    /// The descriptor of an application without a name names it.
    pub fn with_descriptor(mut self, descriptor: &SipXml) -> Result<Deployment, DeploymentError> {
        if self.name.is_empty() {
            self.name = descriptor.app_name.as_str().into();
        } else if *self.name != *descriptor.app_name {
            return Err(self.error(DeploymentMistake::OtherName(descriptor.app_name.as_str().into())));
        }
        self.take_parameters(descriptor);
        self.take_selection(descriptor)?;
        self.take_security(descriptor)?;
        if let Some(timeout) = descriptor.session_timeout {
            self.session_timeout = Some(match timeout {
                SessionTimeout::Never => Minutes(0),
                SessionTimeout::Minutes(minutes) => Minutes(minutes.get()),
            });
        }
        self.proxy_timeout = descriptor.proxy.timeout().or(self.proxy_timeout);
        self.note_what_is_not_heeded(descriptor);
        Ok(self)
    }

    /// The servlet that the descriptor means by a name.
    fn servlet_of(&self, descriptor: &SipXml, name: &str) -> Option<Arc<str>> {
        let declared = descriptor.servlet(name);
        let servlets = &self.application.parts.servlets;
        let has = |wanted: &str| servlets.iter().find(|(known, _)| **known == *wanted);
        let by_class = || has(declared?.class.as_deref()?);
        // One here and one there can only be the same, whatever they are called.
        let only =
            || servlets.first().filter(|_| servlets.len() == 1 && descriptor.servlets.len() == 1 && declared.is_some());
        let (known, _) = has(name).or_else(by_class).or_else(only)?;
        Some(Arc::clone(known))
    }

    /// One list for the whole application: its own parameters count, then those of its servlets in their order.
    fn take_parameters(&mut self, descriptor: &SipXml) {
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for param in &descriptor.context_params {
            taken.push((&param.name, &param.value));
        }
        for servlet in &descriptor.servlets {
            for param in &servlet.init_params {
                match taken.iter().find(|(name, _)| *name == param.name) {
                    None => taken.push((&param.name, &param.value)),
                    Some((_, value)) if *value == param.value => {}
                    Some(_) => self.warnings.push(DeploymentWarning::Parameter {
                        servlet: servlet.name.as_str().into(),
                        name: param.name.as_str().into(),
                    }),
                }
            }
        }
        for (name, value) in taken {
            self.application.parts.init_parameters.insert(name.to_owned(), value.to_owned());
        }
    }

    fn take_selection(&mut self, descriptor: &SipXml) -> Result<(), DeploymentError> {
        let selection = match &descriptor.selection {
            None => return Ok(()),
            Some(ServletSelection::MainServlet(name)) => match self.servlet_of(descriptor, name) {
                Some(servlet) => Selection::Main(servlet),
                None => {
                    let known = self.servlet_names();
                    return Err(self.error(DeploymentMistake::UnknownMainServlet(name.as_str().into(), known)));
                }
            },
            Some(ServletSelection::Mappings(mappings)) => {
                let mut taken = Vec::with_capacity(mappings.len());
                for mapping in mappings {
                    let Some(servlet) = self.servlet_of(descriptor, &mapping.servlet) else {
                        let (name, known) = (mapping.servlet.as_str().into(), self.servlet_names());
                        return Err(self.error(DeploymentMistake::UnknownMappedServlet(name, known)));
                    };
                    taken.push((mapping.pattern.clone(), servlet));
                }
                // The descriptor's mappings are all that there are (JSR 289 §16.2).
                self.application.parts.mappings.clear();
                Selection::Mappings(taken)
            }
        };
        self.selection = Some(selection);
        Ok(())
    }

    fn take_security(&mut self, descriptor: &SipXml) -> Result<(), DeploymentError> {
        for constraint in &descriptor.security_constraints {
            for resource in &constraint.resources {
                let taken = self.constraint_of(descriptor, constraint, resource)?;
                self.policy.constraints.push(taken);
            }
        }
        if let Some(login) = &descriptor.login {
            let realm = login.realm.as_deref().unwrap_or(&self.name);
            let identity_assertion = login.identity_assertion.map(identity_assertion);
            self.policy.login = Some(LoginConfig { realm: realm.into(), identity_assertion });
        }
        for servlet in &descriptor.servlets {
            let Some(known) = self.servlet_of(descriptor, &servlet.name) else { continue };
            for reference in &servlet.role_refs {
                let role = reference.link.as_ref().unwrap_or(&reference.name);
                self.role_names.push(RoleName {
                    servlet: (*known).into(),
                    name: reference.name.as_str().into(),
                    role: role.as_str().into(),
                });
            }
        }
        Ok(())
    }

    fn constraint_of(
        &self,
        descriptor: &SipXml,
        constraint: &sip_xml::SecurityConstraint,
        resource: &sip_xml::ResourceCollection,
    ) -> Result<SecurityConstraint, DeploymentError> {
        let mut servlets = Vec::with_capacity(resource.servlets.len());
        for name in &resource.servlets {
            let Some(servlet) = self.servlet_of(descriptor, name) else {
                let (name, known) = (name.as_str().into(), self.servlet_names());
                return Err(self.error(DeploymentMistake::UnknownConstrainedServlet(name, known)));
            };
            servlets.push((*servlet).into());
        }
        Ok(SecurityConstraint {
            servlets,
            methods: resource.methods.clone(),
            proxy_authentication: constraint.proxy_authentication,
            roles: match &constraint.roles {
                None => AllowedRoles::Everybody,
                Some(names) => AllowedRoles::of_names(names.iter().map(String::as_str)),
            },
            transport_guarantee: match constraint.transport_guarantee {
                sip_xml::TransportGuarantee::None => TransportGuarantee::None,
                sip_xml::TransportGuarantee::Integral => TransportGuarantee::Integral,
                sip_xml::TransportGuarantee::Confidential => TransportGuarantee::Confidential,
            },
        })
    }

    fn note_what_is_not_heeded(&mut self, descriptor: &SipXml) {
        for class in &descriptor.listeners {
            self.warnings.push(DeploymentWarning::Listener(class.as_str().into()));
        }
        for servlet in &descriptor.servlets {
            if self.servlet_of(descriptor, &servlet.name).is_none() {
                self.warnings.push(DeploymentWarning::Servlet(servlet.name.as_str().into()));
            }
            if let Some(role) = &servlet.run_as {
                let (servlet, role) = (servlet.name.as_str().into(), role.as_str().into());
                self.warnings.push(DeploymentWarning::RunAs { servlet, role });
            }
        }
        let asked = descriptor.security_constraints.iter().flat_map(|constraint| &constraint.roles).flatten();
        for role in asked.filter(|role| *role != "*" && !descriptor.security_roles.contains(role)) {
            let warning = DeploymentWarning::UndeclaredRole(role.as_str().into());
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let assertion = self.policy.login.as_ref().and_then(|login| login.identity_assertion);
        if assertion.is_some_and(|assertion| assertion.scheme == IdentityScheme::Identity) {
            self.warnings.push(DeploymentWarning::IdentityNotVerified);
        }
        for ignored in &descriptor.ignored {
            let (name, line) = (ignored.element.as_str().into(), ignored.line);
            self.warnings.push(DeploymentWarning::Element { name, line });
        }
    }
}

fn identity_assertion(assertion: sip_xml::IdentityAssertion) -> IdentityAssertion {
    IdentityAssertion {
        scheme: match assertion.scheme {
            sip_xml::IdentityScheme::PAssertedIdentity => IdentityScheme::PAssertedIdentity,
            sip_xml::IdentityScheme::Identity => IdentityScheme::Identity,
        },
        support: match assertion.support {
            sip_xml::IdentitySupport::Supported => IdentitySupport::Supported,
            sip_xml::IdentitySupport::Required => IdentitySupport::Required,
        },
    }
}
