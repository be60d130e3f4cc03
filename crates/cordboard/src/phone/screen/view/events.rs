//! What has happened, the latest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::super::time::of_day;
use super::super::palette::{faint, strong};
use super::super::shown::Shown;
use super::super::text::wrapped;
use super::{Room, line};

/// Milliseconds are for those who have room.
const WIDE: u16 = 60;

/// The panel.
pub(super) fn panel(shown: &Shown, area: Rect, buffer: &mut Buffer) {
    let title = Line::from(vec![Span::styled(" Events ", strong()), Span::styled("UTC ", faint())]);
    rows(shown, super::panel(title, area, buffer), buffer);
}

/// As many of the latest as there is room for.
pub(super) fn rows(shown: &Shown, area: Rect, buffer: &mut Buffer) {
    let time = if area.width < WIDE { 8 } else { 12 };
    let width = usize::from(area.width).saturating_sub(time + 2);
    let height = usize::from(area.height);
    let mut rows: Vec<(String, String)> = Vec::new();
    for (at, said) in shown.log.iter().rev() {
        if rows.len() >= height {
            break;
        }
        let when: String = of_day(*at).chars().take(time).collect();
        let parts = wrapped(said, width).into_iter().enumerate();
        let parts: Vec<_> =
            parts.map(|(place, part)| (if place == 0 { when.clone() } else { String::new() }, part)).collect();
        rows.extend(parts.into_iter().rev());
    }
    rows.truncate(height);
    let mut room = Room(area);
    for (when, said) in rows.into_iter().rev() {
        let spans = vec![Span::styled(format!("{when:time$}  "), faint()), Span::raw(said)];
        line(&Line::from(spans), room.top(1), buffer);
    }
}
