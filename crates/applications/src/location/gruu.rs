//! GRUUs, URIs that reach one instance of a user agent from everywhere: RFC 5627 §5.4 and §6.1.
//!
//! ```text
//!   public       sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6
//!   temporary    sip:tgruu.<nonce><masked number><code>@example.com;gr        (each 16 hexadecimal digits)
//! ```
//!
//! A public GRUU is made from what it names and needs no memory. A temporary one names a number that the location
//! service keeps for the instance while it is registered; nonce and mask make two of them look unrelated, and the code
//! keeps them from being made up. All temporary GRUUs of an instance end when their number does.

use sip_message::{SipUri, UriBuf};

use super::Secret;
use crate::mac::{self, Purpose};

/// What the `gr` parameter of a URI of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gruu {
    /// There is none.
    None,
    /// The URI is that of one instance of its user, as `<urn:…>`.
    Public(Box<str>),
    /// The URI names this number at the location service.
    Temporary(u64),
    /// We have not made it.
    Invalid,
}

const TEMPORARY: &str = "tgruu.";

/// The public GRUU of an instance of the user whose address-of-record is `aor`; `None` for an instance-id that no URI
/// can carry.
pub(crate) fn public(aor: &SipUri<'_>, instance: &str) -> Option<UriBuf> {
    let urn = instance.trim_start_matches('<').trim_end_matches('>');
    UriBuf::from(*aor).without_params().without_headers().with_param("gr", urn).ok()
}

/// A new temporary GRUU for `number`, at the domain of `aor`.
pub(crate) fn temporary(secret: &Secret, aor: &SipUri<'_>, number: u64, nonce: u64) -> Option<UriBuf> {
    let masked = number ^ mask(secret, nonce);
    let code = code(secret, nonce, masked);
    let user = format!("{TEMPORARY}{nonce:016x}{masked:016x}{code:016x}");
    UriBuf::from(*aor).without_params().without_headers().with_user(&*user).and_then(|uri| uri.with_flag("gr")).ok()
}

impl Gruu {
    /// Reads the `gr` parameter of a URI at one of our domains.
    pub(crate) fn read(secret: &Secret, uri: &SipUri<'_>) -> Gruu {
        match uri.gr() {
            None => Gruu::None,
            Some(Some(urn)) => Gruu::Public(format!("<{urn}>").into()),
            Some(None) => match uri.raw_user().and_then(|user| number(secret, user)) {
                Some(number) => Gruu::Temporary(number),
                None => Gruu::Invalid,
            },
        }
    }
}

fn number(secret: &Secret, user: &str) -> Option<u64> {
    let digits = user.strip_prefix(TEMPORARY).filter(|digits| digits.len() == 48 && digits.is_ascii())?;
    let word = |at: usize| u64::from_str_radix(&digits[at..at + 16], 16).ok();
    let (nonce, masked, claimed) = (word(0)?, word(16)?, word(32)?);
    (code(secret, nonce, masked) == claimed).then(|| masked ^ mask(secret, nonce))
}

fn mask(secret: &Secret, nonce: u64) -> u64 {
    let mut mac = mac::begin(secret, Purpose::TemporaryGruuMask);
    mac.write(&nonce.to_be_bytes());
    mac.finish()
}

fn code(secret: &Secret, nonce: u64, masked: u64) -> u64 {
    let mut mac = mac::begin(secret, Purpose::TemporaryGruu);
    mac.write(&nonce.to_be_bytes());
    mac.write(&masked.to_be_bytes());
    mac.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret([3, 4]);

    fn aor() -> SipUri<'static> {
        SipUri::parse("sip:alice@example.com:5070;transport=tcp").unwrap()
    }

    #[test]
    fn a_public_gruu_is_the_address_of_record_with_a_gr_parameter() {
        let uri = public(&aor(), "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>").unwrap();
        assert_eq!(uri.as_str(), "sip:alice@example.com:5070;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
        let read = Gruu::read(&SECRET, &uri.as_uri().sip().unwrap());
        assert_eq!(read, Gruu::Public("<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>".into()));
    }

    #[test]
    fn temporary_gruus_of_one_instance_share_nothing_that_shows() {
        let one = temporary(&SECRET, &aor(), 77, 1).unwrap();
        let two = temporary(&SECRET, &aor(), 77, 2).unwrap();
        for uri in [&one, &two] {
            assert_eq!(Gruu::read(&SECRET, &uri.as_uri().sip().unwrap()), Gruu::Temporary(77));
        }
        let digits = |uri: &UriBuf| uri.as_uri().sip().unwrap().raw_user().unwrap()[TEMPORARY.len()..].to_owned();
        assert_ne!(digits(&one)[16..32], digits(&two)[16..32]);
        assert_ne!(digits(&one)[32..], digits(&two)[32..]);
    }

    #[test]
    fn a_temporary_gruu_that_was_made_up_is_invalid() {
        let uri = temporary(&SECRET, &aor(), 77, 1).unwrap();
        assert_eq!(Gruu::read(&Secret([3, 5]), &uri.as_uri().sip().unwrap()), Gruu::Invalid);
        for text in ["sip:tgruu.0@h;gr", "sip:alice@h;gr", "sip:h;gr"] {
            assert_eq!(Gruu::read(&SECRET, &SipUri::parse(text).unwrap()), Gruu::Invalid);
        }
        assert_eq!(Gruu::read(&SECRET, &SipUri::parse("sip:alice@h").unwrap()), Gruu::None);
    }
}
