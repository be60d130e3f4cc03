//! What a call needs of its phone while something happens in it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::{Duration, Instant};

use sip_endpoint::{ClientId, Endpoint, SendTo};
use sip_message::{HeaderName, Request, Response, UriBuf};

use super::dialog::put;
use super::record::CallId;
use super::script::Action;

/// The endpoint, the time, the alarms, and our address.
pub(crate) struct Desk<'a> {
    pub(crate) now: Instant,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) alarms: &'a mut Alarms,
    pub(crate) clients: &'a mut Index<ClientId>,
    pub(crate) contact: &'a UriBuf,
}

/// Which call a transaction belongs to. Hashed without chance, as everything here.
pub(crate) type Index<T> = HashMap<T, CallId, BuildHasherDefault<DefaultHasher>>;

/// What a timer of the phone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The script says so.
    Act(Action),
    /// A 2xx that was not acknowledged is due again (RFC 3261 §13.3.1.4); it has been sent so often.
    RepeatAnswer { leg: usize, cseq: u32, sent: u32 },
    /// A re-INVITE that met another is tried again (§14.1).
    Retry { leg: usize },
    /// A re-INVITE was not answered for so long that it is given up.
    GiveUpReinvite { leg: usize, client: ClientId },
    /// Nobody has taken the call for so long that the phone gives up.
    Patience,
}

/// The alarms that are set. One that is not needed any more fires and finds nothing to do.
#[derive(Default)]
pub(crate) struct Alarms {
    last: u64,
    set: BTreeMap<u64, (CallId, Alarm)>,
}

impl Alarms {
    pub(crate) fn take(&mut self, token: u64) -> Option<(CallId, Alarm)> {
        self.set.remove(&token)
    }
}

impl Desk<'_> {
    pub(crate) fn alarm(&mut self, call: CallId, after: Duration, alarm: Alarm) {
        self.alarms.last += 1;
        self.alarms.set.insert(self.alarms.last, (call, alarm));
        self.endpoint.set_timer(self.now, after, self.alarms.last);
    }

    /// Sends a request; `None` when it can't be sent at all.
    pub(crate) fn send(&mut self, call: CallId, request: Request) -> Option<ClientId> {
        let client = self.endpoint.send(self.now, request, SendTo::NextHop, None).ok()?;
        self.clients.insert(client, call);
        Some(client)
    }

    pub(crate) fn send_ack(&mut self, ack: Request) {
        // An ACK that finds no way is as good as lost.
        let _ = self.endpoint.send_ack(self.now, ack, SendTo::NextHop);
    }

    /// Puts Contact and an offer or answer into an INVITE.
    pub(crate) fn furnish_request(&self, request: &mut Request) {
        put(request.headers_mut(), HeaderName::Contact, &format!("<{}>", self.contact));
        put(request.headers_mut(), HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS");
        request.set_body("application/sdp", DESCRIPTION).expect("a constant has no line break");
    }

    /// Puts Contact and an answer into the 2xx to an INVITE.
    pub(crate) fn furnish_answer(&self, response: &mut Response) {
        put(response.headers_mut(), HeaderName::Contact, &format!("<{}>", self.contact));
        response.set_body("application/sdp", DESCRIPTION).expect("a constant has no line break");
    }
}

const DESCRIPTION: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                           m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
