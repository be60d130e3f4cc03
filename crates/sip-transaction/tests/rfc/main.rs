//! The transaction machines, section by section, in virtual time.

mod harness;
mod rfc3261_s17_1_1_invite_client;
mod rfc3261_s17_1_2_non_invite_client;
mod rfc3261_s17_1_3_matching;
mod rfc3261_s17_2_1_invite_server;
mod rfc3261_s17_2_2_non_invite_server;
mod rfc3261_s17_2_3_matching;
mod rfc4320;
mod rfc6026;
mod scripts;
