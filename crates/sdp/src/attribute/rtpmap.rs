//! `a=rtpmap` and `a=fmtp` (RFC 8866 §6.6, §6.15).

use super::{AttributeError, TypedAttribute};
use crate::codec::PayloadType;
use crate::text::{Text, Token, composed};

/// `<payload type> <encoding name>/<clock rate>[/<channels>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtpmap {
    /// The number that the packets carry.
    pub payload_type: PayloadType,
    /// The name of the codec; letter case does not matter.
    pub encoding: Token,
    /// The rate of the RTP clock, in Hertz.
    pub clock_rate: u32,
    /// Audio channels, where given.
    pub channels: Option<u8>,
}

/// `<format> <parameters>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fmtp {
    /// The format: a payload type for RTP.
    pub format: Token,
    /// What the codec's own RFC defines, usually `name=value;…`.
    pub parameters: Text,
}

impl TypedAttribute for Rtpmap {
    const NAME: &'static str = "rtpmap";

    fn parse(value: &str) -> Result<Rtpmap, AttributeError> {
        parse_rtpmap(value).ok_or(AttributeError::Malformed { name: Self::NAME })
    }

    fn value(&self) -> Option<Text> {
        let Rtpmap { payload_type, encoding, clock_rate, channels } = self;
        Some(composed(match channels {
            Some(channels) => format!("{payload_type} {encoding}/{clock_rate}/{channels}"),
            None => format!("{payload_type} {encoding}/{clock_rate}"),
        }))
    }
}

fn parse_rtpmap(value: &str) -> Option<Rtpmap> {
    let (payload_type, encoding) = value.trim_ascii().split_once(' ')?;
    let mut parts = encoding.trim_ascii().split('/');
    Some(Rtpmap {
        payload_type: PayloadType::parse(payload_type)?,
        encoding: Token::new(parts.next()?).ok()?,
        clock_rate: parts.next()?.parse().ok()?,
        channels: match parts.next() {
            Some(channels) => Some(channels.parse().ok()?),
            None => None,
        },
    })
}

impl TypedAttribute for Fmtp {
    const NAME: &'static str = "fmtp";

    fn parse(value: &str) -> Result<Fmtp, AttributeError> {
        let malformed = AttributeError::Malformed { name: Self::NAME };
        let (format, parameters) = value.trim_ascii().split_once(' ').ok_or(malformed)?;
        Ok(Fmtp {
            format: Token::new(format).map_err(|_| malformed)?,
            parameters: Text::new(parameters.trim_ascii()).map_err(|_| malformed)?,
        })
    }

    fn value(&self) -> Option<Text> {
        Some(composed(format!("{} {}", self.format, self.parameters)))
    }
}

impl Fmtp {
    /// The value of one of the parameters; letter case of the name is ignored.
    pub fn get(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }
}

/// One of `name=value` between semicolons.
pub(crate) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim_ascii().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rtpmap_survives_the_round_trip() {
        for value in ["0 PCMU/8000", "111 opus/48000/2"] {
            let rtpmap = Rtpmap::parse(value).unwrap();
            assert_eq!(rtpmap.value().unwrap(), value);
        }
    }

    #[test]
    fn an_rtpmap_without_its_fields_is_malformed() {
        for value in ["", "0", "0 PCMU", "0 /8000", "128 X/8000", "0 X/8000/many"] {
            assert!(Rtpmap::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_parameter_of_an_fmtp_is_found_by_name() {
        let fmtp = Fmtp::parse("97 profile-level-id=4d0028; packetization-mode=1").unwrap();
        assert_eq!(fmtp.get("Packetization-Mode"), Some("1"));
        assert_eq!(fmtp.get("apt"), None);
    }
}
