//! What an application needs of its container and does not find there.

use std::fmt;

/// The program has not bound a resource to the container that an application needs: see
/// [`servlet::ServletContext::resource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingResource(pub &'static str);

impl fmt::Display for MissingResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the container has no resource that is {}", self.0)
    }
}

impl std::error::Error for MissingResource {}
