//! `security-constraint`, `login-config`, `security-role`, JSR 289 §17. Whoever enforces them sits elsewhere; what could
//! not be enforced is refused here, so that nothing is open that its deployer believes closed.

use sip_message::Method;

use super::{Display, Element, Result, SipXmlMistake};
use crate::routing::sip_xml::{
    AuthMethod, IdentityAssertion, IdentityScheme, IdentitySupport, LoginConfig, ResourceCollection,
    SecurityConstraint, TransportGuarantee,
};

/// `security-constraint`.
pub(super) fn constraint(element: &Element) -> Result<SecurityConstraint> {
    let mut display = Display::default();
    let (mut proxy, mut roles, mut guarantee) = (None, None, None);
    let mut resources = Vec::new();
    for child in element.elements()? {
        match child.name.as_str() {
            "resource-collection" => resources.push(resource_collection(child)?),
            "proxy-authentication" => {
                child.elements()?.iter().try_for_each(|inner| Err(inner.unknown(child)))?;
                child.once(&mut proxy, ())?;
            }
            "auth-constraint" => child.once(&mut roles, auth_constraint(child)?)?,
            "user-data-constraint" => child.once(&mut guarantee, user_data_constraint(child)?)?,
            "display-name" => drop(display.take(child)?),
            _ => return Err(child.unknown(element)),
        }
    }
    if resources.is_empty() {
        return Err(element.missing("a resource-collection"));
    }
    Ok(SecurityConstraint {
        display_name: display.display_name,
        resources,
        proxy_authentication: proxy.is_some(),
        roles,
        transport_guarantee: guarantee.unwrap_or_default(),
    })
}

fn resource_collection(element: &Element) -> Result<ResourceCollection> {
    let mut name = None;
    let (mut servlets, mut methods) = (Vec::new(), Vec::new());
    for child in element.elements()? {
        match child.name.as_str() {
            "resource-name" => child.once(&mut name, child.text("a name")?)?,
            "servlet-name" => servlets.push(child.text("a servlet's name")?),
            "sip-method" => {
                let method = Method::parse(child.any_text()?);
                methods.push(method.ok_or_else(|| child.value("a method"))?);
            }
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    let name = name.ok_or_else(|| element.missing("a resource-name"))?;
    Ok(ResourceCollection { name, servlets, methods })
}

fn auth_constraint(element: &Element) -> Result<Vec<String>> {
    let mut roles = Vec::new();
    for child in element.elements()? {
        match child.name.as_str() {
            "role-name" => roles.push(child.text("a name")?),
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    Ok(roles)
}

fn user_data_constraint(element: &Element) -> Result<TransportGuarantee> {
    let mut guarantee = None;
    for child in element.elements()? {
        match child.name.as_str() {
            "transport-guarantee" => {
                let value = match child.any_text()? {
                    "NONE" => TransportGuarantee::None,
                    "INTEGRAL" => TransportGuarantee::Integral,
                    "CONFIDENTIAL" => TransportGuarantee::Confidential,
                    _ => return Err(child.value("NONE, INTEGRAL or CONFIDENTIAL")),
                };
                child.once(&mut guarantee, value)?;
            }
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    guarantee.ok_or_else(|| element.missing("a transport-guarantee"))
}

/// `login-config`.
pub(super) fn login(element: &Element) -> Result<LoginConfig> {
    let (mut auth_method, mut realm, mut identity_assertion) = (None, None, None);
    for child in element.elements()? {
        match child.name.as_str() {
            "auth-method" => {
                let method = match child.text("an authentication method")?.as_str() {
                    "DIGEST" => AuthMethod::Digest,
                    other => return Err(child.error(SipXmlMistake::AuthMethod(other.to_owned()))),
                };
                child.once(&mut auth_method, method)?;
            }
            "realm-name" => child.once(&mut realm, child.text("a realm")?)?,
            "identity-assertion" => child.once(&mut identity_assertion, assertion(child)?)?,
            _ => return Err(child.unknown(element)),
        }
    }
    Ok(LoginConfig { auth_method, realm, identity_assertion })
}

fn assertion(element: &Element) -> Result<IdentityAssertion> {
    let (mut scheme, mut support) = (None, None);
    for child in element.elements()? {
        match child.name.as_str() {
            "identity-assertion-scheme" => {
                let value = match child.any_text()? {
                    "P-Asserted-Identity" => IdentityScheme::PAssertedIdentity,
                    "Identity" => IdentityScheme::Identity,
                    _ => return Err(child.value("P-Asserted-Identity or Identity")),
                };
                child.once(&mut scheme, value)?;
            }
            "identity-assertion-support" => {
                let value = match child.any_text()? {
                    "SUPPORTED" => IdentitySupport::Supported,
                    "REQUIRED" => IdentitySupport::Required,
                    _ => return Err(child.value("SUPPORTED or REQUIRED")),
                };
                child.once(&mut support, value)?;
            }
            _ => return Err(child.unknown(element)),
        }
    }
    let scheme = scheme.ok_or_else(|| element.missing("an identity-assertion-scheme"))?;
    Ok(IdentityAssertion { scheme, support: support.unwrap_or_default() })
}

/// The role in `security-role` or `run-as`.
pub(super) fn role(element: &Element) -> Result<String> {
    let mut name = None;
    for child in element.elements()? {
        match child.name.as_str() {
            "role-name" => child.once(&mut name, child.text("a name")?)?,
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    name.ok_or_else(|| element.missing("a role-name"))
}
