//! `[applications.NAME]`: the shipped applications. Each of them runs unless its section says `enabled = false`; those that
//! need to be told whom they are for have nothing to do until they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use applications::domains::Domains;
use applications::{b2bua, callback, chat_room, echo, forwarding, messages, prepaid, presence, ring_group};
use serde::Deserialize;
use servlet::{Minutes, SipUri};

use super::ConfigError;

/// `[applications]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApplicationsConfig {
    /// Answers and sends back what it hears; switched off by the key `echo` as well.
    pub echo: EchoConfig,
    /// Calls whose caller pays in advance.
    pub prepaid: PrepaidConfig,
    /// A back-to-back user agent: for every call, or for those that a `[[route]]` sends to it.
    pub b2bua: B2buaConfig,
    /// Calls that go elsewhere: always, when busy, when nobody answers.
    pub forwarding: ForwardingConfig,
    /// Calls that ring at several phones.
    pub ring_group: RingGroupConfig,
    /// Calls that the server places for whoever asks.
    pub callback: CallbackConfig,
    /// The presence server.
    pub presence: PresenceConfig,
    /// Text messages that wait for their recipient.
    pub messages: MessagesConfig,
    /// Chat rooms.
    pub chat_room: ChatRoomConfig,
}

/// `[applications.echo]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EchoConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Who is called.
    pub user: String,
}

/// `[applications.prepaid]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PrepaidConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// The callers who pay in advance, and the seconds that they have.
    pub balances: BTreeMap<String, u64>,
    /// What every answered call costs at least, in seconds.
    pub first_seconds: u64,
    /// The steps in which the rest is counted, in seconds.
    pub step_seconds: u64,
    /// Where calls go first, if not where they say.
    pub next_hop: Option<NextHop>,
    /// The file that a line of JSON is added to for every call.
    pub cdr_file: Option<PathBuf>,
}

/// `[applications.b2bua]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct B2buaConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Whether every call goes through it; else those that a `[[route]]` sends to it.
    pub every_call: bool,
    /// Where calls go first, if not where they say.
    pub next_hop: Option<NextHop>,
    /// A call in which nothing was sent for so many minutes is ended.
    pub longest_silence_minutes: u32,
}

/// `[applications.forwarding]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForwardingConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// By the user who is called.
    pub users: BTreeMap<String, ForwardingRules>,
}

/// Where the calls of one user go: URIs, or users of the same domain.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForwardingRules {
    /// Always.
    pub always: Option<String>,
    /// When the user is busy.
    pub busy: Option<String>,
    /// When the user does not answer.
    pub no_answer: Option<String>,
    /// How long an answer is waited for.
    pub no_answer_seconds: u64,
}

/// `[applications.ring-group]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RingGroupConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// By the user who is called.
    pub groups: BTreeMap<String, GroupConfig>,
}

/// One group.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupConfig {
    /// URIs, or users of the domain that is called; in the order in which they ring.
    pub members: Vec<String>,
    /// How they ring.
    pub order: RingOrder,
    /// How long each rings, in turn.
    pub ring_seconds: u64,
    /// Whether we stay in the path of the call.
    pub record_route: bool,
}

/// How the members of a group ring.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum RingOrder {
    /// All at once.
    #[default]
    AtOnce,
    /// One after the other.
    InTurn,
}

/// `[applications.callback]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CallbackConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// The user that is asked.
    pub user: String,
}

/// `[applications.presence]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PresenceConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// How many watchers one user may have.
    pub max_watchers: usize,
    /// How many users each shard serves.
    pub max_presentities: usize,
    /// Watchers are told of changes this often at most, in seconds.
    pub notify_seconds: u64,
}

/// `[applications.messages]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MessagesConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// The longest that a message waits, in seconds.
    pub longest_wait_seconds: u64,
    /// How many wait for one recipient.
    pub max_messages: usize,
    /// The longest body that is stored, in octets.
    pub max_octets: usize,
}

/// `[applications.chat-room]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChatRoomConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// The user that is a room; with a hyphen and a name behind it, another one.
    pub user: String,
    /// How many rooms each shard has.
    pub max_rooms: usize,
    /// How many calls a room takes.
    pub max_participants: usize,
    /// Whether participants may have nicknames.
    pub nicknames: bool,
    /// Whether participants may write to one alone.
    pub private_messages: bool,
    /// How many messages those hear who come later.
    pub history: usize,
    /// The longest message, in octets.
    pub max_octets: usize,
    /// Subscribers are told of changes this often at most, in seconds.
    pub notify_seconds: u64,
    /// The first port that MSRP is listened at; 0: any.
    pub first_port: u16,
    /// The last one.
    pub last_port: u16,
}

/// A SIP URI that calls are sent to.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub struct NextHop(pub SipUri);

impl Default for EchoConfig {
    fn default() -> EchoConfig {
        EchoConfig { enabled: true, user: echo::Settings::default().user }
    }
}

impl Default for PrepaidConfig {
    fn default() -> PrepaidConfig {
        let tariff = prepaid::Tariff::default();
        PrepaidConfig {
            enabled: true,
            balances: BTreeMap::new(),
            first_seconds: tariff.first.as_secs(),
            step_seconds: tariff.then.as_secs(),
            next_hop: None,
            cdr_file: None,
        }
    }
}

impl Default for B2buaConfig {
    fn default() -> B2buaConfig {
        let Minutes(longest_silence_minutes) = b2bua::Settings::default().longest_silence;
        B2buaConfig { enabled: true, every_call: false, next_hop: None, longest_silence_minutes }
    }
}

impl Default for ForwardingConfig {
    fn default() -> ForwardingConfig {
        ForwardingConfig { enabled: true, users: BTreeMap::new() }
    }
}

impl Default for ForwardingRules {
    fn default() -> ForwardingRules {
        ForwardingRules { always: None, busy: None, no_answer: None, no_answer_seconds: 20 }
    }
}

impl Default for RingGroupConfig {
    fn default() -> RingGroupConfig {
        RingGroupConfig { enabled: true, groups: BTreeMap::new() }
    }
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig { members: Vec::new(), order: RingOrder::AtOnce, ring_seconds: 15, record_route: false }
    }
}

impl Default for CallbackConfig {
    fn default() -> CallbackConfig {
        CallbackConfig { enabled: true, user: callback::Settings::default().user }
    }
}

impl Default for PresenceConfig {
    fn default() -> PresenceConfig {
        let settings = presence::Settings::new(Domains::default());
        PresenceConfig {
            enabled: true,
            max_watchers: settings.max_watchers,
            max_presentities: settings.max_presentities,
            notify_seconds: settings.notify_interval.as_secs(),
        }
    }
}

impl Default for MessagesConfig {
    fn default() -> MessagesConfig {
        let settings = messages::Settings::new(Domains::default());
        MessagesConfig {
            enabled: true,
            longest_wait_seconds: settings.longest_wait.as_secs(),
            max_messages: settings.limits.messages,
            max_octets: settings.max_octets,
        }
    }
}

impl Default for ChatRoomConfig {
    fn default() -> ChatRoomConfig {
        let settings = chat_room::Settings::default();
        ChatRoomConfig {
            enabled: true,
            user: settings.user,
            max_rooms: settings.max_rooms,
            max_participants: settings.policy.max_participants,
            nicknames: settings.policy.nicknames,
            private_messages: settings.policy.private_messages,
            history: settings.policy.history,
            max_octets: settings.max_message,
            notify_seconds: settings.notify_interval.as_secs(),
            first_port: 0,
            last_port: 0,
        }
    }
}

impl EchoConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> echo::Settings {
        echo::Settings { user: self.user.clone(), domains: domains.clone() }
    }
}

impl PrepaidConfig {
    pub(crate) fn settings(&self) -> prepaid::Settings {
        let tariff = prepaid::Tariff { first: seconds(self.first_seconds), then: seconds(self.step_seconds) };
        prepaid::Settings { balances: self.balances.clone(), tariff, next_hop: next_hop(self.next_hop.as_ref()) }
    }
}

impl B2buaConfig {
    pub(crate) fn settings(&self) -> b2bua::Settings {
        let longest_silence = Minutes(self.longest_silence_minutes);
        b2bua::Settings { next_hop: next_hop(self.next_hop.as_ref()), longest_silence }
    }
}

impl ForwardingConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> forwarding::Settings {
        let users = self.users.iter().map(|(user, rules)| (user.clone(), rules.rules())).collect();
        forwarding::Settings { users, domains: domains.clone() }
    }
}

impl ForwardingRules {
    fn rules(&self) -> forwarding::Rules {
        let no_answer = self.no_answer.clone().map(|to| (to, seconds(self.no_answer_seconds)));
        forwarding::Rules { always: self.always.clone(), busy: self.busy.clone(), no_answer }
    }
}

impl RingGroupConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> ring_group::Settings {
        let groups = self.groups.iter().map(|(user, group)| (user.clone(), group.group())).collect();
        ring_group::Settings { groups, domains: domains.clone() }
    }
}

impl GroupConfig {
    fn group(&self) -> ring_group::Group {
        let order = match self.order {
            RingOrder::AtOnce => ring_group::Order::AtOnce,
            RingOrder::InTurn => ring_group::Order::InTurn(seconds(self.ring_seconds)),
        };
        ring_group::Group { members: self.members.clone(), order, record_route: self.record_route }
    }
}

impl CallbackConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> callback::Settings {
        callback::Settings { user: self.user.clone(), domains: domains.clone() }
    }
}

impl PresenceConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> presence::Settings {
        presence::Settings {
            max_watchers: self.max_watchers,
            max_presentities: self.max_presentities,
            notify_interval: seconds(self.notify_seconds),
            ..presence::Settings::new(domains.clone())
        }
    }
}

impl MessagesConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> messages::Settings {
        let mut settings = messages::Settings::new(domains.clone());
        settings.longest_wait = seconds(self.longest_wait_seconds);
        settings.limits.messages = self.max_messages;
        settings.limits.messages_of_one_sender = settings.limits.messages_of_one_sender.min(self.max_messages);
        settings.max_octets = self.max_octets;
        settings
    }
}

impl ChatRoomConfig {
    pub(crate) fn settings(&self, domains: &Domains) -> chat_room::Settings {
        let mut settings = chat_room::Settings { domains: domains.clone(), ..chat_room::Settings::default() };
        settings.user.clone_from(&self.user);
        settings.max_rooms = self.max_rooms;
        settings.max_message = self.max_octets;
        settings.notify_interval = seconds(self.notify_seconds);
        settings.policy.max_participants = self.max_participants;
        settings.policy.nicknames = self.nicknames;
        settings.policy.private_messages = self.private_messages;
        settings.policy.history = self.history;
        // One long message is no reason to forget all others.
        settings.policy.history_octets = settings.policy.history_octets.max(2 * self.max_octets);
        settings
    }
}

impl ApplicationsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let groups = &self.ring_group.groups;
        for (name, group) in groups {
            if group.members.is_empty() {
                return Err(ConfigError::new(format!("group `{name}` in [applications.ring-group] has no `members`")));
            }
        }
        let rooms = &self.chat_room;
        if rooms.first_port > rooms.last_port {
            return Err(ConfigError::new("`first-port` in [applications.chat-room] is above `last-port`"));
        }
        let users = &self.forwarding.users;
        for (name, rules) in users {
            if rules.always.is_none() && rules.busy.is_none() && rules.no_answer.is_none() {
                let keys = "`always`, `busy` or `no-answer`";
                return Err(ConfigError::new(format!("user `{name}` in [applications.forwarding] needs {keys}")));
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for NextHop {
    type Error = String;

    fn try_from(text: String) -> Result<NextHop, String> {
        SipUri::parse(&text).map(NextHop).map_err(|_| format!("`{text}` is no SIP URI, such as sip:192.0.2.1:5080"))
    }
}

fn next_hop(setting: Option<&NextHop>) -> Option<SipUri> {
    setting.map(|NextHop(uri)| uri.clone())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
