//! The way back of a request that the router has sent out with ROUTE_BACK (JSR 289 §15.4.1): the container's own route
//! below the external ones says where in the chain of applications the request goes on when it returns.
//!
//! ```text
//!   Route: <sip:elsewhere;lr>, <sip:us;lr;cbar=code region state>
//!                                         └─ hexadecimal; nobody else can write it, for no other Call-ID
//! ```
//!
//! Nothing is kept here meanwhile, and any shard or node with the same secret can read it. What is no such parameter, or
//! a forged one, says nothing: the request begins anew.

use std::fmt::Write;

use bytes::Bytes;
use servlet::{RegionType, RouterState, RoutingRegion};

use crate::mac::{self, Purpose, Secret};

/// The URI parameter.
pub(crate) const PARAMETER: &str = "cbar";

/// The value of the parameter.
pub(crate) fn write(secret: &Secret, call_id: &str, region: &RoutingRegion, state: Option<&RouterState>) -> String {
    let mut said = vec![kind(region.region_type())];
    let label = region.label().as_bytes();
    said.extend_from_slice(&(label.len() as u32).to_be_bytes());
    said.extend_from_slice(label);
    match state {
        None => {}
        Some(RouterState::Number(number)) => {
            said.push(1);
            said.extend_from_slice(&number.to_be_bytes());
        }
        Some(RouterState::Octets(octets)) => {
            said.push(2);
            said.extend_from_slice(octets);
        }
    }
    let mut text = String::with_capacity(16 + 2 * said.len());
    let _ = write!(text, "{:016x}", code(secret, call_id, &said));
    for octet in said {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// What the parameter says, if it is ours.
pub(crate) fn read(secret: &Secret, call_id: &str, text: &str) -> Option<(RoutingRegion, Option<RouterState>)> {
    let octets = octets(text)?;
    let (claimed, said) = octets.split_first_chunk::<8>()?;
    // Both sides are 64-bit words: the comparison takes the same time wherever they differ.
    if code(secret, call_id, said) != u64::from_be_bytes(*claimed) {
        return None;
    }
    let (&kind, rest) = said.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (label, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let region = RoutingRegion::new(std::str::from_utf8(label).ok()?, region_type(kind));
    let state = match rest.split_first() {
        None => None,
        Some((1, number)) => Some(RouterState::Number(u64::from_be_bytes(number.try_into().ok()?))),
        Some((_, octets)) => Some(RouterState::Octets(Bytes::copy_from_slice(octets))),
    };
    Some((region, state))
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect()
}

fn code(secret: &Secret, call_id: &str, said: &[u8]) -> u64 {
    let mut mac = mac::begin(secret, Purpose::RouteBack);
    mac.text(call_id);
    mac.write(said);
    mac.finish()
}

const KINDS: [Option<RegionType>; 4] =
    [None, Some(RegionType::Originating), Some(RegionType::Neutral), Some(RegionType::Terminating)];

fn kind(of: Option<RegionType>) -> u8 {
    KINDS.iter().position(|kind| *kind == of).unwrap_or_default() as u8
}

fn region_type(kind: u8) -> Option<RegionType> {
    KINDS.get(usize::from(kind)).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = [1, 2];

    #[test]
    fn region_and_state_come_back_as_they_went_out() {
        let regions = [RoutingRegion::ORIGINATING, RoutingRegion::NEUTRAL, RoutingRegion::new("späte", None)];
        let states = [None, Some(RouterState::Number(u64::MAX)), Some(RouterState::Octets(Bytes::from_static(b"x")))];
        for region in &regions {
            for state in &states {
                let text = write(&SECRET, "call", region, state.as_ref());
                assert_eq!(read(&SECRET, "call", &text), Some((region.clone(), state.clone())));
            }
        }
    }

    #[test]
    fn what_we_have_not_written_for_this_call_says_nothing() {
        let text = write(&SECRET, "call", &RoutingRegion::NEUTRAL, Some(&RouterState::Number(1)));
        assert_eq!(read(&SECRET, "other", &text), None);
        assert_eq!(read(&[1, 3], "call", &text), None);
        for end in 0..text.len() {
            assert_eq!(read(&SECRET, "call", &text[..end]), None);
        }
        assert_eq!(read(&SECRET, "call", &text.replacen('0', "1", 20)), None);
        assert_eq!(read(&SECRET, "call", "älter"), None);
    }
}
