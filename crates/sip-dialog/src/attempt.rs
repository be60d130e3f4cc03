//! Requests of one UAC that belong together without being in a dialog: RFC 3261 §8.1.1, §8.1.3.5, §10.2, §22.2. Same
//! Call-ID and From tag, a CSeq that goes up, no To tag: another try after a failure, with credentials, to another target;
//! a series of REGISTER or PUBLISH.
//!
//! ```text
//!   Attempt ──INVITE 1──► 407      ──INVITE 2──► 486      ──INVITE 3──► 180: Dialog::as_uac
//!              no To tag                no To tag                           │ 300-699
//!              ◄────────────────────────────────────── Attempt::after ◄─────┘
//! ```

use sip_message::{Method, NameAddrBuf, Request, UriBuf};

use crate::dialog::{Dialog, DialogError, Tagged, complete, next_cseq, party_of_from, party_of_to};
use crate::fields;

/// What such requests share. All of it is public data, to be written down and restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The Call-ID.
    pub call_id: Box<str>,
    /// Our tag.
    pub local_tag: Box<str>,
    /// The number of the last request; `None` while there was none.
    pub local_cseq: Option<u32>,
    /// We, as From names us, without the tag.
    pub local: NameAddrBuf,
    /// The peer, as To names it.
    pub remote: NameAddrBuf,
}

impl Attempt {
    /// That of a request of ours which is in no dialog.
    pub fn of_request(request: &Request) -> Result<Attempt, DialogError> {
        let headers = request.headers();
        Ok(Attempt {
            call_id: fields::call_id(headers).ok_or(DialogError::NoCallId)?.into(),
            local_tag: fields::from_tag(headers).ok_or(DialogError::BadFrom)?,
            local_cseq: Some(fields::cseq(headers).ok_or(DialogError::BadCseq)?.sequence),
            local: party_of_from(headers)?,
            remote: party_of_to(headers)?,
        })
    }

    /// That of a dialog of ours which came to nothing: its tag of the peer is forgotten, its numbers go on.
    pub fn after(dialog: Dialog) -> Attempt {
        Attempt {
            call_id: dialog.id.call_id,
            local_tag: dialog.id.local_tag,
            local_cseq: dialog.local_cseq,
            local: dialog.local,
            remote: dialog.remote,
        }
    }

    /// A request (RFC 3261 §8.1.1): Request-URI, From, To, Call-ID, CSeq and Max-Forwards. Via, Contact, Route and the
    /// body are the caller's.
    ///
    /// `None` when the numbers are used up, after 2^31 requests.
    pub fn create_request(&mut self, method: Method, request_uri: &UriBuf) -> Option<Request> {
        let sequence = next_cseq(self.local_cseq)?;
        self.local_cseq = Some(sequence);
        let mut request = Request::new(method, request_uri);
        let (from, to) = (Tagged(&self.local, &self.local_tag), Tagged(&self.remote, ""));
        complete(&mut request, from, to, &self.call_id, sequence);
        Some(request)
    }
}
