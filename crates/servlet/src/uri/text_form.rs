//! Values that are written down as their text: in a message, in a configuration, in the snapshot of a session.

/// For a type with `Display` and `parse(&str) -> Result<Self, ServletParseError>`: the other ways from and to its text.
macro_rules! text_form {
    ($type:ident) => {
        impl std::str::FromStr for $type {
            type Err = $crate::parse_error::ServletParseError;

            fn from_str(text: &str) -> Result<$type, $crate::parse_error::ServletParseError> {
                $type::parse(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = $crate::parse_error::ServletParseError;

            fn try_from(text: &str) -> Result<$type, $crate::parse_error::ServletParseError> {
                $type::parse(text)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = String::deserialize(deserializer)?;
                $type::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_form;
