//! What ICE writes into a description (RFC 8839 §5): candidates, credentials, options. The checks themselves are left
//! to the media layer.

use super::{AttributeError, TypedAttribute};
use crate::text::{Text, Token, composed};
use std::net::IpAddr;

/// `a=candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type> …` (§5.1)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The same for candidates that behave alike.
    pub foundation: Token,
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// `UDP`, or `TCP` (RFC 6544).
    pub transport: Token,
    /// The higher, the rather it is used.
    pub priority: u32,
    /// An address; some browsers write a name that only multicast DNS knows.
    pub address: Token,
    /// The port.
    pub port: u16,
    /// How it was found.
    pub kind: CandidateType,
    /// From which address it was found (`raddr`, `rport`).
    pub related: Option<(Token, u16)>,
    /// `generation 0`, `tcptype passive`, `ufrag …`: pairs of a name and a value.
    pub extensions: Vec<(Token, Token)>,
}

/// How a candidate was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateType {
    /// `host`: an address of the machine.
    Host,
    /// `srflx`: as a STUN server sees it.
    ServerReflexive,
    /// `prflx`: as the peer sees it.
    PeerReflexive,
    /// `relay`: of a TURN server.
    Relayed,
    /// Any other.
    Other(Token),
}

/// `a=ice-ufrag` (§5.4)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceUfrag(Token);

/// `a=ice-pwd` (§5.4)
#[derive(Clone, PartialEq, Eq)]
pub struct IcePwd(Token);

/// `a=ice-options` (§5.6): `trickle`, `ice2`, …
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceOptions(pub Vec<Token>);

/// `a=ice-lite` (§5.3), at session level: the writer only answers checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IceLite;

/// `a=ice-mismatch` (§5.3): the default address of an offer is none of its candidates, so ICE is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IceMismatch;

/// `a=end-of-candidates` (RFC 8840 §8.2): no more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfCandidates;

/// `a=remote-candidates` (§5.2): which of the reader's candidates the controlling writer has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCandidates(pub Vec<RemoteCandidate>);

/// One of them, for one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// The address.
    pub address: Token,
    /// The port.
    pub port: u16,
}

/// The names of all attributes of this file.
pub(crate) const NAMES: [&str; 8] = [
    Candidate::NAME,
    IceUfrag::NAME,
    IcePwd::NAME,
    IceOptions::NAME,
    IceLite::NAME,
    IceMismatch::NAME,
    EndOfCandidates::NAME,
    RemoteCandidates::NAME,
];

impl Candidate {
    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    /// The value of an extension.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.as_str())
    }
}

impl IceUfrag {
    /// Checks length (4 to 256) and alphabet.
    pub fn new(ufrag: &str) -> Result<IceUfrag, AttributeError> {
        credential(ufrag, 4).map(IceUfrag).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IcePwd {
    /// Checks length (22 to 256) and alphabet.
    pub fn new(password: &str) -> Result<IcePwd, AttributeError> {
        credential(password, 22).map(IcePwd).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Passwords do not belong in logs.
impl std::fmt::Debug for IcePwd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IcePwd").finish_non_exhaustive()
    }
}

/// `ice-char`: letters, digits, `+`, `/`. A few phones write `-` and `_` or `=` too.
fn credential(text: &str, shortest: usize) -> Option<Token> {
    let known = |octet: u8| octet.is_ascii_alphanumeric() || b"+/-_=".contains(&octet);
    ((shortest..=256).contains(&text.len()) && text.bytes().all(known)).then(|| Token::new(text).ok())?
}

impl TypedAttribute for Candidate {
    const NAME: &'static str = "candidate";

    fn parse(value: &str) -> Result<Candidate, AttributeError> {
        parse_candidate(value).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        let Candidate { foundation, component, transport, priority, address, port, kind, related, extensions } = self;
        let kind = kind.as_str();
        let mut value = format!("{foundation} {component} {transport} {priority} {address} {port} typ {kind}");
        if let Some((address, port)) = related {
            value.push_str(&format!(" raddr {address} rport {port}"));
        }
        for (name, extension) in extensions {
            value.push_str(&format!(" {name} {extension}"));
        }
        Some(composed(value))
    }
}

fn parse_candidate(value: &str) -> Option<Candidate> {
    let mut words = value.split_ascii_whitespace();
    let mut candidate = Candidate {
        // RFC 8839 §5.1: at most 32 characters.
        foundation: Token::new(words.next().filter(|word| word.len() <= 32)?).ok()?,
        component: words.next()?.parse().ok().filter(|component| (1..=256).contains(component))?,
        transport: Token::new(words.next()?).ok()?,
        priority: words.next()?.parse().ok()?,
        address: Token::new(words.next()?).ok()?,
        port: words.next()?.parse().ok()?,
        kind: (words.next()? == "typ").then(|| CandidateType::from_word(words.next()?))??,
        related: None,
        extensions: Vec::new(),
    };
    let (mut address, mut port) = (None, None);
    while let Some(name) = words.next() {
        let extension = words.next()?;
        match name {
            "raddr" => address = Some(Token::new(extension).ok()?),
            "rport" => port = Some(extension.parse().ok()?),
            _ => candidate.extensions.push((Token::new(name).ok()?, Token::new(extension).ok()?)),
        }
    }
    candidate.related = address.zip(port);
    Some(candidate)
}

impl CandidateType {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            CandidateType::Host => "host",
            CandidateType::ServerReflexive => "srflx",
            CandidateType::PeerReflexive => "prflx",
            CandidateType::Relayed => "relay",
            CandidateType::Other(word) => word,
        }
    }

    fn from_word(word: &str) -> Option<CandidateType> {
        Some(match word {
            "host" => CandidateType::Host,
            "srflx" => CandidateType::ServerReflexive,
            "prflx" => CandidateType::PeerReflexive,
            "relay" => CandidateType::Relayed,
            _ => CandidateType::Other(Token::new(word).ok()?),
        })
    }
}

impl TypedAttribute for IceUfrag {
    const NAME: &'static str = "ice-ufrag";

    fn parse(value: &str) -> Result<IceUfrag, AttributeError> {
        IceUfrag::new(value.trim_ascii())
    }

    fn value(&self) -> Option<Text> {
        Some(composed(self.as_str()))
    }
}

impl TypedAttribute for IcePwd {
    const NAME: &'static str = "ice-pwd";

    fn parse(value: &str) -> Result<IcePwd, AttributeError> {
        IcePwd::new(value.trim_ascii())
    }

    fn value(&self) -> Option<Text> {
        Some(composed(self.as_str()))
    }
}

impl TypedAttribute for IceOptions {
    const NAME: &'static str = "ice-options";

    fn parse(value: &str) -> Result<IceOptions, AttributeError> {
        Ok(IceOptions(value.split_ascii_whitespace().filter_map(|option| Token::new(option).ok()).collect()))
    }

    fn value(&self) -> Option<Text> {
        let options: Vec<&str> = self.0.iter().map(Token::as_str).collect();
        Some(composed(options.join(" ")))
    }
}

impl TypedAttribute for RemoteCandidates {
    const NAME: &'static str = "remote-candidates";

    fn parse(value: &str) -> Result<RemoteCandidates, AttributeError> {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let candidate = |words: &[&str]| match words {
            [component, address, port] => Some(RemoteCandidate {
                component: component.parse().ok()?,
                address: Token::new(*address).ok()?,
                port: port.parse().ok()?,
            }),
            _ => None,
        };
        let candidates: Option<Vec<_>> = words.chunks(3).map(candidate).collect();
        candidates
            .filter(|candidates| !candidates.is_empty())
            .map(RemoteCandidates)
            .ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        let candidate =
            |RemoteCandidate { component, address, port }: &RemoteCandidate| format!("{component} {address} {port}");
        let candidates: Vec<String> = self.0.iter().map(candidate).collect();
        Some(composed(candidates.join(" ")))
    }
}

macro_rules! property {
    ($type:ident, $name:literal) => {
        impl TypedAttribute for $type {
            const NAME: &'static str = $name;

            fn parse(_: &str) -> Result<$type, AttributeError> {
                Ok($type)
            }

            fn value(&self) -> Option<Text> {
                None
            }
        }
    };
}

property!(IceLite, "ice-lite");
property!(IceMismatch, "ice-mismatch");
property!(EndOfCandidates, "end-of-candidates");

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8839 §5.1, and what phones and browsers write.
    #[test]
    fn candidates_survive_the_round_trip() {
        for value in [
            "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
            "1 1 UDP 2130706431 fe80::6676:baff:fe9c:ee4a 8998 typ host",
            "1 1 UDP 2130706431 2001:db8:8101:3a55:4858:a2a9:22ff:99b9 8998 typ host",
            "1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0 ufrag EsAw network-id 1",
            "4 1 TCP 1019216383 192.0.2.3 9 typ host tcptype active",
            "H1 2 UDP 1 d2d1e8a4-8c1f.local 5000 typ host",
            "1 1 UDP 4294967295 192.0.2.3 1 typ new",
        ] {
            let candidate = Candidate::parse(value).unwrap();
            assert_eq!(candidate.value().unwrap(), value);
        }
        let candidate = Candidate::parse("1 1 udp 1 192.0.2.3 9 typ host ufrag abcd generation 0").unwrap();
        assert_eq!(candidate.extension("generation"), Some("0"));
        assert_eq!(candidate.ip(), Some([192, 0, 2, 3].into()));
    }

    #[test]
    fn a_malformed_candidate_is_refused() {
        for value in [
            "",
            "1 1 UDP 1 192.0.2.3",
            "1 0 UDP 1 192.0.2.3 9 typ host",
            "1 257 UDP 1 192.0.2.3 9 typ host",
            "1 1 UDP 4294967296 192.0.2.3 9 typ host",
            "1 1 UDP 1 192.0.2.3 65536 typ host",
            "1 1 UDP 1 192.0.2.3 9 host",
            "1 1 UDP 1 192.0.2.3 9 typ",
            "1 1 UDP 1 192.0.2.3 9 typ host generation",
            "1 1 UDP 1 192.0.2.3 9 typ srflx raddr 1.2.3.4 rport x",
            "123456789012345678901234567890123 1 UDP 1 192.0.2.3 9 typ host",
        ] {
            assert!(Candidate::parse(value).is_err(), "{value}");
        }
    }

    /// RFC 8839 §5.4.
    #[test]
    fn credentials_that_are_too_short_are_refused() {
        assert_eq!(IceUfrag::parse("8hhY").unwrap().as_str(), "8hhY");
        assert!(IceUfrag::parse("8hh").is_err());
        assert!(IceUfrag::parse("8h hY").is_err());
        assert!(IcePwd::parse("asd88fgpdd777uzjYhagZg").is_ok());
        assert!(IcePwd::parse("asd88fgpdd777uzjYhagZ").is_err());
        assert!(IcePwd::parse(&"a".repeat(257)).is_err());
        assert!(!format!("{:?}", IcePwd::new("asd88fgpdd777uzjYhagZg").unwrap()).contains("asd88"));
    }

    /// RFC 8839 §5.2, §5.6.
    #[test]
    fn lists_survive_the_round_trip() {
        let value = "1 192.0.2.23 9000 2 192.0.2.23 9001";
        let candidates = RemoteCandidates::parse(value).unwrap();
        assert_eq!(candidates.0[1].port, 9001);
        assert_eq!(candidates.value().unwrap(), value);
        assert!(RemoteCandidates::parse("1 192.0.2.23").is_err());
        assert!(RemoteCandidates::parse("").is_err());
        assert_eq!(IceOptions::parse("ice2 trickle").unwrap().value().unwrap(), "ice2 trickle");
    }
}
