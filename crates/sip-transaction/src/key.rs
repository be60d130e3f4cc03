//! Which transaction a message belongs to: RFC 3261 §17.1.3 for responses, §17.2.3 for requests, with the old rule for
//! clients of RFC 2543. The table itself is the owner's.
//!
//! A key is made of the message on the stack, gives the hash for the owner's table, and is compared with the compact key
//! that a transaction keeps. A lookup allocates nothing unless a branch is longer than any sensible one.
//!
//! ```text
//!   branch with the magic cookie    branch, sent-by, method
//!   no branch, or another           Request-URI, From tag, Call-ID, CSeq, top Via, and apart from these the To tag
//! ```
//!
//! Three readings that RFC 3261 leaves open:
//! - Branches and tags are compared octet for octet. By §7.3.1 they are tokens and case should not count, but clients
//!   count in base 62, and two of their transactions must not be one.
//! - A sent-by without a port means the port of its transport, so that `h` and `h:5060` are the same.
//! - The Request-URI and the Via of the old rule are compared as text: a copy of a request is a copy of its text.

use std::fmt::{self, Write as _};
use std::hash::BuildHasher;

use sip_message::header::{CallId, Cseq, From, HeaderError, To, Via};
use sip_message::{HeaderName, Headers, Host, Method, Request, Response, TypedHeader};
use smallvec::SmallVec;

/// Why a message has no key; the peer's doing. A request with this fault is answered with 400, a response is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is no such field.
    Missing(HeaderName),
    /// The field can't be read.
    Malformed(HeaderError),
    /// The top Via of a response has no branch, so that it is not ours.
    NoBranch,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Missing(name) => write!(f, "missing {name}"),
            KeyError::Malformed(error) => error.fmt(f),
            KeyError::NoBranch => f.write_str("the response's Via has no branch"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The key of a request that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    id: Id,
    /// Only by the old rule.
    to_tag: Option<Tag>,
    is_ack: bool,
}

impl ServerKey {
    /// The key under which the transaction of `request` is kept or looked up. An ACK has that of its INVITE.
    pub fn of(request: &Request) -> Result<ServerKey, KeyError> {
        ServerKey::with_via(request, &typed(request.headers())?)
    }

    /// The same for whoever has read the top Via of `request`.
    pub fn with_via(request: &Request, via: &Via<'_>) -> Result<ServerKey, KeyError> {
        let is_ack = *request.method() == Method::Ack;
        let method = if is_ack { &Method::Invite } else { request.method() };
        ServerKey::with_method(request, via, method, is_ack)
    }

    /// The key of the INVITE that `cancel` is for (RFC 3261 §9.2).
    pub fn of_cancelled(cancel: &Request) -> Result<ServerKey, KeyError> {
        ServerKey::with_method(cancel, &typed(cancel.headers())?, &Method::Invite, false)
    }

    fn with_method(request: &Request, via: &Via<'_>, method: &Method, is_ack: bool) -> Result<ServerKey, KeyError> {
        let headers = request.headers();
        let mut id = Id::new();
        match via.branch().filter(|branch| Via::is_unique(branch)) {
            Some(branch) => {
                id.line(Rule::Branch.mark());
                id.line(branch);
                id.sent_by(via);
                id.line(method.as_str());
                Ok(ServerKey { id, to_tag: None, is_ack })
            }
            None => {
                let from: From<'_> = typed(headers)?;
                let to: To<'_> = typed(headers)?;
                let call_id: CallId<'_> = typed(headers)?;
                let cseq: Cseq = typed(headers)?;
                id.line(Rule::Rfc2543.mark());
                id.line(request.uri_text());
                id.line(from.tag().unwrap_or_default());
                id.line(call_id.as_str());
                id.display_line(cseq.sequence);
                id.line(headers.first(HeaderName::Via).unwrap_or_default());
                id.line(method.as_str());
                let to_tag = Some(Tag::from_slice(to.tag().unwrap_or_default().as_bytes()));
                Ok(ServerKey { id, to_tag, is_ack })
            }
        }
    }

    /// Whether the client is one of RFC 2543, so that the key is the whole message's and not the branch's. An ACK for a
    /// 2xx then has the key of its INVITE (RFC 6026 §6).
    pub fn is_rfc2543(&self) -> bool {
        self.to_tag.is_some()
    }

    /// The hash for the owner's table: equal for keys that may match.
    pub fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(&self.id.0[..])
    }

    /// The key in the form that a transaction keeps.
    pub fn to_owned(&self) -> OwnedServerKey {
        let mut octets = self.id.0.to_vec();
        if let Some(to_tag) = &self.to_tag {
            octets.extend_from_slice(to_tag);
            // Behind it the tag of the response, once there is one.
            octets.push(b'\n');
        }
        OwnedServerKey(octets.into_boxed_slice())
    }
}

/// The key that a server transaction keeps: one small allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedServerKey(Box<[u8]>);

impl OwnedServerKey {
    /// Whether a request with this key belongs to the transaction.
    pub fn matches(&self, key: &ServerKey) -> bool {
        let Some(tags) = self.0.strip_prefix(&key.id.0[..]) else {
            return false;
        };
        let Some(to_tag) = &key.to_tag else {
            return tags.is_empty();
        };
        let (request, response) = split_tags(tags);
        // "The To tag of the ACK matches the To tag of the response sent by the server transaction."
        let expected = if key.is_ack && !response.is_empty() { response } else { request };
        expected == &to_tag[..]
    }

    /// Notes the To tag of the final response, by which the ACK of an RFC 2543 client is known. Of no effect for others.
    pub fn answered(&mut self, to_tag: Option<&str>) {
        let Rule::Rfc2543 = self.rule() else { return };
        let known = self.id_len() + split_tags(&self.0[self.id_len()..]).0.len() + 1;
        let mut octets = self.0[..known.min(self.0.len())].to_vec();
        octets.extend_from_slice(to_tag.unwrap_or_default().as_bytes());
        self.0 = octets.into_boxed_slice();
    }

    /// The same hash as that of the key it was made of.
    pub fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(&self.0[..self.id_len()])
    }

    fn rule(&self) -> Rule {
        if self.0.starts_with(Rule::Rfc2543.mark().as_bytes()) { Rule::Rfc2543 } else { Rule::Branch }
    }

    /// How much of the key is the [`Id`]: all, but for the tags of the old rule.
    fn id_len(&self) -> usize {
        match self.rule() {
            Rule::Branch => self.0.len(),
            Rule::Rfc2543 => {
                let mut line_ends = self.0.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
                line_ends.nth(RFC2543_LINES - 1).map_or(self.0.len(), |(at, _)| at + 1)
            }
        }
    }
}

impl fmt::Debug for OwnedServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedServerKey({})", self.0.escape_ascii())
    }
}

/// The key of a response that was received, or of a request that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey(Id);

impl ClientKey {
    /// The key of the request that `response` answers.
    pub fn of(response: &Response) -> Result<ClientKey, KeyError> {
        let via: Via<'_> = typed(response.headers())?;
        let cseq: Cseq = typed(response.headers())?;
        let branch = via.branch().ok_or(KeyError::NoBranch)?;
        Ok(ClientKey::new(branch, &cseq.method))
    }

    /// The key of a request of `method` with this branch in its top Via.
    pub fn new(branch: &str, method: &Method) -> ClientKey {
        let mut id = Id::new();
        id.line(branch);
        // A CANCEL has the branch of its INVITE.
        id.line(method.as_str());
        ClientKey(id)
    }

    /// The hash for the owner's table: equal for keys that match.
    pub fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(&self.0.0[..])
    }

    /// The key in the form that a transaction keeps.
    pub fn to_owned(&self) -> OwnedClientKey {
        OwnedClientKey(self.0.0.to_vec().into_boxed_slice())
    }
}

/// The key that a client transaction keeps: one small allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedClientKey(Box<[u8]>);

impl OwnedClientKey {
    /// Whether a response with this key belongs to the transaction.
    pub fn matches(&self, key: &ClientKey) -> bool {
        self.0[..] == key.0.0[..]
    }

    /// The same hash as that of the key it was made of.
    pub fn hash(&self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one(&self.0[..])
    }
}

impl fmt::Debug for OwnedClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedClientKey({})", self.0.escape_ascii())
    }
}

/// By which rule of RFC 3261 §17.2.3 a request is matched: the first line of its key.
#[derive(Clone, Copy)]
enum Rule {
    Branch,
    Rfc2543,
}

impl Rule {
    fn mark(self) -> &'static str {
        match self {
            Rule::Branch => "3261",
            Rule::Rfc2543 => "2543",
        }
    }
}

/// The lines of a key by the old rule in front of the tags.
const RFC2543_LINES: usize = 7;

/// What has to be equal, one line a part, so that no part can run into the next: no value of a message has a line end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id(SmallVec<[u8; 128]>);

type Tag = SmallVec<[u8; 32]>;

impl Id {
    fn new() -> Id {
        Id(SmallVec::new())
    }

    fn line(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
    }

    fn display_line(&mut self, value: impl fmt::Display) {
        // Writing to the buffer can't fail.
        let _ = write!(self, "{value}");
        self.0.push(b'\n');
    }

    /// Host and port; the case of a host name does not count (RFC 3261 §7.3.1).
    fn sent_by(&mut self, via: &Via<'_>) {
        match via.host() {
            // The usual case, without the machinery of printing; no name has a `=`.
            Host::V4(address) => {
                self.0.push(b'=');
                self.number_line(address.into());
            }
            host => {
                let start = self.0.len();
                self.display_line(host);
                self.0[start..].make_ascii_lowercase();
            }
        }
        self.number_line(via.port_or_default().into());
    }

    /// In hexadecimal digits, the last one first.
    fn number_line(&mut self, mut number: u32) {
        while number > 0 {
            self.0.push(b"0123456789abcdef"[(number & 0xf) as usize]);
            number >>= 4;
        }
        self.0.push(b'\n');
    }
}

impl fmt::Write for Id {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The To tag of the request and that of the response; a tag that is not there is empty.
fn split_tags(tags: &[u8]) -> (&[u8], &[u8]) {
    match tags.iter().position(|octet| *octet == b'\n') {
        Some(at) => (&tags[..at], &tags[at + 1..]),
        None => (tags, &[]),
    }
}

fn typed<'a, H: TypedHeader<'a>>(headers: &'a Headers) -> Result<H, KeyError> {
    headers.get::<H>().ok_or(KeyError::Missing(H::NAME))?.map_err(KeyError::Malformed)
}
