//! Resource-Priority and Accept-Resource-Priority, RFC 4412 §3.1, §3.2: one `namespace.priority`.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::{self, Cursor};

macro_rules! resource_priority {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $type<'a> {
            namespace: &'a str,
            priority: &'a str,
        }

        impl<'a> $type<'a> {
            /// `namespace.priority`, neither of which has a dot.
            pub fn new(namespace: &'a str, priority: &'a str) -> Result<$type<'a>, Malformed> {
                check_word(namespace)?;
                check_word(priority)?;
                Ok($type { namespace, priority })
            }

            pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<$type<'a>, Malformed> {
                let start = cursor.clone();
                match cursor.token()?.split_once('.') {
                    Some((namespace, priority)) => {
                        $type::new(namespace, priority).map_err(|e| e.behind(start.at()))
                    }
                    None => start.expected("namespace.priority"),
                }
            }

            /// The namespace, such as `ets`, `wps` or `q735`.
            pub fn namespace(&self) -> &'a str {
                self.namespace
            }

            /// The priority, whose order the namespace defines.
            pub fn priority(&self) -> &'a str {
                self.priority
            }
        }

        typed_header!($type, true);

        impl fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{}", self.namespace, self.priority)
            }
        }
    };
}

resource_priority! {
    /// What priority the request asks for.
    ResourcePriority
}

resource_priority! {
    /// A priority that the sender knows.
    AcceptResourcePriority
}

/// `token-nodot`
fn check_word(word: &str) -> Result<(), Malformed> {
    match word.find('.') {
        Some(dot) => Err(Malformed::new("a word without a dot", dot)),
        None => grammar::check_token(word),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn resource_priorities_read_and_print() {
        let value: ResourcePriority = assert_prints("dsn.flash-override ", "dsn.flash-override");
        assert_eq!((value.namespace(), value.priority()), ("dsn", "flash-override"));
        assert_eq!(
            assert_prints::<AcceptResourcePriority>("wps.3", "wps.3"),
            AcceptResourcePriority::new("wps", "3").unwrap()
        );
    }

    #[test]
    fn what_is_no_resource_priority_is_refused() {
        assert_refuses::<ResourcePriority>(&["", "dsn", "dsn.", ".flash", "a.b.c", "a .b"]);
        assert!(ResourcePriority::new("a.b", "c").is_err());
    }
}
