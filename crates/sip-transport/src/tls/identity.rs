//! Which SIP domains a certificate is for, RFC 5922 §7.1, and how they are compared, §7.2.
//! Whether the certificate is to be believed at all (RFC 5280) was decided before.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The SIP domain identities of a certificate, in lower case. An unreadable certificate has none.
pub(crate) fn identities(certificate: &[u8]) -> Vec<String> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => identities_of(&certificate),
        Err(_) => Vec::new(),
    }
}

/// Whether a certificate is for `domain`, which is compared as a whole: no suffix, no wildcard.
///
/// An address as the domain is beyond RFC 5922, which knows names only: it matches an address of the subjectAltName, as
/// in RFC 6125's predecessors, or a SIP URI with that host.
pub(crate) fn is_for(certificate: &[u8], domain: &str) -> bool {
    let domain = domain.trim_end_matches('.');
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    if identities_of(&certificate).iter().any(|identity| identity.eq_ignore_ascii_case(domain)) {
        return true;
    }
    match domain.parse::<IpAddr>() {
        Ok(ip) => addresses_of(&certificate).contains(&ip),
        Err(_) => false,
    }
}

fn identities_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = match certificate.subject_alternative_name() {
        Ok(Some(alternative)) => alternative,
        // Step 2: the common name counts only when there is no subjectAltName at all.
        Ok(None) => return common_names(certificate),
        Err(_) => return Vec::new(),
    };
    let names = &alternative.value.general_names;
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => sip_domain(uri),
        _ => None,
    });
    if let Some(first) = uris.next() {
        // Step 1: a DNS name is an identity only if there is no SIP URI.
        return std::iter::once(first).chain(uris).collect();
    }
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}

/// The host of a `sip:` URI without a user.
fn sip_domain(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    let host = rest.split([';', '?']).next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    let host = host.trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

fn common_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject().iter_common_name();
    names.filter_map(|name| name.as_str().ok()).filter(|name| is_dns_name(name)).map(str::to_ascii_lowercase).collect()
}

fn is_dns_name(name: &str) -> bool {
    !name.is_empty()
        && name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn addresses_of(certificate: &X509Certificate<'_>) -> Vec<IpAddr> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = &alternative.value.general_names;
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::IPAddress(octets) => match octets.len() {
                4 => <[u8; 4]>::try_from(*octets).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(*octets).ok().map(IpAddr::from),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(common_name: &str, names: &[SanType]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    /// RFC 5922 §7.1, each row: the names, the domain asked for, whether they match.
    #[test]
    fn the_matrix_of_names_is_judged_by_rfc5922() {
        let rows: &[(&[SanType], &str, bool)] = &[
            (&[dns("example.com")], "example.com", true),
            (&[dns("EXAMPLE.com")], "example.COM", true),
            (&[dns("example.com")], "example.com.", true),
            (&[dns("example.com")], "sip.example.com", false),
            (&[dns("sip.example.com")], "example.com", false),
            (&[dns("notexample.com")], "example.com", false),
            (&[dns("*.example.com")], "sip.example.com", false),
            (&[dns("*.example.com")], "*.example.com", true),
            (&[dns(".example.com")], "sip.example.com", false),
            (&[dns("a.example"), dns("b.example")], "b.example", true),
            (&[uri("sip:example.com")], "example.com", true),
            (&[uri("SIP:Example.com")], "example.com", true),
            (&[uri("sip:example.com:5061;transport=tls")], "example.com", true),
            (&[uri("sip:alice@example.com")], "example.com", false),
            (&[uri("sips:example.com")], "example.com", false),
            (&[uri("https://example.com")], "example.com", false),
            (&[uri("im:example.com")], "example.com", false),
            // DNS names don't count beside a SIP URI…
            (&[uri("sip:a.example"), dns("b.example")], "b.example", false),
            (&[dns("b.example"), uri("sip:a.example")], "a.example", true),
            // … but do beside a URI that is no SIP domain.
            (&[uri("sip:alice@b.example"), dns("b.example")], "b.example", true),
            (&[uri("https://b.example"), dns("b.example")], "b.example", true),
            (&[dns("192.0.2.1")], "192.0.2.9", false),
            (&[SanType::IpAddress([192, 0, 2, 1].into())], "192.0.2.1", true),
            (&[SanType::IpAddress([192, 0, 2, 1].into())], "192.0.2.2", false),
            (&[uri("sip:192.0.2.1")], "192.0.2.1", true),
            (&[uri("sip:[2001:db8::1]:5061")], "2001:db8::1", true),
        ];
        for (names, domain, expected) in rows {
            let certificate = certificate("wrong.example", names);
            assert_eq!(is_for(&certificate, domain), *expected, "{names:?} for {domain}");
        }
    }

    /// RFC 5922 §7.1, step 2.
    #[test]
    fn the_common_name_counts_only_without_a_subject_alternative_name() {
        assert!(is_for(&certificate("example.com", &[]), "example.com"));
        assert!(!is_for(&certificate("example.com", &[dns("other.example")]), "example.com"));
        assert!(!is_for(&certificate("example.com", &[uri("https://x")]), "example.com"));
        assert!(!is_for(&certificate("Example Company", &[]), "example company"));
        assert!(!is_for(&certificate("*.example.com", &[]), "sip.example.com"));
    }

    #[test]
    fn what_is_no_certificate_is_for_nobody() {
        assert!(!is_for(b"no certificate", "example.com"));
        assert!(identities(b"").is_empty());
    }
}
