//! The rule language of servlet mappings, JSR 289 §16.2 and its descriptor schema (`pattern`): conditions over an initial
//! request. Which request is initial, and which servlet wins, is the dispatcher's business; where rules stand in a
//! `sip.xml`: [`super::sip_xml`].
//!
//! In a configuration file a rule is a table:
//!
//! ```toml
//! rule = { and = [
//!     { equal = { var = "request.method", value = "INVITE" } },
//!     { not = { exists = { var = "request.uri.param.maddr" } } },
//! ] }
//! ```

mod value;
mod variable;

use serde::de::{Deserialize, Deserializer, Error};
use sip_message::Request;

pub use variable::{AddressPart, PATHS, PathError, UriPart, Variable};

/// How deep conditions may lie in each other.
pub const MAX_DEPTH: usize = 32;

/// A condition over a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Holds when each of them does.
    #[serde(deserialize_with = "at_least_one")]
    And(Vec<Rule>),
    /// Holds when one of them does.
    #[serde(deserialize_with = "at_least_one")]
    Or(Vec<Rule>),
    /// Holds when the other does not.
    #[serde(deserialize_with = "bounded")]
    Not(Box<Rule>),
    /// Holds when the variable is defined and its value is this one.
    Equal {
        /// What is looked at.
        var: Variable,
        /// What it should be.
        value: String,
        /// Whether `a` is `A`.
        #[serde(default)]
        ignore_case: bool,
    },
    /// Holds when the variable is defined and this is a part of its value.
    Contains {
        /// What is looked at.
        var: Variable,
        /// What should stand in it.
        value: String,
        /// Whether `a` is `A`.
        #[serde(default)]
        ignore_case: bool,
    },
    /// Holds when the variable is defined.
    Exists {
        /// What is looked at.
        var: Variable,
    },
    /// Holds when the variable is this domain or lies in it; for a telephone number, when the number starts with these
    /// digits. An address lies in no domain but itself.
    SubdomainOf {
        /// What is looked at.
        var: Variable,
        /// The domain, or the first digits.
        value: String,
    },
}

impl Rule {
    /// Whether the request meets the condition. A variable that the request does not have meets none but a `not`.
    pub fn matches(&self, request: &Request) -> bool {
        match self {
            Rule::And(rules) => rules.iter().all(|rule| rule.matches(request)),
            Rule::Or(rules) => rules.iter().any(|rule| rule.matches(request)),
            Rule::Not(rule) => !rule.matches(request),
            Rule::Equal { var, value, ignore_case } => var.is(request, |found| found.equals(value, *ignore_case)),
            Rule::Contains { var, value, ignore_case } => var.is(request, |found| found.contains(value, *ignore_case)),
            Rule::Exists { var } => var.is(request, |_| true),
            Rule::SubdomainOf { var, value } => var.is(request, |found| found.is_subdomain_of(value)),
        }
    }

    /// How deep conditions lie in this one; 1 for one without others in it.
    pub fn depth(&self) -> usize {
        match self {
            Rule::And(rules) | Rule::Or(rules) => 1 + rules.iter().map(Rule::depth).max().unwrap_or(0),
            Rule::Not(rule) => 1 + rule.depth(),
            _ => 1,
        }
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let rules: Vec<Rule> = Vec::deserialize(deserializer)?;
    if rules.is_empty() {
        return Err(D::Error::custom("`and` and `or` need at least one condition"));
    }
    rules.iter().try_for_each(not_too_deep)?;
    Ok(rules)
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Rule>, D::Error> {
    let rule: Box<Rule> = Box::deserialize(deserializer)?;
    not_too_deep(&rule)?;
    Ok(rule)
}

/// Checked from the inside out: a rule that is too deep fails at the first level that makes it so.
fn not_too_deep<E: Error>(inner: &Rule) -> Result<(), E> {
    if inner.depth() < MAX_DEPTH {
        Ok(())
    } else {
        Err(E::custom(format_args!("conditions lie in each other at most {MAX_DEPTH} deep")))
    }
}
