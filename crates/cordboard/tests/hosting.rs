//! What configurations of routes, routers' files and descriptors lead to.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;

use cordboard::config::Config;
use cordboard::hosting::{Hosting, Keys};

/// A file that is gone with the test.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Written {
        let file = std::env::temp_dir().join(format!("cordboard-hosting-{}-{name}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        Written(file)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn hosting(text: &str) -> Result<Hosting, String> {
    Hosting::shipped(&Config::parse(text).unwrap(), &Keys::known(1), 1).map_err(|error| error.to_string())
}

const SWITCHED: [&str; 9] =
    ["echo", "callback", "chat-room", "presence", "prepaid", "b2bua", "forwarding", "ring-group", "messages"];

#[test]
fn all_shipped_applications_run_unless_they_are_switched_off() {
    let running: Vec<String> = hosting("").unwrap().applications().map(str::to_owned).collect();
    assert_eq!(running[..2], ["registrar", "options"]);
    assert_eq!(running[2..11], SWITCHED);
    assert_eq!(running[11..], ["proxy"]);
    let off: String = SWITCHED.iter().map(|name| format!("[applications.{name}]\nenabled = false\n")).collect();
    let hosting = hosting(&off).unwrap();
    assert_eq!(hosting.applications().collect::<Vec<_>>(), ["registrar", "options", "proxy"]);
}

#[test]
fn a_route_to_an_application_that_does_not_run_is_refused_with_a_suggestion() {
    let error = hosting("[[route]]\napplication = \"b2bau\"\n").map(drop).unwrap_err();
    assert!(error.contains("did you mean `b2bua`?"), "{error}");
    let error = hosting("[[route]]\napplication = \"voicemail\"\n").map(drop).unwrap_err();
    assert!(error.contains("there are registrar, options, echo, "), "{error}");
}

#[test]
fn a_router_s_file_with_a_mistake_is_refused_with_its_place() {
    let good =
        Written::new("good.properties", "INVITE: (\"proxy\", \"DAR:From\", \"NEUTRAL\", \"\", \"NO_ROUTE\", \"0\")\n");
    assert!(hosting(&format!("[router]\ndar = \"{}\"\n", good.0.display())).is_ok());
    let bad = Written::new("bad.properties", "INVITE: (\"proxy\", \"DAR:From\")\n");
    let error = hosting(&format!("[router]\ndar = \"{}\"\n", bad.0.display())).map(drop).unwrap_err();
    assert!(error.contains("bad.properties: line 1: "), "{error}");
    let error = hosting("[router]\ndar = \"/nowhere/router.properties\"\n").map(drop).unwrap_err();
    assert!(error.contains("can't be read"), "{error}");
}

#[test]
fn a_descriptor_adds_to_the_application_that_it_names() {
    let text = |name: &str| {
        format!(
            "<sip-app><app-name>{name}</app-name><session-config><session-timeout>7</session-timeout></session-config>\
             </sip-app>"
        )
    };
    let good = Written::new("echo.xml", &text("echo"));
    assert!(hosting(&format!("[[application]]\ndescriptor = \"{}\"\n", good.0.display())).is_ok());
    let other = Written::new("other.xml", &text("voicemail"));
    let error = hosting(&format!("[[application]]\ndescriptor = \"{}\"\n", other.0.display())).map(drop).unwrap_err();
    assert!(error.contains("other.xml: app-name is `voicemail`"), "{error}");
}
