//! Where RTCP goes: `a=rtcp` (RFC 3605) and `a=rtcp-mux` (RFC 5761 §5.1.1).

use super::{AttributeError, TypedAttribute};
use crate::connection::ConnectionData;
use crate::text::{Text, composed};

/// `<port> [<nettype> <addrtype> <address>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, where it differs from that of the media.
    pub connection: Option<ConnectionData>,
}

/// RTCP shares the port of RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpMux;

impl TypedAttribute for Rtcp {
    const NAME: &'static str = "rtcp";

    fn parse(value: &str) -> Result<Rtcp, AttributeError> {
        let malformed = AttributeError::Malformed { name: Self::NAME };
        let (port, connection) = match value.trim_ascii().split_once(' ') {
            Some((port, connection)) => {
                let connection = ConnectionData::parse(connection).ok_or(malformed)?;
                (port, Some(connection))
            }
            None => (value.trim_ascii(), None),
        };
        Ok(Rtcp { port: port.parse().map_err(|_| malformed)?, connection })
    }

    fn value(&self) -> Option<Text> {
        Some(composed(match &self.connection {
            Some(connection) => format!("{} {connection}", self.port),
            None => self.port.to_string(),
        }))
    }
}

impl TypedAttribute for RtcpMux {
    const NAME: &'static str = "rtcp-mux";

    fn parse(_: &str) -> Result<RtcpMux, AttributeError> {
        Ok(RtcpMux)
    }

    fn value(&self) -> Option<Text> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_3605_survive_the_round_trip() {
        for value in ["53020", "53020 IN IP4 126.16.64.4", "53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD"] {
            let rtcp = Rtcp::parse(value).unwrap();
            assert_eq!(rtcp.port, 53020);
            assert_eq!(rtcp.value().unwrap(), value);
        }
        assert!(Rtcp::parse("").is_err());
        assert!(Rtcp::parse("53020 IN").is_err());
    }
}
