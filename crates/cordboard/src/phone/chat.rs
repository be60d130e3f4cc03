//! `cordboard chat`: messages to and fro, on the live screen, line by line, or as a script.
//!
//! ```text
//!   notifications ─┐                      ┌─► the chat screen, lines, or JSON
//!   keys, lines ───┼─► Talk, one at a time┤
//!   signals ───────┘                      └─► messages, composing, the end
//! ```
//!
//! Without a terminal each line of the standard input is a message or an order, and its end is the chat's, once it is known
//! of every message whether it has arrived.

mod attendees;
mod orders;

use std::collections::HashMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use client::session::State;
use client::{Data, Notification, Sender, Streams};
use sip_message::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use self::attendees::{Attendees, mailbox};
use self::orders::{HELP, Typed};
use super::args::ChatArgs;
use super::call::{Call, Script};
use super::calling::{conclude_calls, view};
use super::desk::{View, next_key};
use super::exit::Outcome;
use super::lines::{Written, refusal, text_of};
use super::screen::{ChatLine, Key, Mark, ShownChat};
use super::start::{Started, Stop, Wishes, start};
use super::{complain, json, lines, say};
use crate::engine::EngineError;

/// What is sent is text.
const TEXT: &str = "text/plain;charset=UTF-8";
/// How long a script waits for what is expected after everything has arrived.
const REPLY: Duration = Duration::from_secs(10);
/// How long the peer may take to take note of the end.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);
/// How soon the screen shows that time has passed, or that the terminal has another size.
const GLANCE: Duration = Duration::from_millis(250);
/// Lines that the screen keeps.
const KEPT: usize = 1_000;

/// Chats with somebody, and says by its outcome how that went.
pub(super) async fn chat(args: ChatArgs) -> Result<Outcome, Stop> {
    let mut script = Script::new(&args.script()).map_err(Stop::usage)?;
    script.duration = args.duration;
    let mut started = start(&args.account, &args.output, Wishes::default()).await?;
    if let Some(ring) = args.ring {
        started.settings.sip.invite_timeout = ring;
        started.engine.set_settings(started.settings.clone()).await?;
    }
    talk(started, script, &args.to, args.message, &args.output).await
}

/// Sends messages over a chat of their own, and ends it when they have arrived.
pub(super) async fn messages(
    started: Started,
    to: &str,
    messages: Vec<String>,
    output: &super::args::OutputArgs,
) -> Result<Outcome, Stop> {
    talk(started, Script::default(), to, messages, output).await
}

async fn talk(
    started: Started,
    script: Script,
    to: &str,
    messages: Vec<String>,
    output: &super::args::OutputArgs,
) -> Result<Outcome, Stop> {
    let is_scripted = !messages.is_empty();
    let (view, keys) = if is_scripted { (super::calling::plain_view(output), None) } else { view(output)? };
    let session = started.account.session();
    let lines = match (&view, is_scripted) {
        (View::Screen(_), _) | (_, true) => None,
        _ => Some(read_lines()),
    };
    let mut talk = Talk {
        call: Call::new(session.clone()),
        notifications: started.engine.notifications(),
        engine: started.engine.clone(),
        view,
        keys,
        is_finishing: is_scripted,
        lines,
        script,
        queued: messages,
        under_way: HashMap::new(),
        undelivered: None,
        log: Vec::new(),
        typed: String::new(),
        composing: None,
        attendees: Attendees::default(),
        last_words: Vec::new(),
        deadline: None,
        is_ending: false,
        interrupted: false,
    };
    talk.open_view();
    session.connect_by(to, started.routes.clone(), Streams::chat()).await?;
    let worked = talk.work().await;
    let was_watched = matches!(std::mem::replace(&mut talk.view, View::Lines), View::Screen(_));
    let Talk { call, script, undelivered, interrupted, last_words, .. } = talk;
    if was_watched {
        // The screen is gone, and with it how the chat ended.
        last_words.iter().for_each(|words| say(words));
    }
    let outcome = conclude_calls(started, &[call], interrupted, &script, worked).await?;
    Ok(match (outcome, undelivered) {
        (Outcome::Done, Some(0 | 408)) if script.expectations.is_empty() => Outcome::Broken,
        (Outcome::Done, Some(_)) if script.expectations.is_empty() => Outcome::Refused,
        (outcome, _) => outcome,
    })
}

/// The standard input, line by line.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A chat at work.
struct Talk {
    engine: crate::engine::Engine,
    call: Call,
    notifications: crate::engine::Notifications,
    view: View,
    keys: Option<mpsc::Receiver<Key>>,
    lines: Option<mpsc::Receiver<String>>,
    script: Script,
    /// What is to be said once the session is there.
    queued: Vec<String>,
    /// Messages of which it is not known yet what has become of them, and where they stand in the log.
    under_way: HashMap<Arc<str>, usize>,
    /// What a message was not delivered with.
    undelivered: Option<u16>,
    log: Vec<ChatLine>,
    typed: String,
    /// Who writes.
    composing: Option<String>,
    /// Who is there, if it is a room.
    attendees: Attendees,
    /// How it ended.
    last_words: Vec<String>,
    /// Nothing more will be said by us: it ends when all has arrived.
    is_finishing: bool,
    /// When it is ended, or, once it is ending, when that is waited for no longer.
    deadline: Option<Instant>,
    /// Whether we have ended it.
    is_ending: bool,
    interrupted: bool,
}

impl Talk {
    async fn work(&mut self) -> Outcome {
        let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(_) => return Outcome::Unavailable,
        };
        while !self.call.over {
            self.draw();
            let deadline = self.deadline;
            let due = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let is_watched = matches!(self.view, View::Screen(_));
            let passes = async {
                match is_watched {
                    true => sleep(GLANCE).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                notification = self.notifications.next() => match notification {
                    Some(notification) => self.told(&notification).await,
                    None => return Outcome::Unavailable,
                },
                key = next_key(&mut self.keys) => self.pressed(key).await,
                line = next_line(&mut self.lines) => self.entered(line).await,
                () = due => self.due().await,
                () = passes => {}
                _ = tokio::signal::ctrl_c() => self.interrupt().await,
                _ = terminated.recv() => self.interrupt().await,
            }
        }
        Outcome::Done
    }

    // ---- what happens -----------------------------------------------------------------------------------------------

    async fn told(&mut self, notification: &Notification) {
        if let View::Json = self.view {
            say(&json::line(notification));
        }
        let Sender::Session(id) = notification.sender else { return };
        if self.call.session.id().ok() != Some(id) {
            return self.somebody_else(id, &notification.data).await;
        }
        let said = self.call.told(notification);
        match &notification.data {
            Data::SessionGotMessage { content, content_type, cpim_headers } => {
                self.composing = None;
                let who = self.writer(cpim_headers);
                let alone = if self.is_for_us_alone(cpim_headers) { "(to you alone) " } else { "" };
                let text = format!("{alone}{}", text_of(content, content_type));
                self.note(ChatLine::theirs(notification.timestamp, &who, &text));
                if let Some(id) = lines::id_of(cpim_headers) {
                    let _ = self.call.session.message_was_displayed(id).await;
                }
            }
            Data::SessionDidDeliverMessage { message_id, .. } => self.settled(message_id, Mark::Delivered, None),
            Data::SessionDidNotDeliverMessage { message_id, code, reason } => {
                self.undelivered = Some(*code);
                self.settled(message_id, Mark::Failed, Some(&refusal(*code, reason)));
            }
            Data::ChatStreamGotDispositionNotification { message_id, status, .. } if &**status == "displayed" => {
                self.mark(message_id, Mark::Displayed);
            }
            Data::ChatStreamGotComposingIndication { sender, is_active, .. } => {
                let who = sender.as_ref().map_or_else(|| self.call.peer(), ToString::to_string);
                let who = self.attendees.name_of(&who).unwrap_or_else(|| lines::printable(&who));
                self.composing = is_active.then_some(who);
            }
            // Whoever is not in the room any more is told of nobody.
            Data::SessionGotConferenceInfo { .. } if self.call.session.state() != State::Established => {}
            Data::SessionGotConferenceInfo { users } => {
                let ours = self.own_address();
                for said in self.attendees.take(users, ours.as_deref()) {
                    self.note(ChatLine::note(&said));
                }
            }
            Data::SessionDidFail { .. } | Data::SessionDidEnd { .. } => {
                self.last_words.extend(said.clone());
                self.say_line(said);
            }
            Data::SessionDidStart => {
                self.say_line(said);
                if let Some(duration) = self.script.duration {
                    self.deadline = Some(Instant::now() + duration);
                }
                for text in std::mem::take(&mut self.queued) {
                    self.send(text).await;
                }
            }
            Data::SessionGotStreamUpdate { streams } if !streams.chat => self.lost(),
            Data::SessionWillEnd => {
                if !self.is_ending {
                    self.lost();
                }
                self.deadline = Some(Instant::now() + FAREWELL);
            }
            _ => self.say_line(said),
        }
        self.end_if_finished().await;
    }

    /// The messages have no way any more, though the session may still be there.
    fn lost(&mut self) {
        if self.is_ending || self.call.broken.is_some() || self.call.session.state() == State::Terminated {
            return;
        }
        let said = "The connection is lost";
        self.call.broken = Some(said.to_owned());
        self.last_words.push(said.to_owned());
        self.note(ChatLine::note(said));
    }

    /// Whoever chats with somebody is not there for others.
    async fn somebody_else(&mut self, id: client::session::SessionId, data: &Data) {
        if let (Data::SessionNewIncoming { .. }, Ok(Some(session))) =
            (data, self.engine.session_manager().session(id).await)
        {
            let _ = session.reject_with(StatusCode::BUSY_HERE).await;
        }
    }

    async fn entered(&mut self, line: Option<String>) {
        match line {
            Some(line) => self.typed_line(line).await,
            None => {
                self.is_finishing = true;
                self.end_if_finished().await;
            }
        }
    }

    /// A message, or an order that begins with a slash.
    async fn typed_line(&mut self, line: String) {
        match Typed::of(&line) {
            Typed::Nothing => {}
            Typed::Message(text) if self.call.established.is_none() => {
                self.note(ChatLine::note(&format!("To be sent once you are connected: {text}")));
                self.queued.push(text);
            }
            Typed::Message(_) | Typed::Nick(_) | Typed::To { .. } if self.call.broken.is_some() || self.is_ending => {
                self.reply("Nothing was sent: the chat is over");
            }
            Typed::Message(text) => self.send(text).await,
            Typed::Quit => self.end().await,
            Typed::Help => HELP.iter().for_each(|order| self.reply(order)),
            Typed::Who => {
                let alone = || match self.is_room() {
                    true => "The room has not told who is here".to_owned(),
                    false => format!("Here: you and {}", self.call.peer()),
                };
                let who = self.attendees.all().unwrap_or_else(alone);
                self.reply(&who);
            }
            Typed::Wrong(why) => self.reply(&why),
            Typed::Nick(_) | Typed::To { .. } if self.call.established.is_none() => {
                self.reply("Not before you are connected");
            }
            Typed::Nick(_) | Typed::To { .. } if !self.is_room() => self.reply("That is for rooms, and this is none"),
            Typed::Nick(name) => {
                if let Err(error) = self.call.session.set_nickname(&name).await {
                    self.reply(&format!("Not known as {name}: {error}"));
                }
            }
            Typed::To { whom, text } => self.send_to(&whom, text).await,
        }
    }

    async fn send(&mut self, text: String) {
        let sent = self.call.session.send_message(&text, TEXT).await;
        self.sent(&text, sent);
    }

    async fn send_to(&mut self, whom: &str, text: String) {
        let address = self.attendees.address_of(whom).map(str::to_owned);
        let address = match address {
            Some(address) => address,
            // Somebody may have come that the room has not told of yet.
            None if whom.contains('@') => whom.to_owned(),
            None => {
                return self
                    .reply(&format!("Nobody here is known as {whom}, or more than one; /who tells who is here"));
            }
        };
        let sent = self.call.session.send_private_message(&address, &text, TEXT).await;
        let name = self.attendees.name_of(&address).unwrap_or(address);
        self.sent(&format!("(to {name} alone) {text}"), sent);
    }

    fn sent(&mut self, text: &str, sent: Result<Arc<str>, EngineError>) {
        match sent {
            Ok(id) => {
                self.under_way.insert(id, self.log.len());
                self.note(ChatLine::ours(SystemTime::now(), text));
            }
            Err(error) => {
                self.undelivered = Some(0);
                self.note(ChatLine::note(&format!("not sent: {error}")));
            }
        }
    }

    fn settled(&mut self, id: &Arc<str>, mark: Mark, why: Option<&str>) {
        if let Some(line) = self.under_way.get(id).and_then(|at| self.log.get_mut(*at)) {
            if let Some(why) = why {
                line.fail(why);
            }
            if let View::Lines = self.view {
                match why {
                    None => say(&format!("delivered: {}", line.text())),
                    Some(why) => say(&format!("not delivered ({why}): {}", line.text())),
                }
            }
        }
        self.mark(id, mark);
        self.call.findings.delivered += u32::from(mark == Mark::Delivered);
        self.call.findings.undelivered += u32::from(mark == Mark::Failed);
    }

    /// A message that was delivered is kept to be marked again when it is seen.
    fn mark(&mut self, id: &Arc<str>, mark: Mark) {
        if let Some(at) = self.under_way.get(id)
            && let Some(line) = self.log.get_mut(*at)
        {
            line.mark = mark;
        }
    }

    fn is_settled(&self) -> bool {
        let waits = |at: &usize| self.log.get(*at).is_some_and(|line| line.mark == Mark::UnderWay);
        self.queued.is_empty() && !self.under_way.values().any(waits)
    }

    /// Ends once all has arrived and what is expected has come, if nothing more is to be said.
    async fn end_if_finished(&mut self) {
        let is_over = self.call.over || self.is_ending || self.call.broken.is_some();
        if !self.is_finishing || is_over || self.script.duration.is_some() || !self.is_settled() {
            return;
        }
        if self.call.established.is_none() {
            return;
        }
        let hears = |expectation: &&super::expect::Expectation| expectation.is_of_messages();
        let mut awaited = self.script.expectations.iter().filter(hears);
        if awaited.all(|expectation| expectation.is_met(&self.call.findings)) {
            self.end().await;
        } else if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + REPLY);
        }
    }

    async fn due(&mut self) {
        match self.call.session.state() {
            // A peer that has gone answers nothing.
            State::Terminating => self.call.over = true,
            _ => self.end().await,
        }
    }

    async fn end(&mut self) {
        (self.deadline, self.is_ending) = (None, true);
        if let Err(error) = self.call.session.end().await {
            self.note(ChatLine::note(&format!("not ended: {error}")));
        }
    }

    async fn interrupt(&mut self) {
        // Who asks twice does not want to wait for the peer's answer.
        self.call.over |= std::mem::replace(&mut self.interrupted, true);
        if !self.call.over {
            self.end().await;
        }
    }

    // ---- who is who -------------------------------------------------------------------------------------------------

    fn is_room(&self) -> bool {
        self.call.session.info().is_some_and(|info| info.remote_focus)
    }

    fn own_address(&self) -> Option<String> {
        Some(self.call.session.info()?.local_identity?.uri().to_string())
    }

    /// Who has written a message: by the name that the room knows, else by that on the wrapper.
    fn writer(&self, cpim_headers: &[(Arc<str>, Arc<str>)]) -> String {
        let Some(from) = Written::of(cpim_headers, "From") else { return self.call.peer() };
        self.attendees.name_of(&from.address).unwrap_or_else(|| from.words())
    }

    /// Whether nobody else in a room has this message.
    fn is_for_us_alone(&self, cpim_headers: &[(Arc<str>, Arc<str>)]) -> bool {
        let to = Written::of(cpim_headers, "To").filter(|_| self.is_room());
        to.zip(self.own_address()).is_some_and(|(to, ours)| mailbox(&to.address) == mailbox(&ours))
    }

    // ---- keys -------------------------------------------------------------------------------------------------------

    async fn pressed(&mut self, key: Key) {
        match key {
            Key::Text(letter) => self.typed.push(letter),
            Key::Backspace => drop(self.typed.pop()),
            Key::Enter => {
                let line = std::mem::take(&mut self.typed);
                return self.typed_line(line).await;
            }
            Key::End if self.typed.is_empty() => return self.end().await,
            Key::Interrupt => return self.interrupt().await,
            Key::Escape => self.typed.clear(),
            _ => return,
        }
        if self.call.session.state() == State::Established && !self.typed.starts_with('/') {
            // The chat may not be up yet: then nobody needs to know.
            let _ = self.call.session.set_composing(!self.typed.is_empty()).await;
        }
    }

    // ---- what is shown ----------------------------------------------------------------------------------------------

    fn open_view(&mut self) {
        if let View::Screen(screen) = &mut self.view {
            screen.set_typing(true);
        }
    }

    fn say_line(&mut self, said: Option<String>) {
        if let Some(said) = said {
            self.note(ChatLine::note(&said));
        }
    }

    /// Says something to whoever has typed an order.
    fn reply(&mut self, said: &str) {
        match self.view {
            // What is said there is for programs.
            View::Json => complain(said),
            View::Lines | View::Screen(_) => self.note(ChatLine::note(said)),
        }
    }

    fn note(&mut self, line: ChatLine) {
        if let View::Lines = self.view
            && !line.is_ours()
        {
            say(&line.plain());
        }
        self.log.push(line);
        if self.log.len() > KEPT {
            self.log.remove(0);
            self.under_way.retain(|_, at| {
                let stays = *at > 0;
                *at = at.saturating_sub(1);
                stays
            });
        }
    }

    fn draw(&mut self) {
        let View::Screen(screen) = &mut self.view else { return };
        screen.draw_chat(&ShownChat {
            peer: self.call.peer(),
            state: self.call.session.state(),
            lasts: self.call.lasts(),
            log: &self.log,
            composing: self.composing.as_deref(),
            typed: &self.typed,
        });
    }
}

async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(open) => {
            let line = open.recv().await;
            if line.is_none() {
                *lines = None;
            }
            line
        }
        None => std::future::pending().await,
    }
}

/// Whether somebody sits at a terminal.
pub(super) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
