//! Lines instead of panels, for small terminals: what matters least is left out first.

use ratatui::buffer::Buffer;
use ratatui::layout::Margin;
use ratatui::text::{Line, Span};

use super::super::palette::{Tone, faint};
use super::super::shown::{Shown, ShownCall};
use super::super::text::fitted;
use super::{Look, Room, audio, details, events, head, line, quality, words};

/// Draws into what is left.
pub(super) fn lines(shown: &Shown, look: &Look, room: Room, buffer: &mut Buffer) {
    let margin = u16::from(room.0.width > 20);
    let mut room = Room(room.0.inner(Margin::new(margin, 0)));
    let height = room.0.height;
    let Some(call) = &shown.call else {
        line(&Line::from(words::badge("ready", Tone::Plain, look.palette)), room.top(1), buffer);
        line(&Line::styled("waiting for calls at", faint()), room.top(1), buffer);
        for listener in shown.listeners.iter().take(usize::from(height / 2)) {
            line(&Line::raw(fitted(listener, usize::from(room.0.width))), room.top(1), buffer);
        }
        return events::rows(shown, room.0, buffer);
    };
    head::status(call, look, room.top(1), buffer);
    line(&head::peer(call, room.0.width), room.top(1), buffer);
    if height >= 4 {
        line(&made_of(call, look), room.top(1), buffer);
    }
    if shown.info {
        return details::rows(call, look, room, buffer);
    }
    if height >= 7 {
        audio::meters(call, look, &mut room, "", buffer);
    }
    if height >= 8 {
        line(&quality::line_of(call, look), room.top(1), buffer);
    }
    if height >= 10 {
        let rule = "─".repeat(usize::from(room.0.width));
        line(&Line::styled(rule, faint()), room.top(1), buffer);
    }
    events::rows(shown, room.0, buffer);
}

/// How it ended, or what it is made of.
fn made_of(call: &ShownCall, look: &Look) -> Line<'static> {
    if let Some(end) = &call.end {
        return Line::raw(end.words.to_string());
    }
    let Some((codec, rate)) = &call.codec else { return Line::default() };
    let codec = Span::raw(format!("{} {} kHz  ", fitted(codec, 12), f64::from(*rate) / 1_000.0));
    Line::from(vec![codec, words::encryption(call, look.palette)])
}
