use super::*;

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    let error = Config::parse("workers = 1\n\n[proxy]\nrelai = \"any\"\n").unwrap_err().to_string();
    assert_eq!(error, "line 4: there is no key `relai` here; did you mean `relay`?");
    let error = Config::parse("[registar]\nauthenticate = true\n").unwrap_err().to_string();
    assert_eq!(error, "line 1: there is no key `registar` here; did you mean `registrar`?");
}

#[test]
fn a_key_like_no_other_is_refused_with_the_keys_there_are() {
    let error = Config::parse("[websocket]\nquux = 1\n").unwrap_err().to_string();
    assert_eq!(error, "line 2: there is no key `quux` here; the keys are `origins`");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
    let error = Config::parse("workers = \"many\"\n").unwrap_err().to_string();
    assert!(error.starts_with("line 1: "), "{error}");
    let error = Config::parse("listen = [\"udp:127.0.0.1:5060\",\n \"dccp:127.0.0.1:5060\"]\n").unwrap_err();
    assert!(error.to_string().contains("`dccp:127.0.0.1:5060` is no listen address"), "{error}");
}

#[test]
fn a_tls_listener_needs_a_certificate() {
    let error = Config::parse("listen = [\"tls:127.0.0.1:5061\"]\n").unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn client_certificates_need_somebody_to_vouch_for_them() {
    let error = Config::parse("[tls]\nrequire-client-certificate = true\n").unwrap_err().to_string();
    assert!(error.contains("`ca`"), "{error}");
}

#[test]
fn listen_addresses_are_read_in_every_form() {
    for (text, printed) in [
        ("udp:127.0.0.1:5060", "udp:127.0.0.1:5060"),
        ("WS:localhost:5066", "ws:127.0.0.1:5066"),
        ("tcp:[::1]:5060", "tcp:[::1]:5060"),
        ("udp:*:0", "udp:0.0.0.0:0"),
    ] {
        assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), printed);
    }
}

#[test]
fn every_section_of_the_manual_is_read() {
    let manual = include_str!("../../../../docs/manual/configuration.md");
    let blocks = manual.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut read = 0;
    for block in blocks {
        Config::parse(block).unwrap_or_else(|error| panic!("{error} in\n{block}"));
        read += 1;
    }
    assert!(read > 3);
}

#[test]
fn the_configurations_of_the_benchmarks_are_read() {
    for text in [
        include_str!("../../../../benches/b2bua.toml"),
        include_str!("../../../../benches/options.toml"),
        include_str!("../../../../benches/proxy.toml"),
        include_str!("../../../../benches/registrar.toml"),
    ] {
        Config::parse(text).unwrap();
    }
}

#[test]
fn an_application_runs_unless_it_is_switched_off() {
    let config = Config::parse("[applications.presence]\n[applications.messages]\nenabled = false\n").unwrap();
    assert!(config.applications.presence.enabled && config.applications.callback.enabled);
    assert!(!config.applications.messages.enabled);
}

#[test]
fn an_unknown_application_is_refused_with_a_suggestion() {
    let error = Config::parse("[applications.presense]\n").unwrap_err().to_string();
    assert_eq!(error, "line 1: there is no key `presense` here; did you mean `presence`?");
    let error = Config::parse("[applications.ring-group.groups.sales]\nmembers = [\"a\"]\norder = \"in-turns\"\n");
    assert_eq!(error.unwrap_err().to_string(), "line 3: there is no choice `in-turns` here; did you mean `in-turn`?");
}

#[test]
fn a_route_says_which_requests_it_is_for() {
    let text = "[[route]]\napplication = \"b2bua\"\nregion = \"originating\"\ndirection = \"inbound\"\n\
                when = { equal = { var = \"request.method\", value = \"INVITE\" } }\n";
    let config = Config::parse(text).unwrap();
    assert_eq!((config.route.len(), config.route[0].application.as_str()), (1, "b2bua"));
    assert!(config.route[0].when.is_some());
    let error = Config::parse(&text.replace("equal", "equals")).unwrap_err().to_string();
    assert!(error.starts_with("line 5: ") && error.contains("did you mean `equal`?"), "{error}");
    let error = Config::parse(&format!("[router]\ndar = \"x\"\n{text}")).unwrap_err().to_string();
    assert!(error.contains("[[route]]"), "{error}");
}

#[test]
fn a_user_has_a_password_or_a_hash_of_it_and_never_shows_it() {
    let hash = "0123456789abcdef0123456789abcdef";
    let config = Config::parse(&format!("[[user]]\nname = \"bob\"\nha1-md5 = \"{hash}\"\nroles = [\"agent\"]\n"));
    let config = config.unwrap();
    assert_eq!(config.user[0].roles, ["agent"]);
    assert!(!format!("{config:?}").contains(hash));
    for wrong in ["", "password = \"x\"\nha1-md5 = \"y\"", "ha1-md5 = \"y\"", "ha1-sha256 = \"0123\""] {
        let error = Config::parse(&format!("[[user]]\nname = \"bob\"\n{wrong}\n")).unwrap_err().to_string();
        assert!(error.contains("`bob`"), "{error}");
    }
}

#[test]
fn operations_are_served_on_loopback_only() {
    assert!(Config::parse("[operations]\nlisten = \"127.0.0.1:9090\"\n").is_ok());
    let error = Config::parse("[operations]\nlisten = \"0.0.0.0:9090\"\n").unwrap_err().to_string();
    assert!(error.contains("loopback"), "{error}");
}

#[test]
fn a_relay_for_chats_needs_users_and_a_certificate() {
    let user = "[[user]]\nname = \"alice\"\npassword = \"secret\"\n";
    let relay = |more: &str| Config::parse(&format!("[msrp-relay]\nlisten = \"127.0.0.1:2855\"\n{more}"));
    let error = relay(user).unwrap_err().to_string();
    assert!(error.contains("`certificate`"), "{error}");
    let error = relay("tls = false\n").unwrap_err().to_string();
    assert!(error.contains("[[user]]"), "{error}");
    let error = relay(&format!("tls = false\nexpires = 10\n{user}")).unwrap_err().to_string();
    assert!(error.contains("`min-expires`"), "{error}");
    assert!(relay(&format!("tls = false\n{user}")).is_ok());
    let manual = include_str!("../../../../docs/manual/msrp-relay.md");
    let block = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(Config::parse(block).unwrap().msrp_relay.listen.is_some());
}
