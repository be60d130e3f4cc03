//! What is measured, in a process of its own. It is told line by line on standard input:
//!
//! ```text
//!   offer <description, lines parted by |>   ─► answer <description>
//!   statistics                               ─► stream <lost> <buffered, µs> for each, then `done`
//! ```

use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use media::driver::{MediaCommand, MediaEngine, MediaEvent, MediaSettings, SessionKey, StreamKey};
use media::pcm::SampleRate;
use media::stream::{Encryption, StreamPlan};
use media::{Mirror, Mirrors};
use sdp::{Agreement, Capabilities, Codec, Input, OfferAnswer, Origin, Output, SessionDescription, StreamCapability};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Below those that the system gives to whoever asks for any.
pub(crate) const PORTS: (u16, u16) = (20_000, 31_999);

/// `bridge` at a rate, with `keys` or `plain`; or `mirror`.
pub(crate) fn run(kind: &str, rate: &str, keys: &str) -> ExitCode {
    let rate = rate.parse().ok().and_then(SampleRate::from_hertz).unwrap_or_default();
    match kind {
        "mirror" => mirror(),
        _ => bridge(rate, if keys == "keys" { Encryption::SdesMandatory } else { Encryption::Disabled }),
    }
    ExitCode::SUCCESS
}

/// A description in one line.
pub(crate) fn in_a_line(description: &SessionDescription) -> String {
    description.to_string().lines().collect::<Vec<_>>().join("|")
}

/// The opposite.
pub(crate) fn out_of_a_line(line: &str) -> Option<SessionDescription> {
    SessionDescription::parse(line.trim_end().replace('|', "\r\n") + "\r\n").ok()
}

fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    // Who asked may be gone: then the input ends as well.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn bridge(rate: SampleRate, encryption: Encryption) {
    let (tell, events) = channel();
    let settings = MediaSettings { ports: PORTS, rate, ..MediaSettings::default() };
    let engine = MediaEngine::start(settings, move |event| {
        // Nobody listens at the very end.
        let _ = tell.send(event);
    });
    let engine = engine.expect("a media thread");
    let mut bridge = Bridge { engine, events, encryption, streams: 0 };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("offer", offer)) => {
                let offer = out_of_a_line(offer).expect("our own load generator's description");
                answer(&format!("answer {}", in_a_line(&bridge.take(offer))));
            }
            _ => bridge.tell_statistics(),
        }
    }
}

struct Bridge {
    engine: MediaEngine,
    events: Receiver<MediaEvent>,
    encryption: Encryption,
    streams: u64,
}

impl Bridge {
    /// Answers an offer and mirrors the call.
    fn take(&mut self, offer: SessionDescription) -> SessionDescription {
        self.streams += 1;
        let stream = StreamKey(self.streams);
        let plan = StreamPlan {
            encryption: self.encryption,
            offer: Some((Arc::new(offer.clone()), 0)),
            ..StreamPlan::new(LOOPBACK)
        };
        self.order(MediaCommand::Prepare { stream, session: SessionKey(stream.0), plan: Box::new(plan) });
        let capabilities = Capabilities::new(Origin::new(stream.0, LOOPBACK), LOOPBACK).with(self.prepared(stream));
        let mut session = OfferAnswer::new();
        let answer = answered(&mut session, &capabilities, offer);
        let agreement = session.agreement().expect("offer and answer were exchanged");
        let Agreement { local, remote, .. } = agreement;
        self.order(MediaCommand::Apply {
            stream,
            agreement: Box::new(agreement.streams().remove(0)),
            local: Box::new(local.media[0].clone()),
            remote: Arc::new(remote.clone()),
            early: false,
        });
        self.order(MediaCommand::Mirror { stream, mirrored: true });
        answer
    }

    fn prepared(&self, wanted: StreamKey) -> StreamCapability {
        loop {
            match self.events.recv_timeout(Duration::from_secs(5)).expect("the stream is prepared") {
                MediaEvent::Prepared { stream, capability, .. } if stream == wanted => return *capability,
                MediaEvent::Failed { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    fn order(&self, command: MediaCommand) {
        self.engine.handle().send(command).expect("the media thread takes orders");
    }

    fn tell_statistics(&self) {
        for stream in 1..=self.streams {
            let statistics = self.engine.handle().statistics(StreamKey(stream)).unwrap_or_default();
            answer(&format!("stream {} {}", statistics.lost, statistics.buffered.as_micros()));
        }
        answer("done");
    }
}

fn answered(session: &mut OfferAnswer, capabilities: &Capabilities, offer: SessionDescription) -> SessionDescription {
    session.handle(Input::RemoteOffer(offer.clone())).expect("an offer is due");
    let answer = capabilities.answer_in(session, &offer).expect("they have a codec in common");
    match session.handle(Input::LocalAnswer(answer)) {
        Ok(Output::SendAnswer(answer)) => answer,
        _ => panic!("an answer is sent"),
    }
}

/// The relay: orders are taken while packets are sent back.
fn mirror() {
    let (tell, mut asked) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mirrors = Mirrors::new(usize::MAX);
        let mut up: Vec<Mirror> = Vec::new();
        while let Some(line) = asked.recv().await {
            match line.split_once(' ') {
                Some(("offer", offer)) => {
                    let offer = out_of_a_line(offer).expect("our own load generator's description");
                    let mirror = mirrors.open(LOOPBACK, Some(LOOPBACK)).expect("there are ports");
                    let stream = StreamCapability::audio(mirror.addr().port(), &[Codec::pcmu()]);
                    let capabilities = Capabilities::new(Origin::new(1, LOOPBACK), LOOPBACK).with(stream);
                    let described = answered(&mut OfferAnswer::new(), &capabilities, offer);
                    up.push(mirror);
                    answer(&format!("answer {}", in_a_line(&described)));
                }
                _ => answer("done"),
            }
        }
    });
}
