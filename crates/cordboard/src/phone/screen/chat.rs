//! The screen of a chat: who with, what was said with its marks, who writes, and what is being typed.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use client::session::State;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::super::time::{of_day, span};
use super::palette::{Palette, Tone, faint, strong};
use super::text::{Clean, cells, fitted, fitted_end, wrapped};

/// What has become of a message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::phone) enum Mark {
    /// It is none of ours.
    None,
    /// Nobody knows yet.
    UnderWay,
    /// It has arrived.
    Delivered,
    /// It was seen.
    Displayed,
    /// It has not arrived.
    Failed,
}

/// Something that was said, or has happened.
#[derive(Clone, Debug)]
pub(in crate::phone) struct ChatLine {
    at: SystemTime,
    /// Who; nobody for what has happened.
    who: Option<Clean>,
    /// Its paragraphs; there is one at least.
    text: Vec<Clean>,
    pub(in crate::phone) mark: Mark,
    /// Why it has not arrived.
    why: Option<Clean>,
}

/// The columns that the time takes.
const MARGIN: usize = 6;

/// Letters of a paragraph. A longer one goes on in the next, so that all of it is shown.
const PARAGRAPH: usize = 1_000;

/// Paragraphs of a message. A peer that writes more than this has nothing to say to people.
const PARAGRAPHS: usize = 64;

impl ChatLine {
    pub(in crate::phone) fn ours(at: SystemTime, text: &str) -> ChatLine {
        ChatLine { at, who: Some(Clean::new("me")), text: paragraphs(text), mark: Mark::UnderWay, why: None }
    }

    pub(in crate::phone) fn theirs(at: SystemTime, who: &str, text: &str) -> ChatLine {
        ChatLine { at, who: Some(Clean::new(who)), text: paragraphs(text), mark: Mark::None, why: None }
    }

    pub(in crate::phone) fn note(text: &str) -> ChatLine {
        ChatLine { at: SystemTime::now(), who: None, text: paragraphs(text), mark: Mark::None, why: None }
    }

    /// It has not arrived.
    pub(in crate::phone) fn fail(&mut self, why: &str) {
        (self.mark, self.why) = (Mark::Failed, Some(Clean::new(why)));
    }

    pub(in crate::phone) fn is_ours(&self) -> bool {
        self.mark != Mark::None
    }

    /// What was said, on one line.
    pub(in crate::phone) fn text(&self) -> String {
        self.joined(" ")
    }

    /// As a line where there is no screen; what stands on further ones begins further in.
    pub(in crate::phone) fn plain(&self) -> String {
        let text = self.joined("\n    ");
        match &self.who {
            Some(who) => format!("{}: {text}", &**who),
            None => text,
        }
    }

    fn joined(&self, between: &str) -> String {
        self.text.iter().map(|paragraph| &**paragraph).collect::<Vec<_>>().join(between)
    }

    /// As rows of the screen: the time, who, what, and behind it the mark.
    fn rows(&self, width: usize, palette: Palette) -> Vec<Line<'static>> {
        let room = width.saturating_sub(MARGIN).max(1);
        let mut rows = self.said(room, palette);
        if let Some((mark, tone)) = self.marked() {
            let style = palette.text(tone);
            let has_room = |row: &Vec<Span<'_>>| row.iter().map(Span::width).sum::<usize>() + 1 + cells(&mark) <= room;
            match rows.last_mut().filter(|row| has_room(row)) {
                Some(row) => row.push(Span::styled(format!(" {mark}"), style)),
                None => rows.extend(wrapped(&mark, room).into_iter().map(|text| vec![Span::styled(text, style)])),
            }
        }
        let time = of_day(self.at);
        let margin = |count| if count == 0 { format!("{} ", &time[..MARGIN - 1]) } else { " ".repeat(MARGIN) };
        let rows = rows.into_iter().enumerate();
        rows.map(|(count, row)| Line::from_iter(std::iter::once(Span::styled(margin(count), faint())).chain(row)))
            .collect()
    }

    fn said(&self, room: usize, palette: Palette) -> Vec<Vec<Span<'static>>> {
        let plain = if self.who.is_none() { faint() } else { Style::new() };
        let who = self.who.as_ref().map_or_else(String::new, |who| format!("{}: ", &**who));
        let name = palette.text(if self.is_ours() { Tone::Active } else { Tone::Good }).add_modifier(Modifier::BOLD);
        let mut rows = Vec::new();
        for (count, paragraph) in self.text.iter().enumerate() {
            let head = if count == 0 { &*who } else { "" };
            let texts = wrapped(&format!("{head}{}", &**paragraph), room).into_iter().enumerate();
            rows.extend(texts.map(|(row, text)| match text.strip_prefix(head).filter(|_| row == 0) {
                Some(rest) => vec![Span::styled(head.to_owned(), name), Span::styled(rest.to_owned(), plain)],
                None => vec![Span::styled(text, plain)],
            }));
        }
        rows
    }

    fn marked(&self) -> Option<(String, Tone)> {
        match (self.mark, &self.why) {
            (Mark::None, _) => None,
            (Mark::UnderWay, _) => Some(("…".to_owned(), Tone::Plain)),
            (Mark::Delivered, _) => Some(("✓".to_owned(), Tone::Good)),
            (Mark::Displayed, _) => Some(("✓✓".to_owned(), Tone::Good)),
            (Mark::Failed, None) => Some(("✗ not delivered".to_owned(), Tone::Bad)),
            (Mark::Failed, Some(why)) => Some((format!("✗ not delivered: {}", &**why), Tone::Bad)),
        }
    }
}

/// A text in pieces that can be shown whole.
fn paragraphs(text: &str) -> Vec<Clean> {
    let mut paragraphs = Vec::new();
    let mut rest = text.trim_end();
    while paragraphs.len() < PARAGRAPHS {
        let line = rest.split('\n').next().unwrap_or(rest);
        let most = line.char_indices().nth(PARAGRAPH).map_or(line, |(end, _)| &line[..end]);
        // Between two words, if it has to be broken at all.
        let piece = match most.rfind(' ') {
            Some(end) if most.len() < line.len() && end > 0 => &line[..end],
            _ => most,
        };
        paragraphs.push(Clean::new(piece));
        let behind = &rest[piece.len()..];
        match behind.strip_prefix(['\n', ' ']).unwrap_or(behind) {
            "" => return paragraphs,
            more => rest = more,
        }
    }
    paragraphs.push(Clean::new("…"));
    paragraphs
}

/// What is shown of a chat.
pub(in crate::phone) struct ShownChat<'a> {
    pub(in crate::phone) peer: String,
    pub(in crate::phone) state: State,
    pub(in crate::phone) lasts: Duration,
    pub(in crate::phone) log: &'a [ChatLine],
    pub(in crate::phone) composing: Option<&'a str>,
    pub(in crate::phone) typed: &'a str,
}

/// Draws it. On a small terminal what was said is left, and what is typed.
pub(super) fn view_chat(frame: &mut Frame<'_>, shown: &ShownChat<'_>, palette: Palette) {
    let is_small = frame.area().height < 9;
    let unless_small = |height| Constraint::Length(if is_small { 0 } else { height });
    let [head, said, writes, typed, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        unless_small(1),
        Constraint::Length(if is_small { 1 } else { 3 }),
        unless_small(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head_line(shown, usize::from(head.width), palette)), head);
    // The newest line is what is looked at: what does not fit is cut off above.
    let (width, height) = (usize::from(said.width), usize::from(said.height));
    let mut rows = VecDeque::new();
    for line in shown.log.iter().rev() {
        line.rows(width, palette).into_iter().rev().for_each(|row| rows.push_front(row));
        if rows.len() >= height {
            break;
        }
    }
    let above = rows.len().saturating_sub(height);
    frame.render_widget(Paragraph::new(rows.into_iter().skip(above).collect::<Vec<_>>()), said);
    if let Some(who) = shown.composing {
        let text = fitted(&format!("{} is writing…", &*Clean::new(who)), usize::from(writes.width));
        frame.render_widget(Paragraph::new(Line::styled(text, faint())), writes);
    }
    let borders = if is_small { Borders::NONE } else { Borders::ALL };
    let room = usize::from(typed.width).saturating_sub(if is_small { 1 } else { 3 });
    let input = Paragraph::new(format!("{}▏", fitted_end(shown.typed, room)));
    frame.render_widget(input.block(Block::default().borders(borders)), typed);
    let keys = fitted(" Enter sends · /help lists the orders · Ctrl-C ends", usize::from(foot.width));
    frame.render_widget(Paragraph::new(Line::styled(keys, faint())), foot);
}

fn head_line(shown: &ShownChat<'_>, width: usize, palette: Palette) -> Line<'static> {
    let state = match shown.state {
        State::Established => " CHAT ",
        State::Terminated => " ENDED ",
        State::Terminating => " ENDING ",
        _ => " CALLING ",
    };
    let lasts = format!("  {}", span(shown.lasts));
    let peer = fitted(&Clean::new(&shown.peer), width.saturating_sub(state.len() + 1 + lasts.len()));
    Line::from(vec![
        Span::styled(state, palette.badge(Tone::Active)),
        Span::raw(" "),
        Span::styled(peer, strong()),
        Span::styled(lasts, faint()),
    ])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn screen(log: &[ChatLine], composing: Option<&str>, typed: &str) -> String {
        screen_of(50, 10, log, composing, typed)
    }

    fn screen_of(width: u16, height: u16, log: &[ChatLine], composing: Option<&str>, typed: &str) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let shown = ShownChat {
            peer: "sip:bob@example.com".into(),
            state: State::Established,
            lasts: Duration::from_secs(61),
            log,
            composing,
            typed,
        };
        terminal.draw(|frame| view_chat(frame, &shown, Palette::Monochrome)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_was_said_stands_with_its_mark_and_who_writes_below() {
        let mut ours = ChatLine::ours(SystemTime::UNIX_EPOCH, "on my way");
        ours.mark = Mark::Delivered;
        let theirs = ChatLine::theirs(SystemTime::UNIX_EPOCH, "bob", "hurry\u{1b}[2J");
        let drawn = screen(&[theirs, ours], Some("bob"), "soo");
        assert!(drawn.contains("00:00 bob: hurry\u{fffd}[2J"), "{drawn}");
        assert!(drawn.contains("me: on my way ✓"), "{drawn}");
        assert!(drawn.contains("bob is writing…") && drawn.contains("soo▏"), "{drawn}");
        assert!(drawn.contains("sip:bob@example.com  00:01:01"), "{drawn}");
    }

    #[test]
    fn the_newest_lines_are_those_that_are_seen() {
        let log: Vec<ChatLine> =
            (0..40).map(|number| ChatLine::theirs(SystemTime::UNIX_EPOCH, "bob", &format!("line {number}"))).collect();
        let drawn = screen(&log, None, "");
        assert!(drawn.contains("line 39") && drawn.contains("line 36") && !drawn.contains("line 20"), "{drawn}");
    }

    fn theirs(text: &str) -> ChatLine {
        ChatLine::theirs(SystemTime::UNIX_EPOCH, "bob", text)
    }

    #[test]
    fn a_long_line_goes_on_below_itself_and_its_mark_is_behind_it() {
        let mut line = ChatLine::ours(SystemTime::UNIX_EPOCH, "one two three four five six seven eight nine ten");
        line.fail("404 Nobody");
        let drawn = screen(&[line], None, "");
        assert!(drawn.contains("00:00 me: one two three four five six seven eight "), "{drawn}");
        assert!(drawn.contains("\"      nine ten ✗ not delivered: 404 Nobody "), "{drawn}");
        let mut line = ChatLine::ours(SystemTime::UNIX_EPOCH, "日本語日本語日本語日本語日本語日本語日本語日本");
        line.mark = Mark::Delivered;
        assert!(screen(&[line], None, "").lines().count() > 0);
    }

    #[test]
    fn a_message_longer_than_the_screen_shows_its_end() {
        let long: Vec<String> = (0..400).map(|number| format!("word{number}")).collect();
        let drawn = screen(&[theirs("before"), theirs(&long.join(" "))], None, "");
        assert!(drawn.contains("word399") && !drawn.contains("before"), "{drawn}");
    }

    #[test]
    fn a_text_of_several_lines_stays_one_message() {
        let drawn = screen(&[theirs("first\nbob: second")], None, "");
        assert!(drawn.contains("00:00 bob: first") && drawn.contains("\"      bob: second"), "{drawn}");
        assert_eq!(theirs("first\nbob: second").plain(), "bob: first\n    bob: second");
        assert_eq!(theirs("").plain(), "bob: ");
    }

    #[test]
    fn a_paragraph_of_any_length_is_kept_and_a_flood_is_not() {
        let long = "word ".repeat(1_000);
        assert_eq!(theirs(&long).text(), long.trim_end());
        let flood = "x".repeat(1_000_000);
        assert_eq!(theirs(&flood).text().chars().filter(|letter| *letter == 'x').count(), PARAGRAPH * PARAGRAPHS);
        assert_eq!(theirs("\n\n").text.len(), 1);
    }

    #[test]
    fn on_a_small_terminal_there_is_what_was_said_and_what_is_typed() {
        let drawn = screen_of(30, 5, &[theirs("hello")], None, "a rather long answer that goes on");
        assert!(drawn.contains("bob: hello") && drawn.contains("long answer that goes on▏"), "{drawn}");
        screen_of(1, 1, &[theirs("hello")], Some("bob"), "x");
        screen_of(8, 3, &[theirs("hello")], Some("bob"), "日本語");
    }
}
