//! Files that another library wrote, played and measured.

use super::super::Folder;
use super::super::format::{HEADER_OCTETS, header};
use super::*;
use crate::level::Dbfs;
use crate::signal;
use hound::{SampleFormat, WavSpec, WavWriter};
use std::f64::consts::TAU;

fn once() -> PlayerOptions {
    PlayerOptions::default()
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
    WavSpec { channels, sample_rate, bits_per_sample, sample_format }
}

/// A second of 440 Hz at a fifth of full scale in the first channel, and silence in the others.
fn write_tone(path: &Path, spec: WavSpec) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    let full = 2f64.powi(i32::from(spec.bits_per_sample) - 1);
    for n in 0..spec.sample_rate {
        let value = 0.2 * (TAU * 440.0 * f64::from(n) / f64::from(spec.sample_rate)).sin();
        for channel in 0..spec.channels {
            let value = if channel == 0 { value } else { 0.0 };
            match spec.sample_format {
                SampleFormat::Int => writer.write_sample((value * full).round() as i32).unwrap(),
                SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
}

fn play(player: &mut Player) -> Vec<i16> {
    let mut played = Vec::new();
    let mut tick = vec![0; player.rate().samples_per_tick()];
    while !player.is_over() {
        let length = player.fill(&mut tick);
        played.extend(&tick[..length]);
    }
    played
}

#[test]
fn every_kind_of_file_is_heard_as_the_same_tone() {
    let folder = Folder::new();
    let kinds = [(8, SampleFormat::Int), (16, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Int)];
    for (bits, format) in kinds.into_iter().chain([(32, SampleFormat::Float)]) {
        for (channels, hertz) in [(1, 8_000), (1, 11_025), (2, 44_100), (1, 48_000), (6, 16_000)] {
            let path = folder.file("tone.wav");
            write_tone(&path, spec(channels, hertz, bits, format));
            for rate in [SampleRate::Narrow, SampleRate::SuperWide] {
                let mut player = Player::open(&path, rate, once()).unwrap();
                assert_eq!(player.length(), Duration::from_secs(1));
                let played = play(&mut player);
                let what = format!("{bits} bits {format:?}, {channels} channels of {hertz} at {rate:?}");
                assert!(played.len().abs_diff(rate.hertz() as usize) <= 1, "{what}: {}", played.len());
                let expected = Dbfs::of_amplitude(0.2 * 32_768.0).0 - 3.01 - 20.0 * f64::from(channels).log10();
                let level = signal::level_at(&played, rate, 440.0).0;
                assert!((level - expected).abs() < 0.1, "{what}: {level} for {expected}");
                assert!((signal::dominant_frequency(&played, rate) - 440.0).abs() < 0.1, "{what}");
                // The noise of 8 bits lies 35 dB below this tone, divided among six channels.
                assert!(signal::tone_to_rest(&played, rate, &[440.0]) > 30.0, "{what}");
            }
        }
    }
}

#[test]
fn files_of_g711_are_played() {
    // A sine of 1,000 Hz in eight samples at 0 dBm0 (ITU-T G.711 tables 5 and 6).
    let mu_law = [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e];
    let a_law = [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4];
    let folder = Folder::new();
    for (tag, period) in [(7u16, mu_law), (6, a_law)] {
        let mut file = header(8_000, 8_000).to_vec();
        file[20..22].copy_from_slice(&tag.to_le_bytes());
        file[32..36].copy_from_slice(&[1, 0, 8, 0]);
        file.extend(period.iter().cycle().take(8_000));
        let path = folder.file("g711.wav");
        std::fs::write(&path, file).unwrap();
        let played = play(&mut Player::open(&path, SampleRate::Narrow, once()).unwrap());
        assert_eq!(played.len(), 8_000);
        let level = signal::level_at(&played, SampleRate::Narrow, 1_000.0);
        assert!((level.0 - Dbfs::of_dbm0(0.0).0).abs() < 0.1, "{level}");
    }
}

#[test]
fn a_file_is_repeated_with_its_delay_and_pauses() {
    let folder = Folder::new();
    let path = folder.file("short.wav");
    let mut writer = WavWriter::create(&path, spec(1, 8_000, 16, SampleFormat::Int)).unwrap();
    (0..800).for_each(|_| writer.write_sample(5_000i16).unwrap());
    writer.finalize().unwrap();
    let options = PlayerOptions {
        repeat: Repeat::Times(3),
        pause: Duration::from_millis(200),
        initial_delay: Duration::from_millis(40),
        volume: 50,
    };
    let mut player = Player::open(&path, SampleRate::Narrow, options).unwrap();
    let played = play(&mut player);
    let expected = [320..1_120, 2_720..3_520, 5_120..5_920];
    assert_eq!(signal::loud_ranges(&played, SampleRate::Narrow, Dbfs(-40.0)), expected);
    assert_eq!(played.len(), 5_920);
    assert_eq!(played[400], 2_500);

    let forever = PlayerOptions { repeat: Repeat::Forever, ..once() };
    let mut player = Player::open(&path, SampleRate::Narrow, forever).unwrap();
    let mut pcm = vec![0; 80_000];
    assert_eq!(player.fill(&mut pcm), 80_000);
    assert!(pcm.iter().all(|&sample| sample == 5_000));
    assert!(
        Player::open(&path, SampleRate::Narrow, PlayerOptions { repeat: Repeat::Times(0), ..once() })
            .unwrap()
            .is_over()
    );
}

#[test]
fn each_round_of_a_resampled_file_begins_where_it_should_and_sounds_like_the_first() {
    let folder = Folder::new();
    let path = folder.file("tone.wav");
    write_tone(&path, spec(1, 44_100, 16, SampleFormat::Int));
    let options = PlayerOptions { repeat: Repeat::Times(3), pause: Duration::from_millis(100), ..once() };
    let rate = SampleRate::Wide;
    let played = play(&mut Player::open(&path, rate, options).unwrap());
    assert!(played.len().abs_diff(3 * 16_000 + 2 * 1_600) <= 3, "{}", played.len());
    let ideal: Vec<i16> =
        (0..15_900).map(|n| (6_553.6 * (TAU * 440.0 * f64::from(n) / 16_000.0).sin()).round() as i16).collect();
    for round in 0usize..3 {
        let start = round * 17_600;
        // A sample early at most for each round before.
        let from = start.saturating_sub(4);
        let (lag, alike) = signal::best_lag(&ideal, &played[from..], 0..9);
        assert!((from + lag).abs_diff(start) <= round && alike > 0.99, "round {round}: {lag} {alike}");
        assert!(round == 0 || played[start - 1_500..start - 100].iter().all(|&sample| sample == 0));
    }
}

#[test]
fn after_its_end_a_player_is_silent() {
    let folder = Folder::new();
    write_tone(&folder.file("tone.wav"), spec(1, 8_000, 16, SampleFormat::Int));
    let mut player = Player::open(&folder.file("tone.wav"), SampleRate::Narrow, once()).unwrap();
    let mut pcm = vec![9; 8_100];
    assert_eq!(player.fill(&mut pcm), 8_000);
    assert!(pcm[8_000..].iter().all(|&sample| sample == 0));
    assert!(player.is_over());
    assert_eq!(player.fill(&mut pcm), 0);
    assert_eq!(player.failure(), None);
}

#[test]
fn a_long_file_is_streamed_and_sounds_the_same() {
    let folder = Folder::new();
    let path = folder.file("long.wav");
    let noise = signal::noise(5, 700_000, Dbfs(-20.0));
    let mut writer = WavWriter::create(&path, spec(1, 8_000, 16, SampleFormat::Int)).unwrap();
    noise.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let options = PlayerOptions { repeat: Repeat::Times(2), ..once() };
    let mut player = Player::open(&path, SampleRate::Narrow, options).unwrap();
    assert!(matches!(player.content, Content::Streamed(_)));
    let played = play(&mut player);
    assert_eq!(played.len(), 1_400_000);
    assert_eq!(played[..700_000], noise);
    assert_eq!(played[700_000..], noise);
    assert!(player.raw.capacity() + player.ready.capacity() + player.decoded.capacity() < 4_096);
}

#[test]
fn an_error_names_the_file_and_what_is_the_matter() {
    let folder = Folder::new();
    let open = |path: &Path| Player::open(path, SampleRate::Narrow, once()).map(|_| ()).unwrap_err();
    let missing = open(&folder.file("missing.wav"));
    assert_eq!(missing.problem, WavProblem::NotFound);
    assert!(missing.to_string().ends_with("missing.wav: no such file or folder"), "{missing}");
    assert_eq!(open(folder.path()).problem, WavProblem::NotAFile);
    std::fs::write(folder.file("text.wav"), "This is not audio at all.").unwrap();
    assert!(matches!(open(&folder.file("text.wav")).problem, WavProblem::NotWave(_)));
    std::fs::write(folder.file("empty.wav"), "").unwrap();
    assert!(matches!(open(&folder.file("empty.wav")).problem, WavProblem::NotWave(_)));
}

#[test]
fn a_file_that_is_cut_while_it_plays_ends_there_with_an_error() {
    let folder = Folder::new();
    let path = folder.file("cut.wav");
    let mut file = header(8_000, 2_000_000).to_vec();
    file.resize(HEADER_OCTETS + 2_000_000, 1);
    std::fs::write(&path, &file).unwrap();
    let mut player = Player::open(&path, SampleRate::Narrow, once()).unwrap();
    let mut tick = [0; 160];
    assert_eq!(player.fill(&mut tick), 160);
    std::fs::write(&path, &file[..500_000]).unwrap();
    let mut ticks = 0;
    while !player.is_over() {
        player.fill(&mut tick);
        ticks += 1;
    }
    assert!(ticks < 1_600);
    assert!(matches!(player.failure().unwrap().problem, WavProblem::Io(..)), "{:?}", player.failure());
}

#[test]
fn a_file_without_audio_is_over_at_once() {
    let folder = Folder::new();
    std::fs::write(folder.file("none.wav"), header(8_000, 0)).unwrap();
    assert!(Player::open(&folder.file("none.wav"), SampleRate::Full, once()).unwrap().is_over());
}
