//! What DTLS needs: `a=fingerprint` (RFC 8122 §5) and `a=setup` (RFC 4145 §4, with
//! the roles of RFC 5763 §5).

use super::{AttributeError, TypedAttribute};
use crate::text::{Text, Token, composed};

/// The hash of the certificate that the other end will present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`, …; letter case does not matter.
    pub hash: Token,
    /// The octets of the hash.
    pub octets: Vec<u8>,
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The writer opens it.
    Active,
    /// The writer waits for it.
    Passive,
    /// The writer does either, whichever the answer says.
    Actpass,
    /// Nobody for now.
    Holdconn,
}

impl TypedAttribute for Fingerprint {
    const NAME: &'static str = "fingerprint";

    fn parse(value: &str) -> Result<Fingerprint, AttributeError> {
        parse_fingerprint(value).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        let octets: Vec<String> = self.octets.iter().map(|o| format!("{o:02X}")).collect();
        Some(composed(format!("{} {}", self.hash, octets.join(":"))))
    }
}

fn parse_fingerprint(value: &str) -> Option<Fingerprint> {
    let (hash, octets) = value.trim_ascii().split_once(' ')?;
    let octet = |text: &str| {
        let hex = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u8::from_str_radix(text, 16).ok()).flatten()
    };
    let octets: Vec<u8> = octets.trim_ascii().split(':').map(octet).collect::<Option<_>>()?;
    // The lengths of the hashes of RFC 8122 §5; others we cannot judge.
    let expected = match hash.to_ascii_lowercase().as_str() {
        "sha-1" => 20,
        "sha-224" => 28,
        "sha-256" => 32,
        "sha-384" => 48,
        "sha-512" => 64,
        "md5" | "md2" => 16,
        _ => octets.len(),
    };
    (octets.len() == expected).then_some(Fingerprint { hash: Token::new(hash).ok()?, octets })
}

impl Setup {
    /// What to answer to this offer. RFC 5763 §5 recommends `active` where there
    /// is a choice, so that the handshake need not wait for the answer.
    pub fn answer(self) -> Setup {
        match self {
            Setup::Active => Setup::Passive,
            Setup::Passive | Setup::Actpass => Setup::Active,
            Setup::Holdconn => Setup::Holdconn,
        }
    }

    /// Whether `answer` is a permitted answer to this offer (RFC 4145 §4.1).
    pub fn permits(self, answer: Setup) -> bool {
        match self {
            Setup::Active => matches!(answer, Setup::Passive | Setup::Holdconn),
            Setup::Passive => matches!(answer, Setup::Active | Setup::Holdconn),
            Setup::Actpass => answer != Setup::Actpass,
            Setup::Holdconn => answer == Setup::Holdconn,
        }
    }
}

impl TypedAttribute for Setup {
    const NAME: &'static str = "setup";

    fn parse(value: &str) -> Result<Setup, AttributeError> {
        match value.trim_ascii() {
            "active" => Ok(Setup::Active),
            "passive" => Ok(Setup::Passive),
            "actpass" => Ok(Setup::Actpass),
            "holdconn" => Ok(Setup::Holdconn),
            _ => Err(AttributeError::Malformed { name: Self::NAME }),
        }
    }

    fn value(&self) -> Option<Text> {
        Some(composed(match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::Actpass => "actpass",
            Setup::Holdconn => "holdconn",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_the_length_of_its_hash() {
        let value = "sha-1 42:89:C5:C6:55:9D:6E:C8:E8:83:55:2A:39:F9:B6:EB:E9:A3:A9:E7";
        assert_eq!(Fingerprint::parse(value).unwrap().value().unwrap(), value);
        for wrong in ["sha-256 42:89", "sha-1", "", "x +1", "x 1:2", "sha-1 42:"] {
            assert!(Fingerprint::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// RFC 4145 §4.1, the table.
    #[test]
    fn every_setup_answers_with_a_role_that_its_offer_permits() {
        for offer in [Setup::Active, Setup::Passive, Setup::Actpass, Setup::Holdconn] {
            assert!(offer.permits(offer.answer()), "{offer:?}");
        }
        assert!(!Setup::Active.permits(Setup::Active));
        assert!(!Setup::Actpass.permits(Setup::Actpass));
    }
}
