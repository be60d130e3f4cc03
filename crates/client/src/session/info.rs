//! What is to be known of a session, as the reference's attributes have it.

use std::sync::Arc;

use sdp::ConnectionData;

use super::SessionInfo;
use super::core::Session;
use super::media_side::Stream;

impl Session {
    /// What is to be known of it now.
    pub(super) fn info(&self) -> SessionInfo {
        let audio = self.audio();
        let agreement = audio.and_then(Stream::agreement);
        let codec = agreement.and_then(|agreement| agreement.send.iter().find(|codec| !codec.is_auxiliary()));
        let line = audio.and_then(Stream::line);
        let destination = agreement.and_then(|agreement| agreement.destination.as_ref());
        let heard = audio.and_then(|audio| audio.heard_from);
        let encryption = audio.and_then(|audio| audio.encryption.clone());
        let proposed = match (&self.proposal, &self.invitation) {
            (Some(proposal), _) => proposal.streams,
            (None, Some(invitation)) => invitation.streams,
            (None, None) => Default::default(),
        };
        SessionInfo {
            id: self.id,
            state: self.state,
            account: self.account,
            direction: Some(self.direction),
            start_time: self.start_time,
            stop_time: self.stop_time,
            on_hold_by_local: self.on_hold_by_local,
            on_hold_by_remote: self.on_hold_by_remote,
            remote_user_agent: self.remote_user_agent.clone(),
            local_identity: self.local_identity.clone(),
            remote_identity: self.remote_identity.clone(),
            route: self.route.clone(),
            call_id: self.call_id.clone(),
            proposed_streams: proposed,
            streams: self.told_streams,
            audio_sample_rate: codec.map(rate_of),
            audio_codec: codec.map(|codec| codec.encoding.to_string().into()),
            audio_srtp_active: encryption.is_some(),
            audio_encryption: encryption,
            audio_local_rtp_address: line.map(|line| line.capability.address.unwrap_or(self.local_address)),
            audio_local_rtp_port: line.map(|line| line.capability.port),
            audio_remote_rtp_address_sdp: destination.map(|to| &to.connection).and_then(ConnectionData::ip),
            audio_remote_rtp_port_sdp: destination.map(|to| to.port),
            audio_remote_rtp_address_received: heard.map(|from| from.ip()),
            audio_remote_rtp_port_received: heard.map(|from| from.port()),
            audio_was_received: heard.is_some(),
            audio_recording_file_name: self.recording.as_ref().map(|recording| recording.file_name.clone()),
            muted: self.muted,
            remote_focus: self.remote_focus,
            file: self.file.as_ref().map(|file| Arc::clone(&file.description)),
        }
    }
}

/// G.722 samples at 16 kHz whatever its rtpmap says (RFC 3551 §4.5.2).
fn rate_of(codec: &sdp::Codec) -> u32 {
    if codec.is_named("G722") { 16_000 } else { codec.clock_rate }
}
