//! Who is in a room, as the room tells those in it (RFC 4575).

use client::notification::ConferenceUser;

use super::super::lines::printable;

/// Those who are there.
#[derive(Debug, Default)]
pub(super) struct Attendees {
    /// `None`: nobody has told yet.
    told: Option<Vec<Attendee>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attendee {
    address: String,
    /// What the room says they are called.
    name: Option<String>,
    is_us: bool,
}

impl Attendees {
    /// Takes what the room tells. Returns what is to be said: who is there, the first time; who has come and gone, later.
    pub(super) fn take(&mut self, users: &[ConferenceUser], ours: Option<&str>) -> Vec<String> {
        let attendee = |user: &ConferenceUser| Attendee {
            address: printable(&user.entity),
            name: user.display_text.as_deref().map(printable).filter(|name| !name.trim().is_empty()),
            is_us: ours.is_some_and(|ours| mailbox(ours) == mailbox(&user.entity)),
        };
        let now = Attendees { told: Some(users.iter().map(attendee).collect()) };
        let before = std::mem::replace(self, now);
        let Some(old) = &before.told else { return self.all().into_iter().collect() };
        let mut said = Vec::new();
        for gone in old.iter().filter(|old| !old.is_us && self.find(&old.address).is_none()) {
            said.push(format!("{} has gone", before.called(gone)));
        }
        for attendee in self.told.iter().flatten().filter(|attendee| !attendee.is_us) {
            match before.find(&attendee.address) {
                None => said.push(format!("{} has come", self.called(attendee))),
                Some(old) if old.name != attendee.name => {
                    said.push(format!("{} is called {} now", before.called(old), self.called(attendee)));
                }
                Some(_) => {}
            }
        }
        said
    }

    /// Everybody; nothing if nobody has told.
    pub(super) fn all(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        let name = |attendee: &Attendee| {
            let you = if attendee.is_us { " (you)" } else { "" };
            format!("{}{you}", self.called(attendee))
        };
        Some(format!("Here: {}", told.iter().map(name).collect::<Vec<_>>().join(", ")))
    }

    /// What somebody of this address is called.
    pub(super) fn name_of(&self, address: &str) -> Option<String> {
        self.find(address).map(|attendee| self.called(attendee))
    }

    /// The address of the one who is called that, or whose address begins so; nothing if that may be several.
    pub(super) fn address_of(&self, name: &str) -> Option<&str> {
        if let Some(attendee) = self.find(name) {
            return Some(&attendee.address);
        }
        let is_called = |attendee: &&Attendee| {
            let user = mailbox(&attendee.address).split('@').next();
            let name = name.to_lowercase();
            attendee.name.as_ref().is_some_and(|called| called.to_lowercase() == name) || user == Some(&*name)
        };
        let mut called = self.told.iter().flatten().filter(is_called);
        let one = called.next().filter(|_| called.next().is_none());
        one.map(|attendee| &*attendee.address)
    }

    fn find(&self, address: &str) -> Option<&Attendee> {
        self.told.iter().flatten().find(|attendee| mailbox(&attendee.address) == mailbox(address))
    }

    /// The name, with the address behind it where another has the same; the address of one without a name.
    fn called(&self, attendee: &Attendee) -> String {
        let address = mailbox(&attendee.address);
        let same = |other: &&Attendee| other.name == attendee.name;
        match &attendee.name {
            None => address.to_owned(),
            Some(name) if self.told.iter().flatten().filter(same).count() > 1 => format!("{name} ({address})"),
            Some(name) => name.clone(),
        }
    }
}

/// Who an address names, whichever way leads there.
pub(super) fn mailbox(address: &str) -> &str {
    let rest = ["sip:", "sips:", "im:"].into_iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
    rest.split([';', '?']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "sip:alice@example.com";

    fn user(entity: &str, name: &str) -> ConferenceUser {
        let display_text = (!name.is_empty()).then(|| name.into());
        ConferenceUser { entity: entity.into(), display_text, status: None }
    }

    #[test]
    fn at_first_everybody_is_named_and_then_those_who_come_and_go() {
        let mut attendees = Attendees::default();
        let (alice, bob) = (user(ALICE, "Alice"), user("sip:bob@example.com", "Bob"));
        let carol = user("sip:carol@example.com", "");
        assert_eq!(attendees.take(&[alice.clone(), bob.clone()], Some(ALICE)), ["Here: Alice (you), Bob"]);
        let said = attendees.take(&[alice.clone(), carol], Some(ALICE));
        assert_eq!(said, ["Bob has gone", "carol@example.com has come"]);
        let said = attendees.take(&[alice.clone(), user("sip:carol@example.com", "Caz")], Some(ALICE));
        assert_eq!(said, ["carol@example.com is called Caz now"]);
        assert_eq!(
            attendees.take(&[user("sip:carol@example.com", "Caz")], Some(ALICE)),
            [""; 0],
            "we know that we left"
        );
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let mut attendees = Attendees::default();
        let (one, other) = (user("sip:bob@example.com", "Bob"), user("sip:bob@example.org;transport=tcp", "Bob"));
        assert_eq!(attendees.take(&[one, other], None), ["Here: Bob (bob@example.com), Bob (bob@example.org)"]);
        assert_eq!(attendees.address_of("Bob"), None);
        assert_eq!(attendees.address_of("bob@example.com"), Some("sip:bob@example.com"));
    }

    #[test]
    fn somebody_is_found_by_the_name_by_the_user_and_by_the_address() {
        let mut attendees = Attendees::default();
        assert_eq!(attendees.address_of("alice"), None);
        assert_eq!(attendees.all(), None);
        attendees.take(&[user(ALICE, "Ally\u{1b}")], None);
        for name in ["ally\u{fffd}", "alice", "ALICE", ALICE, "alice@example.com", "im:alice@example.com"] {
            assert_eq!(attendees.address_of(name), Some(ALICE), "{name}");
        }
        assert_eq!(attendees.name_of("sip:alice@example.com;gr").as_deref(), Some("Ally\u{fffd}"));
        assert_eq!(attendees.address_of("al"), None);
    }
}
