//! One call of the phone: its session, what its script still has to do, and what is found out about it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use client::media::AudioStatistics;
use client::session::{CallDirection, SessionInfo};
use client::{Data, Notification};

use super::args::ScriptArgs;
use super::expect::{Expectation, Findings, QUIET};
use super::lines;
use crate::engine::Session;

/// Between two digits of `--dtmf`, where a comma stands.
const COMMA: Duration = Duration::from_millis(500);
/// Lines that are kept to be shown.
const LOG: usize = 200;

/// What is to be done in a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) play: Option<PathBuf>,
    pub(super) record: Option<PathBuf>,
    pub(super) digits: Option<String>,
    pub(super) duration: Option<Duration>,
    pub(super) mirror: bool,
    pub(super) expectations: Vec<Expectation>,
    /// What is heard, if it is to be listened to afterwards.
    pub(super) heard: Option<Heard>,
}

/// The file that what is heard is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Of the user's, who keeps it.
    Kept(PathBuf),
    /// Of our own, for the time of the call.
    Passing(PathBuf),
}

impl Heard {
    /// The file that a script needs, if it needs one; `output` is the device that the user wants.
    pub(super) fn by(script: &Script, output: &str) -> Result<Option<Heard>, String> {
        if !script.expectations.iter().any(Expectation::listens) {
            return Ok(None);
        }
        match output.strip_prefix("file:") {
            // What is there is never written over: the new sound would be elsewhere.
            Some(file) if PathBuf::from(file).exists() => Err(format!("--output: there is a file {file} already")),
            Some(file) => Ok(Some(Heard::Kept(PathBuf::from(file)))),
            None if output == "null" => {
                let name = format!("cordboard-heard-{}.wav", std::process::id());
                Ok(Some(Heard::Passing(std::env::temp_dir().join(name))))
            }
            None => {
                Err(format!("--expect tone needs what is heard in a file: --output file:heard.wav, and not {output}"))
            }
        }
    }
}

impl Script {
    pub(super) fn new(args: &ScriptArgs) -> Result<Script, String> {
        let expectations = args.expect.iter().map(|text| text.parse()).collect::<Result<Vec<Expectation>, _>>()?;
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()));
        let digits = args.dtmf.clone();
        if let Some(wrong) =
            digits.iter().flat_map(|digits| digits.chars()).find(|digit| !is_digit(*digit) && *digit != ',')
        {
            return Err(format!("--dtmf: {wrong:?} is no digit: there are 0-9, *, #, A-D and the comma"));
        }
        let play = args.play.as_ref().map(absolute).transpose()?;
        if let Some(missing) = play.as_ref().filter(|path| !path.is_file()) {
            return Err(format!("--play: there is no file {}", missing.display()));
        }
        Ok(Script {
            play,
            record: args.record.as_ref().map(absolute).transpose()?,
            digits,
            duration: args.duration,
            mirror: false,
            expectations,
            heard: None,
        })
    }

    /// Whether it says when the call ends.
    fn ends_by_itself(&self) -> bool {
        self.duration.is_some() || self.play.is_some()
    }
}

/// A call.
pub(super) struct Call {
    pub(super) session: Session,
    pub(super) findings: Findings,
    pub(super) statistics: Option<AudioStatistics>,
    pub(super) log: VecDeque<(SystemTime, String)>,
    pub(super) ringing: bool,
    pub(super) digits_sent: String,
    /// When it came to be, for the timer while it is not established.
    pub(super) began: Instant,
    pub(super) established: Option<Instant>,
    pub(super) over: bool,
    /// What it failed with after it was established.
    pub(super) broken: Option<String>,
    /// That we end it is no failure of the call's.
    pub(super) ended_by_us: bool,
}

impl Call {
    pub(super) fn new(session: Session) -> Call {
        Call {
            session,
            findings: Findings::default(),
            statistics: None,
            log: VecDeque::new(),
            ringing: false,
            digits_sent: String::new(),
            began: Instant::now(),
            established: None,
            over: false,
            broken: None,
            ended_by_us: false,
        }
    }

    /// Takes note of what has happened. Returns what is to be said about it.
    pub(super) fn told(&mut self, notification: &Notification) -> Option<String> {
        let info = self.session.info();
        match &notification.data {
            Data::SessionGotRingIndication => self.ringing = true,
            Data::SessionDidStart => {
                self.findings.answered = true;
                self.established = Some(Instant::now());
            }
            Data::SessionDidChangeEncryption { encryption } => self.findings.encrypted |= encryption.is_some(),
            Data::SessionGotDtmf { digit } => self.findings.digits.push(*digit),
            Data::SessionGotMessage { content, content_type, .. } => {
                self.findings.messages.push(lines::text_of(content, content_type));
            }
            Data::FileTransferHandlerDidEnd { file_name, error: None } => {
                let name = file_name.as_ref().and_then(|path| path.file_name());
                self.findings.files.extend(name.map(|name| name.to_string_lossy().into_owned()));
            }
            Data::SessionDidFail { code, reason, .. } => {
                self.findings.status = *code;
                if self.findings.answered {
                    self.broken = Some(reason.to_string());
                }
            }
            Data::SessionWillEnd => self.ended_by_us = true,
            Data::SessionDidEnd { originator, .. } => {
                self.findings.ended_by = Some(*originator);
                self.over = true;
            }
            _ => {}
        }
        if let Some(codec) = info.as_ref().and_then(|info| info.audio_codec.as_ref()) {
            self.findings.codec = Some(codec.to_string());
        }
        let said = lines::line(&notification.data, info.as_ref());
        if let Some(said) = &said {
            self.log.push_back((notification.timestamp, said.clone()));
            if self.log.len() > LOG {
                self.log.pop_front();
            }
        }
        said
    }

    /// Takes note of how the audio is doing.
    pub(super) fn measured(&mut self, statistics: Option<AudioStatistics>) {
        if let Some(now) = &statistics {
            let louder = self.findings.loudest.is_none_or(|loudest| now.level_in > loudest);
            if louder && now.received > 0 {
                self.findings.loudest = Some(now.level_in);
            }
            // Before some packets have come there is nothing to judge by.
            if now.received > 50 {
                self.findings.mos = Some(self.findings.mos.map_or(now.mos, |worst| worst.min(now.mos)));
            }
            // Told of no change, because the codec may change without one.
            if let Some((codec, _)) = &now.codec {
                self.findings.codec = Some(codec.to_string());
            }
            self.statistics = statistics;
        }
    }

    /// How long it has been up, or has been trying to be.
    pub(super) fn lasts(&self) -> Duration {
        self.established.unwrap_or(self.began).elapsed()
    }

    pub(super) fn is_incoming(&self) -> bool {
        self.session.info().is_some_and(|info| info.direction == Some(CallDirection::Incoming))
    }

    /// Whom it is with, in words.
    pub(super) fn peer(&self) -> String {
        let info = self.session.info();
        let peer = info.as_ref().and_then(SessionInfo::remote_uri).map(|uri| uri.to_string());
        lines::printable(&peer.unwrap_or_default())
    }
}

/// Does in a call what its script says, once it is up; ends it when the script says so.
pub(super) async fn perform(session: Session, script: Script, say: impl Fn(String) + Send) {
    let began = tokio::time::Instant::now();
    let failed = |what: &str, error: &dyn std::fmt::Display| say(format!("{what}: {error}"));
    if script.mirror
        && let Err(error) = session.set_mirrored(true).await
    {
        failed("not mirrored", &error);
    }
    if let Some(file) = script.record.clone()
        && let Err(error) = session.start_recording_audio(Some(file)).await
    {
        failed("not recorded", &error);
    }
    if let Some(file) = &script.play
        && let Err(error) = session.play(file).await
    {
        failed("not played", &error);
    }
    for digit in script.digits.iter().flat_map(|digits| digits.chars()) {
        if digit == ',' {
            tokio::time::sleep(COMMA).await;
        } else if let Err(error) = session.send_dtmf(digit).await {
            failed("digit not sent", &error);
        }
    }
    if let Some(duration) = script.duration {
        tokio::time::sleep_until(began + duration).await;
        let _ = session.end().await;
    }
}

/// Whether a call is to be ended now that a file was played.
pub(super) fn ends_after_playing(script: &Script, played: &Path) -> bool {
    script.ends_by_itself() && script.duration.is_none() && script.play.as_deref() == Some(played)
}

pub(super) fn is_digit(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// The tone in what was heard, in hertz; none if it was no tone.
pub(super) fn tone_in(file: &Path) -> Option<f32> {
    use media::pcm::SampleRate;
    use media::signal::{dominant_frequency, rms, tone_to_rest};

    const RATE: SampleRate = SampleRate::Wide;
    let mut player = media::wav::Player::open(file, RATE, media::wav::PlayerOptions::default()).ok()?;
    let mut pcm = Vec::new();
    let mut tick = vec![0; RATE.samples_per_tick()];
    // A minute is enough to know a tone.
    while !player.is_over() && pcm.len() < 60 * RATE.hertz() as usize {
        let filled = player.fill(&mut tick);
        pcm.extend_from_slice(&tick[..filled]);
    }
    // Each quarter of a second on its own: between them something may have been lost, and before and after is silence.
    let quarters = pcm.chunks_exact(RATE.hertz() as usize / 4).filter(|quarter| rms(quarter).0 > f64::from(QUIET));
    let tones = quarters.map(|quarter| (dominant_frequency(quarter, RATE), quarter));
    let clear = tones.filter(|(hertz, quarter)| tone_to_rest(quarter, RATE, &[*hertz]) > 6.0);
    let mut clear: Vec<f64> = clear.map(|(hertz, _)| hertz).collect();
    clear.sort_by(f64::total_cmp);
    clear.get(clear.len() / 2).map(|hertz| *hertz as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_users_is_kept_wherever_it_lies() {
        let listens = Script { expectations: vec!["tone:440".parse().unwrap()], ..Script::default() };
        let file = std::env::temp_dir().join("cordboard-nowhere/heard.wav");
        let output = format!("file:{}", file.display());
        assert_eq!(Heard::by(&listens, &output), Ok(Some(Heard::Kept(file))));
        assert!(matches!(Heard::by(&listens, "null"), Ok(Some(Heard::Passing(_)))));
        assert!(Heard::by(&listens, "pipe:-").is_err());
        assert_eq!(Heard::by(&Script::default(), "null"), Ok(None));
    }

    #[test]
    fn a_script_is_refused_before_anybody_is_called() {
        let args = |change: fn(&mut ScriptArgs)| {
            let mut args = ScriptArgs::default();
            change(&mut args);
            Script::new(&args).map(drop).unwrap_err()
        };
        assert!(args(|args| args.dtmf = Some("12x".into())).contains("'x' is no digit"));
        assert!(args(|args| args.expect = vec!["joy".into()]).contains("can't be expected"));
        assert!(args(|args| args.play = Some("/nowhere.wav".into())).contains("there is no file /nowhere.wav"));
    }
}
