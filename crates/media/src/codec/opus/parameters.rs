//! The parameters of Opus in SDP (RFC 7587 §6.1, §7).

use sdp::Codec;
use std::fmt;

/// What a receiver says of itself in `a=fmtp`. Values that make no sense count as not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusParameters {
    /// `maxplaybackrate`: samples per second beyond which it hears nothing more.
    pub max_playback_rate: u32,
    /// `sprop-maxcapturerate`: the same of what it sends.
    pub max_capture_rate: u32,
    /// `maxaveragebitrate`: bits per second that it wants at most.
    pub max_average_bit_rate: Option<u32>,
    /// `stereo`: it prefers two channels.
    pub stereo: bool,
    /// `sprop-stereo`: it is likely to send two.
    pub sends_stereo: bool,
    /// `cbr`: it wants packets of one size.
    pub constant_bit_rate: bool,
    /// `useinbandfec`: it takes advantage of copies of the previous packet.
    pub use_in_band_fec: bool,
    /// `usedtx`: it prefers nothing to silence.
    pub use_dtx: bool,
}

impl Default for OpusParameters {
    /// What holds where nothing is said.
    fn default() -> OpusParameters {
        OpusParameters {
            max_playback_rate: 48_000,
            max_capture_rate: 48_000,
            max_average_bit_rate: None,
            stereo: false,
            sends_stereo: false,
            constant_bit_rate: false,
            use_in_band_fec: false,
            use_dtx: false,
        }
    }
}

impl OpusParameters {
    /// Those of a line of SDP.
    pub fn of(codec: &Codec) -> OpusParameters {
        let number = |name, range: std::ops::RangeInclusive<u32>| {
            codec.parameter(name)?.parse().ok().filter(|value| range.contains(value))
        };
        let flag = |name| codec.parameter(name) == Some("1");
        OpusParameters {
            max_playback_rate: number("maxplaybackrate", 8_000..=48_000).unwrap_or(48_000),
            max_capture_rate: number("sprop-maxcapturerate", 8_000..=48_000).unwrap_or(48_000),
            max_average_bit_rate: number("maxaveragebitrate", 6_000..=510_000),
            stereo: flag("stereo"),
            sends_stereo: flag("sprop-stereo"),
            constant_bit_rate: flag("cbr"),
            use_in_band_fec: flag("useinbandfec"),
            use_dtx: flag("usedtx"),
        }
    }
}

/// As an `a=fmtp` has them; what is the default is left out.
impl fmt::Display for OpusParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = OpusParameters::default();
        let rate = |rate: u32, default: u32| (rate != default).then_some(rate);
        let flag = |flag: bool| flag.then_some(1);
        let parameters = [
            ("maxplaybackrate", rate(self.max_playback_rate, default.max_playback_rate)),
            ("sprop-maxcapturerate", rate(self.max_capture_rate, default.max_capture_rate)),
            ("maxaveragebitrate", self.max_average_bit_rate),
            ("stereo", flag(self.stereo)),
            ("sprop-stereo", flag(self.sends_stereo)),
            ("cbr", flag(self.constant_bit_rate)),
            ("useinbandfec", flag(self.use_in_band_fec)),
            ("usedtx", flag(self.use_dtx)),
        ];
        let said = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (index, (name, value)) in said.enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdp::{PayloadType, Text};

    fn of(parameters: &str) -> OpusParameters {
        let codec = Codec::opus(PayloadType::new(96).unwrap());
        OpusParameters::of(&codec.with_parameters(Text::new(parameters).unwrap()))
    }

    /// RFC 7587 §7.1, and what browsers say.
    #[test]
    fn parameters_are_read() {
        let said = of("maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000");
        assert_eq!((said.max_playback_rate, said.max_capture_rate), (16_000, 16_000));
        assert_eq!(said.max_average_bit_rate, Some(20_000));
        let said = of("minptime=10;UseInbandFec=1; usedtx=1;stereo=0;cbr=1;sprop-stereo=1");
        assert!(said.use_in_band_fec && said.use_dtx && said.constant_bit_rate && said.sends_stereo && !said.stereo);
    }

    #[test]
    fn nonsense_counts_as_not_said() {
        let nonsense =
            "maxplaybackrate=0;maxaveragebitrate=-5;sprop-maxcapturerate=99999999999;useinbandfec=yes;;=;cbr";
        assert_eq!(of(nonsense), OpusParameters::default());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = OpusParameters {
            max_playback_rate: 24_000,
            max_capture_rate: 16_000,
            max_average_bit_rate: Some(30_000),
            stereo: true,
            sends_stereo: true,
            constant_bit_rate: true,
            use_in_band_fec: true,
            use_dtx: true,
        };
        assert_eq!(of(&all.to_string()), all);
        let fec = OpusParameters { use_in_band_fec: true, ..OpusParameters::default() };
        assert_eq!(fec.to_string(), "useinbandfec=1");
        assert_eq!(of(&fec.to_string()), fec);
    }
}
