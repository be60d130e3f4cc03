//! The client's side of AUTH, RFC 4976 §5.1: one relay after the other, each through those before it, and again before what they
//! gave runs out.
//!
//! ```text
//!   AUTH to R1         ─► 401 ─► AUTH with Authorization ─► 200, Use-Path: R1/x
//!   AUTH to R1/x R2    ─► 401 ─► AUTH with Authorization ─► 200, Use-Path: R1/x R2/y
//!                                       paths: to others "R1/x R2/y …", for others "R2/y R1/x us"
//! ```
//!
//! How a challenge is answered is the caller's: a closure that knows digest, the user's name and the password.

use std::fmt;
use std::time::{Duration, Instant};

use crate::chunk::{Head, Method, Start, TransactionId};
use crate::uri::{MsrpUri, Path};

/// For the response to an AUTH.
const RESPONSE: Duration = Duration::from_secs(30);
/// Challenges to one AUTH: the first, and one more if the nonce was stale.
const CHALLENGES: u32 = 2;

/// A challenge to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The value of the `WWW-Authenticate`.
    pub challenge: &'a str,
    /// "AUTH".
    pub method: &'a str,
    /// The URI of the digest (§9.1): the relay's.
    pub uri: &'a str,
    /// Which relay, by its host: a password goes to nobody else.
    pub host: &'a str,
}

/// What comes of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this request.
    Send(Box<Head>),
    /// All relays are ready.
    Ready {
        /// The relays, in the order in which we visit them.
        use_path: Path,
        /// Until when.
        expires: Instant,
    },
    /// It was no response to what was asked.
    Nothing,
}

/// Why there is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The relay refused: its code and comment.
    Refused(u16, String),
    /// The relay challenged, and there is no answer, or a wrong one.
    Unauthorized,
    /// The relay's response makes no sense.
    Malformed,
    /// The relay does not answer.
    Timeout,
}

/// One client at its relays.
#[derive(Clone, Debug)]
pub struct AuthClient {
    relays: Vec<MsrpUri>,
    us: MsrpUri,
    expires: Option<Duration>,
    /// How many of them have let us in.
    done: usize,
    /// Use-Path so far.
    ready: Vec<MsrpUri>,
    /// The earliest end of what was given.
    until: Option<Instant>,
    asked: Option<Asked>,
    renew: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Asked {
    transaction: TransactionId,
    challenges: u32,
    expires: Option<Duration>,
    deadline: Instant,
}

impl AuthClient {
    /// A client with this URI, at these relays, its own first. `expires` is what it asks for; the relay decides.
    pub fn new(relays: Vec<MsrpUri>, us: MsrpUri, expires: Option<Duration>) -> AuthClient {
        AuthClient { relays, us, expires, done: 0, ready: Vec::new(), until: None, asked: None, renew: None }
    }

    /// Begins, or begins anew: gives the first AUTH. Without relays there is none.
    pub fn start(&mut self, now: Instant, transaction: TransactionId) -> Option<Head> {
        self.done = 0;
        self.ready.clear();
        self.until = None;
        self.renew = None;
        self.ask(now, transaction, 0, self.expires, None)
    }

    /// Takes a response. `transaction` is for the next request; `answer` gives the value of the `Authorization`, if it has one.
    pub fn handle(
        &mut self,
        now: Instant,
        response: &Head,
        transaction: TransactionId,
        answer: &mut dyn FnMut(Challenge<'_>) -> Option<String>,
    ) -> Result<Step, AuthError> {
        let Start::Response(code, comment) = response.start() else { return Ok(Step::Nothing) };
        let Some(asked) = self.asked.take_if(|asked| asked.transaction == response.transaction()) else {
            return Ok(Step::Nothing);
        };
        let relay = self.relays.get(self.done).ok_or(AuthError::Malformed)?;
        match code {
            200 => self.take_path(now, response, transaction),
            401 => {
                let challenge = response.get("WWW-Authenticate").ok_or(AuthError::Malformed)?;
                let is_stale = challenge.to_ascii_lowercase().contains("stale=true");
                if asked.challenges >= CHALLENGES || (asked.challenges > 0 && !is_stale) {
                    return Err(AuthError::Unauthorized);
                }
                let asks = Challenge { challenge, method: "AUTH", uri: relay.as_str(), host: relay.host() };
                let authorization = answer(asks).ok_or(AuthError::Unauthorized)?;
                let next = self.ask(now, transaction, asked.challenges + 1, asked.expires, Some(&authorization));
                next.map(|head| Step::Send(Box::new(head))).ok_or(AuthError::Malformed)
            }
            // The relay says what it would take; it is asked for that once.
            423 if asked.expires == self.expires => {
                let bound = ["Min-Expires", "Max-Expires"].iter().find_map(|name| response.get(name)?.parse().ok());
                let bound = Duration::from_secs(bound.ok_or(AuthError::Malformed)?);
                if Some(bound) == self.expires {
                    return Err(AuthError::Malformed);
                }
                let next = self.ask(now, transaction, 0, Some(bound), None);
                next.map(|head| Step::Send(Box::new(head))).ok_or(AuthError::Malformed)
            }
            code => Err(AuthError::Refused(*code, comment.to_string())),
        }
    }

    /// When to call [`AuthClient::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.deadline).or(self.renew)
    }

    /// Lets time pass: gives the AUTH that renews what will run out.
    pub fn handle_timeout(&mut self, now: Instant, transaction: TransactionId) -> Result<Option<Head>, AuthError> {
        if self.asked.take_if(|asked| asked.deadline <= now).is_some() {
            return Err(AuthError::Timeout);
        }
        if self.asked.is_none() && self.renew.is_some_and(|renew| renew <= now) {
            return Ok(self.start(now, transaction));
        }
        Ok(None)
    }

    /// The `a=path` for the other side: our relays, the outermost first, and we.
    pub fn path_attribute(&self) -> Option<Path> {
        let uris: Vec<MsrpUri> = self.ready.iter().rev().chain([&self.us]).cloned().collect();
        Path::new(uris).ok()
    }

    /// The relays in the order in which we visit them, to be put before the other side's path; `None` before they are ready.
    pub fn use_path(&self) -> Option<Path> {
        if self.done < self.relays.len() { None } else { Path::new(self.ready.clone()).ok() }
    }

    fn ask(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        challenges: u32,
        expires: Option<Duration>,
        authorization: Option<&str>,
    ) -> Option<Head> {
        let relay = self.relays.get(self.done)?;
        let to = Path::new(self.ready.iter().chain([relay]).cloned().collect::<Vec<_>>()).ok()?;
        let mut head = Head::request(transaction, Method::Auth, &to, &Path::from(self.us.clone()));
        if let Some(authorization) = authorization {
            head.push("Authorization", authorization);
        }
        if let Some(expires) = expires {
            head.push("Expires", expires.as_secs());
        }
        self.asked = Some(Asked { transaction, challenges, expires, deadline: now + RESPONSE });
        Some(head)
    }

    fn take_path(&mut self, now: Instant, response: &Head, transaction: TransactionId) -> Result<Step, AuthError> {
        let path: Path = response.get("Use-Path").and_then(|path| path.parse().ok()).ok_or(AuthError::Malformed)?;
        // What we came by is what we know (§5.1's own example prints it wrong); what is behind it is the relay's to say.
        let known = self.ready.len().min(path.uris().len() - 1);
        self.ready.extend(path.uris().iter().skip(known).cloned());
        self.done += 1;
        // Without a time: as long as relays usually give.
        let seconds = response.get("Expires").and_then(|value| value.parse().ok()).unwrap_or(900u64).clamp(10, 86_400);
        let until = now + Duration::from_secs(seconds);
        self.until = Some(self.until.map_or(until, |known| known.min(until)));
        if let Some(head) = self.ask(now, transaction, 0, self.expires, None) {
            return Ok(Step::Send(Box::new(head)));
        }
        let expires = self.until.unwrap_or(until);
        // Early enough for a few attempts, late enough not to be a burden.
        self.renew = Some(now + expires.saturating_duration_since(now) * 4 / 5);
        let use_path = Path::new(self.ready.clone()).map_err(|_| AuthError::Malformed)?;
        Ok(Step::Ready { use_path, expires })
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Refused(code, comment) => write!(f, "the relay refused: {code} {comment}"),
            AuthError::Unauthorized => f.write_str("the relay does not know this user by this password"),
            AuthError::Malformed => f.write_str("the relay's response makes no sense"),
            AuthError::Timeout => f.write_str("the relay does not answer"),
        }
    }
}

impl std::error::Error for AuthError {}
