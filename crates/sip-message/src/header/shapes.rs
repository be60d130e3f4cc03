//! The shapes that many headers share: one token; a word with parameters; a URI in `<>` with parameters; an address.
//! Each macro makes the type with its reading, building and printing; the files add what their RFC says of it.

/// `token`, nothing more.
macro_rules! token_header {
    ($(#[$doc:meta])* $type:ident, $list:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $type<'a>(&'a str);

        impl<'a> $type<'a> {
            /// A value of this token.
            pub fn new(token: &'a str) -> Result<$type<'a>, $crate::header::Malformed> {
                $crate::grammar::check_token(token)?;
                Ok($type(token))
            }

            pub(super) fn read(
                cursor: &mut $crate::grammar::Cursor<'a>,
            ) -> Result<$type<'a>, $crate::header::Malformed> {
                cursor.token().map($type)
            }

            /// The token as it was written.
            pub fn as_str(&self) -> &'a str {
                self.0
            }

            /// Whether this is `token`; tokens have no case.
            pub fn is(&self, token: &str) -> bool {
                self.0.eq_ignore_ascii_case(token)
            }
        }

        $crate::header::typed_header!($type, $list);

        impl std::fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
    };
}
pub(super) use token_header;

/// `word *( SEMI generic-param )`; `$word` is the accessor's name, `$read` reads the word, `$check` looks at a parameter.
macro_rules! word_header {
    ($(#[$doc:meta])* $type:ident, $list:literal, $(#[$word_doc:meta])* $word:ident, $read:path, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a> {
            $word: &'a str,
            params: $crate::param::Params<'a>,
        }

        impl<'a> $type<'a> {
            /// A value without parameters.
            pub fn new($word: &'a str) -> Result<$type<'a>, $crate::header::Malformed> {
                let mut cursor = $crate::grammar::Cursor::new($word);
                $read(&mut cursor)?;
                if !cursor.is_end() {
                    return cursor.expected("the end of the value");
                }
                Ok($type { $word, params: $crate::param::Params::new() })
            }

            pub(super) fn read(
                cursor: &mut $crate::grammar::Cursor<'a>,
            ) -> Result<$type<'a>, $crate::header::Malformed> {
                let $word = $read(cursor)?;
                let params = $crate::param::Params::read(cursor, $check)?;
                Ok($type { $word, params })
            }

            $(#[$word_doc])*
            pub fn $word(&self) -> &'a str {
                self.$word
            }

            /// The parameters.
            pub fn params(&self) -> &$crate::param::Params<'a> {
                &self.params
            }

            /// The same with a parameter. A parameter with a grammar of its own must fit it.
            pub fn with_param(mut self, name: &str, value: &str) -> Result<$type<'a>, $crate::header::Malformed> {
                $check($crate::param::Param { name, value: Some(value) }, 0)?;
                self.params.set(name, value)?;
                Ok(self)
            }

            /// The same with a parameter that has no value.
            pub fn with_flag(mut self, name: &str) -> Result<$type<'a>, $crate::header::Malformed> {
                $check($crate::param::Param { name, value: None }, 0)?;
                self.params.set_flag(name)?;
                Ok(self)
            }
        }

        $crate::header::typed_header!($type, $list);

        impl std::fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", self.$word, self.params)
            }
        }
    };
}
pub(super) use word_header;

/// `LAQUOT absoluteURI RAQUOT *( SEMI generic-param )`.
macro_rules! reference_header {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type<'a> {
            uri: $crate::uri::Uri<'a>,
            params: $crate::param::Params<'a>,
        }

        impl<'a> $type<'a> {
            /// A value of a URI alone.
            pub fn new(uri: $crate::uri::Uri<'a>) -> $type<'a> {
                $type { uri, params: $crate::param::Params::new() }
            }

            pub(super) fn read(
                cursor: &mut $crate::grammar::Cursor<'a>,
            ) -> Result<$type<'a>, $crate::header::Malformed> {
                let uri = $crate::name_addr::read_bracketed(cursor)?;
                let params = $crate::param::Params::read(cursor, |_, _| Ok(()))?;
                Ok($type { uri, params })
            }

            /// The URI. Nothing may be fetched from it unasked.
            pub fn uri(&self) -> $crate::uri::Uri<'a> {
                self.uri
            }

            /// The parameters.
            pub fn params(&self) -> &$crate::param::Params<'a> {
                &self.params
            }

            /// The same with a parameter.
            pub fn with_param(mut self, name: &str, value: &str) -> Result<$type<'a>, $crate::header::Malformed> {
                self.params.set(name, value)?;
                Ok(self)
            }
        }

        $crate::header::typed_header!($type, true);

        impl std::fmt::Display for $type<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "<{}>{}", self.uri, self.params)
            }
        }
    };
}
pub(super) use reference_header;

use crate::grammar::{Cursor, Malformed};
use crate::param::Param;

/// A word that is a token.
pub(super) fn token<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    cursor.token()
}

/// A word that is a token or a quoted string.
pub(super) fn token_or_quoted<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    if cursor.peek() == Some(b'"') { cursor.quoted() } else { cursor.token() }
}

/// For headers none of whose parameters has a grammar of its own.
pub(super) fn any_param(_: Param<'_>, _: usize) -> Result<(), Malformed> {
    Ok(())
}
