//! The 200 to a REGISTER: RFC 3261 §10.3 step 8, RFC 3327 §5.3, RFC 5626 §6, RFC 5627 §5.2.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sip_endpoint::Endpoint;
use sip_message::{HeaderName, Request, Response, SipUri, StatusCode};

use super::{Registrar, is_first_hop, outbound};
use crate::services::answer::put;
use crate::services::date::date;
use crate::services::gruu;
use crate::services::location::Binding;

impl Registrar<'_> {
    /// The 200 with all bindings of `aor`, which the request called `to`.
    pub(super) fn accept(
        &self,
        now: Instant,
        endpoint: &mut Endpoint,
        request: &Request,
        to: SipUri<'_>,
        aor: &str,
        outbound_applied: bool,
    ) -> Response {
        let mut response = Response::to(request, StatusCode::OK);
        let wants_gruu = request.headers().has_token(HeaderName::Supported, "gruu");
        let mut value = String::with_capacity(160);
        for binding in self.location.bindings(now, aor) {
            value.clear();
            write_contact(now, binding, &mut value);
            if wants_gruu {
                self.write_gruus(endpoint, to, binding, &mut value);
            }
            put(&mut response, HeaderName::Contact, &value);
        }
        response.headers_mut().copy_from(request.headers(), HeaderName::Path);
        if outbound_applied && outbound::supports(request) {
            put(&mut response, HeaderName::Require, "outbound");
            if is_first_hop(request) {
                put(&mut response, HeaderName::FlowTimer, self.config.registrar.flow_timer.as_secs());
            }
        }
        if let Some(seconds) = self.config.clock.unix_seconds(now) {
            put(&mut response, HeaderName::Date, date(seconds));
        }
        response
    }

    fn write_gruus(&self, endpoint: &mut Endpoint, to: SipUri<'_>, binding: &Binding, value: &mut String) {
        if binding.instance.is_empty() {
            return;
        }
        if let Some(uri) = gruu::public(&to, &binding.instance) {
            let _ = write!(value, ";pub-gruu=\"{uri}\"");
        }
        if binding.gruu == 0 {
            return;
        }
        if let Some(uri) = gruu::temporary(&self.config.secret, &to, binding.gruu, endpoint.random()) {
            let _ = write!(value, ";temp-gruu=\"{uri}\"");
        }
    }
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
