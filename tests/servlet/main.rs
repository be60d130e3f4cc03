//! The SIP Servlet model by chapter: each test's name is a rule of it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "these are tests")]

mod app_b2bua;
mod app_callback;
mod app_chat_room;
mod app_echo;
mod app_forwarding;
mod app_messages;
mod app_messaging;
mod app_prepaid;
mod app_presence;
mod app_ring_group;
mod app_support;
mod attributes;
mod b2bua;
mod b2bua_links;
mod concurrency;
mod deployment;
mod dialogs;
mod expiry;
mod factory;
mod forking;
mod forking_context;
mod hostile;
mod invalidation;
mod join_replaces;
mod keeper;
mod lifecycle;
mod names;
mod proxy_dialog;
mod proxy_hops;
mod proxy_search;
mod proxy_support;
mod random_applications;
mod reliable;
mod routing;
mod routing_chain;
mod routing_out;
mod routing_support;
mod security;
mod session_timers;
mod shards;
mod timers;
mod uac;
mod uas;
mod witness;

use servlet_world as world;
