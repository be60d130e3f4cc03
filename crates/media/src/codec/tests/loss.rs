//! What is played for lost packets resembles what was lost.

use super::*;
use crate::signal;

/// What to do about the lost packet of this number.
type Replace<'a> = dyn FnMut(&mut dyn Decoder, usize, &mut Vec<i16>) + 'a;

/// Every twentieth packet is lost, singly and without a pattern.
fn lost(packets: usize) -> Vec<bool> {
    let mut seed = Seed(11);
    let mut lost = vec![false; packets];
    for group in lost[10..].chunks_exact_mut(20) {
        group[1 + seed.below(18)] = true;
    }
    lost
}

/// What is heard if lost packets are replaced so.
fn heard(
    decoder: &mut dyn Decoder,
    payloads: &[Vec<u8>],
    lost: &[bool],
    mut replace: impl FnMut(&mut dyn Decoder, usize, &mut Vec<i16>),
) -> Vec<i16> {
    let mut pcm = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        if lost[index] {
            replace(decoder, index, &mut pcm);
        } else {
            decoder.decode(payload, &mut pcm).unwrap();
        }
    }
    pcm
}

/// Only the lost packets' places.
fn places(pcm: &[i16], lost: &[bool], tick: usize) -> Vec<i16> {
    pcm.chunks_exact(tick).zip(lost).filter(|(_, lost)| **lost).flat_map(|(tick, _)| tick.to_vec()).collect()
}

#[test]
fn concealed_audio_is_closer_to_what_was_lost_than_silence() {
    for (spec, rate) in talking() {
        let tick = rate.samples_per_tick();
        let (mut encoder, _) = coder(spec, rate, &CodecSettings::default());
        let payloads = encoded(&mut *encoder, &voice(rate, 8), tick);
        let lost = lost(payloads.len());
        let run = |replace: &mut Replace<'_>| heard(&mut *spec.decoder(rate), &payloads, &lost, replace);
        let complete = decoded(&mut *spec.decoder(rate), &payloads);
        let concealed = run(&mut |decoder, _, pcm| decoder.conceal(tick, None, pcm));
        let silenced = run(&mut |_, _, pcm| pcm.resize(pcm.len() + tick, 0));
        assert_eq!(concealed.len(), complete.len());

        let (was, is) = (places(&complete, &lost, tick), places(&concealed, &lost, tick));
        let alike = signal::correlation(&was, &is, 0);
        let level = signal::rms(&is).0 - signal::rms(&was).0;
        let name = format!("{} at {rate:?}", spec.encoding);
        // Opus goes on with the envelope of its parametric layer; ours with the wave.
        let (least_alike, gain) = if spec.kind == CodecKind::Opus { (0.4, 0.5) } else { (0.75, 2.0) };
        assert!(alike > least_alike, "{name}: {alike:.2} alike");
        assert!(level > -6.0 && level < 1.5, "{name}: {level:.1} dB louder");
        let (filled, empty) =
            (signal::signal_to_noise(&complete, &concealed), signal::signal_to_noise(&complete, &silenced));
        assert!(filled > empty + gain, "{name}: {filled:.1} dB instead of {empty:.1}");
    }
}

/// RFC 7587 §3.3: what a packet tells of the one before it is better than a guess.
#[test]
fn opus_recovers_a_lost_packet_from_the_next() {
    for rate in SampleRate::ALL {
        let tick = rate.samples_per_tick();
        let settings = CodecSettings { complexity: 1, ..CodecSettings::default() };
        let (mut encoder, _) = coder(spec(CodecKind::Opus), rate, &settings);
        encoder.expect_loss(0.1);
        let payloads = encoded(&mut *encoder, &voice(rate, 8), tick);
        let lost = lost(payloads.len());
        let decoder = || spec(CodecKind::Opus).decoder(rate);
        let complete = decoded(&mut *decoder(), &payloads);
        let guessed = heard(&mut *decoder(), &payloads, &lost, |decoder, _, pcm| decoder.conceal(tick, None, pcm));
        let told = heard(&mut *decoder(), &payloads, &lost, |decoder, index, pcm| {
            decoder.conceal(tick, payloads.get(index + 1).map(Vec::as_slice), pcm);
        });
        let ratio = |pcm: &[i16]| signal::signal_to_noise(&places(&complete, &lost, tick), &places(pcm, &lost, tick));
        assert!(
            ratio(&told) > ratio(&guessed) + 3.0,
            "{rate:?}: {:.1} dB, guessed {:.1}",
            ratio(&told),
            ratio(&guessed)
        );
    }
}

#[test]
fn a_long_gap_ends_in_silence_and_the_stream_goes_on() {
    for (spec, rate) in talking() {
        let tick = rate.samples_per_tick();
        let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
        let payloads = encoded(&mut *encoder, &voice(rate, 2), tick);
        let complete = decoded(&mut *spec.decoder(rate), &payloads);
        let mut pcm = decoded(&mut *decoder, &payloads[..40]);
        for _ in 40..60 {
            decoder.conceal(tick, None, &mut pcm);
        }
        let end = &pcm[55 * tick..];
        assert!(signal::rms(end).0 < -40.0, "{} at {rate:?}", spec.encoding);
        pcm.extend(decoded(&mut *decoder, &payloads[60..]));
        assert_eq!(pcm.len(), complete.len());
        let alike = signal::correlation(&complete[70 * tick..], &pcm[70 * tick..], 0);
        assert!(alike > 0.95, "{} at {rate:?}: {alike:.3} alike", spec.encoding);
    }
}
