//! `cordboard call` and `cordboard answer`.

use std::io::IsTerminal as _;
use std::time::Duration;

use client::Streams;
use sip_message::StatusCode;
use tokio::sync::mpsc;

use super::args::{AnswerArgs, CallArgs, OutputArgs};
use super::call::{Call, Heard, Script, tone_in};
use super::desk::{Answering, Desk, View};
use super::exit::Outcome;
use super::screen::{Key, Screen};
use super::start::{Started, Stop, Wishes, start};
use super::trace::Trace;
use super::{complain, say};

/// Where others expect a phone to be.
const SIP_PORT: u16 = 5060;

/// Calls somebody, and says by its outcome how that went.
pub(super) async fn call(mut args: CallArgs) -> Result<Outcome, Stop> {
    let mut script = Script::new(&args.script).map_err(Stop::usage)?;
    let mut started = ready(
        &mut args.script,
        &mut script,
        |script| Wishes { script: Some(script), ..Wishes::default() },
        &args.account,
        &args.output,
    )
    .await?;
    if let Some(ring) = args.ring {
        started.settings.sip.invite_timeout = ring;
        started.engine.set_settings(started.settings.clone()).await?;
    }
    let (view, keys) = view(&args.output)?;
    let session = started.account.session();
    let mut desk = Desk::new(started.engine.clone(), started.account.name().to_owned(), view, script.clone())
        .keys(keys)
        .statistics(statistics(&args.output)?);
    desk.watch(session.clone());
    session.connect_by(&args.callee, started.routes.clone(), Streams::audio()).await?;
    let worked = desk.work().await;
    conclude(started, desk, &script, worked).await
}

/// Answers calls until it is enough.
pub(super) async fn answer(mut args: AnswerArgs) -> Result<Outcome, Stop> {
    let mut script = Script::new(&args.script).map_err(Stop::usage)?;
    script.mirror = args.mirror;
    let reject = args.reject.map(|code| {
        let status = StatusCode::new(code).filter(|status| status.code() >= 300);
        status.ok_or_else(|| Stop::usage(format!("--reject: {code} rejects nothing; 486 says busy, 603 declined")))
    });
    let answering = Answering {
        by_itself: args.auto_answer,
        reject: reject.transpose()?,
        calls: args.calls,
        streams: Streams { audio: true, chat: args.chat, file: args.files.is_some() },
    };
    let files = args.files.as_ref().map(std::path::absolute).transpose();
    let files = files.map_err(|error| Stop::usage(format!("--files: {error}")))?;
    let port = args.port;
    let mut started = ready(
        &mut args.script,
        &mut script,
        |script| Wishes { register: true, script: Some(script), port, usual_port: Some(SIP_PORT) },
        &args.account,
        &args.output,
    )
    .await?;
    if files.is_some() {
        started.settings.file_transfer.directory = files;
        started.engine.set_settings(started.settings.clone()).await?;
    }
    let (view, keys) = view(&args.output)?;
    if let View::Lines = view {
        for (transport, addr) in started.engine.listeners() {
            say(&format!("listening on {}:{addr}", transport.via_token().to_ascii_lowercase()));
        }
        say("ready");
        if answering.by_itself.is_none() && answering.reject.is_none() {
            complain("calls ring and nobody can answer them without the screen: give --auto-answer");
        }
    }
    let mut desk = Desk::new(started.engine.clone(), started.account.name().to_owned(), view, script.clone())
        .answering(answering)
        .keys(keys)
        .statistics(statistics(&args.output)?);
    let worked = desk.work().await;
    conclude(started, desk, &script, worked).await
}

async fn ready<'a>(
    args: &'a mut super::args::ScriptArgs,
    script: &mut Script,
    wishes: impl FnOnce(&'a super::args::ScriptArgs) -> Wishes<'a>,
    account: &super::args::AccountArgs,
    output: &OutputArgs,
) -> Result<Started, Stop> {
    let device = args.output.clone().unwrap_or_else(|| "null".to_owned());
    script.heard = Heard::by(script, &device).map_err(Stop::usage)?;
    if let Some(Heard::Passing(file)) = &script.heard {
        args.output = Some(format!("file:{}", file.display()));
    }
    start(account, output, wishes(args)).await
}

fn statistics(output: &OutputArgs) -> Result<Option<Trace>, Stop> {
    let open = |path: &std::path::PathBuf| {
        Trace::open(path).map_err(|error| Stop::unavailable(format!("{} can't be written: {error}", path.display())))
    };
    output.trace_rtp.as_ref().map(open).transpose()
}

/// No screen.
pub(super) fn plain_view(output: &OutputArgs) -> View {
    if output.json { View::Json } else { View::Lines }
}

/// The live screen where there is a terminal to show it on.
pub(super) fn view(output: &OutputArgs) -> Result<(View, Option<mpsc::Receiver<Key>>), Stop> {
    if output.json || output.no_tui || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Ok((plain_view(output), None));
    }
    let (screen, keys) = Screen::open().map_err(Stop::unavailable)?;
    Ok((View::Screen(Box::new(screen)), Some(keys)))
}

/// Stops, and judges.
async fn conclude(started: Started, mut desk: Desk, script: &Script, worked: Outcome) -> Result<Outcome, Stop> {
    // The terminal is the user's again before anything more is said.
    desk.close_view();
    conclude_calls(started, desk.calls(), desk.was_interrupted(), script, worked).await
}

/// Stops the engine, and judges calls that are over.
pub(super) async fn conclude_calls(
    started: Started,
    calls: &[Call],
    interrupted: bool,
    script: &Script,
    worked: Outcome,
) -> Result<Outcome, Stop> {
    // What is heard is written to its end when the engine has stopped.
    started.stop().await?;
    if worked != Outcome::Done {
        return Ok(worked);
    }
    let tone = match &script.heard {
        Some(Heard::Kept(file)) => tone_in(file),
        Some(Heard::Passing(file)) => {
            let tone = tone_in(file);
            let _ = std::fs::remove_file(file);
            tone
        }
        None => None,
    };
    let unmet = |call: &Call| {
        let mut findings = call.findings.clone();
        findings.tone = tone;
        let unmet = script.expectations.iter().find(|expectation| !expectation.is_met(&findings));
        unmet.map(|expectation| format!("expected {expectation}, but {}", expectation.instead(&findings)))
    };
    if !script.expectations.is_empty() {
        if let Some(why) = calls.iter().find_map(unmet) {
            complain(&why);
            return Ok(Outcome::Unexpected);
        }
        if !calls.is_empty() {
            return Ok(Outcome::Done);
        }
    }
    Ok(calls.iter().map(|call| judged(call, interrupted)).find(|outcome| *outcome != Outcome::Done).unwrap_or(
        match interrupted && calls.is_empty() {
            true => Outcome::Interrupted,
            false => Outcome::Done,
        },
    ))
}

/// How a call went that nothing in particular was expected of.
fn judged(call: &Call, interrupted: bool) -> Outcome {
    match (call.findings.answered, &call.broken, call.findings.status) {
        (true, None, _) => Outcome::Done,
        (true, Some(_), _) => Outcome::Broken,
        (false, ..) if interrupted => Outcome::Interrupted,
        // A caller who gives up before we have answered is no failure of ours.
        (false, ..) if call.is_incoming() => Outcome::Done,
        (false, _, Some(status)) if ![408, 480, 487, 503].contains(&status.code()) => Outcome::Refused,
        (false, ..) => Outcome::Unanswered,
    }
}

/// Long enough for an answer to a request on its own (RFC 3261 §17.1.2.2: 64·T1).
pub(super) const PATIENCE: Duration = Duration::from_secs(33);
