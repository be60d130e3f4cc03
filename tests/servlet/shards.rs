//! Several shards at one address: what belongs together comes together, whichever of them is asked.

use std::collections::BTreeSet;
use std::time::Instant;

use servlet::prelude::*;
use sip_message::StatusCode as Status;
use testkit::{Link, Story};

use crate::app_support::by_hand::ByHand;
use crate::app_support::{Server, ends};

const ROOM: &str = "sip:room@example.test";

/// Says in its answers which application session they come from, and how many requests that has had.
#[derive(Clone)]
struct Room {
    rings: bool,
}

impl Room {
    fn answer(&self, request: &SipServletRequest, status: Status) -> Result<SipServletResponse> {
        let session = request.application_session()?;
        let before = session.attribute::<u32>("requests")?.map_or(0, |before| *before);
        session.set_attribute("requests", before + 1)?;
        let response = request.create_response(status)?;
        response.set_header("X-Session", &session.id())?;
        response.set_header("X-Requests", &(before + 1).to_string())?;
        let mut here = SipUri::new("room", "example.test")?;
        session.encode_uri(&mut here)?;
        response.set_header("X-Here", &here.to_string())?;
        Ok(response)
    }
}

impl SipServlet for Room {
    async fn do_message(&self, message: SipServletRequest) -> Result {
        Ok(self.answer(&message, Status::OK)?.send()?)
    }

    async fn do_invite(&self, invite: SipServletRequest) -> Result {
        let status = if self.rings { Status::RINGING } else { Status::OK };
        Ok(self.answer(&invite, status)?.send()?)
    }

    async fn do_cancel(&self, cancel: SipServletRequest) -> Result {
        let session = cancel.application_session()?;
        session.set_attribute("cancelled", true)?;
        Ok(())
    }

    async fn do_bye(&self, bye: SipServletRequest) -> Result {
        Ok(bye.create_response(Status::OK)?.send()?)
    }
}

fn keyed(rings: bool) -> SipApplication {
    room(rings).application_key(|request: &SipServletRequest| request.request_uri().as_sip()?.user())
}

fn room(rings: bool) -> SipApplication {
    SipApplication::new("room").servlet(Room { rings })
}

fn story(seed: u64, application: SipApplication) -> Story {
    let story = Story::new(seed, Instant::now());
    Server::new().shards(4).application(application, |_| true).at(&story, "example.test");
    story
}

fn people(story: &Story, many: usize) -> Vec<ByHand> {
    (0..many).map(|number| ByHand::new(story, &format!("person{number}"))).collect()
}

fn said(person: &ByHand, name: &str) -> String {
    let response = person.latest_response();
    response.headers().extension(name).next().unwrap_or_default().to_owned()
}

#[test]
fn requests_of_one_key_come_to_one_application_session_whichever_shard_they_come_to() {
    let story = story(1, keyed(false).session_timeout(Minutes(1)));
    let people = people(&story, 8);
    // Something that keeps the session between the messages.
    people[0].invites(ROOM, &[], "");
    people[0].acks("");
    for person in &people[1..] {
        person.asks(Method::Message, ROOM, &[], "");
    }
    let sessions: BTreeSet<String> = people.iter().map(|person| said(person, "X-Session")).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(said(&people[7], "X-Requests"), "8");
    people[0].says(Method::Bye, &[], "");
    ends(&story);
}

/// A copy of a request that was handed over finds it.
#[test]
fn a_repetition_follows_the_request_to_its_shard() {
    for seed in 0..20 {
        let story = story(seed, keyed(false));
        let people = people(&story, 5);
        // Something that keeps the session between the messages.
        people[0].invites(ROOM, &[], "");
        people[0].acks("");
        story.links(Link { loss: 0.3, ..Link::default() });
        for person in &people[1..] {
            person.asks(Method::Message, ROOM, &[], "");
        }
        story.run_for(Duration::from_secs(33));
        // Now and then every answer is lost.
        let answered: Vec<&ByHand> = people[1..].iter().filter(|person| !person.statuses().is_empty()).collect();
        let told: BTreeSet<String> = answered.iter().map(|person| said(person, "X-Requests")).collect();
        story.expect_eq(told.len(), answered.len(), "how many messages the application has told apart");
        story.expect(told.last().is_none_or(|most| **most <= *"5"), "each was told once");
        story.links(Link::default());
        people[0].says(Method::Bye, &[], "");
        ends(&story);
    }
}

#[test]
fn a_cancel_follows_the_invite_to_its_shard() {
    let story = story(2, keyed(true));
    let people = people(&story, 6);
    for person in &people {
        person.invites(ROOM, &[], "");
        assert_eq!(person.statuses(), [180]);
        person.cancels();
        assert!(person.statuses().contains(&487), "{:?}", person.statuses());
    }
    ends(&story);
}

#[test]
fn an_encoded_uri_leads_to_the_shard_of_its_session() {
    let story = story(3, room(false));
    let people = people(&story, 6);
    people[0].invites(ROOM, &[], "");
    people[0].acks("");
    let (session, here) = (said(&people[0], "X-Session"), said(&people[0], "X-Here"));
    for person in &people[1..] {
        person.asks(Method::Message, &here, &[], "");
        assert_eq!(said(person, "X-Session"), session);
    }
    people[0].says(Method::Bye, &[], "");
    ends(&story);
}

#[test]
fn replaces_and_join_lead_to_the_shard_of_their_dialog() {
    let story = story(4, room(false));
    let people = people(&story, 6);
    people[0].invites(ROOM, &[], "");
    people[0].acks("");
    let response = people[0].latest_response();
    let tag = |name| response.headers().first(name).unwrap().split(";tag=").nth(1).unwrap().to_owned();
    let names = format!(
        "{};to-tag={};from-tag={}",
        response.headers().first(sip_message::HeaderName::CallId).unwrap(),
        tag(sip_message::HeaderName::To),
        tag(sip_message::HeaderName::From),
    );
    let session = said(&people[0], "X-Session");
    for (number, person) in people[1..].iter().enumerate() {
        let name = if number % 2 == 0 { "Replaces" } else { "Join" };
        person.invites(ROOM, &[(name, &names)], "");
        person.acks("");
        assert_eq!(said(person, "X-Session"), session);
        person.says(Method::Bye, &[], "");
    }
    people[0].says(Method::Bye, &[], "");
    ends(&story);
}

/// The callee's requests come from elsewhere than the caller's, and so to another shard than that of the session.
#[test]
fn whoever_hangs_up_a_proxied_call_its_session_is_told_and_goes() {
    struct Stays;
    impl SipServlet for Stays {
        async fn do_request(&self, request: SipServletRequest) -> Result {
            if request.is_initial() {
                let proxy = request.proxy()?;
                proxy.set_record_route(true)?;
                proxy.proxy_to(&request.request_uri())?;
            }
            Ok(())
        }
    }
    let story = story(6, SipApplication::new("stays").servlet(Stays).session_timeout(Minutes(0)));
    for number in 0..8 {
        let caller = story.person(&format!("caller{number}"));
        let callee = story.person(&format!("callee{number}"));
        caller.goes_through(&["sip:example.test;lr"]);
        caller.calls(&callee);
        story.a_moment();
        callee.answers();
        story.a_moment();
        story.expect(caller.talks() && callee.talks(), "both talk");
        if number % 2 == 0 {
            callee.hangs_up()
        } else {
            caller.hangs_up()
        }
        story.a_moment();
    }
    ends(&story);
}
