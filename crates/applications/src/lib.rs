//! The applications that cordboard ships.

mod addressee;
mod answer;
pub mod b2bua;
pub mod callback;
pub mod cdr;
pub mod chat_room;
pub mod domains;
pub mod echo;
pub mod forwarding;
pub mod location;
mod mac;
pub mod messages;
mod missing;
pub mod options;
pub mod prepaid;
pub mod presence;
pub mod proxy;
pub mod registrar;
pub mod ring_group;
pub mod routes;
mod table;
#[cfg(test)]
mod testing;
pub mod two_legs;

pub use missing::MissingResource;
