//! What a phone keeps of a dialog: RFC 3261 §12, as little as a peer needs. It shares no code with `sip-dialog`, so that a
//! fault there is not met by its own twin here.

use sip_message::header::{Contact, From, To};
use sip_message::{HeaderName, Headers, Method, Request, Response, UriBuf};

use crate::fields;

/// One dialog, seen from one side.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    /// From and To of what we send, without tags.
    local: String,
    remote: String,
    /// The peer's Contact.
    target: UriBuf,
    /// The route set, in the order in which we use it.
    routes: Vec<String>,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
}

impl Dialog {
    /// §12.1.2: the dialog that a response to our INVITE makes.
    pub(crate) fn of_caller(invite: &Request, response: &Response) -> Option<Dialog> {
        let headers = response.headers();
        let mut routes = record_routes(headers);
        routes.reverse();
        Some(Dialog {
            call_id: fields::call_id(headers).to_owned(),
            local_tag: fields::from_tag(headers)?,
            remote_tag: fields::to_tag(headers)?,
            local: headers.get::<From>()?.ok()?.without_tag().to_string(),
            remote: headers.get::<To>()?.ok()?.without_tag().to_string(),
            // A provisional response may come without a Contact.
            target: contact(headers).unwrap_or_else(|| invite.uri().to_buf()),
            routes,
            local_cseq: fields::cseq(invite.headers())?,
            remote_cseq: None,
        })
    }

    /// §12.1.1: the dialog that our response to an INVITE makes.
    pub(crate) fn of_callee(invite: &Request, local_tag: &str) -> Option<Dialog> {
        let headers = invite.headers();
        Some(Dialog {
            call_id: fields::call_id(headers).to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: fields::from_tag(headers)?,
            local: headers.get::<To>()?.ok()?.without_tag().to_string(),
            remote: headers.get::<From>()?.ok()?.without_tag().to_string(),
            target: contact(headers)?,
            routes: record_routes(headers),
            local_cseq: 0,
            remote_cseq: Some(fields::cseq(headers)?),
        })
    }

    /// Whether a request that came is of this dialog.
    pub(crate) fn has(&self, headers: &Headers) -> bool {
        fields::call_id(headers) == self.call_id
            && fields::to_tag(headers).as_deref() == Some(&*self.local_tag)
            && fields::from_tag(headers).as_deref() == Some(&*self.remote_tag)
    }

    /// §12.2.1.1: the next request of ours.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        self.local_cseq += 1;
        self.request_with(method, self.local_cseq)
    }

    /// §13.2.2.4: the ACK of a 2xx has the number of its INVITE.
    pub(crate) fn ack(&self, cseq: u32) -> Request {
        self.request_with(Method::Ack, cseq)
    }

    /// §12.2: a target refresh moves the peer.
    pub(crate) fn refresh(&mut self, headers: &Headers) {
        if let Some(contact) = contact(headers) {
            self.target = contact;
        }
    }

    fn request_with(&self, method: Method, cseq: u32) -> Request {
        let cseq = format!("{cseq} {method}");
        let mut request = Request::new(method, &self.target);
        let headers = request.headers_mut();
        for route in &self.routes {
            put(headers, HeaderName::Route, route);
        }
        put(headers, HeaderName::MaxForwards, "70");
        put(headers, HeaderName::From, &format!("{};tag={}", self.local, self.local_tag));
        put(headers, HeaderName::To, &format!("{};tag={}", self.remote, self.remote_tag));
        put(headers, HeaderName::CallId, &self.call_id);
        put(headers, HeaderName::Cseq, &cseq);
        request
    }
}

pub(crate) fn put(headers: &mut Headers, name: HeaderName, value: &str) {
    headers.push(name, value).expect("a value that was parsed, or that a story has written, is one line");
}

fn contact(headers: &Headers) -> Option<UriBuf> {
    Some(headers.get::<Contact>()?.ok()?.uri()?.to_buf())
}

fn record_routes(headers: &Headers) -> Vec<String> {
    headers.values(HeaderName::RecordRoute).map(str::to_owned).collect()
}
