//! Who takes part in a conference: `application/conference-info+xml`, RFC 4575.
//!
//! ```text
//!   state="full"     the roster is replaced
//!   state="partial"  users are replaced, changed or taken out; its version is the last one's plus one, or something was
//!                    missed, and the whole is asked for (§4.5)
//!   state="deleted"  the conference is over
//! ```

use std::sync::Arc;

use super::xml::{Element, XmlError};
use crate::notification::ConferenceUser;

/// The event package.
pub(super) const PACKAGE: &str = "conference";
/// Its content.
pub(super) const ACCEPT: &str = "application/conference-info+xml";
const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
/// More are not kept.
const MAX_USERS: usize = 2_048;
/// Nor more devices of one user.
const MAX_ENDPOINTS: usize = 32;

/// The roster, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Roster {
    version: Option<u32>,
    users: Vec<User>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    entity: Arc<str>,
    display_text: Option<Arc<str>>,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    entity: Box<str>,
    status: Option<Arc<str>>,
}

/// What a notification has done to the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// It is another now, or is told again.
    Changed,
    /// The notification was old.
    Old,
    /// One before it was missed: the whole is to be asked for.
    Missed,
}

/// What `state` says; without it an element is whole (§4.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Full,
    Partial,
    Deleted,
}

impl Roster {
    /// Takes a notification.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<Update, XmlError> {
        let info = Element::parse(body, NAMESPACE, "conference-info")?;
        let version = info.attribute("version").and_then(|version| version.trim().parse().ok());
        let state = state(&info);
        // §4.5: "the version number … MUST be incremented by one for every new document".
        if let (Some(last), Some(version)) = (self.version, version) {
            if version <= last {
                return Ok(Update::Old);
            }
            if state == State::Partial && version - last > 1 {
                return Ok(Update::Missed);
            }
        } else if state == State::Partial && self.version.is_none() {
            return Ok(Update::Missed);
        }
        self.version = version.or(self.version);
        match state {
            State::Deleted => self.users.clear(),
            State::Full => {
                self.users.clear();
                self.take_users(&info);
            }
            State::Partial => self.take_users(&info),
        }
        Ok(Update::Changed)
    }

    /// A new subscription begins: its versions are counted anew.
    pub(super) fn begin_anew(&mut self) {
        self.version = None;
    }

    /// Those who take part. Who is known to have left is not among them.
    pub(super) fn users(&self) -> Vec<ConferenceUser> {
        let takes_part = |user: &&User| user.status().is_none_or(|status| **status != *"disconnected");
        let told = |user: &User| ConferenceUser {
            entity: user.entity.clone(),
            display_text: user.display_text.clone(),
            status: user.status().cloned(),
        };
        self.users.iter().filter(takes_part).map(told).collect()
    }

    fn take_users(&mut self, info: &Element) {
        let Some(users) = info.child("users") else { return };
        if state(users) == State::Full {
            self.users.clear();
        }
        for element in users.children("user") {
            // Without a name it can't be told from others.
            let Some(entity) = element.attribute("entity").filter(|entity| !entity.is_empty()) else { continue };
            let at = self.users.iter().position(|user| *user.entity == *entity);
            match (state(element), at) {
                (State::Deleted, Some(at)) => drop(self.users.remove(at)),
                (State::Deleted, None) => {}
                (State::Full, Some(at)) => self.users[at] = User::of(entity, element),
                (State::Partial, Some(at)) => self.users[at].change(element),
                (_, None) if self.users.len() < MAX_USERS => self.users.push(User::of(entity, element)),
                (_, None) => {}
            }
        }
    }
}

impl User {
    fn of(entity: &str, element: &Element) -> User {
        let mut user = User { entity: entity.into(), display_text: None, endpoints: Vec::new() };
        user.change(element);
        user
    }

    /// What is said of it takes the place of what was; the rest stays.
    fn change(&mut self, element: &Element) {
        if let Some(text) = element.child("display-text") {
            self.display_text = Some(text.text()).filter(|text| !text.is_empty()).map(Arc::from);
        }
        for endpoint in element.children("endpoint") {
            let entity = endpoint.attribute("entity").unwrap_or_default();
            let at = self.endpoints.iter().position(|known| *known.entity == *entity);
            let status = endpoint.child("status").map(|status| Arc::from(status.text()));
            match (state(endpoint), at) {
                (State::Deleted, Some(at)) => drop(self.endpoints.remove(at)),
                (State::Deleted, None) => {}
                (State::Full, Some(at)) => self.endpoints[at].status = status,
                (State::Partial, Some(at)) => {
                    let known = &mut self.endpoints[at];
                    known.status = status.or(known.status.take());
                }
                (_, None) if self.endpoints.len() < MAX_ENDPOINTS => {
                    self.endpoints.push(Endpoint { entity: entity.into(), status });
                }
                (_, None) => {}
            }
        }
    }

    /// That of a device which takes part, else that of any.
    fn status(&self) -> Option<&Arc<str>> {
        let mut statuses = self.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref());
        let first = statuses.clone().next();
        statuses.find(|status| ***status != *"disconnected").or(first)
    }
}

fn state(element: &Element) -> State {
    match element.attribute("state") {
        Some("partial") => State::Partial,
        Some("deleted") => State::Deleted,
        _ => State::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(attributes: &str, users: &str) -> String {
        format!(
            "<conference-info xmlns=\"{NAMESPACE}\" entity=\"sip:c@example.org\" {attributes}>{users}</conference-info>"
        )
    }

    fn user(entity: &str, status: &str) -> String {
        format!(
            "<user entity=\"{entity}\" state=\"full\"><endpoint entity=\"{entity}-1\"><status>{status}</status></endpoint></user>"
        )
    }

    fn take(roster: &mut Roster, attributes: &str, users: &str) -> Update {
        roster.take(info(attributes, users).as_bytes()).unwrap()
    }

    fn names(roster: &Roster) -> Vec<(String, Option<String>)> {
        let told = |user: ConferenceUser| (user.entity.to_string(), user.status.map(|status| status.to_string()));
        roster.users().into_iter().map(told).collect()
    }

    fn pair(entity: &str, status: &str) -> (String, Option<String>) {
        (entity.into(), Some(status.into()))
    }

    fn of_two() -> Roster {
        let mut roster = Roster::default();
        let users = format!("<users>{}{}</users>", user("sip:bob@b", "connected"), user("sip:carol@c", "on-hold"));
        assert_eq!(take(&mut roster, "state='full' version='1'", &users), Update::Changed);
        roster
    }

    /// RFC 4575 §5.6, §5.7.4.
    #[test]
    fn a_full_document_is_the_roster() {
        let roster = of_two();
        assert_eq!(names(&roster), [pair("sip:bob@b", "connected"), pair("sip:carol@c", "on-hold")]);
        let mut roster = roster;
        let users = "<users><user entity='sip:d@d'><display-text> Dave </display-text></user></users>";
        assert_eq!(take(&mut roster, "version='9'", users), Update::Changed);
        let dave = ConferenceUser { entity: "sip:d@d".into(), display_text: Some("Dave".into()), status: None };
        assert_eq!(roster.users(), [dave]);
    }

    /// RFC 4575 §4.5.
    #[test]
    fn a_partial_document_changes_what_it_names_and_nothing_else() {
        let mut roster = of_two();
        let users = format!(
            "<users state='partial'>{}<user entity='sip:carol@c' state='partial'><display-text>Carol</display-text></user></users>",
            user("sip:dave@d", "dialing-out")
        );
        assert_eq!(take(&mut roster, "state='partial' version='2'", &users), Update::Changed);
        let told = roster.users();
        assert_eq!(told.len(), 3);
        assert_eq!(told[1].display_text.as_deref(), Some("Carol"));
        assert_eq!(told[1].status.as_deref(), Some("on-hold"));
        let users = "<users state='partial'><user entity='sip:bob@b' state='deleted'/></users>";
        assert_eq!(take(&mut roster, "state='partial' version='3'", users), Update::Changed);
        assert_eq!(names(&roster), [pair("sip:carol@c", "on-hold"), pair("sip:dave@d", "dialing-out")]);
    }

    #[test]
    fn whoever_is_disconnected_is_not_in_it() {
        let mut roster = of_two();
        let users = format!("<users state='partial'>{}</users>", user("sip:bob@b", "disconnected"));
        take(&mut roster, "state='partial' version='2'", &users);
        assert_eq!(names(&roster), [pair("sip:carol@c", "on-hold")]);
    }

    /// RFC 4575 §4.5.
    #[test]
    fn an_old_document_changes_nothing_and_a_gap_asks_for_the_whole() {
        let mut roster = of_two();
        let empty = "<users state='partial'/>";
        assert_eq!(take(&mut roster, "state='full' version='1'", "<users/>"), Update::Old);
        assert_eq!(take(&mut roster, "state='partial' version='3'", empty), Update::Missed);
        assert_eq!(roster.users().len(), 2);
        assert_eq!(take(&mut roster, "state='full' version='4'", "<users/>"), Update::Changed);
        assert_eq!(roster.users(), []);
        assert_eq!(take(&mut Roster::default(), "state='partial' version='7'", empty), Update::Missed);
    }

    #[test]
    fn a_deleted_conference_has_nobody() {
        let mut roster = of_two();
        assert_eq!(take(&mut roster, "state='deleted' version='2'", ""), Update::Changed);
        assert_eq!(roster.users(), []);
    }

    #[test]
    fn a_roster_is_bounded_and_what_is_no_roster_is_refused() {
        let mut roster = Roster::default();
        let users: String = (0..MAX_USERS + 10).map(|n| format!("<user entity='sip:{n}@x'/>")).collect();
        take(&mut roster, "version='1'", &format!("<users>{users}</users>"));
        assert_eq!(roster.users().len(), MAX_USERS);
        assert_eq!(roster.take(b"<conference-info/>"), Err(XmlError::OtherRoot));
        assert_eq!(roster.take(b"v=0"), Err(XmlError::Malformed));
    }
}
