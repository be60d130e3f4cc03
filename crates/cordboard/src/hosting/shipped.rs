//! The shipped applications: which of them a configuration wants, what they are told, and in which order a request visits
//! them.
//!
//! ```text
//!   [[route]]s of the configuration
//!   registrar, options ─ echo, callback, chat-room, presence ─ prepaid, b2bua ─ forwarding, ring-group, messages ─ proxy
//!   (answer)             (answer)                              (the caller's)   (the callee's)             (where users are)
//! ```

use std::time::Duration;

use applications::domains::{Domains, KnownUsers};
use applications::options::OptionsSettings;
use applications::proxy::{self, ProxySettings};
use applications::registrar::{self, RegistrarSettings};
use applications::routes::ShippedRoutes;
use applications::{b2bua, callback, chat_room, echo, forwarding, messages, options, prepaid, presence, ring_group};
use container::Deployment;
use container::routing::Entry;
use container::routing::dar::Direction;
use container::security::{AllowedRoles, ConfiguredUsers, LoginConfig, SecurityConstraint};
use servlet::{Method, SipServletRequest};
use sip_message::Uri;

use super::CallRecords;
use crate::config::{Config, ConfigError, Relay};

/// The role that every `[[user]]` is in.
pub const USER_ROLE: &str = "user";

pub(super) struct Shipped {
    pub(super) deployments: Vec<Deployment>,
    /// In the order in which a request visits them.
    pub(super) entries: Vec<Entry>,
    pub(super) call_records: Option<CallRecords>,
}

/// What the configuration wants.
pub(super) fn shipped(config: &Config) -> Result<Shipped, ConfigError> {
    let domains = Domains::new(&config.domains);
    let users = match config.user.as_slice() {
        [] => KnownUsers::everybody(),
        users => KnownUsers::only(users.iter().map(|user| &user.name)),
    };
    let registrar = registrar_settings(config, &domains, &users);
    let options = options_settings(config, &domains);
    let mut routes = ShippedRoutes::new(registrar.clone(), options.clone());
    let mut deployments = vec![
        guarded(Deployment::new(registrar::application(registrar)), registrar_constraint(config), config),
        Deployment::new(options::application(options.clone())),
    ];
    let mut call_records = None;

    let wanted = &config.applications;
    if config.echo && wanted.echo.enabled {
        let settings = wanted.echo.settings(&domains);
        deployments.push(echo::application(settings.clone()).into());
        routes = routes.then("echo", move |request| echo::wants(&settings, request));
    }
    let section = &wanted.callback;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(callback::application(settings.clone()).into());
        routes = routes.then("callback", move |request| callback::wants(&settings, request));
    }
    let section = &wanted.chat_room;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(chat_room::application(settings.clone()).into());
        routes = routes.then(chat_room::NAME, move |request| chat_room::wants(&settings, request));
    }
    let section = &wanted.presence;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(presence::application(settings.clone()).into());
        routes = routes.then(presence::NAME, move |request| presence::wants(&settings, request));
    }
    let section = &wanted.prepaid;
    if section.enabled {
        let settings = section.settings();
        deployments.push(prepaid::application(settings.clone()).into());
        routes = routes.then("prepaid", move |request| prepaid::wants(&settings, request));
        call_records = section.cdr_file.as_ref().map(|file| CallRecords::new(file.clone()));
    }
    let section = &wanted.b2bua;
    if section.enabled {
        let settings = section.settings();
        deployments.push(b2bua::application(settings.clone()).into());
        if section.every_call {
            routes = routes.then("b2bua", move |request| b2bua::wants(&settings, request));
        }
    }
    let section = &wanted.forwarding;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(forwarding::application(settings.clone()).into());
        routes = routes.then("forwarding", move |request| forwarding::wants(&settings, request));
    }
    let section = &wanted.ring_group;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(ring_group::application(settings.clone()).into());
        routes = routes.then("ring-group", move |request| ring_group::wants(&settings, request));
    }
    let section = &wanted.messages;
    if section.enabled {
        let settings = section.settings(&domains);
        deployments.push(messages::application(settings.clone()).into());
        routes = routes.then(messages::NAME, move |request| messages::wants(&settings, request));
    }

    let proxy = proxy::application(proxy_settings(config, &domains, users, options));
    deployments.push(guarded(Deployment::new(proxy), proxy_constraint(config), config));
    let entries = routes.into_routes().into_iter().map(|(application, wants)| match application {
        proxy::NAME => Entry::new(application).direction(Direction::Inbound),
        _ => Entry::new(application).predicate(move |request| wants(request)),
    });
    let mut entries: Vec<Entry> = entries.collect();
    // What applications begin themselves is looked up when it is for a user of ours, and leaves otherwise; whom we relay
    // for is a question to those who ask from outside.
    entries.push(
        Entry::new(proxy::NAME)
            .direction(Direction::Outbound)
            .predicate(move |request| is_for_our_domains(&domains, request)),
    );
    Ok(Shipped { deployments, entries, call_records })
}

fn is_for_our_domains(domains: &Domains, request: &SipServletRequest) -> bool {
    match request.sip_request().uri() {
        Uri::Sip(uri) => domains.cover(request.as_message(), &uri),
        _ => false,
    }
}

fn registrar_settings(config: &Config, domains: &Domains, users: &KnownUsers) -> RegistrarSettings {
    let registrar = &config.registrar;
    RegistrarSettings {
        domains: domains.clone(),
        users: users.clone(),
        authenticate: config.registrar_authenticates(),
        min_expires: Duration::from_secs(registrar.min_expires.into()),
        max_expires: Duration::from_secs(registrar.max_expires.into()),
        default_expires: Duration::from_secs(registrar.default_expires.into()),
        retry_after: Duration::from_secs(config.container.retry_after_seconds),
        ..RegistrarSettings::default()
    }
}

fn options_settings(config: &Config, domains: &Domains) -> OptionsSettings {
    let mut settings = OptionsSettings { domains: domains.clone(), ..OptionsSettings::default() };
    if config.applications.presence.enabled {
        settings.served.extend([Method::Publish, Method::Subscribe]);
    } else if config.applications.chat_room.enabled {
        settings.served.extend([Method::Subscribe]);
    }
    settings
}

fn proxy_settings(config: &Config, domains: &Domains, users: KnownUsers, options: OptionsSettings) -> ProxySettings {
    let proxy = &config.proxy;
    ProxySettings {
        domains: domains.clone(),
        users,
        relay: match proxy.relay {
            Relay::None => proxy::Relay::None,
            Relay::Any => proxy::Relay::Any,
        },
        record_route: proxy.record_route,
        recurse: proxy.recurse,
        timer_c: Duration::from_secs(proxy.ring_seconds),
        options,
        ..ProxySettings::default()
    }
}

/// REGISTER wants credentials (RFC 3261 §10.3 step 3).
fn registrar_constraint(config: &Config) -> Option<SecurityConstraint> {
    config.registrar_authenticates().then(|| SecurityConstraint {
        methods: vec![Method::Register],
        roles: AllowedRoles::of_names([USER_ROLE]),
        ..SecurityConstraint::default()
    })
}

/// Who says to be a user of ours proves it when he begins something (RFC 3261 §16.3 step 6, §22.3).
fn proxy_constraint(config: &Config) -> Option<SecurityConstraint> {
    config.proxy.authenticate.then(|| SecurityConstraint {
        servlets: vec![proxy::MEMBERS.into()],
        proxy_authentication: true,
        roles: AllowedRoles::of_names([USER_ROLE]),
        ..SecurityConstraint::default()
    })
}

/// The application behind a constraint. Its users are known in any case, for what a descriptor may ask of them.
fn guarded(deployment: Deployment, constraint: Option<SecurityConstraint>, config: &Config) -> Deployment {
    let Some(constraint) = constraint else { return deployment };
    let mut users = ConfiguredUsers::new();
    for user in &config.user {
        let roles: Vec<&str> = user.roles.iter().map(String::as_str).chain([USER_ROLE]).collect();
        users = users.with(user.name.as_str(), user.secret(), &roles);
    }
    let realm = config.domains.first().map_or("localhost", String::as_str);
    deployment.constraint(constraint).login(LoginConfig::digest(realm)).users(users)
}
