//! Header names: RFC 3261 §20, §7.3.3 (compact forms) and the registrations of later RFCs. One row a header.

use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal $kind:ident,)*) => {
        /// The name of a header field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A name that this crate does not know; its text is kept beside the value.
            Extension,
        }

        const ROWS: &[Row] = &[$(Row { text: $text, compact: $compact, kind: Kind::$kind },)*];

        impl HeaderName {
            /// Every known name, in the order of the table.
            pub const ALL: &[HeaderName] = &[$(HeaderName::$variant,)*];
        }
    };
}

struct Row {
    text: &'static str,
    compact: &'static str,
    kind: Kind,
}

/// How often a header may stand in a message, and whether its value is a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At most once in a message: RFC 3261 §7.3.1, the grammar has no list.
    Single,
    /// A comma-separated list, so that several fields mean the same as one (RFC 3261 §7.3.1).
    List,
    /// May be repeated, but a comma is part of the value (RFC 3261 §20.44 and its twins; free text).
    Repeated,
}

names! {
    Via "Via" "v" List,
    From "From" "f" Single,
    To "To" "t" Single,
    CallId "Call-ID" "i" Single,
    Cseq "CSeq" "" Single,
    Contact "Contact" "m" List,
    MaxForwards "Max-Forwards" "" Single,
    Route "Route" "" List,
    RecordRoute "Record-Route" "" List,
    ContentLength "Content-Length" "l" Single,
    ContentType "Content-Type" "c" Single,
    Accept "Accept" "" List,
    AcceptContact "Accept-Contact" "a" List,
    AcceptEncoding "Accept-Encoding" "" List,
    AcceptLanguage "Accept-Language" "" List,
    AcceptResourcePriority "Accept-Resource-Priority" "" List,
    AlertInfo "Alert-Info" "" List,
    Allow "Allow" "" List,
    AllowEvents "Allow-Events" "u" List,
    AnswerMode "Answer-Mode" "" Single,
    AuthenticationInfo "Authentication-Info" "" Single,
    Authorization "Authorization" "" Repeated,
    CallInfo "Call-Info" "" List,
    ContentDisposition "Content-Disposition" "" Single,
    ContentEncoding "Content-Encoding" "e" List,
    ContentLanguage "Content-Language" "" List,
    Date "Date" "" Single,
    ErrorInfo "Error-Info" "" List,
    Event "Event" "o" Single,
    Expires "Expires" "" Single,
    FeatureCaps "Feature-Caps" "" List,
    FlowTimer "Flow-Timer" "" Single,
    Geolocation "Geolocation" "" List,
    GeolocationRouting "Geolocation-Routing" "" Single,
    HistoryInfo "History-Info" "" List,
    Identity "Identity" "y" List,
    InReplyTo "In-Reply-To" "" List,
    InfoPackage "Info-Package" "" Single,
    Join "Join" "" Single,
    MaxBreadth "Max-Breadth" "" Single,
    MimeVersion "MIME-Version" "" Single,
    MinExpires "Min-Expires" "" Single,
    MinSe "Min-SE" "" Single,
    Organization "Organization" "" Single,
    PAccessNetworkInfo "P-Access-Network-Info" "" List,
    PAssertedIdentity "P-Asserted-Identity" "" List,
    PAssociatedUri "P-Associated-URI" "" List,
    PCalledPartyId "P-Called-Party-ID" "" Single,
    PChargingFunctionAddresses "P-Charging-Function-Addresses" "" Single,
    PChargingVector "P-Charging-Vector" "" Single,
    PPreferredIdentity "P-Preferred-Identity" "" List,
    PVisitedNetworkId "P-Visited-Network-ID" "" List,
    Path "Path" "" List,
    Priority "Priority" "" Single,
    PrivAnswerMode "Priv-Answer-Mode" "" Single,
    Privacy "Privacy" "" Single,
    ProxyAuthenticate "Proxy-Authenticate" "" Repeated,
    ProxyAuthenticationInfo "Proxy-Authentication-Info" "" Single,
    ProxyAuthorization "Proxy-Authorization" "" Repeated,
    ProxyRequire "Proxy-Require" "" List,
    Rack "RAck" "" Single,
    Reason "Reason" "" List,
    RecvInfo "Recv-Info" "" List,
    ReferSub "Refer-Sub" "" Single,
    ReferTo "Refer-To" "r" Single,
    ReferredBy "Referred-By" "b" Single,
    RejectContact "Reject-Contact" "j" List,
    Replaces "Replaces" "" Single,
    ReplyTo "Reply-To" "" Single,
    RequestDisposition "Request-Disposition" "d" List,
    Require "Require" "" List,
    ResourcePriority "Resource-Priority" "" List,
    RetryAfter "Retry-After" "" Single,
    Rseq "RSeq" "" Single,
    SecurityClient "Security-Client" "" List,
    SecurityServer "Security-Server" "" List,
    SecurityVerify "Security-Verify" "" List,
    Server "Server" "" Single,
    ServiceRoute "Service-Route" "" List,
    SessionExpires "Session-Expires" "x" Single,
    SessionId "Session-ID" "" Single,
    SipEtag "SIP-ETag" "" Single,
    SipIfMatch "SIP-If-Match" "" Single,
    Subject "Subject" "s" Single,
    SubscriptionState "Subscription-State" "" Single,
    Supported "Supported" "k" List,
    SuppressIfMatch "Suppress-If-Match" "" Single,
    TargetDialog "Target-Dialog" "" Single,
    Timestamp "Timestamp" "" Single,
    Unsupported "Unsupported" "" List,
    UserAgent "User-Agent" "" Single,
    UserToUser "User-to-User" "" List,
    Warning "Warning" "" List,
    WwwAuthenticate "WWW-Authenticate" "" Repeated,
}

impl HeaderName {
    /// The name that `text` stands for, long or compact, in any case. A name that is not known, or that is no token,
    /// gives [`HeaderName::Extension`].
    pub fn lookup(text: &str) -> HeaderName {
        let bytes = text.as_bytes();
        let mut slot = hash(bytes);
        loop {
            let index = SLOTS[slot];
            if index == EMPTY {
                return HeaderName::Extension;
            }
            let row = &ROWS[(index & 0x7f) as usize];
            let candidate = if index & COMPACT == 0 { row.text } else { row.compact };
            if candidate == text || candidate.eq_ignore_ascii_case(text) {
                return HeaderName::ALL[(index & 0x7f) as usize];
            }
            slot = (slot + 1) % SLOTS.len();
        }
    }

    /// The name as its RFC writes it; empty for [`HeaderName::Extension`].
    pub fn as_str(self) -> &'static str {
        ROWS.get(self as usize).map_or("", |row| row.text)
    }

    /// Whether several fields of this name, or one with commas, are one list (RFC 3261 §7.3.1).
    pub fn is_list(self) -> bool {
        self.kind() == Kind::List
    }

    /// Whether the field may stand at most once in a message.
    pub fn is_single(self) -> bool {
        self.kind() == Kind::Single
    }

    fn kind(self) -> Kind {
        ROWS.get(self as usize).map_or(Kind::Repeated, |row| row.kind)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const EMPTY: u8 = 0xff;
const COMPACT: u8 = 0x80;
const SLOT_COUNT: usize = 512;

/// An open-addressed table from [`hash`] to a row, made when the crate is compiled.
static SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut row = 0;
    while row < ROWS.len() {
        slots = insert(slots, ROWS[row].text.as_bytes(), row as u8);
        if !ROWS[row].compact.is_empty() {
            slots = insert(slots, ROWS[row].compact.as_bytes(), row as u8 | COMPACT);
        }
        row += 1;
    }
    slots
};

const fn insert(mut slots: [u8; SLOT_COUNT], name: &[u8], index: u8) -> [u8; SLOT_COUNT] {
    let mut slot = hash(name);
    while slots[slot] != EMPTY {
        slot = (slot + 1) % SLOT_COUNT;
    }
    slots[slot] = index;
    slots
}

/// Length, first, middle and last letter in lower case: enough to set the names of the table apart.
const fn hash(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[name.len() / 2] | 0x20) as usize;
    let last = (name[name.len() - 1] | 0x20) as usize;
    (name.len() * 31 + first * 7 + middle * 67 + last * 131) % SLOT_COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_in_its_compact_form() {
        for (row, name) in ROWS.iter().zip(HeaderName::ALL) {
            assert_eq!(HeaderName::lookup(row.text), *name);
            assert_eq!(HeaderName::lookup(&row.text.to_uppercase()), *name);
            assert_eq!(HeaderName::lookup(&row.text.to_lowercase()), *name);
            assert_eq!(name.as_str(), row.text);
            if !row.compact.is_empty() {
                assert_eq!(HeaderName::lookup(row.compact), *name);
            }
        }
        assert!(ROWS.len() < 0x7f);
    }

    #[test]
    fn an_unknown_name_is_an_extension() {
        for text in ["", "X-Custom", "Viaa", "z", "Call_ID"] {
            assert_eq!(HeaderName::lookup(text), HeaderName::Extension);
        }
    }
}
