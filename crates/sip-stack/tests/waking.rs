//! Users that poll futures of their own: what they may wait for, and what waiting costs.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod support;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sip_endpoint::{Endpoint, Event, ServerId, TransactionUser};
use sip_message::{HeaderName, Request, Response, StatusCode};
use support::{Client, answer, start, wish, with_answer};

type Task = Pin<Box<dyn Future<Output = String>>>;

/// Answers each request with what its future gives.
#[derive(Default)]
struct Waiter {
    waker: Option<Waker>,
    tasks: Vec<(ServerId, Request, Task)>,
    woken: Arc<AtomicUsize>,
}

impl Waiter {
    fn poll(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let waker = self.waker.clone().expect("set before the first event");
        let mut cx = Context::from_waker(&waker);
        self.tasks.retain_mut(|(server, request, task)| match task.as_mut().poll(&mut cx) {
            Poll::Ready(answer) => {
                let response = with_answer(Response::to(request, StatusCode::OK), answer);
                endpoint.respond(now, *server, response).unwrap();
                false
            }
            Poll::Pending => true,
        });
    }
}

impl TransactionUser for Waiter {
    type Message = ();

    fn set_waker(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn woken(&mut self, now: Instant, endpoint: &mut Endpoint, _peers: &mut Vec<()>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        self.poll(now, endpoint);
    }

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event, _peers: &mut Vec<()>) {
        if let Event::Request { server, request, .. } = event {
            let task = task(&wish(&request), self.woken.clone());
            self.tasks.push((server, request, task));
            self.poll(now, endpoint);
        }
    }

    fn message(&mut self, _now: Instant, _endpoint: &mut Endpoint, (): ()) {}

    fn drain(&mut self, _now: Instant, _endpoint: &mut Endpoint) {}

    fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }
}

fn task(wish: &str, woken: Arc<AtomicUsize>) -> Task {
    match wish {
        "sleep" => Box::pin(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            "slept".to_owned()
        }),
        "thread" => Box::pin(async {
            let (tell, told) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                let _ = tell.send("told by a thread".to_owned());
            });
            told.await.unwrap()
        }),
        "blocking" => Box::pin(async {
            let work = tokio::task::spawn_blocking(|| {
                std::thread::sleep(Duration::from_millis(50));
                "blocked elsewhere".to_owned()
            });
            work.await.unwrap()
        }),
        "local" => Box::pin(async {
            let here = std::rc::Rc::new("not to be sent");
            let shared = here.clone();
            let work = tokio::task::spawn_local(async move {
                tokio::task::yield_now().await;
                shared.to_string()
            });
            format!("{} by {}", work.await.unwrap(), std::thread::current().name().unwrap_or_default())
        }),
        "socket" => Box::pin(async {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let addr = socket.local_addr().unwrap();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                other.send_to(b"octets", addr).await.unwrap();
            });
            let mut buffer = [0; 16];
            let length = socket.recv(&mut buffer).await.unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        }),
        // Wakes itself as soon as it was woken, for half a second.
        "restless" => Box::pin(async move {
            let (until, before) = (Instant::now() + Duration::from_millis(500), woken.load(Ordering::Relaxed));
            while Instant::now() < until {
                let mut yielded = false;
                std::future::poll_fn(|cx| {
                    if std::mem::replace(&mut yielded, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
            (woken.load(Ordering::Relaxed) - before).to_string()
        }),
        "woken" => Box::pin(std::future::ready(woken.load(Ordering::Relaxed).to_string())),
        // What this thread has used of the processor, in nanoseconds.
        "effort" => Box::pin(async {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
            text.split(' ').next().unwrap_or_default().to_owned()
        }),
        _ => Box::pin(std::future::ready("at once".to_owned())),
    }
}

#[test]
fn a_user_may_wait_for_timers_threads_blocking_work_local_tasks_and_sockets() {
    let (_stack, addr) = start(1, |_| Waiter::default());
    let client = Client::new(addr);
    for (wish, expected) in [
        ("sleep", "slept"),
        ("thread", "told by a thread"),
        ("blocking", "blocked elsewhere"),
        ("local", "not to be sent by shard-0"),
        ("socket", "octets"),
    ] {
        assert_eq!(answer(&client.ask(wish, wish)), expected);
    }
}

#[test]
fn who_waits_holds_up_nobody() {
    let (_stack, addr) = start(1, |_| Waiter::default());
    let client = Client::new(addr);
    client.send("OPTIONS", "sleep", "first", "");
    client.send("OPTIONS", "now", "second", "");
    assert_eq!(answer(&client.receive()), "at once");
    assert_eq!(answer(&client.receive()), "slept");
}

#[test]
fn a_thousand_that_wait_at_once_are_all_woken() {
    let (_stack, addr) = start(1, |_| Waiter::default());
    let client = Client::new(addr);
    let mut unanswered: BTreeSet<String> = (0..1_000).map(|number| format!("b{number}")).collect();
    // The answers come at once and may be more than a socket's buffer holds: like every client of SIP, this one asks
    // again. Who was not woken would not answer then either: a copy of a request wakes nobody.
    for _ in 0..10 {
        for branch in &unanswered {
            client.send("OPTIONS", "sleep", branch, "");
        }
        while let Some(response) = client.receive_within(Duration::from_millis(300)) {
            assert_eq!(answer(&response), "slept");
            let call_id = response.headers().first(HeaderName::CallId).unwrap_or_default();
            unanswered.remove(call_id.split('@').next().unwrap_or_default());
        }
        if unanswered.is_empty() {
            break;
        }
    }
    assert!(unanswered.is_empty(), "{} have no answer", unanswered.len());
}

#[test]
fn who_wakes_itself_all_the_time_does_not_keep_the_shard_from_its_sockets() {
    let (_stack, addr) = start(1, |_| Waiter::default());
    let client = Client::new(addr);
    client.send("OPTIONS", "restless", "restless", "");
    for number in 0..20 {
        // 20 answers within the half second, or the restless one's comes in between.
        assert_eq!(answer(&client.ask("now", &format!("b{number}"))), "at once");
    }
    let woken: usize = answer(&client.final_of("restless")).parse().unwrap();
    assert!(woken > 20, "woken {woken} times");
}

#[test]
fn a_shard_whose_user_waits_does_nothing() {
    let (_stack, addr) = start(1, |_| Waiter::default());
    let client = Client::new(addr);
    // All kinds of wake-ups have been before, from within a turn and from outside.
    for wish in ["local", "restless", "thread", "sleep"] {
        client.ask(wish, &format!("before-{wish}"));
    }
    let ask = |wish: &str, branch: &str| answer(&client.ask(wish, branch)).parse::<u64>().ok();
    let woken = ask("woken", "woken-1");
    let Some(effort) = ask("effort", "effort-1") else {
        return eprintln!("this system does not tell how busy a thread is");
    };
    std::thread::sleep(Duration::from_millis(500));
    let spent = ask("effort", "effort-2").unwrap() - effort;
    assert_eq!(ask("woken", "woken-2"), woken);
    assert!(spent < 100_000_000, "busy for {spent} ns of half a second");
}
