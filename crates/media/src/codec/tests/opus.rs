//! What only Opus does (RFC 7587).

use super::super::opus::{OpusEncoder, OpusParameters};
use super::*;
use crate::signal;
use opus_pure::packet;

fn packets(rate: SampleRate, far: OpusParameters, settings: CodecSettings, pcm: &[i16]) -> Vec<Vec<u8>> {
    encoded(&mut OpusEncoder::new(rate, &far, &settings), pcm, rate.samples_per_tick())
}

/// Bits per second of one packet per tick.
fn bit_rate(payloads: &[Vec<u8>]) -> usize {
    payloads.iter().map(Vec::len).sum::<usize>() * 8 * 50 / payloads.len()
}

/// §6.1: maxplaybackrate, maxaveragebitrate, cbr.
#[test]
fn the_far_ends_wishes_are_followed() {
    let pcm = voice(SampleRate::Full, 2);
    let settings = CodecSettings { bit_rate: 40_000, ..CodecSettings::default() };
    let unasked = packets(SampleRate::Full, OpusParameters::default(), settings, &pcm);
    assert!((30_000..48_000).contains(&bit_rate(&unasked)), "{}", bit_rate(&unasked));
    assert!(unasked.iter().all(|payload| packet::bandwidth(payload).unwrap() == opus_pure::Bandwidth::Fullband));

    let narrow = OpusParameters { max_playback_rate: 8_000, ..OpusParameters::default() };
    let narrow = packets(SampleRate::Full, narrow, settings, &pcm);
    // RFC 6716 §3.1: these configurations of SILK and CELT are narrowband.
    assert!(narrow.iter().all(|payload| matches!(payload[0] >> 3, 0..=3 | 16..=19)));
    assert!(narrow.iter().all(|payload| packet::samples_48k(payload).unwrap() == 960));

    let thrifty = OpusParameters { max_average_bit_rate: Some(16_000), ..OpusParameters::default() };
    let thrifty = packets(SampleRate::Full, thrifty, settings, &pcm);
    assert!(bit_rate(&thrifty) < 17_500, "{}", bit_rate(&thrifty));

    let even = OpusParameters { constant_bit_rate: true, ..OpusParameters::default() };
    let even = packets(SampleRate::Full, even, settings, &pcm);
    assert!(even.iter().all(|payload| payload.len() == even[0].len()));
}

/// §3.1.3: in silence nothing is sent, if both want that; the listener hears silence.
#[test]
fn silence_need_not_be_sent() {
    let rate = SampleRate::Wide;
    let tick = rate.samples_per_tick();
    let pcm = [voice(rate, 1), vec![0; 3 * rate.hertz() as usize], voice(rate, 1)].concat();
    let settings = CodecSettings { discontinuous: true, ..CodecSettings::default() };
    let likes = OpusParameters { use_dtx: true, ..OpusParameters::default() };
    let payloads = packets(rate, likes, settings, &pcm);
    let unsent = payloads.iter().filter(|payload| payload.is_empty()).count();
    assert!((100..=150).contains(&unsent), "{unsent} of {}", payloads.len());
    assert!(packets(rate, OpusParameters::default(), settings, &pcm).iter().all(|payload| !payload.is_empty()));

    let mut decoder = spec(CodecKind::Opus).decoder(rate);
    let mut heard = Vec::new();
    for payload in &payloads {
        match &payload[..] {
            [] => decoder.conceal(tick, None, &mut heard),
            payload => decoder.decode(payload, &mut heard).unwrap(),
        }
    }
    assert_eq!(heard.len(), pcm.len());
    assert!(signal::rms(&heard[75 * tick..190 * tick]).0 < -70.0);
    assert!(signal::rms(&heard[200 * tick..]).0 > -40.0);
}

/// A packet of one octet, as others send it in silence.
#[test]
fn a_packet_without_content_is_concealed() {
    let rate = SampleRate::Full;
    let (mut encoder, mut decoder) = coder(spec(CodecKind::Opus), rate, &CodecSettings::default());
    let payloads = encoded(&mut *encoder, &voice(rate, 1), rate.samples_per_tick());
    let mut pcm = decoded(&mut *decoder, &payloads[..20]);
    decoder.decode(&payloads[20][..1], &mut pcm).unwrap();
    assert_eq!(pcm.len(), 21 * rate.samples_per_tick());
}

/// A decoder of a lower rate hears what a peer of 48,000 sends it, without images of what it cannot play: here 6 kHz for
/// a telephone, and 10 kHz for a wideband phone.
#[test]
fn bands_above_the_listeners_are_left_out() {
    let full = SampleRate::Full;
    for (rate, high) in [(SampleRate::Narrow, 6_000.0), (SampleRate::Wide, 10_000.0)] {
        let low = sine(full, 1_000.0, 6_000.0, 100 * full.samples_per_tick());
        let high = sine(full, high, 6_000.0, 100 * full.samples_per_tick());
        let both: Vec<i16> = low.iter().zip(&high).map(|(low, high)| low + high).collect();
        let settings = CodecSettings { bit_rate: 96_000, ..CodecSettings::default() };
        let payloads = packets(full, OpusParameters::default(), settings, &both);
        assert_ne!(packet::mode(&payloads[60]).unwrap(), opus_pure::OpusMode::SilkOnly);
        let heard = decoded(&mut *spec(CodecKind::Opus).decoder(rate), &payloads);
        let heard = &heard[50 * rate.samples_per_tick()..];
        let purity = signal::tone_to_rest(heard, rate, &[1_000.0]);
        assert!(purity > 25.0, "{rate:?}: {purity:.1} dB");
    }
}

/// The far end's encoder changes from speech at 12 kbit/s to music at 64: the decoder goes over without a click.
#[test]
fn a_stream_that_becomes_wider_goes_on() {
    let full = SampleRate::Full;
    for rate in [SampleRate::Narrow, SampleRate::Wide, SampleRate::SuperWide] {
        let tone = sine(full, 400.0, 8_000.0, 100 * full.samples_per_tick());
        let (before, after) = tone.split_at(50 * full.samples_per_tick());
        let at = |bit_rate| CodecSettings { bit_rate, ..CodecSettings::default() };
        let mut payloads = packets(full, OpusParameters::default(), at(12_000), before);
        assert!(payloads.iter().all(|payload| packet::mode(payload).unwrap() == opus_pure::OpusMode::SilkOnly));
        payloads.extend(packets(full, OpusParameters::default(), at(64_000), after));
        let heard = decoded(&mut *spec(CodecKind::Opus).decoder(rate), &payloads);
        assert_eq!(heard.len(), 100 * rate.samples_per_tick());
        // Another encoder begins at the change, in the middle of the tone: its beginning is soft.
        let usual = 8_000.0 * TAU * 400.0 / f64::from(rate.hertz());
        let steps = heard[20 * rate.samples_per_tick()..].windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        let largest = steps.max().unwrap();
        assert!(f64::from(largest) < 2.0 * usual, "{rate:?}: a step of {largest}, usually {usual:.0}");
    }
}

/// At complexity 0 CELT does it alone, unless the far end likes silence not to be sent, or few bits.
#[test]
fn who_has_no_time_uses_one_layer() {
    let rate = SampleRate::Full;
    let pcm = voice(rate, 1);
    let hurried = CodecSettings { complexity: 0, discontinuous: true, ..CodecSettings::default() };
    let modes = |far: OpusParameters, settings| {
        let payloads = packets(rate, far, settings, &pcm);
        payloads.iter().filter(|payload| packet::mode(payload).ok() == Some(opus_pure::OpusMode::CeltOnly)).count()
    };
    assert_eq!(modes(OpusParameters::default(), hurried), 50);
    assert_eq!(modes(OpusParameters { use_dtx: true, ..OpusParameters::default() }, hurried), 0);
    assert_eq!(modes(OpusParameters { max_average_bit_rate: Some(16_000), ..OpusParameters::default() }, hurried), 0);
    assert_eq!(modes(OpusParameters::default(), CodecSettings { complexity: 1, ..hurried }), 0);
}

/// More calls come, and some of them go again: the listener hears no click.
#[test]
fn how_much_time_it_takes_changes_in_the_middle_of_a_sound() {
    let rate = SampleRate::Full;
    let tone = sine(rate, 400.0, 8_000.0, 120 * rate.samples_per_tick());
    let (mut encoder, mut decoder) = coder(spec(CodecKind::Opus), rate, &CodecSettings::ONE_CALL);
    let mut heard = Vec::new();
    for (part, complexity) in tone.chunks_exact(tone.len() / 4).zip([9, 5, 0, 9]) {
        encoder.set_complexity(complexity);
        let payloads = encoded(&mut *encoder, part, rate.samples_per_tick());
        let mode = packet::mode(&payloads[20]).unwrap();
        assert_eq!(mode == opus_pure::OpusMode::CeltOnly, complexity == 0, "{complexity}: {mode:?}");
        heard.extend(decoded(&mut *decoder, &payloads));
    }
    let usual = 8_000.0 * TAU * 400.0 / f64::from(rate.hertz());
    let steps = heard[10 * rate.samples_per_tick()..].windows(2).map(|pair| pair[0].abs_diff(pair[1]));
    let largest = steps.max().unwrap();
    assert!(f64::from(largest) < 3.0 * usual, "a step of {largest}, usually {usual:.0}");
}
