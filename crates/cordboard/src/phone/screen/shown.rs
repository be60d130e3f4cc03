//! What is on the screen, without how.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use client::Party;
use client::media::AudioStatistics;
use client::session::{CallDirection, SessionId, SessionInfo, State};
use sip_message::Transport;

use super::super::call::Call;
use super::super::time::span;
use super::text::Clean;

/// More lines than the tallest terminal has are not looked at.
const LOG: usize = 100;

/// What is shown.
#[derive(Clone, Debug, Default)]
pub(in crate::phone) struct Shown {
    /// Our account's address.
    pub(in crate::phone) account: String,
    /// What the user is asked, with what has been typed.
    pub(in crate::phone) question: Option<String>,
    /// Whether the keys are explained.
    pub(in crate::phone) help: bool,
    /// Whether all that is known of the call is shown.
    pub(in crate::phone) info: bool,
    /// The other calls: with whom, and their state.
    pub(in crate::phone) others: Vec<(String, State)>,
    /// The call that is looked at.
    pub(super) call: Option<ShownCall>,
    /// What has happened, the latest last.
    pub(in crate::phone) log: Vec<(SystemTime, Clean)>,
    /// Where calls are waited for.
    pub(super) listeners: Vec<Clean>,
}

/// A call, as far as it is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownCall {
    pub(super) id: Option<SessionId>,
    pub(super) state: State,
    pub(super) direction: Option<CallDirection>,
    /// Whether the callee's phone rings.
    pub(super) ringing: bool,
    /// How long it has been up, or been trying to be.
    pub(super) lasts: Option<Duration>,
    /// How it ended.
    pub(super) end: Option<End>,
    /// What the peer calls itself; empty if it does not.
    pub(super) peer_name: Clean,
    pub(super) peer: Clean,
    pub(super) local: Clean,
    pub(super) user_agent: Option<Clean>,
    pub(super) call_id: Option<Clean>,
    pub(super) route: Option<Clean>,
    pub(super) conference: bool,
    pub(super) on_hold_by_local: bool,
    pub(super) on_hold_by_remote: bool,
    pub(super) muted: bool,
    /// The file.
    pub(super) recording: Option<Clean>,
    /// Name, and samples per second.
    pub(super) codec: Option<(Clean, u32)>,
    pub(super) encryption: Option<Clean>,
    pub(super) digits_sent: Clean,
    pub(super) digits_received: Clean,
    /// Where we receive.
    pub(super) rtp_local: Option<SocketAddr>,
    /// Where the peer says it receives.
    pub(super) rtp_remote: Option<SocketAddr>,
    /// Where the peer sends from.
    pub(super) rtp_heard: Option<SocketAddr>,
    pub(super) statistics: Option<AudioStatistics>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    /// Whether that is nobody's wish.
    pub(super) failed: bool,
    /// In words.
    pub(super) words: Clean,
}

/// How loud both sides are, in dBFS; nothing where nothing flows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Levels {
    pub(super) input: Option<f32>,
    pub(super) output: Option<f32>,
}

impl Shown {
    /// A call.
    pub(in crate::phone) fn of(call: &Call) -> Shown {
        let mut shown = call.session.info().map_or_else(ShownCall::default, |info| ShownCall::of(&info));
        shown.ringing = call.ringing;
        shown.lasts = shown.lasts.or_else(|| Some(call.lasts()));
        shown.digits_sent = Clean::new(&call.digits_sent);
        shown.digits_received = Clean::new(&call.findings.digits);
        shown.statistics.clone_from(&call.statistics);
        shown.end = call.over.then(|| match (&call.broken, call.findings.status, call.findings.ended_by) {
            (Some(why), ..) => End { failed: true, words: Clean::new(why) },
            (None, Some(status), _) => End { failed: true, words: Clean::new(&status.to_string()) },
            (None, None, Some(Party::Remote)) => End { failed: false, words: "ended by the other side".into() },
            (None, None, _) => End { failed: false, words: "ended by us".into() },
        });
        let log = call.log.iter().skip(call.log.len().saturating_sub(LOG));
        let log = log.map(|(at, said)| (*at, Clean::new(said))).collect();
        Shown { call: Some(shown), log, ..Shown::default() }
    }

    /// No call, and where one may come.
    pub(in crate::phone) fn waiting(listeners: &[(Transport, SocketAddr)]) -> Shown {
        let written = |(transport, addr): &(Transport, SocketAddr)| {
            Clean::new(&format!("{}:{addr}", transport.via_token().to_ascii_lowercase()))
        };
        Shown { listeners: listeners.iter().map(written).collect(), ..Shown::default() }
    }
}

impl ShownCall {
    /// What a session says of itself.
    pub(super) fn of(info: &SessionInfo) -> ShownCall {
        let at = |ip: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(ip?, port?));
        let name =
            info.remote_identity.as_ref().and_then(|peer| Some(peer.as_name_addr().display_name()?.into_owned()));
        let uri = |uri: Option<sip_message::Uri<'_>>| uri.map_or_else(Clean::default, |uri| uri.to_string().into());
        let text = |text: &std::sync::Arc<str>| Clean::new(text);
        let lasted = info.start_time.zip(info.stop_time);
        ShownCall {
            id: Some(info.id),
            state: info.state,
            direction: info.direction,
            lasts: lasted.and_then(|(start, stop)| stop.duration_since(start).ok()),
            peer_name: name.unwrap_or_default().into(),
            peer: uri(info.remote_uri()),
            local: uri(info.local_uri()),
            user_agent: info.remote_user_agent.as_ref().map(text),
            call_id: info.call_id.as_ref().map(text),
            route: info
                .route
                .as_ref()
                .map(|route| format!("{}:{}", route.transport.via_token().to_ascii_lowercase(), route.addr).into()),
            conference: info.remote_focus,
            on_hold_by_local: info.on_hold_by_local,
            on_hold_by_remote: info.on_hold_by_remote,
            muted: info.muted,
            recording: info.audio_recording_file_name.as_ref().map(|file| file.display().to_string().into()),
            codec: info.audio_codec.as_ref().map(text).zip(info.audio_sample_rate),
            encryption: info.audio_encryption.as_ref().filter(|_| info.audio_srtp_active).map(text),
            rtp_local: at(info.audio_local_rtp_address, info.audio_local_rtp_port),
            rtp_remote: at(info.audio_remote_rtp_address_sdp, info.audio_remote_rtp_port_sdp),
            rtp_heard: at(info.audio_remote_rtp_address_received, info.audio_remote_rtp_port_received),
            ..ShownCall::default()
        }
    }

    /// How loud both are. Before anything flows, and when the call is over, nothing is loud.
    pub(super) fn levels(&self) -> Levels {
        let flows = |state| !matches!(state, State::Null | State::Terminating | State::Terminated);
        let Some(statistics) = self.statistics.as_ref().filter(|_| flows(self.state)) else { return Levels::default() };
        Levels {
            input: (statistics.received > 0).then_some(statistics.level_in),
            output: (statistics.sent > 0 && !self.muted).then_some(statistics.level_out),
        }
    }

    /// `00:01:02`.
    pub(super) fn timer(&self) -> String {
        self.lasts.map_or_else(String::new, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default of the statistics is 0 dBFS, as loud as can be.
    #[test]
    fn nothing_is_loud_before_anything_flows() {
        let mut call = ShownCall { state: State::Established, ..ShownCall::default() };
        assert_eq!(call.levels(), Levels::default());
        call.statistics = Some(AudioStatistics::default());
        assert_eq!(call.levels(), Levels::default());
        call.statistics = Some(AudioStatistics { received: 1, level_in: -20.0, ..AudioStatistics::default() });
        assert_eq!(call.levels(), Levels { input: Some(-20.0), output: None });
        call.state = State::Terminated;
        assert_eq!(call.levels(), Levels::default());
    }

    #[test]
    fn who_waits_says_where() {
        let shown = Shown::waiting(&[(Transport::Udp, "127.0.0.1:5060".parse().unwrap())]);
        assert_eq!(shown.listeners, [Clean::new("udp:127.0.0.1:5060")]);
    }
}
