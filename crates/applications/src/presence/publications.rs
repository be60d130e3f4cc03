//! The event state compositor of one presentity: what has been published, by entity-tags. RFC 3903 §6 and §10; when a
//! publication's time has come is the timers' to say, and who may publish the policy's.
//!
//! ```text
//!                  no SIP-If-Match                SIP-If-Match
//!                ┌────────────────────┐      ┌───────────────────────────┐
//!   body         │ initial publication│      │ modify                    │
//!   no body      │ 400                │      │ refresh; Expires 0: remove│     no such entity-tag: 412
//!                └────────────────────┘      └───────────────────────────┘
//!   every success gives the publication a new entity-tag
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use servlet::Durable;

use super::pidf::{self, Pidf};

/// What has been published for one presentity, and has neither been removed nor expired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publications {
    next: u32,
    all: Vec<Publication>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Publication {
    /// Stays while entity-tags change.
    number: u32,
    entity_tag: String,
    document: Pidf,
}

impl Durable for Publications {
    const VERSION: u16 = 1;
}

/// How much may be published for one presentity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Publications at a time.
    pub publications: usize,
    /// Octets of all of them together; what watchers are sent is little more.
    pub octets: usize,
}

/// A PUBLISH, as far as it is about state.
#[derive(Debug)]
pub struct Update {
    /// The SIP-If-Match.
    pub condition: Option<String>,
    /// The time that was granted; zero removes.
    pub lifetime: Duration,
    /// The body.
    pub document: Option<Pidf>,
}

/// A PUBLISH that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Which publication it is; its time begins anew, or ends when it was removed.
    pub number: u32,
    /// Whether it is still there.
    pub is_kept: bool,
    /// Whether watchers have something to hear.
    pub has_changed: bool,
}

/// Why a PUBLISH changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublished {
    /// There is no publication with this entity-tag, or no more: 412.
    NoMatch,
    /// Neither a body nor an entity-tag: 400.
    NothingToPublish,
    /// As many publications as there may be: 503.
    TooMany,
    /// As many octets as there may be: 413.
    TooLarge,
}

impl Publications {
    /// Takes a PUBLISH. `entity_tag` is the name that the publication has from now on; nobody must have had it before.
    pub fn publish(&mut self, limits: Limits, update: Update, entity_tag: &str) -> Result<Published, NotPublished> {
        match &update.condition {
            Some(condition) => {
                let index = self.find(condition).ok_or(NotPublished::NoMatch)?;
                self.change(limits, index, update, entity_tag)
            }
            None => self.begin(limits, update, entity_tag),
        }
    }

    /// Whether there is a publication with this entity-tag.
    pub fn contains(&self, entity_tag: &str) -> bool {
        self.find(entity_tag).is_some()
    }

    /// Removes a publication whose time has come. Whether it was there.
    pub fn expire(&mut self, number: u32) -> bool {
        let before = self.all.len();
        self.all.retain(|publication| publication.number != number);
        self.all.len() < before
    }

    /// The presence document of all of them.
    pub fn compose(&self, entity: &str) -> String {
        pidf::compose(entity, self.all.iter().map(|publication| &publication.document))
    }

    fn begin(&mut self, limits: Limits, update: Update, entity_tag: &str) -> Result<Published, NotPublished> {
        let document = update.document.ok_or(NotPublished::NothingToPublish)?;
        let number = self.next;
        // RFC 3903 §6 step 5: nothing is stored that would be removed at once.
        if update.lifetime.is_zero() {
            return Ok(Published { number, is_kept: false, has_changed: false });
        }
        if self.all.len() >= limits.publications {
            return Err(NotPublished::TooMany);
        }
        self.check_length(limits, None, &document)?;
        self.next = self.next.wrapping_add(1);
        self.all.push(Publication { number, entity_tag: entity_tag.to_owned(), document });
        Ok(Published { number, is_kept: true, has_changed: true })
    }

    fn change(
        &mut self,
        limits: Limits,
        index: usize,
        update: Update,
        entity_tag: &str,
    ) -> Result<Published, NotPublished> {
        if update.lifetime.is_zero() {
            let number = self.all.remove(index).number;
            return Ok(Published { number, is_kept: false, has_changed: true });
        }
        if let Some(document) = &update.document {
            self.check_length(limits, Some(index), document)?;
        }
        let publication = &mut self.all[index];
        publication.entity_tag = entity_tag.to_owned();
        let mut has_changed = false;
        if let Some(document) = update.document {
            has_changed = document != publication.document;
            publication.document = document;
        }
        Ok(Published { number: publication.number, is_kept: true, has_changed })
    }

    /// Of all publications but the one that is replaced.
    fn check_length(&self, limits: Limits, replaced: Option<usize>, document: &Pidf) -> Result<(), NotPublished> {
        let others = self.all.iter().enumerate().filter(|(index, _)| Some(*index) != replaced);
        let octets = document.len() + others.map(|(_, publication)| publication.document.len()).sum::<usize>();
        if octets > limits.octets { Err(NotPublished::TooLarge) } else { Ok(()) }
    }

    fn find(&self, entity_tag: &str) -> Option<usize> {
        self.all.iter().position(|publication| publication.entity_tag == entity_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { publications: 2, octets: 200 };
    const HOUR: Duration = Duration::from_secs(3600);

    fn document(note: &str) -> Option<Pidf> {
        let text = format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='a'><note>{note}</note></presence>");
        Some(Pidf::parse(text.as_bytes()).unwrap())
    }

    fn initial(note: &str) -> Update {
        Update { condition: None, lifetime: HOUR, document: document(note) }
    }

    fn conditional(entity_tag: &str, lifetime: Duration, document: Option<Pidf>) -> Update {
        Update { condition: Some(entity_tag.to_owned()), lifetime, document }
    }

    fn notes(publications: &Publications) -> Vec<String> {
        let text = publications.compose("sip:a@b");
        text.split("<note>").skip(1).map(|rest| rest[..rest.find('<').unwrap()].to_owned()).collect()
    }

    #[test]
    fn an_initial_publication_leaves_those_of_others_alone() {
        let mut all = Publications::default();
        let one = all.publish(LIMITS, initial("one"), "e1").unwrap();
        let two = all.publish(LIMITS, initial("two"), "e2").unwrap();
        assert_ne!(one.number, two.number);
        assert!(one.is_kept && one.has_changed);
        assert_eq!(notes(&all), ["one", "two"]);
        assert!(all.compose("sip:a@b").contains("entity=\"sip:a@b\""));
    }

    /// RFC 3903 §4.3: it "does not affect that event state in any other way".
    #[test]
    fn a_refresh_gives_a_new_entity_tag_and_nothing_to_tell() {
        let mut all = Publications::default();
        let begun = all.publish(LIMITS, initial("one"), "e1").unwrap();
        let refreshed = all.publish(LIMITS, conditional("e1", HOUR, None), "e2").unwrap();
        assert_eq!(refreshed, Published { number: begun.number, is_kept: true, has_changed: false });
        assert!(all.contains("e2") && !all.contains("e1"));
        assert_eq!(notes(&all), ["one"]);
    }

    #[test]
    fn a_modification_replaces_one_publication_and_is_told_when_it_says_something_else() {
        let mut all = Publications::default();
        let first = all.publish(LIMITS, initial("one"), "e1").unwrap();
        all.publish(LIMITS, initial("two"), "e2").unwrap();
        let modified = all.publish(LIMITS, conditional("e1", HOUR, document("three")), "e3").unwrap();
        assert_eq!(modified, Published { number: first.number, is_kept: true, has_changed: true });
        assert_eq!(notes(&all), ["three", "two"]);
        assert!(!all.publish(LIMITS, conditional("e3", HOUR, document("three")), "e4").unwrap().has_changed);
    }

    #[test]
    fn a_publication_is_removed_by_an_expiry_of_zero() {
        let mut all = Publications::default();
        let begun = all.publish(LIMITS, initial("one"), "e1").unwrap();
        let removed = all.publish(LIMITS, conditional("e1", Duration::ZERO, None), "e2").unwrap();
        assert_eq!(removed, Published { number: begun.number, is_kept: false, has_changed: true });
        assert!(!all.contains("e1") && !all.contains("e2"));
        let short = Update { lifetime: Duration::ZERO, ..initial("x") };
        assert!(!all.publish(LIMITS, short, "e3").unwrap().has_changed);
        assert_eq!(notes(&all), Vec::<String>::new());
    }

    #[test]
    fn an_entity_tag_that_is_not_or_no_more_matches_nothing() {
        let mut all = Publications::default();
        let begun = all.publish(LIMITS, initial("one"), "e1").unwrap();
        assert!(all.expire(begun.number) && !all.expire(begun.number));
        for condition in ["e1", "e2", ""] {
            let refused = all.publish(LIMITS, conditional(condition, HOUR, document("x")), "e3");
            assert_eq!(refused, Err(NotPublished::NoMatch));
        }
    }

    #[test]
    fn a_refused_publication_changes_nothing() {
        let mut all = Publications::default();
        all.publish(LIMITS, initial("one"), "e1").unwrap();
        let before = all.clone();
        let long = "x".repeat(LIMITS.octets);
        let nothing = Update { document: None, ..initial("") };
        assert_eq!(all.publish(LIMITS, nothing, "e2"), Err(NotPublished::NothingToPublish));
        assert_eq!(all.publish(LIMITS, initial(&long), "e2"), Err(NotPublished::TooLarge));
        assert_eq!(all.publish(LIMITS, conditional("e1", HOUR, document(&long)), "e2"), Err(NotPublished::TooLarge));
        assert_eq!(all, before);
        all.publish(LIMITS, initial("two"), "e2").unwrap();
        assert_eq!(all.publish(LIMITS, initial("three"), "e3"), Err(NotPublished::TooMany));
        assert_eq!(notes(&all), ["one", "two"]);
    }

    #[test]
    fn what_is_written_down_reads_as_itself() {
        let mut all = Publications::default();
        all.publish(LIMITS, initial("one"), "e1").unwrap();
        let replica = servlet::Attribute::write(&all).unwrap();
        assert_eq!(Publications::read(replica.version, &replica.octets), Some(all));
    }
}
