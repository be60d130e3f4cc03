//! Attributes of sessions of both kinds, and who is told of them (SIP Servlet 1.1 §6.1.4 and §6.2.5).

use servlet::{Error, IllegalArgument, NodeLocal, SipApplication};

use crate::test_core::{Ear, Log, Noted, Subject, World, heard_by};

#[test]
fn listeners_are_told_after_the_change_and_the_value_before_them() {
    let log = Log::default();
    let log_then = log.clone();
    let ear = Ear::that(&log, move |_, subject| {
        if let Subject::Binding(event) = subject
            && let servlet::Holder::Application(app) = &event.holder
        {
            log_then.write(format!("now there are {:?}", app.attribute_names().unwrap()));
        }
    });
    let world = World::of(heard_by(ear));
    let app = world.app_session();
    log.take();
    app.set_attribute("a", Noted("A", log.clone())).unwrap();
    assert_eq!(log.take(), ["A is bound to a", "app +a", "now there are [\"a\"]"]);
    app.set_attribute("a", Noted("B", log.clone())).unwrap();
    assert_eq!(log.take(), ["B is bound to a", "A is unbound from a", "app =a", "now there are [\"a\"]"]);
    app.remove_attribute("a").unwrap();
    assert_eq!(log.take(), ["B is unbound from a", "app -a", "now there are []"]);
    app.remove_attribute("a").unwrap();
    assert_eq!(log.take(), [""; 0], "what is not there can't be removed");
}

#[test]
fn sessions_of_both_kinds_have_attributes_of_their_own() {
    let log = Log::default();
    let world = World::of(heard_by(Ear::new(&log)));
    let app = world.app_session();
    let session = world.session(&app);
    log.take();
    app.set_attribute("a", 1_u32).unwrap();
    session.set_attribute("a", "one".to_owned()).unwrap();
    session.set_attribute("b", NodeLocal(2)).unwrap();
    assert_eq!(log.take(), ["app +a", "sip 0 +a", "sip 0 +b"]);
    assert_eq!(app.attribute::<u32>("a").unwrap().as_deref(), Some(&1));
    assert_eq!(session.attribute::<String>("a").unwrap().as_deref(), Some(&"one".to_owned()));
    assert_eq!(session.attribute::<u32>("a").unwrap(), None, "it is of another type");
    assert_eq!(session.attribute::<u32>("none").unwrap(), None);
    assert_eq!(session.attribute_names().unwrap(), ["a", "b"]);
    session.invalidate().unwrap();
    assert_eq!(log.take(), ["sip 0 -b", "sip 0 -a", "sip 0 destroyed"]);
}

#[test]
fn names_of_the_interface_and_no_name_are_refused() {
    let world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    for name in ["", "javax.servlet.sip.mine"] {
        let refused = app.set_attribute(name, 1_u32);
        assert_eq!(refused, Err(Error::IllegalArgument(IllegalArgument::Name(name.into()))));
    }
    assert_eq!(app.attribute_names().unwrap(), [""; 0]);
}

#[test]
fn what_a_listener_binds_is_told_after_what_it_has_heard() {
    let log = Log::default();
    let ear = Ear::that(&log, |line, subject| {
        if let Subject::Binding(event) = subject
            && let servlet::Holder::Application(app) = &event.holder
            && line == "app +a"
        {
            app.set_attribute("b", 2_u32).unwrap();
            app.remove_attribute("a").unwrap();
            assert_eq!(app.attribute_names().unwrap(), ["b"], "the change itself is made at once");
        }
    });
    let second = Ear::new(&log).called("2: ");
    let world = World::of(second.listens_to(ear.listens_to(SipApplication::new("test"))));
    let app = world.app_session();
    log.take();
    app.set_attribute("a", 1_u32).unwrap();
    assert_eq!(log.take(), ["app +a", "2: app +a", "app +b", "2: app +b", "app -a", "2: app -a"]);
}

#[test]
fn the_sessions_of_an_application_session_are_those_that_are_valid() {
    let world = World::of(SipApplication::new("test"));
    let app = world.app_session();
    let (one, two) = (world.session(&app), world.session(&app));
    assert_eq!(app.sip_sessions().unwrap(), [one.clone(), two.clone()]);
    assert_eq!(app.sip_session(&two.id()).unwrap(), Some(two.clone()));
    one.invalidate().unwrap();
    assert_eq!(app.sip_sessions().unwrap(), std::slice::from_ref(&two));
    assert_eq!(app.sip_session(&one.id()).unwrap(), None);
    assert_eq!(app.sessions_of("sip").unwrap().len(), 1);
    assert_eq!(app.sessions_of("HTTP").unwrap(), []);
    assert!(matches!(app.sessions_of("RTP"), Err(Error::IllegalArgument(IllegalArgument::Protocol(_)))));
}
