//! Level meters, and what the audio is made of.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::meter::{FLOOR, Meter};
use super::super::palette::{Palette, Tone, faint, strong};
use super::super::shown::ShownCall;
use super::super::text::fitted;
use super::{Look, Room, line, words};

/// Above this level there is little room left, and above the second one none (EBU R 68: peaks at −9 dBFS).
const LOUD: f32 = -18.0;
const TOO_LOUD: f32 = -6.0;

/// `-18 dBFS`, and a space before it.
const NUMBER: u16 = 9;
const LABEL: usize = 12;

/// The panel.
pub(super) fn panel(call: &ShownCall, look: &Look, area: Rect, buffer: &mut Buffer) {
    let within = super::panel(Line::styled(" Audio ", strong()), area, buffer);
    let mut room = Room(within);
    meters(call, look, &mut room, "FS", buffer);
    if within.height >= 7 {
        line(&scale(within.width.saturating_sub(NUMBER + 4)), room.top(1), buffer);
    }
    let value = usize::from(within.width).saturating_sub(LABEL);
    let none = || Span::styled("–", faint());
    let known = |text: Option<String>| text.map_or_else(none, |text| Span::raw(fitted(&text, value)));
    let how = match &call.encryption {
        Some(how) => Span::styled(fitted(how, value), look.palette.text(Tone::Good)),
        None if call.codec.is_some() => words::encryption(call, look.palette),
        None => none(),
    };
    let codec = call.codec.as_ref().map(|(name, rate)| format!("{name} {rate} Hz"));
    let theirs = call.rtp_heard.or(call.rtp_remote);
    for (label, value) in [
        ("codec", known(codec)),
        ("encryption", how),
        ("RTP here", known(call.rtp_local.map(|addr| addr.to_string()))),
        ("RTP there", known(theirs.map(|addr| addr.to_string()))),
    ] {
        line(&Line::from(vec![Span::styled(format!("{label:LABEL$}"), faint()), value]), room.top(1), buffer);
    }
}

/// Two lines: what we hear, and what we say.
pub(super) fn meters(call: &ShownCall, look: &Look, room: &mut Room, unit: &str, buffer: &mut Buffer) {
    let levels = call.levels();
    for (label, meter, flows, quiet) in [
        ("in", look.meters.input, levels.input.is_some(), "–"),
        ("out", look.meters.output, levels.output.is_some(), if call.muted { "muted" } else { "–" }),
    ] {
        let number = match meter.level {
            _ if !flows => quiet.to_owned(),
            level if level <= FLOOR => "silent".to_owned(),
            level => format!("{level:.0} dB{unit}"),
        };
        let columns = room.0.width.saturating_sub(NUMBER + 4);
        let mut spans = vec![Span::styled(format!("{label:4}"), faint())];
        spans.extend(bar(meter, columns, look.palette));
        spans.push(Span::raw(format!("{number:>width$}", width = usize::from(NUMBER))));
        line(&Line::from(spans), room.top(1), buffer);
    }
}

/// A bar in eighths of a cell, and a mark where the peak is.
fn bar(meter: Meter, columns: u16, palette: Palette) -> Vec<Span<'static>> {
    const EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
    let width = f32::from(columns);
    let place = |level: f32| (level - FLOOR) / -FLOOR * width;
    let (filled, peak) = (place(meter.level), place(meter.peak));
    let cell = |column: u16| {
        let column = f32::from(column);
        let tone = match FLOOR - FLOOR * (column / width) {
            level if level >= TOO_LOUD => Tone::Bad,
            level if level >= LOUD => Tone::Fair,
            _ => Tone::Good,
        };
        let part = (filled - column).clamp(0.0, 1.0) * 8.0;
        let has_peak = peak > column && peak <= column + 1.0;
        match EIGHTHS[(part.round() as usize).min(8)] {
            " " if has_peak => Span::styled("▎", palette.text(tone)),
            " " => Span::styled("·", faint()),
            block => Span::styled(block, palette.text(tone)),
        }
    };
    (0..columns).map(cell).collect()
}

/// Which level is where on the meters.
fn scale(columns: u16) -> Line<'static> {
    let mut marks = String::from("    ");
    let begins = marks.len();
    for level in [-60, -40, -20, 0_i32] {
        let mark = level.to_string();
        let middle = begins + (level + 60) as usize * usize::from(columns) / 60;
        // The first mark begins with the meter, and the last one ends with it.
        let start = match level {
            -60 => begins,
            0 => middle.saturating_sub(mark.len()),
            _ => middle.saturating_sub(mark.len() / 2),
        };
        if start > marks.len() || level == -60 {
            marks.push_str(&" ".repeat(start.saturating_sub(marks.len())));
            marks.push_str(&mark);
        }
    }
    Line::styled(marks, faint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(level: f32, peak: f32) -> String {
        bar(Meter { level, peak }, 12, Palette::Colours).iter().map(|span| &*span.content).collect()
    }

    #[test]
    fn a_meter_is_as_long_as_the_sound_is_loud() {
        assert_eq!(drawn(-60.0, -60.0), "············");
        assert_eq!(drawn(-30.0, -30.0), "██████······");
        assert_eq!(drawn(-27.5, -10.0), "██████▌··▎··");
        assert_eq!(drawn(0.0, 0.0), "████████████");
        assert_eq!(bar(Meter::default(), 0, Palette::Colours), []);
    }

    #[test]
    fn the_end_of_a_meter_warns() {
        let spans = bar(Meter { level: 0.0, peak: 0.0 }, 60, Palette::Colours);
        let tone = |column: usize| spans[column].style;
        assert_eq!(tone(0), Palette::Colours.text(Tone::Good));
        assert_eq!(tone(42), Palette::Colours.text(Tone::Fair));
        assert_eq!(tone(54), Palette::Colours.text(Tone::Bad));
    }

    #[test]
    fn a_scale_has_the_marks_there_is_room_for() {
        assert_eq!(scale(30).to_string(), "    -60      -40       -20       0");
        assert_eq!(scale(3).to_string(), "    -60");
    }
}
