//! All that is known of a call.

use client::session::CallDirection;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::palette::{Tone, faint, strong};
use super::super::shown::ShownCall;
use super::super::text::wrapped;
use super::{Look, Room, line};

const LABEL: usize = 12;

/// The panel.
pub(super) fn panel(call: &ShownCall, look: &Look, area: Rect, buffer: &mut Buffer) {
    let within = super::panel(Line::styled(" Details ", strong()), area, buffer);
    rows(call, look, Room(within), buffer);
}

/// A line for each thing, and more where it is long.
pub(super) fn rows(call: &ShownCall, look: &Look, mut room: Room, buffer: &mut Buffer) {
    let width = usize::from(room.0.width).saturating_sub(LABEL);
    for (label, value, tone) in known(call) {
        for (place, part) in wrapped(&value, width).into_iter().enumerate() {
            let label = if place == 0 { label } else { "" };
            let spans =
                vec![Span::styled(format!("{label:LABEL$}"), faint()), Span::styled(part, look.palette.text(tone))];
            line(&Line::from(spans), room.top(1), buffer);
        }
    }
}

fn known(call: &ShownCall) -> Vec<(&'static str, String, Tone)> {
    let way = match call.direction {
        Some(CallDirection::Incoming) => ", incoming",
        Some(CallDirection::Outgoing) => ", outgoing",
        None => "",
    };
    let session = call.id.map_or_else(String::new, |id| format!(", session {}", id.0));
    let address = |addr: Option<std::net::SocketAddr>| addr.map(|addr| addr.to_string());
    let packets =
        call.statistics.as_ref().map(|now| format!("{} sent, {} received, {} lost", now.sent, now.received, now.lost));
    let peer = match call.peer_name.is_empty() {
        true => call.peer.to_string(),
        false => format!("{} <{}>", call.peer_name, call.peer),
    };
    let encryption = call.encryption.as_ref().map(|how| (how.to_string(), Tone::Good));
    let (encryption, tone) = encryption.unwrap_or_else(|| ("none".to_owned(), Tone::Fair));
    let text = |text: &Option<super::super::text::Clean>| text.as_deref().map(str::to_owned);
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    [
        ("state", Some(format!("{}{way}{session}", call.state)), Tone::Plain),
        ("peer", Some(peer), Tone::Plain),
        ("user agent", text(&call.user_agent), Tone::Plain),
        ("we", said(&call.local), Tone::Plain),
        ("Call-ID", text(&call.call_id), Tone::Plain),
        ("route", text(&call.route), Tone::Plain),
        ("codec", call.codec.as_ref().map(|(name, rate)| format!("{name} {rate} Hz")), Tone::Plain),
        ("encryption", Some(encryption), tone),
        ("RTP here", address(call.rtp_local), Tone::Plain),
        ("RTP there", address(call.rtp_remote), Tone::Plain),
        ("RTP heard", address(call.rtp_heard), Tone::Plain),
        ("packets", packets, Tone::Plain),
        ("digits sent", said(&call.digits_sent), Tone::Plain),
        ("digits got", said(&call.digits_received), Tone::Plain),
        ("recording", text(&call.recording), Tone::Plain),
        ("conference", call.conference.then(|| "yes".to_owned()), Tone::Plain),
    ]
    .into_iter()
    .filter_map(|(label, value, tone)| Some((label, value?, tone)))
    .collect()
}
