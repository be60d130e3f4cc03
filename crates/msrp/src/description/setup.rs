//! Who opens the connection: `a=setup` (RFC 4145, as RFC 6135 uses it).
//!
//! | offered | answered by us, who can be reached | answered by us, who can't |
//! | --- | --- | --- |
//! | `actpass` | `passive` | `active` |
//! | `active` or nothing | `passive` | `passive` (and it will not work) |
//! | `passive` (not allowed) | `active` | `active` |

/// `a=setup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// "I connect."
    Active,
    /// "You connect."
    Passive,
    /// "As you like": only in an offer.
    Actpass,
}

/// What one side does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Connects, and sends the first request.
    Active,
    /// Waits for both.
    Passive,
}

impl Setup {
    /// `holdconn` is as if nothing were said (RFC 6135 §4.2.1).
    pub fn parse(text: &str) -> Option<Setup> {
        [Setup::Active, Setup::Passive, Setup::Actpass]
            .into_iter()
            .find(|setup| setup.as_str().eq_ignore_ascii_case(text))
    }

    /// As the attribute has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::Actpass => "actpass",
        }
    }
}

/// What to offer: whoever cannot be reached connects itself.
pub fn offer_setup(is_reachable: bool) -> Setup {
    if is_reachable { Setup::Actpass } else { Setup::Active }
}

/// What to answer. An offer that says nothing comes from a side that connects (RFC 4975 §5.4).
pub fn answer_setup(offered: Option<Setup>, is_reachable: bool) -> Setup {
    match offered {
        Some(Setup::Actpass) if !is_reachable => Setup::Active,
        Some(Setup::Passive) => Setup::Active,
        Some(Setup::Actpass | Setup::Active) | None => Setup::Passive,
    }
}

/// What whoever answered so does.
pub fn role_of_answerer(answered: Setup) -> Role {
    match answered {
        Setup::Active => Role::Active,
        Setup::Passive | Setup::Actpass => Role::Passive,
    }
}

/// What whoever offered does, by what came back. An answer that says nothing comes from a side that waits (RFC 4975 §5.4).
pub fn role_of_offerer(answered: Option<Setup>) -> Role {
    match answered {
        Some(Setup::Active) => Role::Passive,
        Some(Setup::Passive | Setup::Actpass) | None => Role::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_side_connects_whatever_was_offered() {
        for offered in [Some(Setup::Actpass), Some(Setup::Active), Some(Setup::Passive), None] {
            for is_reachable in [true, false] {
                let answered = answer_setup(offered, is_reachable);
                assert_ne!(answered, Setup::Actpass);
                assert_ne!(role_of_answerer(answered), role_of_offerer(Some(answered)), "{offered:?} {is_reachable}");
            }
        }
    }

    /// RFC 6135 §5, and what clients before it do: the offerer connects.
    #[test]
    fn a_side_that_knows_no_setup_is_met_as_rfc_4975_has_it() {
        assert_eq!(answer_setup(None, true), Setup::Passive);
        assert_eq!(role_of_offerer(None), Role::Active);
        assert_eq!(Setup::parse("holdconn"), None);
    }

    #[test]
    fn who_cannot_be_reached_connects() {
        assert_eq!(offer_setup(false), Setup::Active);
        assert_eq!(answer_setup(Some(Setup::Actpass), false), Setup::Active);
        assert_eq!(answer_setup(Some(Setup::Actpass), true), Setup::Passive);
    }
}
