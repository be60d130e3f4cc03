//! `a=ptime` and `a=maxptime` (RFC 8866 §6.4, §6.5): milliseconds of media per packet.

use super::{AttributeError, TypedAttribute};
use crate::text::{Text, composed};
use std::time::Duration;

/// How much media the writer would like in each packet it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTime(pub Duration);

/// How much media each packet may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPacketTime(pub Duration);

impl TypedAttribute for PacketTime {
    const NAME: &'static str = "ptime";

    fn parse(value: &str) -> Result<PacketTime, AttributeError> {
        milliseconds(value).map(PacketTime).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        Some(print(self.0))
    }
}

impl TypedAttribute for MaxPacketTime {
    const NAME: &'static str = "maxptime";

    fn parse(value: &str) -> Result<MaxPacketTime, AttributeError> {
        milliseconds(value).map(MaxPacketTime).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        Some(print(self.0))
    }
}

/// `non-zero-int-or-real`: `20`, but also the `0.125` of AES67.
fn milliseconds(value: &str) -> Option<Duration> {
    let (whole, fraction) = match value.trim_ascii().split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (value.trim_ascii(), "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    // Six digits behind the point of a millisecond are nanoseconds.
    let nanoseconds: u64 = format!("{fraction:0<6}").parse().ok()?;
    let whole: u32 = whole.parse().ok()?;
    let time = Duration::from_millis(whole.into()) + Duration::from_nanos(nanoseconds);
    // RFC 3264 §5.1: greater than zero.
    (!time.is_zero()).then_some(time)
}

fn print(time: Duration) -> Text {
    let whole = time.as_millis();
    let fraction = time.subsec_nanos() % 1_000_000;
    if fraction == 0 {
        return composed(whole.to_string());
    }
    let fraction = format!("{fraction:06}");
    composed(format!("{whole}.{}", fraction.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_time_may_have_a_fraction() {
        let time = PacketTime::parse("0.125").unwrap();
        assert_eq!(time.0, Duration::from_micros(125));
        assert_eq!(time.value().unwrap(), "0.125");
        assert_eq!(PacketTime::parse("20").unwrap().value().unwrap(), "20");
    }

    #[test]
    fn a_packet_time_is_greater_than_zero() {
        for value in ["", "0", "0.0", "-1", "x", ".5", "99999999999999"] {
            assert!(PacketTime::parse(value).is_err(), "{value}");
        }
    }
}
