//! Payloads come from anybody.

use super::*;

/// Whatever it is given, a decoder appends what it announced, or nothing and an error.
fn survives(decoder: &mut dyn Decoder, payload: &[u8], name: &str) {
    let announced = decoder.samples_in(payload);
    let mut pcm = vec![77; 3];
    match decoder.decode(payload, &mut pcm) {
        Ok(()) => assert_eq!(Some(pcm.len() - 3), announced, "{name}: {payload:02x?}"),
        Err(_) => assert_eq!(pcm, [77; 3], "{name}: {payload:02x?}"),
    }
    assert_eq!(pcm[..3], [77; 3]);
}

fn conceals(decoder: &mut dyn Decoder, samples: usize, next: Option<&[u8]>) {
    let mut pcm = vec![77; 3];
    decoder.conceal(samples, next, &mut pcm);
    assert_eq!(pcm.len(), 3 + samples);
}

fn all_decoders() -> Vec<(String, SampleRate, Box<dyn Decoder>)> {
    let pairs = all().iter().flat_map(|spec| SampleRate::ALL.map(|rate| (spec, spec.sample_rate(rate))));
    pairs.map(|(spec, rate)| (format!("{} at {rate:?}", spec.encoding), rate, spec.decoder(rate))).collect()
}

#[test]
fn garbage_of_any_length_is_decoded_or_refused() {
    let mut seed = Seed(1);
    for (name, rate, mut decoder) in all_decoders() {
        survives(&mut *decoder, &[], &name);
        for round in 0..300 {
            let length = seed.below(if round % 10 == 0 { 1_500 } else { 100 });
            let payload = seed.octets(length);
            survives(&mut *decoder, &payload, &name);
            if round % 3 == 0 {
                let next = (round % 2 == 0).then_some(&payload[..]);
                conceals(&mut *decoder, seed.below(3 * rate.samples_per_tick()), next);
            }
        }
    }
}

#[test]
fn every_first_octet_is_decoded_or_refused() {
    let mut seed = Seed(2);
    for (name, rate, mut decoder) in all_decoders() {
        for first in 0..=255 {
            for length in [0, 1, 2, 7, 40] {
                let payload = [&[first], &seed.octets(length)[..]].concat();
                survives(&mut *decoder, &payload, &name);
            }
            conceals(&mut *decoder, rate.samples_per_tick(), Some(&[first, 1, 2, 3]));
        }
    }
}

#[test]
fn damaged_packets_are_decoded_or_refused() {
    let mut seed = Seed(3);
    for (spec, rate) in talking() {
        let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
        encoder.expect_loss(0.1);
        let payloads = encoded(&mut *encoder, &voice(rate, 1), rate.samples_per_tick());
        for _ in 0..300 {
            let mut payload = payloads[seed.below(payloads.len())].clone();
            for _ in 0..=seed.below(4) {
                let place = seed.below(payload.len());
                payload[place] ^= 1 << seed.below(8);
            }
            payload.truncate(1 + seed.below(payload.len() * 2));
            survives(&mut *decoder, &payload, spec.encoding);
        }
    }
}

#[test]
fn audio_of_odd_lengths_is_encoded_or_refused() {
    for (spec, rate) in talking() {
        let (mut encoder, _) = coder(spec, rate, &CodecSettings::default());
        for length in [0, 1, 2, 3, 19, 79, 159, 161, 321, 2_881, 10_000] {
            let mut payload = vec![7];
            if encoder.encode(&voice(rate, 1)[..length.min(8_000)], &mut payload).is_err() {
                assert_eq!(payload, [7], "{} at {rate:?}: {length}", spec.encoding);
            }
        }
    }
}
