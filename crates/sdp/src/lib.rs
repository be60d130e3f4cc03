//! Session descriptions (RFC 8866) and offer/answer as a machine (RFC 3264, RFC
//! 6337). No sockets, no clock, no random source: text in, text out.
//!
//! # The pieces
//!
//! ```text
//!   octets --SessionDescription::parse--> SessionDescription --to_string--> octets
//!                                            |         ^
//!                           Input::RemoteOffer        Output::SendAnswer, SendOffer
//!                           Input::RemoteAnswer        |
//!                                            v         |
//!   Capabilities --offer_in, answer_in-->  OfferAnswer  --agreement--> StreamAgreement
//!   (what we wish)                         (the machine)               (for the media)
//! ```
//!
//! - [`SessionDescription`] is the document as a value. All lines survive, attributes
//!   in their order; [`TypedAttribute`] gives those that we understand a type.
//! - [`Capabilities`] is what we are able and willing to do. It writes offers and
//!   answers.
//! - [`OfferAnswer`] is the machine, one per dialog. It lets through what may follow
//!   what, writes the version of our `o=` line, and keeps the [`Agreement`].
//! - [`carriage`] tells which SIP message carries an offer and which an answer.
//!
//! # The two enums
//!
//! The machine is learnt from what can happen and what to do about it.
//!
//! | [`Input`] | in state | [`Output`] |
//! | --- | --- | --- |
//! | `LocalOffer` | Idle | `SendOffer`, with the right version |
//! | `RemoteOffer` | Idle | `AnswerOffer`: answer or refuse it |
//! | `LocalAnswer` | RemoteOfferPending | `SendAnswer`; agreed |
//! | `RemoteAnswer` | LocalOfferPending | `ApplyAnswer`; agreed |
//! | `Rejected` | either pending | `RestoreAgreement` |
//! | `TransactionBegan`, `TransactionSucceeded` | any | `Nothing` |
//! | `RolledBack` | any | `RestoreAgreement`, or `Nothing` if nothing is to be undone |
//!
//! All else is a [`Violation`], which says who broke which [`Rule`], changes nothing,
//! and knows the status code to respond with: 491 for glare, 500 for an offer too
//! soon, 488 for one that cannot be.
//!
//! # A call
//!
//! ```
//! use sdp::{Capabilities, Codec, Direction, Input, OfferAnswer, Origin, Output, StreamCapability};
//!
//! let phone = |session_id, host: [u8; 4], codecs: &[Codec]| {
//!     Capabilities::new(Origin::new(session_id, host.into()), host.into())
//!         .with(StreamCapability::audio(49170, codecs))
//! };
//! let mut alice = phone(1, [192, 0, 2, 1], &[Codec::g722(), Codec::pcma()]);
//! let bob = phone(2, [192, 0, 2, 2], &[Codec::pcma(), Codec::pcmu()]);
//! let (mut at_alice, mut at_bob) = (OfferAnswer::new(), OfferAnswer::new());
//!
//! let mut exchange = |alice: &Capabilities| -> Result<Direction, sdp::Violation> {
//!     // Alice's INVITE …
//!     let offer = alice.offer_in(&at_alice);
//!     let Output::SendOffer(offer) = at_alice.handle(Input::LocalOffer(offer))? else {
//!         unreachable!("an offer is sent or refused")
//!     };
//!     // … and Bob's 200.
//!     at_bob.handle(Input::RemoteOffer(offer.clone()))?;
//!     let answer = bob.answer_in(&at_bob, &offer).expect("PCMA is common");
//!     let Output::SendAnswer(answer) = at_bob.handle(Input::LocalAnswer(answer))? else {
//!         unreachable!("an answer is sent or refused")
//!     };
//!     at_alice.handle(Input::RemoteAnswer(answer))?;
//!
//!     let agreed = at_alice.agreement().expect("offer and answer were exchanged");
//!     let audio = agreed.streams().remove(0);
//!     assert_eq!(audio.send, [Codec::pcma()]);
//!     Ok(audio.direction)
//! };
//!
//! assert_eq!(exchange(&alice)?, Direction::SendRecv);
//! alice.set_on_hold(true);
//! assert_eq!(exchange(&alice)?, Direction::SendOnly);
//! alice.set_on_hold(false);
//! assert_eq!(exchange(&alice)?, Direction::SendRecv);
//! # Ok::<(), sdp::Violation>(())
//! ```
//!
//! # What is left to others
//!
//! Making keys, ICE and RTP: the media layer. Retrying after glare and the messages
//! themselves: the dialog. BUNDLE (RFC 9143), capability negotiation (RFC 5939) and
//! preconditions (RFC 3312) are carried on as attributes but not negotiated.

mod attribute;
mod capabilities;
mod codec;
mod connection;
mod description;
mod error;
mod media;
mod offer_answer;
mod parse;
mod print;
mod text;

pub use attribute::{
    Attribute, AttributeError, Attributes, Candidate, CandidateType, Crypto, CryptoSuite, Direction, EndOfCandidates,
    Fingerprint, Fmtp, Group, IceLite, IceMismatch, IceOptions, IcePwd, IceUfrag, InlineKey, MasterKeyIdentifier,
    MaxPacketTime, Mid, PacketTime, RemoteCandidate, RemoteCandidates, Rtcp, RtcpMux, Rtpmap, Setup, TypedAttribute,
};
pub use capabilities::{Capabilities, DestinationPolicy, NotAcceptable, Security, StreamCapability, StreamRefusal};
pub use codec::{Codec, PayloadType};
pub use connection::{AddressClass, ConnectionData};
pub use description::{Bandwidth, Origin, SessionDescription, Timing, UnknownLine};
pub use error::{ParseError, ParseErrorKind};
pub use media::{MediaDescription, MediaType, Protocol};
pub use offer_answer::{
    Agreement, Destination, Input, OfferAnswer, Output, Protection, Revision, Rule, Side, State, StreamAgreement,
    Strictness, Violation, carriage,
};
pub use parse::Limits;
pub use text::{InvalidText, Text, Token};
