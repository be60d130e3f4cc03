//! The 200 to a REGISTER: RFC 3261 §10.3 step 8, RFC 3327 §5.3, RFC 5626 §6, RFC 5627 §5.2.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant, UNIX_EPOCH};

use sip_message::header::Date;
use sip_message::{HeaderName, Headers, Request, SipUri};

use super::{Registration, is_first_hop, outbound};

use crate::domains::OwnAddresses;
use crate::location::{Binding, Secret, gruu};

impl<O: OwnAddresses + ?Sized> Registration<'_, O> {
    /// What the 200 says: all bindings of `aor`, which the request called `to`.
    pub(super) fn accepted(&self, request: &Request, to: SipUri<'_>, aor: &str, outbound: bool) -> Headers {
        let mut headers = Headers::new();
        let wants_gruu = request.headers().has_token(HeaderName::Supported, "gruu");
        let table = self.location.table(self.now);
        let mut value = String::with_capacity(160);
        for binding in table.of(self.now, aor) {
            value.clear();
            write_contact(self.now, binding, &mut value);
            if wants_gruu {
                self.write_gruus(&table.settings().secret, to, binding, &mut value);
            }
            put(&mut headers, HeaderName::Contact, &value);
        }
        headers.copy_from(request.headers(), HeaderName::Path);
        if outbound && outbound::supports(request) {
            put(&mut headers, HeaderName::Require, "outbound");
            if is_first_hop(request) {
                put(&mut headers, HeaderName::FlowTimer, self.settings.flow_timer.as_secs());
            }
        }
        if let Ok(since) = self.time.duration_since(UNIX_EPOCH) {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            put(&mut headers, HeaderName::Date, Date::from_unix_seconds(seconds));
        }
        headers
    }

    fn write_gruus(&self, secret: &Secret, to: SipUri<'_>, binding: &Binding, value: &mut String) {
        if binding.instance.is_empty() {
            return;
        }
        // Writing to a String can't fail.
        if let Some(uri) = gruu::public(&to, &binding.instance) {
            let _ = write!(value, ";pub-gruu=\"{uri}\"");
        }
        if binding.gruu == 0 {
            return;
        }
        if let Some(uri) = gruu::temporary(secret, &to, binding.gruu, (self.random)()) {
            let _ = write!(value, ";temp-gruu=\"{uri}\"");
        }
    }
}

fn put(headers: &mut Headers, name: HeaderName, value: impl Display) {
    headers.push(name, value).expect("a value of ours or of a parsed message has no line break");
}

fn write_contact(now: Instant, binding: &Binding, value: &mut String) {
    // Writing to a String can't fail.
    let _ = write!(value, "<{}>{};expires={}", binding.contact, binding.params, seconds_left(now, binding));
    if binding.q != 1000 {
        let _ = write!(value, ";q=0.{:03}", binding.q);
    }
    if !binding.instance.is_empty() {
        let _ = write!(value, ";+sip.instance=\"{}\"", binding.instance);
    }
    if binding.reg_id != 0 {
        let _ = write!(value, ";reg-id={}", binding.reg_id);
    }
}

/// Rounded up, so that a client that was given an hour reads 3600.
fn seconds_left(now: Instant, binding: &Binding) -> u64 {
    (binding.expires.saturating_duration_since(now) + Duration::from_nanos(999_999_999)).as_secs()
}
