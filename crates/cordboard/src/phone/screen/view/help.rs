//! The keys, explained.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget as _};

use super::super::palette::strong;
use super::{Room, line};

const KEYS: [(&str, &str); 11] = [
    ("h", "hold, or go on"),
    ("m", "mute, or speak again"),
    ("r", "record, or stop it"),
    ("0-9*#A-D", "send digits"),
    ("t", "transfer to somebody"),
    ("y  n", "answer, reject"),
    ("← →", "other calls"),
    ("i", "details"),
    ("q", "end the call"),
    ("Ctrl-C", "end everything"),
    ("?", "close this help"),
];
const KEY: usize = 10;
const WIDTH: u16 = 38;

/// In the middle of the screen, over what is there.
pub(super) fn keys(area: Rect, buffer: &mut Buffer) {
    let rows = KEYS.len() as u16;
    let (width, height) = (WIDTH.min(area.width), (rows + 2).min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    // Without room for a border the keys are worth more than it is.
    let within = match place.height >= rows + 2 {
        true => super::panel(Line::styled(" Keys ", strong()), place, buffer),
        false => place.inner(Margin::new(1, 0)),
    };
    let mut room = Room(within);
    for (key, what) in KEYS {
        let spans = vec![Span::styled(format!("{key:KEY$}"), strong()), Span::raw(what)];
        line(&Line::from(spans), room.top(1), buffer);
    }
}
