//! All accounts of an engine: which of them is meant, how they come, change and go. What they send is in `outgoing.rs`, what
//! they are told in `dispatch.rs`.

use std::collections::BTreeMap;

use sip_message::{Transport, Uri, UriBuf};

use super::AccountId;
use super::account::{Account, BONJOUR_DOMAIN, BONJOUR_ID};
use super::bonjour::{self, Announcement, BonjourAccount, Neighbour};
use super::exchange::Exchange;
use super::message::Remembered;
use super::registration::{News, Registration};
use super::sending::{Bench, Common, Owners};
use super::watch::{Watch, What};
use crate::desk::Desk;
use crate::error::ClientError;
use crate::settings::{AccountSettings, AccountSipSettings, AuthSettings, MessageSummarySettings, Settings};

/// All accounts of an engine.
#[derive(Debug)]
pub struct AccountManager {
    pub(super) common: Common,
    pub(super) entries: BTreeMap<AccountId, Entry>,
    last_account: u32,
    default: Option<AccountId>,
    /// The default account by its address, as the settings say it.
    default_name: Option<Box<str>>,
    pub(super) owners: Owners,
    pub(super) exchanges: BTreeMap<u32, Exchange>,
    pub(super) watches: BTreeMap<u32, Watch>,
    /// The number of the last exchange or watch.
    last_number: u32,
    pub(super) bonjour: BonjourAccount,
    pub(super) remembered: Remembered,
}

/// An account with what goes on at its registrar.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) account: Account,
    pub(super) registration: Option<Registration>,
    /// It takes its leave, and is not to be found any more.
    removed: bool,
}

impl AccountManager {
    /// The account without a server, and no other. `instance`: the engine's `urn:uuid:…`.
    pub(crate) fn new(settings: &Settings, instance: &str) -> AccountManager {
        let product = concat!("Cordboard/", env!("CARGO_PKG_VERSION"));
        let settings_of_bonjour = AccountSettings { id: BONJOUR_ID.into(), ..AccountSettings::default() };
        let bonjour = Account::new(AccountId::BONJOUR, serverless(settings_of_bonjour), "");
        let bonjour = bonjour.expect("the defaults are right, and so is its address");
        let entry = Entry { account: bonjour, registration: None, removed: false };
        AccountManager {
            common: Common {
                user_agent: settings.user_agent.as_deref().unwrap_or(product).into(),
                instance: instance.into(),
            },
            entries: BTreeMap::from([(AccountId::BONJOUR, entry)]),
            last_account: 0,
            default: None,
            default_name: settings.default_account.as_deref().map(Box::from),
            owners: Owners::new(),
            exchanges: BTreeMap::new(),
            watches: BTreeMap::new(),
            last_number: 0,
            bonjour: BonjourAccount::default(),
            remembered: Remembered::default(),
        }
    }

    // ---- which account is meant -------------------------------------------------------------------------------------

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.entries.get(&id).filter(|entry| !entry.removed).map(|entry| &entry.account)
    }

    /// All accounts, in the order in which they were added; the one without a server last.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        let (bonjour, others): (Vec<_>, Vec<_>) =
            self.entries.values().filter(|entry| !entry.removed).partition(|entry| entry.account.is_bonjour());
        others.into_iter().chain(bonjour).map(|entry| &entry.account)
    }

    /// The account that a Request-URI means: by the user of its Contact, then by user and domain, then by the user alone.
    /// Of several that fit as well the default one, else the first. While there is no account with a server, the one
    /// without takes what comes: whoever has found us means us.
    pub fn find_account(&self, uri: &Uri<'_>) -> Option<&Account> {
        let default = self.default_account().id();
        let fitting = self.iter().filter(|account| account.is_enabled());
        let fitting = fitting.filter_map(|account| Some((account.fits(uri)?, account.id() != default, account)));
        let best = fitting.min_by_key(|(fit, is_other, _)| (*fit, *is_other)).map(|(.., account)| account);
        let is_alone = || !self.iter().any(|account| account.is_enabled() && !account.is_bonjour());
        best.or_else(|| self.account(AccountId::BONJOUR).filter(|account| account.is_enabled() && is_alone()))
    }

    /// The account that is used when none is named: the one that was chosen, that of the settings, or the first that is
    /// enabled. The one without a server is the last.
    pub fn default_account(&self) -> &Account {
        let enabled = || self.iter().filter(|account| account.is_enabled());
        let chosen = self.default.and_then(|id| enabled().find(|account| account.id() == id));
        let named = self.default_name.as_deref();
        let set = || enabled().find(|account| named == Some(account.name()));
        let bonjour = || self.account(AccountId::BONJOUR).expect("the account without a server is always there");
        chosen.or_else(set).or_else(|| enabled().next()).unwrap_or_else(bonjour)
    }

    /// Chooses the default account.
    pub fn set_default(&mut self, id: AccountId) -> Result<(), ClientError> {
        self.account(id).ok_or(ClientError::NoSuchAccount)?;
        self.default = Some(id);
        Ok(())
    }

    /// Whether the registrar has a binding of an account's that lasts.
    pub fn is_registered(&self, id: AccountId, now: std::time::Instant) -> bool {
        let registration = self.entries.get(&id).and_then(|entry| entry.registration.as_ref());
        registration.is_some_and(|registration| registration.is_registered(now))
    }

    /// Who is in the neighbourhood of the account without a server.
    pub fn bonjour(&self) -> &BonjourAccount {
        &self.bonjour
    }

    /// What we call ourselves.
    pub(crate) fn user_agent(&self) -> &str {
        &self.common.user_agent
    }

    pub(crate) fn find(&self, uri: &Uri<'_>) -> Option<AccountId> {
        self.find_account(uri).map(Account::id)
    }

    /// The URI that somebody means.
    pub(crate) fn target(&self, id: AccountId, text: &str) -> Result<UriBuf, ClientError> {
        self.account(id).ok_or(ClientError::NoSuchAccount)?.complete(text)
    }

    // ---- accounts come and go ---------------------------------------------------------------------------------------

    /// Adds an account. If it is enabled it begins to register, where its settings say so.
    pub(crate) fn add(&mut self, desk: &mut Desk<'_>, settings: AccountSettings) -> Result<AccountId, ClientError> {
        let id = AccountId(self.last_account + 1);
        let account = Account::new(id, settings, &contact_user(desk))?;
        if self.iter().any(|known| known.address().as_uri().equivalent(&account.address().as_uri())) {
            return Err(ClientError::AccountExists(account.name().into()));
        }
        self.last_account = id.0;
        self.entries.insert(id, Entry { account, registration: None, removed: false });
        self.start(desk, id);
        Ok(id)
    }

    /// Gives an account other settings; its address stays, except that the account without a server may have another
    /// user. What has to be known by the registrar is told to it.
    pub(crate) fn update(
        &mut self,
        desk: &mut Desk<'_>,
        id: AccountId,
        settings: AccountSettings,
    ) -> Result<(), ClientError> {
        let settings = if id == AccountId::BONJOUR { serverless(settings) } else { settings };
        let entry = self.entries.get_mut(&id).filter(|entry| !entry.removed).ok_or(ClientError::NoSuchAccount)?;
        let changed = entry.account.update(settings)?;
        let enabled = entry.account.settings.enabled;
        let was_enabled = std::mem::replace(&mut entry.account.enabled, enabled);
        match (was_enabled, enabled) {
            (false, true) => self.start(desk, id),
            (true, false) => self.stop(desk, id),
            (true, true) if changed => self.restart(desk, id),
            _ => {}
        }
        Ok(())
    }

    /// Removes an account, which takes its leave of its registrar.
    pub(crate) fn remove(&mut self, desk: &mut Desk<'_>, id: AccountId) -> Result<(), ClientError> {
        // The one without a server can be disabled, but is always there.
        self.account(id).filter(|account| !account.is_bonjour()).ok_or(ClientError::NoSuchAccount)?;
        self.stop(desk, id);
        let given_up = self.exchanges.extract_if(.., |_, exchange| exchange.account == id);
        let mut given_up: Vec<Exchange> = given_up.map(|(_, exchange)| exchange).collect();
        let (mut bench, _) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        for exchange in &mut given_up {
            exchange.give_up(&mut bench);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.removed = true;
        }
        self.sweep();
        Ok(())
    }

    /// Uses an account, or uses it no longer.
    pub(crate) fn set_enabled(&mut self, desk: &mut Desk<'_>, id: AccountId, enabled: bool) -> Result<(), ClientError> {
        let entry = self.entries.get_mut(&id).filter(|entry| !entry.removed).ok_or(ClientError::NoSuchAccount)?;
        if std::mem::replace(&mut entry.account.enabled, enabled) == enabled {
            return Ok(());
        }
        if enabled {
            self.start(desk, id)
        } else {
            self.stop(desk, id)
        }
        Ok(())
    }

    /// Registers now, whatever the settings say.
    pub(crate) fn register(&mut self, desk: &mut Desk<'_>, id: AccountId) -> Result<(), ClientError> {
        let (mut bench, entries) = bench(desk, &mut self.owners, &self.common, &mut self.entries);
        let entry = entries.get_mut(&id).filter(|entry| !entry.removed).ok_or(ClientError::NoSuchAccount)?;
        if entry.account.is_bonjour() || !entry.account.is_enabled() {
            return Err(ClientError::NoSuchAccount);
        }
        let Entry { account, registration, .. } = entry;
        let registration = registration.get_or_insert_with(|| Registration::new(&mut bench, account));
        registration.register(&mut bench, account);
        Ok(())
    }

    /// Takes the registration back.
    pub(crate) fn unregister(&mut self, desk: &mut Desk<'_>, id: AccountId) -> Result<(), ClientError> {
        self.account(id).ok_or(ClientError::NoSuchAccount)?;
        self.in_registration(desk, id, Registration::unregister);
        Ok(())
    }

    fn start(&mut self, desk: &mut Desk<'_>, id: AccountId) {
        let Some(account) = self.account(id).filter(|account| account.is_enabled()) else { return };
        if account.settings.sip.register {
            // The account is there and enabled.
            let _ = self.register(desk, id);
        } else {
            self.watch_summary(desk, id);
        }
    }

    /// Signalling is set otherwise: it begins anew.
    fn restart(&mut self, desk: &mut Desk<'_>, id: AccountId) {
        let Some(account) = self.account(id) else { return };
        let (registers, follows) = (account.settings.sip.register, account.settings.message_summary.enabled);
        if !follows {
            self.end_watches(desk, |watch| watch.account == id && matches!(watch.what, What::Summary));
        }
        self.in_registration(desk, id, |registration, bench, account| {
            registration.settings_changed(account);
            if registers { News::Nothing } else { registration.unregister(bench, account) }
        });
        self.start(desk, id);
    }

    pub(super) fn stop(&mut self, desk: &mut Desk<'_>, id: AccountId) {
        if id == AccountId::BONJOUR {
            self.bonjour.clear(desk);
        }
        self.end_watches(desk, |watch| watch.account == id);
        self.in_registration(desk, id, Registration::unregister);
    }

    // ---- the neighbourhood ------------------------------------------------------------------------------------------

    /// A service of the neighbourhood was found, or says something else of itself now.
    pub(crate) fn neighbour_found(&mut self, desk: &mut Desk<'_>, service: &str, neighbour: Neighbour) {
        if let Some(entry) = self.entries.get(&AccountId::BONJOUR).filter(|entry| entry.account.is_enabled()) {
            self.bonjour.found(desk, &entry.account, service, neighbour);
        }
    }

    /// A service of the neighbourhood is there no longer.
    pub(crate) fn neighbour_lost(&mut self, desk: &mut Desk<'_>, service: &str) {
        self.bonjour.lost(desk, service);
    }

    /// What is announced of us in the neighbourhood.
    pub(crate) fn announcement(&self, desk: &Desk<'_>, transport: Transport) -> Option<Announcement> {
        let account = self.account(AccountId::BONJOUR).filter(|account| account.is_enabled())?;
        bonjour::announcement(desk, account, transport, &self.common.instance)
    }

    // ---- the tables -----------------------------------------------------------------------------------------------

    /// Forgets removed accounts of which nothing goes on any more.
    pub(super) fn sweep(&mut self) {
        let AccountManager { entries, watches, .. } = self;
        entries.retain(|id, entry| {
            let rests = entry.registration.as_ref().is_none_or(Registration::is_idle);
            !entry.removed || !rests || watches.values().any(|watch| watch.account == *id)
        });
    }

    pub(super) fn ids(&self) -> Vec<AccountId> {
        self.entries.keys().copied().collect()
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }
}

/// The tools for a step, beside the accounts.
pub(super) fn bench<'a, 'd, 'e>(
    desk: &'a mut Desk<'d>,
    owners: &'a mut Owners,
    common: &'a Common,
    entries: &'e mut BTreeMap<AccountId, Entry>,
) -> (Bench<'a, 'd>, &'e mut BTreeMap<AccountId, Entry>) {
    (Bench { desk, owners, common }, entries)
}

/// What an account without a server can't have.
fn serverless(settings: AccountSettings) -> AccountSettings {
    let user = settings.id.split('@').next().filter(|user| !user.is_empty());
    let sip = AccountSipSettings {
        register: false,
        outbound_proxy: None,
        always_use_my_proxy: false,
        outbound: false,
        ..settings.sip
    };
    AccountSettings {
        id: user.map_or_else(|| BONJOUR_ID.into(), |user| format!("{user}@{BONJOUR_DOMAIN}")),
        auth: AuthSettings::default(),
        sip,
        message_summary: MessageSummarySettings::default(),
        ..settings
    }
}

/// A user for the Contacts of one account, that nobody guesses and no other account has: eight letters and digits.
fn contact_user(desk: &mut Desk<'_>) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let random = desk.endpoint.random();
    let letter = |at: u32| char::from(LETTERS[(random >> (5 * at)) as usize & 31]);
    // The first is a letter: some take a user of digits for a telephone number.
    let first = char::from(b'a' + (random >> 40) as u8 % 26);
    std::iter::once(first).chain((0..7).map(letter)).collect()
}
