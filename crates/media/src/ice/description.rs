//! ICE in the m-lines of both sides (RFC 8839 §4, §5): what we write, and which of what the peer writes we use.

use super::SocketAddr;
use is::{CandidateKind, Protocol};
use sdp::{
    Attribute, CandidateType, EndOfCandidates, IceLite, IceMismatch, IceOptions, IcePwd, IceUfrag, MediaDescription,
    RemoteCandidate, RemoteCandidates, SessionDescription, Token, TypedAttribute,
};
use std::net::IpAddr;

/// Candidates of a peer that are looked at.
const CANDIDATES: usize = 32;

/// User name fragment and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) ufrag: IceUfrag,
    pub(super) password: IcePwd,
}

/// What the peer said.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) credentials: Credentials,
    pub(super) is_lite: bool,
    pub(super) candidates: Vec<sdp::Candidate>,
}

impl Credentials {
    /// RFC 8445 §5.3: 24 bits for the fragment and 128 for the password at least; these have 48 and 144.
    pub(super) fn fresh(random: &mut dyn FnMut(&mut [u8])) -> Credentials {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const LENGTH: &str = "eight and twenty-four characters of the alphabet are long enough";
        let mut octets = [0; 32];
        random(&mut octets);
        let text: String = octets.iter().map(|octet| char::from(ALPHABET[usize::from(octet % 64)])).collect();
        let (ufrag, password) = text.split_at(8);
        Credentials { ufrag: IceUfrag::new(ufrag).expect(LENGTH), password: IcePwd::new(password).expect(LENGTH) }
    }
}

impl Remote {
    /// None, if the peer does not do ICE here.
    pub(super) fn read(description: &SessionDescription, media: &MediaDescription) -> Option<Remote> {
        let has = |name| media.attributes.has(name) || description.attributes.has(name);
        let credentials =
            Credentials { ufrag: description.attribute_of(media)?, password: description.attribute_of(media)? };
        let candidates: Vec<sdp::Candidate> = media.attributes.typed().flatten().take(CANDIDATES).collect();
        if has(IceMismatch::NAME) || media.is_disabled() || !has_default(description, media, &candidates) {
            return None;
        }
        Some(Remote { credentials, is_lite: has(IceLite::NAME), candidates })
    }
}

/// RFC 8839 §4.2.5: the address of `c=` and `m=` is one of the candidates. If it is not, somebody on the way has put in
/// another, and media has to go there. Zeros, names and the port 9 stand for candidates to come (RFC 8840 §4.1.1).
fn has_default(description: &SessionDescription, media: &MediaDescription, candidates: &[sdp::Candidate]) -> bool {
    let Some(ip) = description.connection_of(media).and_then(sdp::ConnectionData::ip) else {
        return true;
    };
    let is_default = |candidate: &sdp::Candidate| candidate.ip() == Some(ip) && candidate.port == media.port;
    ip.is_unspecified() || media.port == 9 || candidates.iter().any(is_default)
}

/// What goes below our m-line.
pub(super) fn attributes(agent: &is::IceAgent) -> Vec<Attribute> {
    let credentials = agent.local_credentials();
    let credentials = IceUfrag::new(&credentials.ufrag).ok().zip(IcePwd::new(&credentials.pass).ok());
    let Some((ufrag, password)) = credentials else {
        return Vec::new();
    };
    // RFC 8838 §16: half trickle is said as trickle.
    let options = IceOptions(["ice2", "trickle"].into_iter().filter_map(|option| Token::new(option).ok()).collect());
    let mut attributes = vec![Attribute::of(&ufrag), Attribute::of(&password), Attribute::of(&options)];
    attributes.extend(candidates(agent).map(|candidate| Attribute::of(&candidate)));
    attributes.push(Attribute::of(&EndOfCandidates));
    attributes
}

/// Our candidates but those that only the peer has told us of.
fn candidates(agent: &is::IceAgent) -> impl Iterator<Item = sdp::Candidate> + '_ {
    let announced = agent.local_candidates().filter(|candidate| candidate.kind() != CandidateKind::PeerReflexive);
    announced.filter_map(|candidate| {
        let text = candidate.to_sdp_string();
        let mut candidate = sdp::Candidate::parse(text.trim_start_matches("candidate:")).ok()?;
        // The grammar's letters; and nothing that the m-line says already.
        candidate.transport = Token::new("UDP").ok()?;
        candidate.extensions.clear();
        Some(candidate)
    })
}

pub(super) fn remote_candidates(chosen: SocketAddr) -> Option<Attribute> {
    let address = Token::new(chosen.ip().to_string()).ok()?;
    Some(Attribute::of(&RemoteCandidates(vec![RemoteCandidate { component: 1, address, port: chosen.port() }])))
}

/// RFC 8839 §4.2.1.2: seen from a server rather than from ourselves; IPv4 rather than IPv6.
pub(super) fn default_address(agent: &is::IceAgent) -> Option<SocketAddr> {
    let announced = agent.local_candidates().filter(|candidate| candidate.kind() != CandidateKind::PeerReflexive);
    let reachable = |candidate: &is::Candidate| {
        (candidate.addr().is_ipv4(), candidate.kind() == CandidateKind::ServerReflexive, candidate.prio())
    };
    announced.max_by_key(reachable).map(|candidate| candidate.addr())
}

/// A candidate of the peer that checks can be sent to; `near` if also this machine may be the peer's.
pub(super) fn remote_candidate(candidate: &sdp::Candidate, near: bool) -> Option<is::Candidate> {
    let ip = candidate.ip()?;
    let is_useful = candidate.component == 1
        && candidate.transport.eq_ignore_ascii_case("udp")
        && candidate.port != 0
        && is_reachable(ip, near);
    let kind = match candidate.kind {
        CandidateType::Host => CandidateKind::Host,
        CandidateType::ServerReflexive => CandidateKind::ServerReflexive,
        CandidateType::PeerReflexive => CandidateKind::PeerReflexive,
        CandidateType::Relayed => CandidateKind::Relayed,
        CandidateType::Other(_) => return None,
    };
    is_useful.then(|| {
        is::Candidate::from_parts(
            candidate.foundation.as_str().to_owned(),
            1,
            Protocol::Udp,
            // RFC 8445 §5.1.2: a positive number of 31 bits.
            candidate.priority.clamp(1, i32::MAX as u32),
            SocketAddr::new(ip, candidate.port),
            kind,
            None,
            None,
            candidate.extension("ufrag").map(str::to_owned),
        )
    })
}

/// Whether checks may go there: not to groups, and not to this machine because somebody elsewhere says so.
fn is_reachable(ip: IpAddr, near: bool) -> bool {
    let never = ip.is_unspecified()
        || ip.is_multicast()
        || match ip {
            IpAddr::V4(ip) => ip.is_broadcast(),
            // Without its interface such an address reaches nobody.
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
    !never && (near || !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(lines: &str) -> SessionDescription {
        let text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns=-\r\nt=0 0\r\n{}\r\n", lines.replace('\n', "\r\n"));
        SessionDescription::parse(text).unwrap()
    }

    fn read(lines: &str) -> Option<Remote> {
        let description = description(lines);
        Remote::read(&description, &description.media[0])
    }

    const CREDENTIALS: &str = "a=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg";
    const HOST: &str = "a=candidate:1 1 UDP 2130706431 192.0.2.3 4000 typ host";

    #[test]
    fn credentials_may_stand_above_the_m_lines() {
        let media = "m=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.3";
        assert!(read(&format!("{CREDENTIALS}\n{media}\n{HOST}")).is_some());
        assert!(read(&format!("{media}\n{CREDENTIALS}\n{HOST}")).is_some());
        assert!(read(&format!("{media}\n{HOST}")).is_none());
        assert!(read(&format!("a=ice-lite\n{media}\n{CREDENTIALS}\n{HOST}")).unwrap().is_lite);
    }

    /// RFC 8839 §4.2.5.
    #[test]
    fn an_address_that_somebody_else_put_in_is_no_candidates() {
        let media = |address, port| format!("m=audio {port} RTP/AVP 0\nc=IN IP4 {address}\n{CREDENTIALS}\n{HOST}");
        assert!(read(&media("192.0.2.3", 4_000)).is_some());
        assert!(read(&media("198.51.100.1", 4_000)).is_none());
        assert!(read(&media("192.0.2.3", 4_002)).is_none());
        assert!(read(&media("0.0.0.0", 9)).is_some());
        assert!(read(&format!("{}\na=ice-mismatch", media("192.0.2.3", 4_000))).is_none());
    }

    #[test]
    fn only_candidates_that_can_be_reached_are_used() {
        let usable = |value: &str, near| remote_candidate(&sdp::Candidate::parse(value).unwrap(), near).is_some();
        assert!(usable("1 1 UDP 2130706431 192.0.2.3 4000 typ host generation 0", false));
        assert!(usable("1 1 udp 4294967295 2001:db8::1 4000 typ srflx raddr 10.0.0.1 rport 9", false));
        assert!(usable("1 1 UDP 1 127.0.0.1 4000 typ host", true));
        for value in [
            "1 2 UDP 2130706431 192.0.2.3 4001 typ host",
            "1 1 TCP 2130706431 192.0.2.3 9 typ host tcptype active",
            "1 1 UDP 2130706431 8c1f.local 4000 typ host",
            "1 1 UDP 2130706431 192.0.2.3 0 typ host",
            "1 1 UDP 2130706431 127.0.0.1 4000 typ host",
            "1 1 UDP 2130706431 ::1 4000 typ host",
            "1 1 UDP 2130706431 224.0.0.1 4000 typ host",
            "1 1 UDP 2130706431 255.255.255.255 4000 typ host",
            "1 1 UDP 2130706431 fe80::1 4000 typ host",
            "1 1 UDP 2130706431 192.0.2.3 4000 typ unheard-of",
        ] {
            assert!(!usable(value, false), "{value}");
        }
    }

    #[test]
    fn credentials_are_made_of_what_is_drawn() {
        let mut next = 0u8;
        let mut random = |octets: &mut [u8]| {
            octets.fill_with(|| {
                next = next.wrapping_add(7);
                next
            });
        };
        let (one, other) = (Credentials::fresh(&mut random), Credentials::fresh(&mut random));
        assert_ne!(one, other);
        assert_eq!((one.ufrag.as_str().len(), one.password.as_str().len()), (8, 24));
    }
}
