//! What one tick (20 ms) of one call costs, in each codec and between rates. A core has 20 ms for all its calls.

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use media::codec::concealment::Concealment;
use media::codec::{CodecKind, CodecSettings, CodecSpec, all};
use media::pcm::SampleRate;
use media::resample::Resampler;
use std::f64::consts::TAU;
use std::hint::black_box;

criterion_group!(benches, codecs, concealment, resampling);
criterion_main!(benches);

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    for spec in all().iter().filter(|spec| spec.payload_type.is_some()) {
        let rate = spec.sample_rate(SampleRate::Narrow);
        codec(&mut group, spec, rate, &CodecSettings::default(), spec.encoding);
    }
    let opus = all().iter().find(|spec| spec.kind == CodecKind::Opus).expect("Opus is there");
    for rate in [SampleRate::Wide, SampleRate::Full] {
        for complexity in [0, 1, 5, 9] {
            let settings = CodecSettings { complexity, ..CodecSettings::default() };
            codec(&mut group, opus, rate, &settings, &format!("opus {} complexity {complexity}", rate.hertz()));
        }
    }
    // What a peer of 48,000 sends, heard at less.
    let far = opus.offer(sdp::PayloadType::new(96).expect("seven bits"));
    let payloads = encoded(&mut *opus.encoder(&far, SampleRate::Full, &CodecSettings::default()), SampleRate::Full);
    let mut decoder = opus.decoder(SampleRate::Wide);
    let mut next = payloads.iter().cycle();
    let mut pcm = Vec::new();
    group.bench_function("opus 48000 at 16000/decode", |bencher| {
        bencher.iter(|| {
            pcm.clear();
            decoder.decode(black_box(next.next().expect("it is a cycle")), &mut pcm)
        });
    });
}

fn codec<M: criterion::measurement::Measurement>(
    group: &mut BenchmarkGroup<'_, M>,
    spec: &CodecSpec,
    rate: SampleRate,
    settings: &CodecSettings,
    name: &str,
) {
    let far = spec.offer(sdp::PayloadType::new(96).expect("seven bits"));
    let mut encoder = spec.encoder(&far, rate, settings);
    let payloads = encoded(&mut *encoder, rate);
    let pcm = voice(rate);
    let mut ticks = pcm.chunks_exact(rate.samples_per_tick()).cycle();
    let mut payload = Vec::new();
    group.bench_function(format!("{name}/encode"), |bencher| {
        bencher.iter(|| {
            payload.clear();
            encoder.encode(black_box(ticks.next().expect("it is a cycle")), &mut payload)
        });
    });
    let mut decoder = spec.decoder(rate);
    let mut next = payloads.iter().cycle();
    let mut pcm = Vec::new();
    group.bench_function(format!("{name}/decode"), |bencher| {
        bencher.iter(|| {
            pcm.clear();
            decoder.decode(black_box(next.next().expect("it is a cycle")), &mut pcm)
        });
    });
}

fn concealment(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("concealment");
    for rate in [SampleRate::Narrow, SampleRate::Wide, SampleRate::Full] {
        let mut heard = voice(rate);
        heard.truncate(10 * rate.samples_per_tick());
        let mut fill = Vec::new();
        group.bench_function(format!("one lost packet of eleven at {}", rate.hertz()), |bencher| {
            let mut concealment = Concealment::new(rate);
            bencher.iter(|| {
                fill.clear();
                concealment.heard(black_box(&mut heard));
                concealment.fill(rate.samples_per_tick(), &mut fill);
            });
        });
    }
}

fn resampling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample");
    for from in SampleRate::ALL {
        for to in SampleRate::ALL.into_iter().filter(|&to| to != from) {
            let pcm = voice(from);
            let mut ticks = pcm.chunks_exact(from.samples_per_tick()).cycle();
            let mut resampler = Resampler::new(from, to);
            let mut output = Vec::new();
            group.bench_function(format!("{} to {}", from.hertz(), to.hertz()), |bencher| {
                bencher.iter(|| {
                    output.clear();
                    resampler.resample(black_box(ticks.next().expect("it is a cycle")), &mut output);
                });
            });
        }
    }
}

fn encoded(encoder: &mut dyn media::codec::Encoder, rate: SampleRate) -> Vec<Vec<u8>> {
    let ticks = voice(rate);
    let payload = |tick: &[i16]| {
        let mut payload = Vec::new();
        encoder.encode(tick, &mut payload).map(|()| payload)
    };
    ticks.chunks_exact(rate.samples_per_tick()).map(payload).collect::<Result<_, _>>().expect("whole ticks")
}

/// Two seconds of something like a voice: harmonics of a gliding pitch, in syllables, with a little noise.
fn voice(rate: SampleRate) -> Vec<i16> {
    let (mut phase, mut noise) = (0.0, 1_u32);
    let sample = |n: usize| {
        let time = n as f64 / f64::from(rate.hertz());
        phase += (120.0 + 20.0 * (time * 2.1).sin()) * TAU / f64::from(rate.hertz());
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let harmonics: f64 = (1..24).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum();
        let syllable = (time * TAU * 1.5).sin().max(0.0);
        (harmonics * syllable * 6_000.0 + f64::from(noise >> 16) / 400.0) as i16
    };
    (0..2 * rate.hertz() as usize).map(sample).collect()
}
