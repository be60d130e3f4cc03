//! Event and Allow-Events, RFC 6665 §8.2.1, §8.2.2.

use super::Malformed;
use super::shapes::{token, token_header, word_header};
use crate::param::Param;

word_header! {
    /// What a subscription is about.
    Event, false,
    /// The event package with its templates, such as `presence` or `presence.winfo`.
    package, token, check_id
}

token_header! {
    /// An event package that the sender supports.
    AllowEvents, true
}

impl Event<'_> {
    /// What tells two subscriptions of a dialog apart.
    pub fn id(&self) -> Option<&str> {
        self.params.value("id")
    }

    /// Whether both name the same subscription: package and `id`, octet by octet; other parameters do not count
    /// (RFC 6665 §8.2.1).
    pub fn matches(&self, other: &Event<'_>) -> bool {
        self.package == other.package && self.id() == other.id()
    }
}

fn check_id(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if param.name.eq_ignore_ascii_case("id") { param.token("a token as id", at).map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::{TypedHeader, assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn events_read_and_print() {
        let event: Event = assert_prints("presence.winfo ; id=7", "presence.winfo; id=7");
        assert_eq!((event.package(), event.id()), ("presence.winfo", Some("7")));
        assert!(event.matches(&Event::parse("presence.winfo;x=y;id=7").unwrap()));
        assert!(!event.matches(&Event::parse("presence.winfo").unwrap()));
        let text = "dialog;call-id=\"12345@192.0.2.1\"";
        assert_eq!(assert_prints::<Event>(text, text).params().unquoted("call-id").as_deref(), Some("12345@192.0.2.1"));
        assert!(assert_prints::<AllowEvents>("spirits-INDPs", "spirits-INDPs").is("spirits-indps"));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert_refuses::<Event>(&["", ";id=1", "presence;id", "presence, refer"]);
        assert_refuses::<AllowEvents>(&["", "a;b"]);
    }
}
