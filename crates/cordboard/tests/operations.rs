//! What operators see of a running server, over loopback.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use cordboard::Server;
use cordboard::config::Config;

const PATIENCE: Duration = Duration::from_secs(5);

fn server() -> Server {
    let text = "listen = [\"udp:127.0.0.1:0\"]\nworkers = 1\n[operations]\nlisten = \"127.0.0.1:0\"\n";
    Server::start(&Config::parse(text).unwrap()).unwrap()
}

/// Status and body.
fn http(server: &Server, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.operations().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asks over SIP; the status line of the final response.
fn sip(server: &Server, method: &str, user: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let here: SocketAddr = socket.local_addr().unwrap();
    let there = server.listeners()[0].1;
    let text = format!(
        "{method} sip:{user}{there} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.test>;tag=1\r\nTo: <sip:{user}{there}>\r\nCall-ID: {here}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@{here}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(text.as_bytes(), there).unwrap();
    let mut octets = [0; 4_096];
    loop {
        let length = socket.recv(&mut octets).unwrap();
        let line = String::from_utf8_lossy(&octets[..length]).lines().next().unwrap().to_owned();
        if !line.starts_with("SIP/2.0 1") {
            return line;
        }
    }
}

#[test]
fn metrics_count_what_applications_receive_and_send() {
    let server = server();
    assert_eq!(sip(&server, "OPTIONS", ""), "SIP/2.0 200 OK");
    let (status, text) = http(&server, "GET", "/metrics");
    assert_eq!(status, 200);
    for line in [
        "cordboard_shards 1",
        "cordboard_messages_received_total{shard=\"0\"} 1",
        "cordboard_calls{shard=\"0\"} 0",
        "cordboard_requests_received_total{application=\"options\",method=\"OPTIONS\"} 1",
        "cordboard_responses_sent_total{application=\"options\",class=\"2xx\"} 1",
        "cordboard_application_sessions_created_total{application=\"options\"} 1",
        "cordboard_application_sessions{application=\"b2bua\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

#[test]
fn a_server_is_healthy_and_ready_until_it_is_about_to_leave() {
    let server = server();
    assert_eq!(http(&server, "GET", "/healthz"), (200, "healthy\n".to_owned()));
    assert_eq!(http(&server, "GET", "/readyz"), (200, "ready\n".to_owned()));
    server.drain(Duration::from_secs(1));
    assert_eq!(http(&server, "GET", "/readyz").0, 503);
    assert_eq!(http(&server, "GET", "/healthz").0, 200, "leaving is no illness");
}

#[test]
fn an_application_that_is_stopped_takes_nothing_new_and_the_others_go_on() {
    let server = server();
    let (_, names) = http(&server, "GET", "/applications");
    assert!(names.starts_with("registrar\noptions\necho\n") && names.ends_with("proxy\n"), "{names}");
    assert_eq!(http(&server, "POST", "/applications/nobody/stop").0, 404);
    assert_eq!(http(&server, "GET", "/applications/options/stop").0, 405);
    assert_eq!(http(&server, "POST", "/applications/options/stop").0, 202);
    // The order is on its way to the shard, which answers what is asked behind it.
    assert_eq!(http(&server, "GET", "/healthz").0, 200);
    assert!(sip(&server, "OPTIONS", "").starts_with("SIP/2.0 503 "));
    assert!(sip(&server, "INVITE", "bob@").starts_with("SIP/2.0 480 "));
}
