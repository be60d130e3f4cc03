//! How it is shown: where the parts are, at any size.

mod audio;
mod compact;
mod details;
mod events;
mod foot;
mod head;
mod help;
mod quality;
mod words;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Widget as _};

use super::meter::Meters;
use super::palette::{Palette, faint, strong};
use super::shown::Shown;

/// What there is to a view beyond what is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// What the level meters show.
    pub(super) meters: Meters,
    /// With colours or without.
    pub(super) palette: Palette,
    /// Whether what is asked is being typed: then the cursor stands there.
    pub(super) typing: bool,
}

/// Below this, panels would be all borders.
const PANELS: (u16, u16) = (72, 20);
/// What the numbers on quality take.
const QUALITY: u16 = 35;
/// From here on events and details stand side by side.
const SIDE_BY_SIDE: u16 = 120;

/// Draws all of it.
pub(super) fn view(frame: &mut Frame<'_>, shown: &Shown, look: &Look) {
    let area = frame.area();
    let mut room = Room(area);
    let foot = room.bottom(1);
    let question = room.bottom(u16::from(shown.question.is_some()));
    let buffer = frame.buffer_mut();
    foot::keys(shown, look, foot, buffer);
    let cursor = foot::question(shown, look, question, buffer);
    let others = room.top(u16::from(!shown.others.is_empty()));
    head::others(shown, look, others, buffer);
    if area.width >= PANELS.0 && area.height >= PANELS.1 {
        panels(shown, look, room, buffer);
    } else {
        compact::lines(shown, look, room, buffer);
    }
    if shown.help {
        help::keys(area, buffer);
    }
    if let Some(cursor) = cursor.filter(|_| !shown.help) {
        frame.set_cursor_position(cursor);
    }
}

fn panels(shown: &Shown, look: &Look, mut room: Room, buffer: &mut Buffer) {
    let head = room.top(5);
    let within = panel(Line::styled(" Cordboard ", strong()), head, buffer);
    head::account(shown, head, buffer);
    head::call(shown, look, within, buffer);
    let Some(call) = &shown.call else {
        return events::panel(shown, room.0, buffer);
    };
    let beside = room.0.width >= SIDE_BY_SIDE;
    if shown.info && !beside {
        return details::panel(call, look, room.0, buffer);
    }
    // The scale of the meters is the first to go.
    let height = if room.0.height >= 18 { 9 } else { 8 };
    let mut both = Room(room.top(height));
    let audio = both.left((both.0.width * 4 / 7).min(both.0.width.saturating_sub(QUALITY)));
    audio::panel(call, look, audio, buffer);
    quality::panel(call, look, both.0, buffer);
    if shown.info {
        let half = room.left(room.0.width * 4 / 7);
        events::panel(shown, half, buffer);
        details::panel(call, look, room.0, buffer);
    } else {
        events::panel(shown, room.0, buffer);
    }
}

/// What is left of the screen.
#[derive(Clone, Copy)]
struct Room(Rect);

impl Room {
    /// Takes rows from the top, as many as there are.
    fn top(&mut self, rows: u16) -> Rect {
        let taken = Rect { height: rows.min(self.0.height), ..self.0 };
        self.0 = Rect { y: taken.bottom(), height: self.0.height - taken.height, ..self.0 };
        taken
    }

    /// Takes rows from the bottom.
    fn bottom(&mut self, rows: u16) -> Rect {
        let rows = rows.min(self.0.height);
        self.0.height -= rows;
        Rect { y: self.0.bottom(), height: rows, ..self.0 }
    }

    /// Takes columns from the left.
    fn left(&mut self, columns: u16) -> Rect {
        let taken = Rect { width: columns.min(self.0.width), ..self.0 };
        self.0 = Rect { x: taken.right(), width: self.0.width - taken.width, ..self.0 };
        taken
    }
}

/// A box with a title; returns what is within.
fn panel(title: Line<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(faint()).title(title);
    let within = block.inner(area);
    block.render(area, buffer);
    within.inner(Margin::new(1, 0))
}

/// One line at the top of what there is.
fn line(line: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    line.render(Rect { height: area.height.min(1), ..area }, buffer);
}

/// One line with something at its end, which goes first when there is no room for both.
fn line_and_end(left: &Line<'_>, end: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    let mut room = Room(area);
    if left.width() + end.width() < usize::from(area.width) {
        // Each in cells of its own: the style of a line is that of all its cells.
        let taken = u16::try_from(end.width()).unwrap_or(u16::MAX);
        line(left, room.left(area.width.saturating_sub(taken)), buffer);
        line(end, room.0, buffer);
    } else {
        line(left, area, buffer);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use client::session::State;
    use ratatui::Terminal;
    use ratatui::backend::{CrosstermBackend, TestBackend};

    use super::super::meter::Meter;
    use super::super::samples;
    use super::super::shown::{End, ShownCall};
    use super::super::text::Clean;
    use super::*;

    fn look() -> Look {
        let meters = Meters { input: Meter { level: -18.0, peak: -9.0 }, output: Meter { level: -31.0, peak: -24.0 } };
        Look { meters, palette: Palette::Colours, typing: false }
    }

    fn drawn(shown: &Shown, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view(frame, shown, &look())).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>());
        rows.map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    #[track_caller]
    fn shows(drawn: &str, what: &[&str]) {
        for what in what {
            assert!(drawn.contains(what), "{what:?} is not on\n{drawn}");
        }
    }

    #[test]
    fn a_call_shows_what_there_is_to_know_at_a_glance() {
        let drawn = drawn(&samples::in_call(), 80, 24);
        shows(&drawn, &[" IN CALL ", "00:01:23", "Echo", "sip:echo@127.0.0.1", "encrypted", "alice@example.com"]);
        shows(&drawn, &["opus 48000 Hz", "DTLS AEAD_AES_128_GCM", "127.0.0.1:50000", "127.0.0.1:40002"]);
        shows(&drawn, &["-18 dBFS", "-31 dBFS", "4.38 very good", "0.2 %", "3.1 ms", "12.4 ms", "40 ms"]);
        shows(&drawn, &["12:03:04", "Connected", "h hold", "q end", "? help"]);
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let drawn = drawn(&samples::in_call(), 40, 12);
        shows(&drawn, &[" IN CALL ", "00:01:23", "Echo", "-18 dB", "MOS 4.38", "opus", "encrypted", "Digit 9"]);
        shows(&drawn, &["? help"]);
    }

    #[test]
    fn each_state_has_its_word() {
        for (change, word) in [
            ((|call| call.state = State::Calling) as fn(&mut ShownCall), " CALLING "),
            (|call| (call.state, call.ringing) = (State::Calling, true), " RINGING "),
            (|call| call.state = State::Incoming, " INCOMING CALL "),
            (|call| call.state = State::Accepting, " ANSWERING "),
            (|call| call.on_hold_by_local = true, " ON HOLD "),
            (|call| call.on_hold_by_remote = true, " HELD BY THEM "),
            (|call| call.state = State::Proposing, " CHANGING "),
            (|call| call.state = State::Terminating, " ENDING "),
            (|call| call.state = State::Terminated, " ENDED "),
            (|call| call.muted = true, " MUTED "),
            (|call| call.recording = Some("a.wav".into()), " REC "),
        ] {
            let mut shown = samples::in_call();
            change(shown.call.as_mut().unwrap());
            for (width, height) in [(80, 24), (40, 12)] {
                shows(&drawn(&shown, width, height), &[word]);
            }
        }
    }

    #[test]
    fn a_failed_call_says_why() {
        let mut shown = samples::in_call();
        let call = shown.call.as_mut().unwrap();
        call.state = State::Terminated;
        call.end = Some(End { failed: true, words: "486 Busy Here".into() });
        for (width, height) in [(80, 24), (40, 12)] {
            shows(&drawn(&shown, width, height), &[" FAILED ", "486 Busy Here"]);
        }
    }

    #[test]
    fn a_plain_call_is_said_to_be_plain() {
        let mut shown = samples::in_call();
        shown.call.as_mut().unwrap().encryption = None;
        shows(&drawn(&shown, 80, 24), &["not encrypted"]);
        shows(&drawn(&shown, 40, 12), &["not encrypted"]);
    }

    #[test]
    fn who_waits_for_calls_says_where() {
        let shown = samples::waiting();
        for (width, height) in [(80, 24), (40, 12)] {
            shows(&drawn(&shown, width, height), &[" READY", "udp:127.0.0.1:5060", "q end"]);
        }
    }

    #[test]
    fn a_question_is_asked_above_the_keys() {
        let mut shown = samples::in_call();
        shown.question = Some("bob@example.com is calling. Answer? (y/n)".into());
        let drawn = drawn(&shown, 80, 24);
        shows(drawn.lines().nth(22).unwrap(), &["bob@example.com is calling. Answer? (y/n)"]);
        shows(drawn.lines().nth(23).unwrap(), &["y answer", "n reject"]);
    }

    #[test]
    fn the_cursor_stands_behind_what_is_typed() {
        let mut shown = samples::in_call();
        shown.question = Some("Transfer to: bob".into());
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| view(frame, &shown, &Look { typing: true, ..look() })).unwrap();
        terminal.backend_mut().assert_cursor_position((17, 22));
        shown.question = Some(format!("Transfer to: {}@end", "b".repeat(300)));
        terminal.draw(|frame| view(frame, &shown, &Look { typing: true, ..look() })).unwrap();
        terminal.backend_mut().assert_cursor_position((79, 22));
        let row: String = (0..80).map(|x| terminal.backend().buffer()[(x, 22)].symbol().to_owned()).collect();
        assert!(row.trim_end().ends_with("@end"), "{row}");
    }

    #[test]
    fn other_calls_are_listed_with_their_state() {
        let mut shown = samples::in_call();
        shown.others = vec![("sip:bob@example.com".into(), State::Established)];
        let drawn = drawn(&shown, 80, 24);
        shows(drawn.lines().next().unwrap(), &["sip:bob@example.com", "in call"]);
        shows(&drawn, &[" IN CALL "]);
    }

    #[test]
    fn details_take_the_place_of_panels_or_stand_beside_the_events() {
        let shown = Shown { info: true, ..samples::in_call() };
        let details =
            ["ESTABLISHED", "Call-ID", "843c1d2e", "Cordboard/0.1.0", "127.0.0.1:40004", "udp:127.0.0.1:5060"];
        let narrow = drawn(&shown, 80, 24);
        shows(&narrow, &details);
        assert!(!narrow.contains("Connected"));
        let wide = drawn(&shown, 200, 50);
        shows(&wide, &details);
        shows(&wide, &["Connected", "-18 dBFS"]);
        shows(&drawn(&shown, 40, 14), &["ESTABLISHED"]);
    }

    #[test]
    fn help_names_every_key() {
        let shown = Shown { help: true, ..samples::in_call() };
        let drawn = drawn(&shown, 80, 24);
        shows(
            &drawn,
            &["hold", "record", "digits", "transfer", "mute", "details", "end", "answer", "reject", "Ctrl-C"],
        );
    }

    #[test]
    fn all_keys_are_explained_on_a_small_terminal_too() {
        let shown = Shown { help: true, ..samples::in_call() };
        shows(&drawn(&shown, 40, 12), &["hold", "close this help"]);
    }

    #[test]
    fn the_narrowest_panels_have_room_for_the_numbers() {
        shows(&drawn(&samples::in_call(), 72, 20), &["4.38 very good", "0.2 % in, 0.0 % out", "127.0.0.1:40002"]);
    }

    #[test]
    fn what_has_happened_last_is_always_seen_and_long_lines_go_on_below() {
        let mut shown = samples::in_call();
        for count in 0..50 {
            shown.log.push((SystemTime::UNIX_EPOCH, Clean::new(&format!("event {count}"))));
        }
        let why = format!("Failed: {}finis", "because ".repeat(20));
        shown.log.push((SystemTime::UNIX_EPOCH, Clean::new(&why)));
        for (width, height) in [(80, 24), (40, 12), (200, 50)] {
            shows(&drawn(&shown, width, height), &["finis"]);
        }
        shows(&drawn(&shown, 80, 24), &["event 49", "Failed: because"]);
    }

    #[test]
    fn without_colours_nothing_is_coloured() {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let monochrome = Look { palette: Palette::Monochrome, ..look() };
        terminal.draw(|frame| view(frame, &samples::in_call(), &monochrome)).unwrap();
        for cell in &terminal.backend().buffer().content {
            assert_eq!((cell.fg, cell.bg), Default::default(), "{cell:?}");
        }
    }

    /// Panels and lines, with everything that can be on.
    #[test]
    fn no_size_is_too_small_or_too_large() {
        let hostile = samples::hostile();
        let small = (1..=42).flat_map(|width| (1..=14).map(move |height| (width, height)));
        let larger = [1, 20, 71, 72, 73, 80, 119, 120, 121, 199, 200]
            .into_iter()
            .flat_map(|width| [1, 2, 5, 9, 15, 19, 20, 21, 24, 25, 59, 60].map(|height| (width, height)));
        let sizes: Vec<(u16, u16)> = small.chain(larger).collect();
        for shown in [samples::in_call(), samples::waiting(), Shown::default(), hostile] {
            for all in [false, true] {
                let shown = Shown { help: all, info: all, ..shown.clone() };
                for (width, height) in sizes.iter().copied() {
                    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                    let look = Look { typing: all, ..look() };
                    terminal.draw(|frame| view(frame, &shown, &look)).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_a_peer_wrote_never_reaches_the_terminal_as_a_command() {
        for (width, height) in [(40, 12), (80, 24), (200, 60)] {
            for info in [false, true] {
                let shown = Shown { info, ..samples::hostile() };
                let mut written = Vec::new();
                let mut terminal = Terminal::with_options(
                    CrosstermBackend::new(&mut written),
                    ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(Rect::new(0, 0, width, height)) },
                )
                .unwrap();
                terminal.draw(|frame| view(frame, &shown, &look())).unwrap();
                drop(terminal);
                let written = String::from_utf8(written).unwrap();
                // What is ours begins with CSI; nothing else that a terminal obeys is there, nor what the samples ask for.
                for (at, letter) in written.char_indices().filter(|(_, letter)| letter.is_control()) {
                    assert!(written[at..].starts_with("\x1b["), "{letter:?} in {:?}", &written[at..]);
                }
                for order in ["\x1b[2J", "\x1b[31337", "\u{202e}", "\u{200b}"] {
                    assert!(!written.contains(order), "{order:?}");
                }
            }
        }
    }
}
