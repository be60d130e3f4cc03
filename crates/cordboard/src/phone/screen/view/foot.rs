//! What is asked, and which keys there are.

use client::session::State;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::palette::{Tone, faint, strong};
use super::super::shown::Shown;
use super::super::text::{Clean, cells, fitted, fitted_end};
use super::{Look, line};

/// The question; returns where the cursor stands if the answer is being typed.
pub(super) fn question(shown: &Shown, look: &Look, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let asked = Clean::new(shown.question.as_ref()?);
    if area.is_empty() {
        return None;
    }
    // A column on each side, the last of them for the cursor.
    let width = usize::from(area.width).saturating_sub(2);
    let said = if look.typing { fitted_end(&asked, width) } else { fitted(&asked, width) };
    let style = if look.typing { strong() } else { look.palette.badge(Tone::Fair) };
    buffer.set_style(area, if look.typing { Style::new() } else { style });
    let end = u16::try_from(cells(&said)).unwrap_or(u16::MAX);
    line(&Line::styled(format!(" {said}"), style), area, buffer);
    look.typing.then(|| Position::new(area.x.saturating_add(end + 1).min(area.right() - 1), area.y))
}

/// The keys that mean something now: all, or those most wanted where there is no room for all.
pub(super) fn keys(shown: &Shown, look: &Look, area: Rect, buffer: &mut Buffer) {
    let mut fitting = wanted(shown, look);
    let columns = |(_, key, word): &Hint| 3 + key.chars().count() + word.chars().count();
    while fitting.iter().map(columns).sum::<usize>() > usize::from(area.width) {
        let Some(least) = fitting.iter().map(|(rank, ..)| *rank).max() else { break };
        fitting.retain(|(rank, ..)| *rank != least);
    }
    let hint = |(_, key, word)| [Span::styled(format!(" {key}"), strong()), Span::styled(format!(" {word} "), faint())];
    line(&Line::from_iter(fitting.into_iter().flat_map(hint)), area, buffer);
}

/// How soon it is done without, a key, and what it does.
type Hint = (u8, &'static str, &'static str);

fn wanted(shown: &Shown, look: &Look) -> Vec<Hint> {
    const HELP: Hint = (0, "?", "help");
    const END: Hint = (1, "q", "end");
    if shown.question.is_some() {
        return match look.typing {
            true => vec![(0, "Enter", "done"), (1, "Esc", "leave it")],
            false => vec![(0, "y", "answer"), (1, "n", "reject"), (3, "q", "end"), (2, "?", "help")],
        };
    }
    let Some(call) = &shown.call else { return vec![END, HELP] };
    let either = |on: bool, word: &'static str, not: &'static str| if on { not } else { word };
    let details = (7, "i", either(shown.info, "details", "less"));
    match call.state {
        State::Established | State::Proposing | State::Proposed => vec![
            (2, "h", either(call.on_hold_by_local, "hold", "unhold")),
            (4, "r", either(call.recording.is_some(), "record", "stop recording")),
            (3, "m", either(call.muted, "mute", "unmute")),
            (5, "t", "transfer"),
            (6, "0-9*#", "digits"),
            details,
            END,
            HELP,
        ],
        State::Incoming => vec![(1, "y", "answer"), (2, "n", "reject"), HELP],
        _ => vec![details, END, HELP],
    }
}
