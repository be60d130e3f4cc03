//! `ServletContext`, `SipFactory` and `SipSessionsUtil`: requests, sessions and what an application asks its container.

use std::cell::Cell;
use std::rc::Rc;

use container::{Container, Resources};
use servlet::prelude::*;
use servlet::{Correspondence, IllegalArgument, IllegalState, Transport};
use sip_message::HeaderName;

use crate::keeper::{Stage, bob, keeper, named};
use crate::world::{BOB, World, in_dialog, invite, request};

fn made(stage: &mut Stage, method: Method, from: &str, to: &str) -> Result<SipServletRequest, Error> {
    stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session()?;
        factory.create_request(&session, method, &Address::parse(from)?, &Address::parse(to)?)
    })
}

// ----- create_request ------------------------------------------------------------------------------------------------

#[test]
fn a_request_of_the_factorys_begins_a_session_with_a_call_id_and_a_tag_of_its_own() {
    let mut stage = Stage::new();
    let one = made(&mut stage, Method::Invite, "Us <sip:us@h>", &format!("<sip:bob@{BOB}>")).unwrap();
    let other = made(&mut stage, Method::Invite, "Us <sip:us@h>", &format!("<sip:bob@{BOB}>")).unwrap();
    assert_ne!(one.call_id(), other.call_id());
    assert!(one.call_id().ends_with("@192.0.2.1"));
    assert_ne!(one.from().tag(), other.from().tag());
    assert_eq!(one.to().tag(), None);
    assert!(one.is_initial() && !one.is_committed());
    let session = one.session().unwrap();
    assert!(stage.created().contains(&session.id()));
    assert_eq!((session.call_id(), session.state()), (&*one.call_id(), Ok(SessionState::Initial)));
    let sent = stage.sends(&one);
    assert_eq!((sent.uri(), sent.first(HeaderName::Cseq)), (&*bob(), "1 INVITE"));
    assert_eq!(sent.first(HeaderName::MaxForwards), "70");
    assert_eq!(sent.first(HeaderName::From).split(";tag=").next(), Some("Us <sip:us@h>"));
    assert_eq!(sent.all(HeaderName::Contact), ["<sip:192.0.2.1>"]);
}

/// RFC 3261 §19.1.1, table 1.
#[test]
fn from_and_to_lose_their_tags_and_what_may_not_stand_there() {
    let mut stage = Stage::new();
    let to = "<sips:bob@h:5070;transport=tcp;maddr=x;lr;user=phone;method=BYE?Subject=z>;tag=theirs;x=y";
    let request = made(&mut stage, Method::Message, "<sip:us@h:99;ttl=1>;tag=mine", to).unwrap();
    assert_eq!(request.to().to_string(), "<sips:bob@h;user=phone>;x=y");
    assert_eq!(request.from().without_tag().to_string(), "<sip:us@h>");
    assert_ne!(request.from().tag().as_deref(), Some("mine"));
    // The Request-URI says where it goes, so that it keeps more.
    assert_eq!(request.request_uri().to_string(), "sips:bob@h:5070;transport=tcp;maddr=x;lr;user=phone");
}

#[test]
fn requests_that_belong_to_others_are_not_made_by_the_factory() {
    let mut stage = Stage::new();
    for method in [Method::Ack, Method::Cancel, Method::Prack] {
        let refused = made(&mut stage, method.clone(), "<sip:a@h>", "<sip:b@h>").err();
        assert_eq!(refused, Some(IllegalArgument::Method(method.as_str().into()).into()));
    }
    let refused = made(&mut stage, Method::Other("no token".into()), "<sip:a@h>", "<sip:b@h>").err();
    assert_eq!(refused, Some(IllegalArgument::Method("no token".into()).into()));
    assert!(matches!(
        made(&mut stage, Method::Invite, "<sip:a@h>", "*").err(),
        Some(Error::IllegalArgument(IllegalArgument::Uri(_)))
    ));
    assert_eq!(stage.world.load().sip_sessions, 0);
}

#[test]
fn a_request_of_an_invalid_application_session_is_refused() {
    let mut stage = Stage::new();
    let refused = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        session.invalidate().unwrap();
        factory.create_request_from_text(&session, "MESSAGE", "sip:a@h", "sip:b@h").err()
    });
    assert_eq!(refused, Some(IllegalState::InvalidApplicationSession.into()));
}

#[test]
fn only_requests_that_make_or_refresh_a_dialog_have_a_contact_of_the_containers() {
    let mut stage = Stage::new();
    for method in [Method::Invite, Method::Subscribe, Method::Refer] {
        let request = made(&mut stage, method, "<sip:a@h>", "<sip:b@h>").unwrap();
        assert_eq!(request.header("Contact").as_deref(), Some("<sip:192.0.2.1>"));
    }
    for method in [Method::Register, Method::Options, Method::Message, Method::Publish] {
        let request = made(&mut stage, method, "<sip:a@h>", "<sip:b@h>").unwrap();
        assert_eq!(request.header("Contact"), None);
    }
    let register = made(&mut stage, Method::Register, "<sip:a@h>", "<sip:a@h>").unwrap();
    register.set_header("Contact", "<sip:anybody@anywhere>").unwrap();
    let invite = made(&mut stage, Method::Invite, "<sip:a@h>", "<sip:a@h>").unwrap();
    let refused = invite.set_header("Contact", "<sip:anybody@anywhere>").err();
    assert_eq!(refused, Some(IllegalArgument::SystemHeader("Contact".into()).into()));
}

#[test]
fn a_request_by_tcp_has_a_contact_that_says_so() {
    let mut stage = Stage::new();
    let request = made(&mut stage, Method::Invite, "<sip:a@h>", &format!("<sip:b@{BOB};transport=tcp>")).unwrap();
    let sent = stage.sends(&request);
    assert_eq!(sent.transport, Transport::Tcp);
    assert_eq!(sent.all(HeaderName::Contact), ["<sip:192.0.2.1;transport=tcp>"]);
}

#[test]
fn a_text_that_is_no_address_is_a_parse_error() {
    let mut stage = Stage::new();
    let refused = stage.act(|context| {
        let factory = context.sip_factory();
        let session = factory.create_application_session().unwrap();
        let create = |from: &str, to: &str| factory.create_request_from_text(&session, "MESSAGE", from, to).err();
        [create("no address", "sip:b@h"), create("sip:a@h", "<sip:b@h")]
    });
    for refused in refused {
        assert!(matches!(refused, Some(Error::Parse(_))), "{refused:?}");
    }
}

// ----- create_request_like -------------------------------------------------------------------------------------------

#[test]
fn a_copy_of_a_request_has_a_new_tag_and_the_same_call_id_when_it_is_wanted() {
    let mut stage = Stage::new();
    let original =
        stage.receives(&request("INVITE", &bob(), "a", "Subject: Lunch\nRecord-Route: <sip:p.invalid;lr>\n"));
    let copy = |stage: &mut Stage, same: bool| {
        stage.act(|context| context.sip_factory().create_request_like(&original, same).unwrap())
    };
    let (same, fresh) = (copy(&mut stage, true), copy(&mut stage, false));
    assert_eq!(same.call_id(), "a");
    assert_ne!(fresh.call_id(), "a");
    for copy in [same, fresh] {
        assert_ne!(copy.from().tag(), original.from().tag());
        assert_ne!(copy.session().unwrap(), original.session().unwrap());
        assert_eq!(copy.application_session().unwrap(), original.application_session().unwrap());
        assert_eq!(copy.header("Subject").as_deref(), Some("Lunch"));
        assert_eq!((copy.header("Via"), copy.header("Record-Route")), (None, None));
        assert_eq!(copy.header("Contact").as_deref(), Some("<sip:192.0.2.1>"));
        assert_eq!(copy.max_forwards(), Some(69));
    }
}

// ----- sessions ------------------------------------------------------------------------------------------------------

#[test]
fn an_application_session_is_found_by_its_id_and_only_by_its_own_application() {
    let mut world = World::with(Container::builder().application(keeper()).application(named("other")));
    let (session, id) = world.act("keeper", |context| {
        let session = context.sip_factory().create_application_session().unwrap();
        (session.clone(), session.id())
    });
    let find = |world: &mut World, app: &str, id: &str| {
        world.act(app, |context| context.sip_sessions_util().application_session_by_id(id))
    };
    assert_eq!(find(&mut world, "keeper", &id), Some(session.clone()));
    assert_eq!(find(&mut world, "other", &id), None);
    for wrong in ["", "x", "00", &id[1..], &format!("{id}:key"), "01é0000000000000000"] {
        assert_eq!(find(&mut world, "keeper", wrong), None, "{wrong}");
    }
    world.act("keeper", |_| session.invalidate().unwrap());
    assert_eq!(find(&mut world, "keeper", &id), None);
}

#[test]
fn an_application_session_of_a_key_is_made_once() {
    let mut stage = Stage::new();
    let (none, one, same, util) = stage.act(|context| {
        let (factory, util) = (context.sip_factory(), context.sip_sessions_util());
        (
            util.application_session_by_key("alice", false).unwrap(),
            factory.create_application_session_by_key("alice").unwrap(),
            factory.create_application_session_by_key("alice").unwrap(),
            util.application_session_by_key("alice", false).unwrap(),
        )
    });
    assert_eq!(none, None);
    assert_eq!((&one, util.as_ref()), (&same, Some(&one)));
    assert!(one.id().ends_with(":alice"));
    let again = stage.act(|context| {
        one.invalidate().unwrap();
        let util = context.sip_sessions_util();
        assert_eq!(util.application_session_by_key("alice", false), Ok(None));
        util.application_session_by_key("alice", true).unwrap().unwrap()
    });
    assert_ne!(again, one);
    let refused = stage.act(|context| context.sip_factory().create_application_session_by_key("").err());
    assert_eq!(refused, Some(IllegalArgument::Name("".into()).into()));
}

/// RFC 3891.
#[test]
fn the_session_that_replaces_another_and_the_one_that_is_replaced_find_each_other() {
    let mut stage = Stage::new();
    let first = stage.receives(&invite("sip:service@192.0.2.1", "a"));
    let ok = stage.answers(&first.create_response(StatusCode::OK).unwrap());
    stage.world.alice(&in_dialog("ACK", &ok, 1, ""));
    let replaces = format!("Replaces: a;to-tag={};from-tag={}\n", ok.to_tag(), ok.from_tag());
    let second = stage.receives(&request("INVITE", "sip:service@192.0.2.1", "b", &replaces));
    let (first, second) = (first.session().unwrap(), second.session().unwrap());
    assert_eq!(first.application_session().unwrap(), second.application_session().unwrap());
    let find = |stage: &mut Stage, session: &SipSession, by| {
        stage.act(|context| context.sip_sessions_util().corresponding_sip_session(session, by))
    };
    assert_eq!(find(&mut stage, &second, Correspondence::Replaces), Some(first.clone()));
    assert_eq!(find(&mut stage, &first, Correspondence::Replaces), Some(second.clone()));
    assert_eq!(find(&mut stage, &second, Correspondence::Join), None);
}

// ----- ServletContext ------------------------------------------------------------------------------------------------

#[test]
fn what_an_application_keeps_on_its_worker_is_made_once_and_is_its_own() {
    struct Mine(Cell<u32>);
    let mut world = World::with(Container::builder().application(keeper()).application(named("other")));
    let count = |world: &mut World, app: &str| {
        world.act(app, |context| {
            let mine = context.local(|| {
                // What is made may need something else that is made.
                context.local(|| 5_u8);
                Mine(Cell::new(0))
            });
            mine.0.set(mine.0.get() + 1);
            mine.0.get()
        })
    };
    assert_eq!((count(&mut world, "keeper"), count(&mut world, "keeper"), count(&mut world, "other")), (1, 2, 1));
}

#[test]
fn what_is_bound_to_the_container_is_found_by_its_type() {
    #[derive(Debug, PartialEq)]
    struct Directory(&'static str);
    let resources = Resources::default().with(Rc::new(Directory("people")));
    let mut world = World::with(Container::builder().application(keeper()).resources(resources));
    let (found, other) = world.act("keeper", |context| (context.resource::<Directory>(), context.resource::<u64>()));
    assert_eq!((found.as_deref(), other), (Some(&Directory("people")), None));
}

#[test]
fn an_application_reads_its_parameters_and_the_interfaces() {
    let mut world = World::new(keeper().init_parameter("limit", "5"));
    world.act("keeper", |context| {
        assert_eq!(context.application_name().as_ref(), "keeper");
        assert_eq!(context.init_parameter("limit").as_deref(), Some("5"));
        assert_eq!((context.init_parameter("other"), context.init_parameter_names()), (None, vec!["limit".to_owned()]));
        let interfaces: Vec<String> = context.outbound_interfaces().iter().map(|uri| uri.as_str().to_owned()).collect();
        assert_eq!(interfaces, ["sip:192.0.2.1:5060;transport=udp", "sip:192.0.2.1:5060;transport=tcp"]);
        assert_ne!(context.random(), context.random());
    });
}

#[test]
fn both_clocks_go_with_the_world() {
    let mut stage = Stage::new();
    let read = |stage: &mut Stage| {
        stage.world.settle();
        stage.act(|context| (context.now(), context.time()))
    };
    let before = read(&mut stage);
    stage.world.pass(Duration::from_secs(90));
    let after = read(&mut stage);
    assert_eq!(after.0 - before.0, Duration::from_secs(90));
    assert_eq!(after.1.duration_since(before.1).unwrap(), Duration::from_secs(90));
}

#[test]
fn a_spawned_task_runs_outside_of_all_sessions() {
    let mut stage = Stage::new();
    let done = Rc::new(Cell::new(false));
    let mark = Rc::clone(&done);
    stage.act(|context| {
        context.spawn(async move {
            mark.set(true);
            Ok(())
        })
    });
    assert!(done.get());
    assert_eq!(stage.world.load().application_sessions, 0);
}

#[test]
fn what_is_published_is_told_to_the_other_workers() {
    let mut stage = Stage::new();
    stage.act(|context| context.publish(7_u32));
    assert_eq!(stage.world.told.len(), 1);
}
