//! Attributes of sessions, and who is told of them (SIP Servlet 1.1 §6.1.4, §6.2.5).

use servlet::prelude::*;
use servlet::{BindingEvent, NodeLocal};

use crate::witness::{Noted, Scene, Subject};
use crate::world::{in_dialog, invite, one, request};

const HERE: &str = "sip:service@192.0.2.1";

#[test]
fn what_one_handler_binds_the_next_one_finds() {
    let mut scene = Scene::with(|line, subject| {
        if let Subject::Request(request) = subject {
            match line {
                "INVITE" => {
                    let caller = request.from().uri().expect("Alice has one").clone();
                    request.application_session()?.set_attribute("caller", caller)?;
                    request.session()?.set_attribute("leg", "first".to_owned())?;
                    request.create_response(StatusCode::OK)?.send()?;
                }
                "BYE" => {
                    let caller = request.application_session()?.attribute::<Uri>("caller")?.expect("it was bound");
                    assert_eq!(caller.to_string(), "sip:alice@elsewhere.example");
                    assert_eq!(*request.session()?.attribute::<String>("leg")?.unwrap(), "first");
                    assert_eq!(request.session()?.attribute::<u32>("leg")?, None, "it is of another type");
                    request.create_response(StatusCode::OK)?.send()?;
                }
                _ => {}
            }
        }
        Ok(())
    });
    let ok = one(scene.world.alice(&invite(HERE, "b1")));
    scene.world.alice(&in_dialog("ACK", &ok, 1, ""));
    assert_eq!(scene.log.take(), ["app created", "sip created", "INVITE", "app +caller", "sip +leg", "ACK"]);
    assert_eq!(one(scene.world.alice(&in_dialog("BYE", &ok, 2, ""))).status(), 200);
    let end = ["BYE", "sip ready", "sip -leg", "sip destroyed", "app ready", "app -caller", "app destroyed"];
    assert_eq!(scene.log.take(), end);
    scene.ends();
}

#[test]
fn a_value_is_told_when_it_is_bound_and_unbound_however_that_comes_about() {
    let mut scene = Scene::new();
    let message = scene.receives(&request("MESSAGE", HERE, "b2", ""));
    let (app, log) = (message.application_session().unwrap(), scene.log.clone());
    log.take();
    scene.act(|_| app.set_attribute("a", Noted("one", log.clone())).unwrap());
    assert_eq!(log.take(), ["one is bound to a", "app +a"]);
    scene.act(|_| app.set_attribute("a", Noted("two", log.clone())).unwrap());
    assert_eq!(log.take(), ["two is bound to a", "one is unbound from a", "app =a"]);
    scene.act(|_| app.remove_attribute("a").unwrap());
    assert_eq!(log.take(), ["two is unbound from a", "app -a"]);
    scene.act(|_| app.set_attribute("b", Noted("three", log.clone())).unwrap());
    log.take();
    scene.answers(&message, StatusCode::OK);
    let end = ["sip ready", "sip destroyed", "app ready", "three is unbound from b", "app -b", "app destroyed"];
    assert_eq!(log.take(), end);
    scene.ends();
}

#[test]
fn a_value_is_unbound_when_its_session_expires() {
    let mut scene = Scene::new();
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    let log = scene.log.clone();
    scene.act(|_| app.set_attribute("a", Noted("it", log.clone())).unwrap());
    log.take();
    scene.world.pass(Duration::from_secs(16 * 60));
    assert_eq!(log.take(), ["app expired", "it is unbound from a", "app -a", "app destroyed"]);
}

#[test]
fn a_listener_is_told_after_the_change_and_may_change_more() {
    let mut scene = Scene::with(|line, subject| {
        if let Subject::Binding(BindingEvent { holder: servlet::Holder::Application(app), .. }) = subject
            && line == "app +a"
        {
            assert_eq!(app.attribute::<u32>("a")?.as_deref(), Some(&1));
            app.set_attribute("b", NodeLocal("more"))?;
        }
        Ok(())
    });
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.act(|_| app.set_attribute("a", 1_u32).unwrap());
    assert_eq!(scene.log.take(), ["app created", "app +a", "app +b"]);
    assert_eq!(app.attribute_names().unwrap(), ["a", "b"]);
}

#[test]
fn an_attribute_that_is_not_there_is_none_and_removing_it_is_nothing() {
    let mut scene = Scene::new();
    let app = scene.act(|context| context.sip_factory().create_application_session().unwrap());
    scene.log.take();
    assert_eq!(app.attribute::<u32>("a").unwrap(), None);
    scene.act(|_| app.remove_attribute("a").unwrap());
    assert_eq!(scene.log.take(), [""; 0]);
}
