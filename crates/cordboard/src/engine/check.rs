//! Settings that can be read and yet can't be followed, told before anything is bound or written down.

use client::settings::{AccountSettings, Settings};
use media::device::DeviceSpec;
use media::pcm::SampleRate;
use media::stream::codecs_named;

use super::{EngineError, relay};

/// What RFC 3551 §4.2 and the phones that are about leave of it, in milliseconds.
const PACKET_TIMES: [u16; 6] = [10, 20, 30, 40, 60, 120];

/// Whether an engine can start with these; the error names the key.
pub(crate) fn check(settings: &Settings) -> Result<(), EngineError> {
    let audio = &settings.audio;
    codecs("audio.codecs", &audio.codecs)?;
    rate(audio.sample_rate)?;
    if !PACKET_TIMES.contains(&audio.packet_time) {
        return refuse(format!(
            "audio.packet_time: {} is none; there are 10, 20, 30, 40, 60 and 120",
            audio.packet_time
        ));
    }
    for (key, device) in [("input", &audio.input), ("output", &audio.output), ("alert", &audio.alert)] {
        if let Err(error) = device.parse::<DeviceSpec>() {
            return refuse(format!("audio.{key}: {error}"));
        }
    }
    let (first, last) = settings.rtp.ports;
    if first == 0 || first > last {
        return refuse(format!("rtp.ports: {first} to {last} is no range of ports"));
    }
    for transport in &settings.sip.transports {
        if !["udp", "tcp", "tls"].contains(&transport.as_str()) {
            return refuse(format!("sip.transports: {transport:?} is none; there are udp, tcp and tls"));
        }
    }
    Ok(())
}

/// Whether an account can be used.
pub(crate) fn check_account(settings: &AccountSettings) -> Result<(), EngineError> {
    settings.rtp.codecs.as_deref().map_or(Ok(()), |names| codecs("rtp.codecs", names))?;
    match settings.msrp.relay.as_deref().filter(|relay| !relay.trim().is_empty()) {
        Some(relay) => relay::located(relay).map(drop).map_err(|why| EngineError::Settings(why.as_ref().into())),
        None => Ok(()),
    }
}

/// The rate of a bridge.
pub(super) fn rate(hertz: u32) -> Result<SampleRate, EngineError> {
    SampleRate::from_hertz(hertz).ok_or_else(|| {
        let why = format!("audio.sample_rate: {hertz} is none; there are 8000, 16000, 32000 and 48000");
        EngineError::Settings(why.into())
    })
}

fn codecs(key: &str, names: &[String]) -> Result<(), EngineError> {
    match names.iter().find(|name| codecs_named([name.as_str()]).is_empty()) {
        Some(unknown) => {
            refuse(format!("{key}: {unknown:?} is no codec of ours; there are opus, G722, PCMU, PCMA and L16"))
        }
        None if names.is_empty() => refuse(format!("{key}: there has to be one")),
        None => Ok(()),
    }
}

fn refuse(why: String) -> Result<(), EngineError> {
    Err(EngineError::Settings(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        check(&settings).expect_err("it can't be followed").to_string()
    }

    #[test]
    fn the_defaults_can_be_followed() {
        assert!(check(&Settings::default()).is_ok() && check_account(&AccountSettings::default()).is_ok());
    }

    #[test]
    fn a_relay_that_is_none_is_refused_before_a_chat_begins() {
        let with = |relay: &str| {
            let mut settings = AccountSettings::default();
            settings.msrp.relay = Some(relay.to_owned());
            check_account(&settings)
        };
        for relay in ["", "relay.example.com", "relay.example.com:2855", "msrp://127.0.0.1:2855", "::1"] {
            assert!(with(relay).is_ok(), "{relay}");
        }
        for relay in ["http://relay.example.com", "relay example", "relay:port"] {
            assert!(with(relay).expect_err(relay).to_string().contains("msrp.relay"), "{relay}");
        }
    }

    #[test]
    fn what_can_not_be_followed_is_named_by_its_key() {
        assert!(refused(|settings| settings.audio.sample_rate = 16_001).starts_with("audio.sample_rate: 16001"));
        assert!(refused(|settings| settings.audio.packet_time = 0).starts_with("audio.packet_time"));
        assert!(refused(|settings| settings.audio.codecs = vec!["GSM".into()]).contains("\"GSM\" is no codec"));
        assert!(refused(|settings| settings.audio.codecs.clear()).starts_with("audio.codecs"));
        assert!(refused(|settings| settings.audio.input = "radio".into()).starts_with("audio.input"));
        assert!(refused(|settings| settings.rtp.ports = (9, 8)).starts_with("rtp.ports"));
        assert!(refused(|settings| settings.sip.transports = vec!["sctp".into()]).starts_with("sip.transports"));
    }
}
