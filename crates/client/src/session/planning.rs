//! What a stream is made by: the general settings, those of the account, and the peer's offer.

use std::sync::Arc;

use sdp::SessionDescription;

use super::core::Session;
use super::work::Work;
use crate::account::Account;
use crate::media::{AudioPlan, ChatPlan, ChatPurpose, ChatRelay};
use crate::streams::StreamKind;

/// What a stream is made by.
#[derive(Clone)]
pub(crate) enum Plan {
    Audio(AudioPlan),
    Msrp(ChatPlan),
}

/// The peer's description and the index of the m-line in it that a stream is for.
type Offered = Option<(Arc<SessionDescription>, usize)>;

impl Plan {
    pub(super) fn offer(&self) -> &Offered {
        match self {
            Plan::Audio(plan) => &plan.offer,
            Plan::Msrp(plan) => &plan.offer,
        }
    }
}

impl Session {
    pub(super) fn plan(&self, work: &Work<'_>, kind: StreamKind, offer: Offered) -> Plan {
        match kind {
            StreamKind::Audio => Plan::Audio(self.plan_audio(work, offer)),
            StreamKind::Chat => Plan::Msrp(self.plan_msrp(work, offer, ChatPurpose::Chat)),
            StreamKind::File => Plan::Msrp(self.plan_msrp(work, offer, self.purpose_of_file(work))),
        }
    }

    pub(super) fn plan_audio(&self, work: &Work<'_>, offer: Offered) -> AudioPlan {
        let account = work.accounts.account(self.account).map(|account| account.settings().clone()).unwrap_or_default();
        let mut audio = work.settings.audio.clone();
        if let Some(codecs) = account.rtp.codecs {
            audio.codecs = codecs;
        }
        let (encryption, nat) = (account.rtp.encryption, account.nat_traversal);
        AudioPlan { audio, encryption, nat, local: self.local_address, offer }
    }

    fn plan_msrp(&self, work: &Work<'_>, offer: Offered, purpose: ChatPurpose) -> ChatPlan {
        let account = work.accounts.account(self.account);
        let mut chat = work.settings.chat.clone();
        if let Some(transport) = account.and_then(|account| account.settings().msrp.transport) {
            chat.transport = transport;
        }
        let relay = account.and_then(|account| relay_of(account, offer.is_some()));
        let file_transfer = work.settings.file_transfer.clone();
        ChatPlan { chat, file_transfer, relay, local: self.local_address, offer, purpose }
    }
}

/// The relay that an account's streams go through in this direction.
fn relay_of(account: &Account, inbound: bool) -> Option<ChatRelay> {
    let settings = account.settings();
    let used = if inbound { settings.msrp.use_relay_for_inbound } else { settings.msrp.use_relay_for_outbound };
    let address = settings.msrp.relay.as_deref().filter(|relay| used && !relay.trim().is_empty())?;
    let mut auth = settings.auth.clone();
    auth.username.get_or_insert_with(|| account.name().split('@').next().unwrap_or_default().to_owned());
    Some(ChatRelay { address: address.into(), auth })
}
