//! RTCP packets as we send them (RFC 3550 §6.4 to §6.6), appended to a compound.

use super::packet::{CNAME, GOODBYE, RECEIVER_REPORT, ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo};
use crate::rtp::Ssrc;

/// A sender report if there is something to tell of what we send, else a receiver report.
pub(crate) fn report(ssrc: Ssrc, sender: Option<SenderInfo>, block: Option<ReportBlock>, out: &mut Vec<u8>) {
    let kind = if sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    packet(kind, u8::from(block.is_some()), out, |out| {
        word(ssrc.0, out);
        if let Some(sender) = sender {
            out.extend_from_slice(&sender.ntp.0.to_be_bytes());
            word(sender.timestamp, out);
            word(sender.packets, out);
            word(sender.octets, out);
        }
        if let Some(block) = block {
            word(block.ssrc.0, out);
            let lost = block.cumulative_lost.cast_unsigned() & 0xff_ffff;
            word(u32::from(block.fraction_lost) << 24 | lost, out);
            word(block.highest_sequence, out);
            word(block.jitter, out);
            word(block.last_sender_report, out);
            word(block.delay_since_last, out);
        }
    });
}

/// Who we are (§6.5.1). A name beyond 255 octets is cut.
pub(crate) fn cname(ssrc: Ssrc, name: &str, out: &mut Vec<u8>) {
    packet(SOURCE_DESCRIPTION, 1, out, |out| {
        word(ssrc.0, out);
        out.push(CNAME);
        text(name, out);
        // The null octet that ends the list; `packet` adds the rest of the word.
        out.push(0);
    });
}

/// That we leave (§6.6).
pub(crate) fn goodbye(ssrc: Ssrc, reason: Option<&str>, out: &mut Vec<u8>) {
    packet(GOODBYE, 1, out, |out| {
        word(ssrc.0, out);
        if let Some(reason) = reason {
            text(reason, out);
        }
    });
}

/// The header, the body padded with null octets to a word, and the length of both.
fn packet(kind: u8, count: u8, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    body(out);
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = u16::try_from((out.len() - start) / 4 - 1).expect("one block and a text of 255 octets");
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn word(word: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&word.to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    let cut = &text[..text.floor_char_boundary(255)];
    out.push(u8::try_from(cut.len()).expect("it was cut"));
    out.extend_from_slice(cut.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let mut out = Vec::new();
        cname(Ssrc(1), &"ü".repeat(200), &mut out);
        assert_eq!(out[9], 254);
        assert_eq!(std::str::from_utf8(&out[10..264]).unwrap(), "ü".repeat(127));
    }
}
