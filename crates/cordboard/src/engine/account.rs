//! Handles of accounts.

use std::sync::Arc;

use client::account::AccountId;
use client::session::Route;
use client::settings::AccountSettings;

use super::session::Session;
use super::{Engine, EngineError};

/// The accounts of an engine.
#[derive(Clone)]
pub struct AccountManager {
    engine: Engine,
}

impl AccountManager {
    pub(super) fn new(engine: Engine) -> AccountManager {
        AccountManager { engine }
    }

    /// Adds an account, which registers if its settings say so.
    pub async fn add(&self, settings: AccountSettings) -> Result<Account, EngineError> {
        let name: Arc<str> = settings.id.as_str().into();
        let id = self.engine.desk.ask(move |worker, now, endpoint| worker.client.add_account(now, endpoint, settings));
        Ok(self.engine.account(id.await??, name))
    }

    /// Unregisters an account and forgets it. Its sessions go on.
    pub async fn remove(&self, account: &Account) -> Result<(), EngineError> {
        let id = account.id;
        let removed =
            self.engine.desk.ask(move |worker, now, endpoint| worker.client.remove_account(now, endpoint, id));
        Ok(removed.await??)
    }

    /// All accounts, in the order in which they were added; that for calls without a server comes last.
    pub async fn accounts(&self) -> Result<Vec<Account>, EngineError> {
        let known = self.engine.desk.ask(|worker, _, _| {
            let accounts = worker.client.accounts();
            accounts.iter().map(|account| (account.id(), Arc::from(account.name()))).collect::<Vec<_>>()
        });
        Ok(known.await?.into_iter().map(|(id, name)| self.engine.account(id, name)).collect())
    }

    /// See [`Engine::default_account`].
    pub async fn default_account(&self) -> Result<Account, EngineError> {
        let (id, name) = self
            .engine
            .desk
            .ask(|worker, _, _| {
                let account = worker.client.default_account();
                (account.id(), Arc::from(account.name()))
            })
            .await?;
        Ok(self.engine.account(id, name))
    }

    /// The account with this address, or whose address begins with it.
    pub async fn find(&self, name: &str) -> Result<Option<Account>, EngineError> {
        let accounts = self.accounts().await?;
        let exact = accounts.iter().find(|account| &*account.name == name);
        Ok(exact.or_else(|| accounts.iter().find(|account| account.name.starts_with(name))).cloned())
    }
}

/// An account.
#[derive(Clone)]
pub struct Account {
    engine: Engine,
    id: AccountId,
    name: Arc<str>,
}

impl Account {
    pub(super) fn new(engine: Engine, id: AccountId, name: Arc<str>) -> Account {
        Account { engine, id, name }
    }

    /// Its number, which notifications name.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// Its address: `user@domain`, or `bonjour@local` for calls without a server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A session that has not begun.
    pub fn session(&self) -> Session {
        Session::of_account(self.engine.clone(), self.id)
    }

    /// Its settings.
    pub async fn settings(&self) -> Result<AccountSettings, EngineError> {
        let id = self.id;
        let known = self.engine.desk.ask(move |worker, _, _| worker.client.account_settings(id).cloned());
        known.await?.ok_or(EngineError::Client(client::ClientError::NoSuchAccount))
    }

    /// Takes other settings; the address stays.
    pub async fn set_settings(&self, settings: AccountSettings) -> Result<(), EngineError> {
        let id = self.id;
        let set = self
            .engine
            .desk
            .ask(move |worker, now, endpoint| worker.client.update_account(now, endpoint, id, settings));
        Ok(set.await??)
    }

    /// Registers now, also if the settings say that it does not.
    pub async fn register(&self) -> Result<(), EngineError> {
        let id = self.id;
        Ok(self.engine.desk.ask(move |worker, now, endpoint| worker.client.register(now, endpoint, id)).await??)
    }

    /// Takes the registration back.
    pub async fn unregister(&self) -> Result<(), EngineError> {
        let id = self.id;
        Ok(self.engine.desk.ask(move |worker, now, endpoint| worker.client.unregister(now, endpoint, id)).await??)
    }

    /// Sends a MESSAGE out of dialog and returns its id, which ends in exactly one of `SIPAccountDidDeliverMessage` and
    /// `SIPAccountDidNotDeliverMessage`.
    pub async fn send_message(&self, to: &str, content_type: &str, content: &str) -> Result<Arc<str>, EngineError> {
        self.send_message_by(to, content_type, content, Vec::new()).await
    }

    /// The same over these routes, tried in order.
    pub async fn send_message_by(
        &self,
        to: &str,
        content_type: &str,
        content: &str,
        routes: Vec<Route>,
    ) -> Result<Arc<str>, EngineError> {
        let (id, to, content_type) = (self.id, to.to_owned(), content_type.to_owned());
        let content = bytes::Bytes::from(content.to_owned());
        let sent = self.engine.desk.ask(move |worker, now, endpoint| {
            worker.client.send_account_message(now, endpoint, id, &to, &content_type, content, routes)
        });
        Ok(sent.await??)
    }

    /// Asks what is at an address (OPTIONS) and returns the request's id; `SIPAccountGotOptionsResponse` tells.
    pub async fn options(&self, uri: &str, routes: Vec<Route>) -> Result<Arc<str>, EngineError> {
        let (id, uri) = (self.id, uri.to_owned());
        let asked =
            self.engine.desk.ask(move |worker, now, endpoint| worker.client.options(now, endpoint, id, &uri, routes));
        Ok(asked.await??)
    }
}
