//! Typed headers, RFC 3261 §20 and its extensions: what a header's value says, and how a value is built.
//!
//! A typed header is a view that is made when somebody asks ([`crate::Headers::get`]); it can also be built, and prints
//! as one value. The table of all is [`TABLE`]: name, file, RFC. `ADD-A-HEADER.md` tells how to add one.
//! Which headers a message must have, and what they mean together, is for the layers above.

mod accept;
mod addresses;
mod answer_mode;
mod authenticate;
mod authentication_info;
mod authorization;
mod call_id;
mod call_info;
mod codings;
mod contact;
mod content_disposition;
mod content_type;
mod cseq;
mod date;
mod dialogs;
mod digest;
mod error;
mod etag;
mod event;
mod feature_preferences;
mod from_to;
mod geolocation;
mod history_info;
mod identity;
mod mime_version;
mod numbers;
mod option_tags;
mod p_headers;
mod priority;
mod privacy;
mod qvalue;
mod rack;
mod reason;
mod refer_sub;
mod request_disposition;
mod resource_priority;
mod retry_after;
mod routes;
mod security_agreement;
mod session_expires;
mod session_id;
mod shapes;
mod subscription_state;
mod text;
mod timestamp;
mod user_to_user;
mod via;
mod warning;

use std::fmt;

pub use accept::Accept;
pub use addresses::{
    PAssertedIdentity, PAssociatedUri, PCalledPartyId, PPreferredIdentity, ReferTo, ReferredBy, ReplyTo,
};
pub use answer_mode::{AnswerMode, PrivAnswerMode};
pub use authenticate::{ProxyAuthenticate, WwwAuthenticate};
pub use authentication_info::{AuthenticationInfo, ProxyAuthenticationInfo};
pub use authorization::{Authorization, ProxyAuthorization};
pub use call_id::{CallId, InReplyTo};
pub use call_info::{AlertInfo, CallInfo, ErrorInfo};
pub use codings::{AcceptEncoding, AcceptLanguage, ContentEncoding, ContentLanguage};
pub use contact::{Contact, ContactAddress};
pub use content_disposition::ContentDisposition;
pub use content_type::{ContentType, MediaType};
pub use cseq::Cseq;
pub use date::{CivilTime, Date};
pub use dialogs::{Join, Replaces, TargetDialog};
pub use digest::{AuthParam, Challenge, Credentials, DigestChallenge, DigestCredentials, DigestInfo, OtherScheme};
pub use error::HeaderError;
pub use etag::{SipEtag, SipIfMatch, SuppressIfMatch};
pub use event::{AllowEvents, Event};
pub use feature_preferences::{AcceptContact, FeatureCaps, RejectContact};
pub use from_to::{From, To};
pub use geolocation::{Geolocation, GeolocationRouting};
pub use history_info::HistoryInfo;
pub use identity::Identity;
pub use mime_version::MimeVersion;
pub use numbers::{ContentLength, Expires, FlowTimer, MaxBreadth, MaxForwards, MinExpires, Rseq};
pub use option_tags::{Allow, InfoPackage, ProxyRequire, RecvInfo, Require, Supported, Unsupported};
pub use p_headers::{PAccessNetworkInfo, PChargingFunctionAddresses, PChargingVector, PVisitedNetworkId};
pub use priority::Priority;
pub use privacy::Privacy;
pub use qvalue::QValue;
pub use rack::Rack;
pub use reason::Reason;
pub use refer_sub::ReferSub;
pub use request_disposition::RequestDisposition;
pub use resource_priority::{AcceptResourcePriority, ResourcePriority};
pub use retry_after::RetryAfter;
pub use routes::{Path, RecordRoute, Route, ServiceRoute};
pub use security_agreement::{SecurityClient, SecurityServer, SecurityVerify};
pub use session_expires::{MinSe, Refresher, SessionExpires};
pub use session_id::SessionId;
pub use subscription_state::{SubscriptionState, SubscriptionStatus};
pub use text::{Organization, Server, Subject, UserAgent};
pub use timestamp::Timestamp;
pub use user_to_user::UserToUser;
pub use via::Via;
pub use warning::Warning;

pub use crate::grammar::Malformed;
use crate::grammar::{self, Cursor};
use crate::header_name::HeaderName;

/// A header whose value has a type.
///
/// `parse` reads one value: of a list header one element, of another the whole field. `Display` prints one value; a value
/// that was read prints as something that reads as the same.
pub trait TypedHeader<'a>: Sized + fmt::Display {
    /// The header's name.
    const NAME: HeaderName;

    /// Whether the header is a comma-separated list, of which this type is one element.
    const LIST: bool;

    /// Reads one value.
    fn parse(value: &'a str) -> Result<Self, HeaderError>;
}

/// A row of [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The header; its type has the same name as the variant.
    pub name: HeaderName,
    /// The file in this folder.
    pub file: &'static str,
    /// Where the header is defined.
    pub rfc: &'static str,
}

macro_rules! table {
    ($($file:literal { $($header:ident $rfc:literal,)* })*) => {
        /// Every typed header, by file.
        ///
        /// | header | file | defined in |
        /// | --- | --- | --- |
        $($(#[doc = concat!("| [`", stringify!($header), "`] | `", $file, "` | ", $rfc, " |")])*)*
        pub const TABLE: &[Row] = &[$($(Row { name: HeaderName::$header, file: $file, rfc: $rfc },)*)*];

        /// Reads one value of any header and prints it again; what has no type here is only checked to be one line.
        pub fn parse_any(name: HeaderName, value: &str) -> Result<String, HeaderError> {
            match name {
                $($(HeaderName::$header => $header::parse(value).map(|typed| typed.to_string()),)*)*
                #[allow(unreachable_patterns)]
                other => read_value(other, value, |cursor| {
                    let text = cursor.rest();
                    grammar::check_text(text)?;
                    cursor.set(value.len());
                    Ok(text.to_owned())
                }),
            }
        }

        /// The `LIST` of every typed header.
        #[cfg(test)]
        const LISTS: &[(HeaderName, HeaderName, bool)] =
            &[$($((HeaderName::$header, $header::NAME, $header::LIST),)*)*];
    };
}

table! {
    "via.rs" { Via "RFC 3261 §20.42, RFC 3581, RFC 5923, RFC 6223", }
    "from_to.rs" { From "RFC 3261 §20.20", To "RFC 3261 §20.39", }
    "call_id.rs" { CallId "RFC 3261 §20.8", InReplyTo "RFC 3261 §20.21", }
    "cseq.rs" { Cseq "RFC 3261 §20.16", }
    "contact.rs" { Contact "RFC 3261 §20.10, RFC 5626, RFC 5627", }
    "routes.rs" {
        Route "RFC 3261 §20.34",
        RecordRoute "RFC 3261 §20.30",
        Path "RFC 3327",
        ServiceRoute "RFC 3608",
    }
    "numbers.rs" {
        MaxForwards "RFC 3261 §20.22",
        MaxBreadth "RFC 5393",
        ContentLength "RFC 3261 §20.14",
        Expires "RFC 3261 §20.19",
        MinExpires "RFC 3261 §20.23",
        FlowTimer "RFC 5626",
        Rseq "RFC 3262",
    }
    "content_type.rs" { ContentType "RFC 3261 §20.15", }
    "content_disposition.rs" { ContentDisposition "RFC 3261 §20.11", }
    "codings.rs" {
        ContentEncoding "RFC 3261 §20.12",
        ContentLanguage "RFC 3261 §20.13",
        AcceptEncoding "RFC 3261 §20.2",
        AcceptLanguage "RFC 3261 §20.3",
    }
    "accept.rs" { Accept "RFC 3261 §20.1", }
    "option_tags.rs" {
        Allow "RFC 3261 §20.5",
        Supported "RFC 3261 §20.37",
        Require "RFC 3261 §20.32",
        ProxyRequire "RFC 3261 §20.29",
        Unsupported "RFC 3261 §20.40",
        InfoPackage "RFC 6086",
        RecvInfo "RFC 6086",
    }
    "event.rs" { Event "RFC 6665", AllowEvents "RFC 6665", }
    "subscription_state.rs" { SubscriptionState "RFC 6665", }
    "authenticate.rs" {
        WwwAuthenticate "RFC 3261 §20.44, RFC 7616, RFC 8760",
        ProxyAuthenticate "RFC 3261 §20.27",
    }
    "authorization.rs" {
        Authorization "RFC 3261 §20.7, RFC 7616, RFC 8760",
        ProxyAuthorization "RFC 3261 §20.28",
    }
    "authentication_info.rs" {
        AuthenticationInfo "RFC 3261 §20.6, RFC 7616",
        ProxyAuthenticationInfo "RFC 7616",
    }
    "rack.rs" { Rack "RFC 3262", }
    "session_expires.rs" { SessionExpires "RFC 4028", MinSe "RFC 4028", }
    "addresses.rs" {
        ReplyTo "RFC 3261 §20.31",
        ReferTo "RFC 3515",
        ReferredBy "RFC 3892",
        PAssertedIdentity "RFC 3325",
        PPreferredIdentity "RFC 3325",
        PAssociatedUri "RFC 7315",
        PCalledPartyId "RFC 7315",
    }
    "refer_sub.rs" { ReferSub "RFC 4488", }
    "dialogs.rs" { Replaces "RFC 3891", Join "RFC 3911", TargetDialog "RFC 4538", }
    "reason.rs" { Reason "RFC 3326", }
    "retry_after.rs" { RetryAfter "RFC 3261 §20.33", }
    "timestamp.rs" { Timestamp "RFC 3261 §20.38", }
    "date.rs" { Date "RFC 3261 §20.17", }
    "warning.rs" { Warning "RFC 3261 §20.43", }
    "call_info.rs" {
        AlertInfo "RFC 3261 §20.4, RFC 7462",
        CallInfo "RFC 3261 §20.9",
        ErrorInfo "RFC 3261 §20.18",
    }
    "priority.rs" { Priority "RFC 3261 §20.26", }
    "text.rs" {
        Subject "RFC 3261 §20.36",
        Organization "RFC 3261 §20.25",
        UserAgent "RFC 3261 §20.41",
        Server "RFC 3261 §20.35",
    }
    "mime_version.rs" { MimeVersion "RFC 3261 §20.24", }
    "privacy.rs" { Privacy "RFC 3323, RFC 3325", }
    "etag.rs" { SipEtag "RFC 3903", SipIfMatch "RFC 3903", SuppressIfMatch "RFC 5839", }
    "feature_preferences.rs" {
        AcceptContact "RFC 3841",
        RejectContact "RFC 3841",
        FeatureCaps "RFC 6809",
    }
    "request_disposition.rs" { RequestDisposition "RFC 3841", }
    "security_agreement.rs" {
        SecurityClient "RFC 3329",
        SecurityServer "RFC 3329",
        SecurityVerify "RFC 3329",
    }
    "history_info.rs" { HistoryInfo "RFC 7044", }
    "identity.rs" { Identity "RFC 8224", }
    "resource_priority.rs" { ResourcePriority "RFC 4412", AcceptResourcePriority "RFC 4412", }
    "session_id.rs" { SessionId "RFC 7989", }
    "user_to_user.rs" { UserToUser "RFC 7433", }
    "answer_mode.rs" { AnswerMode "RFC 5373", PrivAnswerMode "RFC 5373", }
    "p_headers.rs" {
        PAccessNetworkInfo "RFC 7315",
        PChargingVector "RFC 7315",
        PChargingFunctionAddresses "RFC 7315",
        PVisitedNetworkId "RFC 7315",
    }
    "geolocation.rs" { Geolocation "RFC 6442", GeolocationRouting "RFC 6442", }
}

/// Reads a value from its first to its last octet, and says of which header a fault is.
#[inline]
fn read_value<'a, T>(
    name: HeaderName,
    value: &'a str,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> Result<T, HeaderError> {
    let mut cursor = Cursor::new(value);
    cursor.lws();
    let read = read(&mut cursor).and_then(|typed| cursor.end().map(|()| typed));
    read.map_err(|malformed| HeaderError::new(name, malformed))
}

/// Implements [`TypedHeader`] for a type with a `read(&mut Cursor) -> Result<Self, Malformed>`.
macro_rules! typed_header {
    ($type:ident, $list:literal) => {
        impl<'a> $crate::header::TypedHeader<'a> for $type<'a> {
            const NAME: $crate::header_name::HeaderName = $crate::header_name::HeaderName::$type;
            const LIST: bool = $list;

            #[inline]
            fn parse(value: &'a str) -> Result<Self, $crate::header::HeaderError> {
                $crate::header::read_value(Self::NAME, value, $type::read)
            }
        }
    };
    // For a type that borrows nothing.
    (owned $type:ident, $list:literal) => {
        impl<'a> $crate::header::TypedHeader<'a> for $type {
            const NAME: $crate::header_name::HeaderName = $crate::header_name::HeaderName::$type;
            const LIST: bool = $list;

            #[inline]
            fn parse(value: &'a str) -> Result<Self, $crate::header::HeaderError> {
                $crate::header::read_value(Self::NAME, value, $type::read)
            }
        }
    };
}
use typed_header;

/// For the tests of each file: `text` is read and printed as `printed`, which reads as the same value again.
#[cfg(test)]
#[track_caller]
fn assert_prints<'a, H>(text: &'a str, printed: &'a str) -> H
where
    H: TypedHeader<'a> + PartialEq + fmt::Debug,
{
    let typed = H::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    assert_eq!(typed.to_string(), printed);
    assert_eq!(H::parse(printed).as_ref(), Ok(&typed));
    typed
}

/// For the tests of each file: none of these is a value.
#[cfg(test)]
#[track_caller]
fn assert_refuses<'a, H: TypedHeader<'a>>(texts: &[&'a str]) {
    for text in texts {
        if let Ok(typed) = H::parse(text) {
            panic!("{text:?} was read as {typed}");
        }
    }
}

#[cfg(test)]
mod tests;
