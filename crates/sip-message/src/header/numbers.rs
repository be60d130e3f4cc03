//! Headers that are one number: Max-Forwards, Content-Length, Expires, Min-Expires (RFC 3261 §20), Max-Breadth
//! (RFC 5393), Flow-Timer (RFC 5626), RSeq (RFC 3262). What is too large is refused (RFC 4475 §3.1.2.4).

use std::fmt;
use std::time::Duration;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;

macro_rules! number {
    ($(#[$doc:meta])* $type:ident, $integer:ty, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $integer);

        impl $type {
            #[inline]
            pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<$type, Malformed> {
                let at = cursor.at();
                let number = cursor.number()?;
                <$integer>::try_from(number).map($type).map_err(|_| Malformed::new($expected, at))
            }
        }

        typed_header!(owned $type, false);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! seconds {
    ($type:ident) => {
        impl $type {
            /// The number as a time.
            pub fn duration(self) -> Duration {
                Duration::from_secs(u64::from(self.0))
            }
        }
    };
}

number! {
    /// How many more hops the request may take: 0 to 255.
    MaxForwards, u8, "a number up to 255"
}

number! {
    /// Into how many branches the request may still be forked at the same time.
    MaxBreadth, u32, "a number"
}

number! {
    /// The octets of the body.
    ContentLength, u32, "a number"
}

number! {
    /// The seconds that the message's content, a binding or a subscription is valid.
    Expires, u32, "seconds"
}

number! {
    /// The least `Expires` that a registrar or notifier takes, in seconds.
    MinExpires, u32, "seconds"
}

number! {
    /// After how many seconds without a keep-alive the server takes a flow for dead.
    FlowTimer, u32, "seconds"
}

number! {
    /// The number of a reliable provisional response.
    Rseq, u32, "a number"
}

seconds!(Expires);
seconds!(MinExpires);
seconds!(FlowTimer);

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn numbers_read_and_print() {
        assert_eq!(assert_prints::<MaxForwards>("0068", "68"), MaxForwards(68));
        assert_eq!(assert_prints::<ContentLength>("349 ", "349"), ContentLength(349));
        assert_eq!(assert_prints::<Expires>("4294967295", "4294967295").duration().as_secs(), 4294967295);
        assert_eq!(assert_prints::<MinExpires>("60", "60"), MinExpires(60));
        assert_eq!(assert_prints::<FlowTimer>("120", "120"), FlowTimer(120));
        assert_eq!(assert_prints::<Rseq>("988789", "988789"), Rseq(988789));
        assert_eq!(assert_prints::<MaxBreadth>("60", "60"), MaxBreadth(60));
    }

    /// RFC 4475 §3.1.2.3, §3.1.2.4.
    #[test]
    fn what_is_no_such_number_is_refused() {
        assert_refuses::<MaxForwards>(&["300", "", "-1", "7 0", "0x10"]);
        assert_refuses::<Expires>(&["10000000000000000000000000000000000000", "4294967296", "1e3", "five", "1.5"]);
        assert_refuses::<ContentLength>(&["-999", "13, 5", "+1"]);
    }
}
