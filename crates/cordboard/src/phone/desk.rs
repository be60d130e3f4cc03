//! The phone at work: calls, what is shown of them, and the keys.
//!
//! ```text
//!   notifications ─┐                       ┌─► lines, JSON, or the screen
//!   keys ──────────┼─► Desk, one at a time ┤
//!   ticks ─────────┤                       └─► orders to sessions, each in a task of its own
//!   signals ───────┘
//! ```

use std::time::{Duration, SystemTime};

use client::session::{SessionId, State};
use client::{Data, Notification, Sender, Streams};
use sip_message::StatusCode;
use tokio::sync::mpsc;

use super::call::{Call, Script, ends_after_playing, is_digit, perform};
use super::exit::Outcome;
use super::screen::{Key, Screen, Shown};
use super::trace::Trace;
use super::{json, lines, say};
use crate::engine::{Engine, Notifications, Session};

/// How often the screen is drawn and the audio asked how it is.
const TICK: Duration = Duration::from_millis(100);
/// How long a call that is over stays on the screen.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// How what happens is shown.
pub(super) enum View {
    /// A line for each thing that happens.
    Lines,
    /// A line of JSON for each notification.
    Json,
    /// The live screen.
    Screen(Box<Screen>),
}

/// What is done with calls that come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answering {
    /// After how long they are answered without being asked.
    pub(super) by_itself: Option<Duration>,
    /// What they are rejected with.
    pub(super) reject: Option<StatusCode>,
    /// After how many it is enough.
    pub(super) calls: Option<u32>,
    /// What is taken of what callers propose.
    pub(super) streams: Streams,
}

/// What somebody is asked for.
enum Prompt {
    TransferTo(String),
}

/// What a task of an order has to say.
enum News {
    Said(SessionId, String),
    AnswerNow(SessionId),
}

/// The phone at work.
pub(super) struct Desk {
    engine: Engine,
    account: String,
    view: View,
    keys: Option<mpsc::Receiver<Key>>,
    notifications: Notifications,
    script: Script,
    answering: Option<Answering>,
    statistics: Option<Trace>,
    calls: Vec<Call>,
    current: usize,
    taken: u32,
    prompt: Option<Prompt>,
    help: bool,
    info: bool,
    news: (mpsc::UnboundedSender<News>, mpsc::UnboundedReceiver<News>),
    interrupted: bool,
    ticks: u32,
}

impl Desk {
    pub(super) fn new(engine: Engine, account: String, view: View, script: Script) -> Desk {
        let notifications = engine.notifications();
        Desk {
            engine,
            account,
            view,
            keys: None,
            notifications,
            script,
            answering: None,
            statistics: None,
            calls: Vec::new(),
            current: 0,
            taken: 0,
            prompt: None,
            help: false,
            info: false,
            news: mpsc::unbounded_channel(),
            interrupted: false,
            ticks: 0,
        }
    }

    pub(super) fn answering(mut self, answering: Answering) -> Desk {
        self.answering = Some(answering);
        self
    }

    pub(super) fn keys(mut self, keys: Option<mpsc::Receiver<Key>>) -> Desk {
        self.keys = keys;
        self
    }

    pub(super) fn statistics(mut self, trace: Option<Trace>) -> Desk {
        self.statistics = trace;
        self
    }

    /// Takes a call of ours that is about to begin.
    pub(super) fn watch(&mut self, session: Session) {
        self.calls.push(Call::new(session));
    }

    /// All calls that there were.
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Gives the terminal back.
    pub(super) fn close_view(&mut self) {
        self.view = View::Lines;
    }

    /// Whether a key or a signal has ended it.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Works until the calls are over: those of ours, or as many as were to be answered.
    pub(super) async fn work(&mut self) -> Outcome {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(_) => return Outcome::Unavailable,
        };
        while !self.is_through() {
            tokio::select! {
                notification = self.notifications.next() => match notification {
                    Some(notification) => self.told(&notification).await,
                    None => return Outcome::Unavailable,
                },
                Some(news) = self.news.1.recv() => self.hear(news),
                key = next_key(&mut self.keys) => self.pressed(key).await,
                _ = tick.tick() => self.tick().await,
                _ = tokio::signal::ctrl_c() => self.interrupt().await,
                _ = terminated.recv() => self.interrupt().await,
            }
        }
        if let View::Screen(_) = self.view {
            self.draw();
            tokio::time::sleep(FAREWELL).await;
        }
        Outcome::Done
    }

    fn is_through(&self) -> bool {
        let over = self.calls.iter().all(|call| call.over);
        match self.answering {
            _ if self.interrupted => over,
            Some(Answering { calls: Some(calls), .. }) => over && self.taken >= calls,
            Some(_) => false,
            None => over,
        }
    }

    // ---- what happens -----------------------------------------------------------------------------------------------

    async fn told(&mut self, notification: &Notification) {
        if let View::Json = self.view {
            say(&json::line(notification));
        }
        let Sender::Session(id) = notification.sender else {
            let said = lines::line(&notification.data, None);
            return self.show(said);
        };
        let known = self.calls.iter().position(|call| call.session.id().is_ok_and(|known| known == id));
        let at = match known {
            Some(at) => at,
            None => match self.engine.session_manager().session(id).await {
                Ok(Some(session)) => {
                    self.calls.push(Call::new(session));
                    self.calls.len() - 1
                }
                _ => return,
            },
        };
        let said = self.calls[at].told(notification);
        self.show(said);
        match &notification.data {
            Data::SessionNewIncoming { .. } => self.called(at),
            Data::SessionDidStart => {
                self.current = at;
                self.perform(at);
            }
            Data::WavePlayerDidEnd { file_name, .. } if ends_after_playing(&self.script, file_name) => {
                self.order(at, "not ended", |session| async move { session.end().await });
            }
            Data::SessionTransferNewIncoming { .. } if self.answers_by_itself() => {
                self.order(at, "not transferred", |session| async move { session.accept_transfer().await });
            }
            Data::SessionGotStreamProposal { proposer: client::Party::Remote, streams } => {
                let streams = self.taken_of(*streams);
                self.order(at, "not accepted", move |session| async move { session.accept_proposal(streams).await });
            }
            Data::SessionGotMessage { content, content_type, .. } if self.script.mirror => {
                let (text, content_type) = (String::from_utf8_lossy(content).into_owned(), content_type.to_string());
                self.order(at, "not sent back", move |session| async move {
                    session.send_message(&text, &content_type).await.map(drop)
                });
            }
            Data::SessionDidEnd { .. } => self.look_elsewhere(),
            _ => {}
        }
    }

    fn called(&mut self, at: usize) {
        let Some(answering) = self.answering else {
            // Whoever calls somebody is not there for others.
            return self
                .order(at, "not rejected", |session| async move { session.reject_with(StatusCode::BUSY_HERE).await });
        };
        self.taken += 1;
        let enough = answering.calls.is_some_and(|calls| self.taken > calls);
        let reject = answering.reject.or(enough.then_some(StatusCode::BUSY_HERE));
        if let Some(status) = reject {
            self.order(at, "not rejected", move |session| async move { session.reject_with(status).await });
        } else if let (Some(wait), Ok(id)) = (answering.by_itself, self.calls[at].session.id()) {
            let news = self.news.0.clone();
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = news.send(News::AnswerNow(id));
            });
        } else {
            self.current = at;
        }
    }

    fn hear(&mut self, news: News) {
        let of = |desk: &Desk, id| desk.calls.iter().position(|call| call.session.id().is_ok_and(|known| known == id));
        match news {
            News::Said(id, said) => {
                if let Some(at) = of(self, id) {
                    self.calls[at].log.push_back((SystemTime::now(), said.clone()));
                }
                self.show(Some(said));
            }
            News::AnswerNow(id) => {
                if let Some(at) = of(self, id) {
                    self.answer(at);
                }
            }
        }
    }

    async fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        for call in self.calls.iter_mut().filter(|call| call.established.is_some() && !call.over) {
            let statistics = call.session.audio_statistics().await.ok().flatten();
            call.measured(statistics);
            if let (Some(trace), Some(now)) = (&self.statistics, &call.statistics)
                && self.ticks.is_multiple_of(10)
            {
                trace.line(&statistics_line(call, now));
            }
        }
        self.draw();
    }

    async fn interrupt(&mut self) {
        let again = std::mem::replace(&mut self.interrupted, true);
        for call in &mut self.calls {
            // Who asks twice does not want to wait for the peer's answer.
            call.over |= again;
            if !call.over {
                let _ = call.session.end().await;
            }
        }
    }

    // ---- what is shown ----------------------------------------------------------------------------------------------

    fn show(&self, said: Option<String>) {
        if let (View::Lines, Some(said)) = (&self.view, said) {
            say(&said);
        }
    }

    fn draw(&mut self) {
        let shown = self.shown();
        if let View::Screen(screen) = &mut self.view {
            screen.draw(&shown);
        }
    }

    fn shown(&self) -> Shown {
        let question = self.prompt.as_ref().map(|Prompt::TransferTo(typed)| format!("Transfer to: {typed}"));
        let mut shown = match self.calls.get(self.current) {
            Some(call) => Shown::of(call),
            None => Shown::waiting(self.engine.listeners()),
        };
        let waits = |call: &&Call| call.session.state() == State::Incoming;
        let incoming = self.calls.iter().find(waits).map(|call| format!("{} is calling. Answer? (y/n)", call.peer()));
        shown.account.clone_from(&self.account);
        shown.question = question.or(incoming);
        shown.help = self.help;
        shown.info = self.info;
        let others = self.calls.iter().enumerate().filter(|(at, call)| *at != self.current && !call.over);
        shown.others = others.map(|(_, call)| (call.peer(), call.session.state())).collect();
        shown
    }

    // ---- keys -------------------------------------------------------------------------------------------------------

    async fn pressed(&mut self, key: Key) {
        if self.prompt.is_some() {
            return self.typed(key);
        }
        let info = self.calls.get(self.current).and_then(|call| call.session.info());
        match key {
            Key::Interrupt => self.interrupt().await,
            Key::End => match self.live() {
                Some(at) => self.order(at, "not ended", |session| async move { session.end().await }),
                None => self.interrupt().await,
            },
            Key::Help => self.help = !self.help,
            Key::Info => self.info = !self.info,
            Key::Escape => (self.help, self.info) = (false, false),
            Key::Answer => {
                if let Some(at) = self.ringing() {
                    self.answer(at);
                }
            }
            Key::Reject => {
                if let Some(at) = self.ringing() {
                    self.order(at, "not rejected", |session| async move {
                        session.reject_with(StatusCode::BUSY_HERE).await
                    });
                }
            }
            Key::Next | Key::Previous => self.turn(key),
            key => {
                let (Some(at), Some(info)) = (self.live(), info) else { return };
                match key {
                    Key::Hold if info.on_hold_by_local => {
                        self.order(at, "held still", |session| async move { session.unhold().await });
                    }
                    Key::Hold => self.order(at, "not held", |session| async move { session.hold().await }),
                    Key::Record if info.audio_recording_file_name.is_some() => {
                        self.order(at, "recorded still", |session| async move { session.stop_recording_audio().await });
                    }
                    Key::Record => {
                        self.order(
                            at,
                            "not recorded",
                            |session| async move { session.start_recording_audio(None).await },
                        );
                    }
                    Key::Mute => {
                        let muted = !info.muted;
                        self.order(at, "not muted", move |session| async move { session.set_muted(muted).await });
                    }
                    Key::Transfer => {
                        self.prompt = Some(Prompt::TransferTo(String::new()));
                        self.read_keys_for_prompt();
                    }
                    Key::Digit(digit) if is_digit(digit) => {
                        self.calls[at].digits_sent.push(digit);
                        self.order(at, "digit not sent", move |session| async move { session.send_dtmf(digit).await });
                    }
                    _ => {}
                }
            }
        }
        self.draw();
    }

    fn typed(&mut self, key: Key) {
        let Some(Prompt::TransferTo(text)) = &mut self.prompt else { return };
        match key {
            Key::Text(letter) => text.push(letter),
            Key::Backspace => drop(text.pop()),
            Key::Escape | Key::Interrupt => self.prompt = None,
            Key::Enter => {
                let target = std::mem::take(text);
                self.prompt = None;
                if let (Some(at), false) = (self.live(), target.trim().is_empty()) {
                    self.order(
                        at,
                        "not transferred",
                        move |session| async move { session.transfer(target.trim()).await },
                    );
                }
            }
            _ => {}
        }
        self.read_keys_for_prompt();
        self.draw();
    }

    /// Letters are text while something is asked for, and commands otherwise.
    fn read_keys_for_prompt(&mut self) {
        if let View::Screen(screen) = &mut self.view {
            screen.set_typing(self.prompt.is_some());
        }
    }

    /// The call that is shown, if it is not over.
    fn live(&self) -> Option<usize> {
        self.calls.get(self.current).filter(|call| !call.over).map(|_| self.current)
    }

    fn ringing(&self) -> Option<usize> {
        self.calls.iter().position(|call| call.session.state() == State::Incoming)
    }

    /// Shows another call, and holds the one that was shown.
    fn turn(&mut self, key: Key) {
        let live: Vec<usize> = (0..self.calls.len()).filter(|at| !self.calls[*at].over).collect();
        let Some(place) = live.iter().position(|at| *at == self.current) else { return self.look_elsewhere() };
        let step = if key == Key::Next { 1 } else { live.len() - 1 };
        let next = live[(place + step) % live.len()];
        if next == self.current {
            return;
        }
        let (left, taken) = (self.current, next);
        self.current = next;
        let is_up = |call: &Call| call.session.state() == State::Established;
        if is_up(&self.calls[left]) {
            self.order(left, "not held", |session| async move { session.hold().await });
        }
        if is_up(&self.calls[taken]) {
            self.order(taken, "held still", |session| async move { session.unhold().await });
        }
    }

    fn look_elsewhere(&mut self) {
        if self.live().is_none()
            && let Some(at) = self.calls.iter().rposition(|call| !call.over)
        {
            self.current = at;
        }
    }

    // ---- orders -----------------------------------------------------------------------------------------------------

    fn answers_by_itself(&self) -> bool {
        self.answering.is_none_or(|answering| answering.by_itself.is_some())
    }

    fn answer(&mut self, at: usize) {
        let held: Vec<usize> = (0..self.calls.len())
            .filter(|other| *other != at && self.calls[*other].session.state() == State::Established)
            .collect();
        // One user speaks with one at a time; who answers by itself speaks with all.
        if self.answering.is_some_and(|answering| answering.by_itself.is_none()) {
            for other in held {
                self.order(other, "not held", |session| async move { session.hold().await });
            }
        }
        let proposed = self.calls[at].session.info().map_or(Streams::audio(), |info| info.proposed_streams);
        let streams = self.taken_of(proposed);
        if streams.is_empty() {
            return self.order(at, "not rejected", |session| async move {
                session.reject_with(StatusCode::NOT_ACCEPTABLE_HERE).await
            });
        }
        self.order(at, "not answered", move |session| async move { session.accept(streams).await });
    }

    /// What is taken of what is proposed.
    fn taken_of(&self, proposed: Streams) -> Streams {
        let taken = self.answering.map_or(Streams::audio(), |answering| answering.streams);
        Streams {
            audio: proposed.audio && taken.audio,
            chat: proposed.chat && taken.chat,
            file: proposed.file && taken.file,
        }
    }

    fn perform(&mut self, at: usize) {
        let (session, news) = (self.calls[at].session.clone(), self.news.0.clone());
        let script = self.script.clone();
        let Ok(id) = session.id() else { return };
        tokio::spawn(async move {
            perform(session, script, |said| drop(news.send(News::Said(id, said)))).await;
        });
    }

    /// Has something done that may take until the peer answers; what goes wrong is said.
    fn order<F>(&self, at: usize, failure: &'static str, order: impl FnOnce(Session) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), crate::engine::EngineError>> + Send,
    {
        let Some(call) = self.calls.get(at) else { return };
        let (session, news) = (call.session.clone(), self.news.0.clone());
        tokio::spawn(async move {
            let id = session.id();
            if let (Err(error), Ok(id)) = (order(session).await, id) {
                let _ = news.send(News::Said(id, format!("{failure}: {error}")));
            }
        });
    }
}

/// A key, or nothing for ever where nobody presses any.
pub(super) async fn next_key(keys: &mut Option<mpsc::Receiver<Key>>) -> Key {
    if let Some(open) = keys
        && let Some(key) = open.recv().await
    {
        return key;
    }
    *keys = None;
    std::future::pending().await
}

fn statistics_line(call: &Call, now: &client::media::AudioStatistics) -> String {
    let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
    serde_json::json!({
        "timestamp": super::time::timestamp(SystemTime::now()),
        "session": call.session.id().ok().map(|id| id.0),
        "sent": now.sent,
        "received": now.received,
        "lost": now.lost,
        "loss": now.loss,
        "remote_loss": now.remote_loss,
        "jitter_ms": millis(now.jitter),
        "round_trip_ms": now.round_trip.map(millis),
        "buffered_ms": millis(now.buffered),
        "mos": now.mos,
        "level_in_dbfs": now.level_in,
        "level_out_dbfs": now.level_out,
        "codec": now.codec.as_ref().map(|(name, _)| &**name),
    })
    .to_string()
}
