//! Sound that goes in and sound that came out, as WAV files.

use std::path::Path;
use std::time::Duration;

use media::pcm::SampleRate;
use media::signal;

/// Writes a tone at -12 dBFS.
pub fn write_tone(file: &Path, rate: u32, channels: u16, hertz: f64, length: Duration) {
    let spec =
        hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(file, spec).expect("the run folder is writable");
    for at in 0..(length.as_secs_f64() * f64::from(rate)) as u64 {
        let phase = at as f64 / f64::from(rate) * hertz * std::f64::consts::TAU;
        for _ in 0..channels {
            writer.write_sample((phase.sin() * 8_230.0) as i16).expect("the run folder is writable");
        }
    }
    writer.finalize().expect("the run folder is writable");
}

/// What a recording has in it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// How long it is.
    pub length: Duration,
    /// For how long it is loud.
    pub loud: Duration,
    /// The strongest frequency of its loud part, in hertz.
    pub hertz: f64,
    /// How loud that part is, in dBFS.
    pub level: f64,
    /// How much louder that frequency is than all others together, in dB.
    pub purity: f64,
}

/// Listens to a recording.
pub fn listen(file: &Path) -> Heard {
    let mut reader = hound::WavReader::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let spec = reader.spec();
    let rate = SampleRate::from_hertz(spec.sample_rate).unwrap_or_else(|| panic!("{} Hz", spec.sample_rate));
    let channels = usize::from(spec.channels);
    let pcm: Vec<i16> = reader.samples::<i16>().map_while(Result::ok).step_by(channels).collect();
    let loud: Vec<i16> =
        pcm.chunks(rate.samples_per_tick()).filter(|tick| signal::rms(tick).0 > -40.0).flatten().copied().collect();
    let span = |samples: usize| Duration::from_secs_f64(samples as f64 / f64::from(rate.hertz()));
    // Neither the beginning nor the end, where a tone sets in or breaks off.
    let middle = &loud[loud.len() / 4..loud.len() - loud.len() / 4];
    let hertz = if middle.len() > 1_000 { signal::dominant_frequency(middle, rate) } else { 0.0 };
    Heard {
        length: span(pcm.len()),
        loud: span(loud.len()),
        hertz,
        level: signal::rms(middle).0,
        purity: purity(middle, rate, hertz),
    }
}

/// That of most tenths of a second: a machine that pauses for a moment loses some sound, and what comes after it has another
/// phase, which spoils any measure of the whole.
fn purity(pcm: &[i16], rate: SampleRate, hertz: f64) -> f64 {
    let tenths = pcm.chunks_exact(5 * rate.samples_per_tick());
    let mut purities: Vec<f64> = tenths.map(|tenth| signal::tone_to_rest(tenth, rate, &[hertz])).collect();
    purities.sort_by(f64::total_cmp);
    purities.get(purities.len() / 2).copied().unwrap_or(f64::NEG_INFINITY)
}

impl Heard {
    /// Whether it is that tone, clean, as loud as [`write_tone`] makes it, and at least so long.
    pub fn assert_is_tone(&self, hertz: f64, at_least: Duration) {
        // -12 dBFS of amplitude are -15 dBFS of power.
        assert!((-19.0..-11.0).contains(&self.level), "-15 dBFS went in: {self:?}");
        self.assert_is_clean_tone(hertz, at_least);
    }

    /// The same, however loud it is.
    pub fn assert_is_clean_tone(&self, hertz: f64, at_least: Duration) {
        assert!((self.hertz - hertz).abs() < 5.0, "{hertz} Hz went in: {self:?}");
        assert!(self.loud >= at_least, "{at_least:?} of it went in: {self:?}");
        assert!(self.purity > 10.0, "a clean tone went in: {self:?}");
    }
}
