//! How good the audio is, and why.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::palette::{Tone, faint, strong};
use super::super::shown::ShownCall;
use super::{Look, Room, line, words};

const LABEL: usize = 12;

/// The panel.
pub(super) fn panel(call: &ShownCall, look: &Look, area: Rect, buffer: &mut Buffer) {
    let mut room = Room(super::panel(Line::styled(" Quality ", strong()), area, buffer));
    let none = || vec![Span::styled("–", faint())];
    let toned = |(text, tone): (String, Tone)| Span::styled(text, look.palette.text(tone));
    let Some(now) = &call.statistics else {
        for label in ["MOS", "loss", "jitter", "round trip", "buffered"] {
            row(label, none(), &mut room, buffer);
        }
        return;
    };
    let opinion = words::opinion(now).map_or_else(none, |(mos, word, tone)| {
        vec![Span::styled(format!("{mos:.2} {word}"), look.palette.text(tone).patch(strong()))]
    });
    row("MOS", opinion, &mut room, buffer);
    let mut loss = vec![toned(words::loss(now.loss))];
    if let Some(theirs) = now.remote_loss {
        loss.extend([Span::styled(" in, ", faint()), toned(words::loss(theirs)), Span::styled(" out", faint())]);
    }
    row("loss", loss, &mut room, buffer);
    row("jitter", vec![toned(words::jitter(now.jitter))], &mut room, buffer);
    let round_trip = now.round_trip.map_or_else(none, |there_and_back| vec![toned(words::round_trip(there_and_back))]);
    row("round trip", round_trip, &mut room, buffer);
    row("buffered", vec![Span::raw(words::millis(now.buffered))], &mut room, buffer);
    row("received", counted(now.received, now.lost), &mut room, buffer);
    row("sent", counted(now.sent, 0), &mut room, buffer);
}

fn row(label: &str, value: Vec<Span<'_>>, room: &mut Room, buffer: &mut Buffer) {
    let mut spans = vec![Span::styled(format!("{label:LABEL$}"), faint())];
    spans.extend(value);
    line(&Line::from(spans), room.top(1), buffer);
}

fn counted(packets: u64, lost: u64) -> Vec<Span<'static>> {
    let mut spans = vec![Span::raw(packets.to_string())];
    if lost > 0 {
        spans.push(Span::styled(format!(", {lost} lost"), faint()));
    }
    spans
}

/// All of it in a line.
pub(super) fn line_of(call: &ShownCall, look: &Look) -> Line<'static> {
    let Some(now) = &call.statistics else { return Line::default() };
    let mut spans = Vec::new();
    if let Some((mos, _, tone)) = words::opinion(now) {
        spans.extend([
            Span::styled("MOS ", faint()),
            Span::styled(format!("{mos:.2}"), look.palette.text(tone).patch(strong())),
            Span::raw("  "),
        ]);
    }
    for (label, (text, tone)) in [("loss ", words::loss(now.loss)), ("jitter ", words::jitter(now.jitter))] {
        spans.extend([Span::styled(label, faint()), Span::styled(text, look.palette.text(tone)), Span::raw("  ")]);
    }
    Line::from(spans)
}
