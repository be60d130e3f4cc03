//! What the application asks of accounts: the client's methods for them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip_endpoint::Endpoint;
use sip_message::Transport;

use super::{Account, AccountId, Announcement, Neighbour};
use crate::client::Client;
use crate::error::ClientError;
use crate::session::Route;
use crate::settings::AccountSettings;

impl Client {
    /// Adds an account. If it is enabled it begins to register, where its settings say so, and to follow its mailbox.
    pub fn add_account(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        settings: AccountSettings,
    ) -> Result<AccountId, ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.add(desk, settings))
    }

    /// Gives an account other settings. Its address stays, except that the account without a server may have another user.
    pub fn update_account(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        settings: AccountSettings,
    ) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.update(desk, id, settings))
    }

    /// Removes an account, which takes its leave of its registrar.
    pub fn remove_account(&mut self, now: Instant, endpoint: &mut Endpoint, id: AccountId) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.remove(desk, id))
    }

    /// Uses an account, or uses it no longer.
    pub fn set_account_enabled(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        enabled: bool,
    ) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.set_enabled(desk, id, enabled))
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts().account(id)
    }

    /// What is set for an account.
    pub fn account_settings(&self, id: AccountId) -> Option<&AccountSettings> {
        self.account(id).map(Account::settings)
    }

    /// The account that is used when none is named.
    pub fn default_account(&self) -> &Account {
        self.accounts().default_account()
    }

    /// Chooses the account that is used when none is named.
    pub fn set_default_account(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
    ) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, _| accounts.set_default(id))
    }

    /// Registers an account now, whatever its settings say; one that is registered is refreshed.
    pub fn register(&mut self, now: Instant, endpoint: &mut Endpoint, id: AccountId) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.register(desk, id))
    }

    /// Takes an account's registration back. `SIPAccountRegistrationDidEnd` follows, if there was one.
    pub fn unregister(&mut self, now: Instant, endpoint: &mut Endpoint, id: AccountId) -> Result<(), ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.unregister(desk, id))
    }

    /// Sends a MESSAGE outside of dialogs; gives its id. Exactly one of `SIPAccountDidDeliverMessage` and
    /// `SIPAccountDidNotDeliverMessage` follows. `to`: an address, which the account's domain completes.
    #[expect(clippy::too_many_arguments, reason = "time and endpoint come with every method")]
    pub fn send_account_message(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        to: &str,
        content_type: &str,
        content: Bytes,
        routes: Vec<Route>,
    ) -> Result<Arc<str>, ClientError> {
        let content = (content_type, content);
        self.with_accounts(now, endpoint, |accounts, desk| accounts.send_message(desk, id, to, content, &routes))
    }

    /// Sends an OPTIONS; gives its id. `SIPAccountGotOptionsResponse` follows.
    pub fn options(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: AccountId,
        to: &str,
        routes: Vec<Route>,
    ) -> Result<Arc<str>, ClientError> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.options(desk, id, to, &routes))
    }

    /// The network is another: every account registers and subscribes anew.
    pub fn network_changed(&mut self, now: Instant, endpoint: &mut Endpoint) {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.network_changed(desk));
    }

    /// The neighbourhood has a service of this full name.
    pub fn neighbour_found(&mut self, now: Instant, endpoint: &mut Endpoint, service: &str, neighbour: Neighbour) {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.neighbour_found(desk, service, neighbour));
    }

    /// The neighbourhood has it no longer.
    pub fn neighbour_lost(&mut self, now: Instant, endpoint: &mut Endpoint, service: &str) {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.neighbour_lost(desk, service));
    }

    /// What is to be announced of us in the neighbourhood, for one of our transports.
    pub fn announcement(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        transport: Transport,
    ) -> Option<Announcement> {
        self.with_accounts(now, endpoint, |accounts, desk| accounts.announcement(desk, transport))
    }
}
