//! What comes out is what went in.

use super::*;
use crate::signal;

#[test]
fn a_tone_keeps_its_level_and_frequency() {
    for (spec, rate) in talking() {
        for hertz in [300.0, 1_000.0, 3_000.0] {
            let tick = rate.samples_per_tick();
            let pcm = sine(rate, hertz, 10_000.0, 100 * tick);
            let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
            let heard = decoded(&mut *decoder, &encoded(&mut *encoder, &pcm, tick));
            assert_eq!(heard.len(), pcm.len());
            // Without the first, in which codecs learn.
            let (said, heard) = (&pcm[50 * tick..], &heard[50 * tick..]);
            let change = signal::rms(heard).0 - signal::rms(said).0;
            assert!(change.abs() < 1.0, "{} at {rate:?}: {hertz} Hz by {change:.2} dB", spec.encoding);
            let frequency = signal::dominant_frequency(heard, rate);
            assert!((frequency - hertz).abs() < 1.0, "{} at {rate:?}: {hertz} Hz became {frequency}", spec.encoding);
        }
    }
}

#[test]
fn the_voice_stands_out_of_the_codecs_noise() {
    for (spec, rate) in talking() {
        let tick = rate.samples_per_tick();
        let pcm = voice(rate, 4);
        let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
        let heard = decoded(&mut *decoder, &encoded(&mut *encoder, &pcm, tick));
        // Opus codes what an ear hears rather than the waveform, so its number says less than the others'.
        let (least, longest) = match spec.kind {
            CodecKind::L16 => (f64::INFINITY, 1),
            CodecKind::Pcmu | CodecKind::Pcma => (34.0, 1),
            CodecKind::G722 => (30.0, 48),
            CodecKind::Opus => (9.0, tick),
            CodecKind::ComfortNoise => unreachable!("not to talk with"),
        };
        let (lag, _) = signal::best_lag(&pcm[..rate.hertz() as usize], &heard, 0..longest);
        let ratio = signal::signal_to_noise(&pcm[..pcm.len() - lag], &heard[lag..]);
        assert!(ratio >= least, "{} at {rate:?}: {ratio:.1} dB with a lag of {lag}", spec.encoding);
    }
}

#[test]
fn silence_stays_silent() {
    for (spec, rate) in talking() {
        let tick = rate.samples_per_tick();
        let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
        let heard = decoded(&mut *decoder, &encoded(&mut *encoder, &vec![0; 50 * tick], tick));
        let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest <= Some(8), "{} at {rate:?}: {loudest:?}", spec.encoding);
    }
}

#[test]
fn the_loudest_audio_does_not_wrap() {
    for (spec, rate) in talking() {
        let tick = rate.samples_per_tick();
        let pcm = sine(rate, 440.0, 32_767.0, 50 * tick);
        let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
        let heard = decoded(&mut *decoder, &encoded(&mut *encoder, &pcm, tick));
        // From one sample to the next a sine of 440 Hz moves by 0.35 of its height at most.
        let jump = heard[25 * tick..].windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
        assert!(jump < Some(20_000), "{} at {rate:?}: {jump:?}", spec.encoding);
    }
}

#[test]
fn every_packet_time_comes_out_as_long_as_it_went_in() {
    for (spec, rate) in talking() {
        for milliseconds in [10, 20, 30, 40, 50, 60] {
            let span = spec.packet_time(std::time::Duration::from_millis(milliseconds));
            let pcm = voice(rate, 1);
            let samples = rate.samples_in(span);
            let (mut encoder, mut decoder) = coder(spec, rate, &CodecSettings::default());
            for payload in encoded(&mut *encoder, &pcm, samples) {
                assert_eq!(decoder.samples_in(&payload), Some(samples), "{} at {rate:?}, {span:?}", spec.encoding);
                let mut heard = Vec::new();
                decoder.decode(&payload, &mut heard).unwrap();
                assert_eq!(heard.len(), samples);
            }
        }
    }
}
