//! With whom, in which state, for how long.

use client::session::CallDirection;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};

use super::super::palette::{Tone, faint, strong};
use super::super::shown::{Shown, ShownCall};
use super::super::text::{Clean, cells, fitted};
use super::{Look, Room, line, line_and_end, words};

/// The calls that are not looked at.
pub(super) fn others(shown: &Shown, look: &Look, area: Rect, buffer: &mut Buffer) {
    let mut all = vec![Span::styled(" ← → ", strong()), Span::styled("also ", faint())];
    for (place, (peer, state)) in shown.others.iter().enumerate() {
        if place > 0 {
            all.push(Span::styled(" · ", faint()));
        }
        all.push(Span::raw(fitted(&Clean::new(peer), 32)));
        all.push(Span::styled(format!(" {}", words::word(*state)), look.palette.text(Tone::Active)));
    }
    line(&Line::from(all), area, buffer);
}

/// Whose phone it is, on the border of the panel.
pub(super) fn account(shown: &Shown, panel: Rect, buffer: &mut Buffer) {
    let account = fitted(&Clean::new(&shown.account), usize::from(panel.width / 2));
    let account = Line::from(Span::styled(format!(" {account} "), faint())).right_aligned();
    line(&account, panel.inner(Margin::new(1, 0)), buffer);
}

/// Three lines on the call, or on there being none.
pub(super) fn call(shown: &Shown, look: &Look, area: Rect, buffer: &mut Buffer) {
    let mut room = Room(area);
    let Some(call) = &shown.call else {
        line(&Line::from(words::badge("ready", Tone::Plain, look.palette)), room.top(1), buffer);
        line(&listening(shown), room.top(1), buffer);
        return;
    };
    status(call, look, room.top(1), buffer);
    let encryption =
        Line::from(call.codec.as_ref().map_or_else(Span::default, |_| words::encryption(call, look.palette)));
    let left = area.width.saturating_sub(encryption.width() as u16 + 2);
    line_and_end(&peer(call, left), &encryption, room.top(1), buffer);
    line_and_end(&about(call), &digits(call, area.width / 2), room.0, buffer);
}

/// Where calls are waited for.
pub(super) fn listening(shown: &Shown) -> Line<'_> {
    let mut said = vec![Span::styled("waiting for calls at ", faint())];
    for (place, listener) in shown.listeners.iter().enumerate() {
        let before = if place > 0 { ", " } else { "" };
        said.push(Span::raw(format!("{before}{listener}")));
    }
    Line::from(said)
}

/// What is the case, and for how long.
pub(super) fn status(call: &ShownCall, look: &Look, area: Rect, buffer: &mut Buffer) {
    let palette = look.palette;
    let (tone, word) = words::state(call);
    let mut badges = vec![words::badge(word, tone, palette)];
    let others = [(call.muted, "muted", Tone::Fair), (call.recording.is_some(), "rec", Tone::Bad)];
    for (_, word, tone) in others.into_iter().filter(|(on, ..)| *on && call.end.is_none()) {
        badges.extend([Span::raw(" "), words::badge(word, tone, palette)]);
    }
    line_and_end(&Line::from(badges), &Line::styled(call.timer(), strong()), area, buffer);
}

/// Who it is.
pub(super) fn peer(call: &ShownCall, width: u16) -> Line<'static> {
    let width = usize::from(width);
    if call.peer_name.is_empty() {
        return Line::styled(fitted(&call.peer, width), strong());
    }
    // The address says who it is; the name is what he calls himself.
    let name = fitted(&call.peer_name, width / 2);
    let room = width.saturating_sub(cells(&name) + 2);
    Line::from(vec![Span::styled(name, strong()), Span::raw("  "), Span::raw(fitted(&call.peer, room))])
}

fn about(call: &ShownCall) -> Line<'_> {
    if let Some(end) = &call.end {
        return Line::raw(&*end.words);
    }
    let mut said = match call.direction {
        Some(CallDirection::Incoming) => vec!["incoming".to_owned()],
        Some(CallDirection::Outgoing) => vec!["outgoing".to_owned()],
        None => Vec::new(),
    };
    said.extend(call.conference.then(|| "conference".to_owned()));
    said.extend(call.user_agent.as_ref().map(|agent| fitted(agent, 40)));
    Line::styled(said.join(" · "), faint())
}

fn digits(call: &ShownCall, width: u16) -> Line<'static> {
    let each = usize::from(width / 2).saturating_sub(10);
    let told = [("sent ", &call.digits_sent), ("got ", &call.digits_received)];
    let mut said = Vec::new();
    for (what, digits) in told.into_iter().filter(|(_, digits)| !digits.is_empty()) {
        let digits = super::super::text::fitted_end(digits, each);
        said.extend([Span::styled(format!("  {what}"), faint()), Span::raw(digits)]);
    }
    if !said.is_empty() {
        said.insert(0, Span::styled("digits", faint()));
    }
    Line::from(said)
}
