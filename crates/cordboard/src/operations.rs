//! What operators look at, over HTTP on a loopback address, on a thread of its own:
//!
//! | | |
//! | --- | --- |
//! | `GET /metrics` | everything that is counted, as Prometheus reads it |
//! | `GET /healthz` | 200 when every shard of this process answers, else 503 |
//! | `GET /readyz` | 200 when new calls are taken, 503 when the server is about to leave |
//! | `GET /applications` | the names of the applications, one a line |
//! | `POST /applications/NAME/stop` | lets an application take nothing new; its calls go on to their end |

mod metrics;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use container::ContainerLoad;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::hosting::Hosting;
use crate::worker::Control;

/// How long a shard may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Clone)]
pub(crate) struct Watched {
    hosting: Arc<Hosting>,
    control: Control,
    shards: Arc<[Arc<sip_stack::Counters>]>,
    draining: Arc<AtomicBool>,
}

/// The thread that serves it. Ends when it is dropped.
pub(crate) struct Operations {
    addr: SocketAddr,
    draining: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    pub(crate) fn new(hosting: Arc<Hosting>, control: Control, shards: Vec<Arc<sip_stack::Counters>>) -> Watched {
        Watched { hosting, control, shards: shards.into(), draining: Arc::default() }
    }

    /// Asks the shards without holding up the others who ask us.
    async fn loads(&self) -> Vec<Option<ContainerLoad>> {
        let control = self.control.clone();
        tokio::task::spawn_blocking(move || control.loads(PATIENCE)).await.unwrap_or_default()
    }
}

impl Operations {
    /// Binds the address and serves.
    pub(crate) fn start(listen: SocketAddr, watched: Watched) -> io::Result<Operations> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let addr = listener.local_addr()?;
        let draining = watched.draining.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("operations".into()).spawn(move || {
            let served = runtime.block_on(async {
                tokio::select! {
                    served = axum::serve(listener, router(watched)).into_future() => served,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(error) = served {
                tracing::error!(%error, "operations are not served any more");
            }
            runtime.shutdown_background();
        })?;
        Ok(Operations { addr, draining, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on the server is not ready.
    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn router(watched: Watched) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/applications", get(applications))
        .route("/applications/{name}/stop", post(stop))
        .with_state(watched)
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let text = metrics::text(&watched.hosting.report(), &watched.shards, &watched.loads().await);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Liveness is this process and nothing else: what it can't reach makes it no better when it is started again.
async fn healthz(State(watched): State<Watched>) -> (StatusCode, String) {
    let loads = watched.loads().await;
    let silent = loads.iter().enumerate().filter(|(_, load)| load.is_none());
    let silent: Vec<String> = silent.map(|(shard, _)| shard.to_string()).collect();
    // A shard that was drained has ended, and that is well.
    if silent.is_empty() || watched.draining.load(Ordering::Relaxed) {
        (StatusCode::OK, "healthy\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("no answer from shard {}\n", silent.join(", ")))
    }
}

async fn readyz(State(watched): State<Watched>) -> (StatusCode, &'static str) {
    if watched.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "leaving\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn applications(State(watched): State<Watched>) -> String {
    watched.hosting.applications().map(|name| format!("{name}\n")).collect()
}

async fn stop(State(watched): State<Watched>, Path(name): Path<String>) -> (StatusCode, String) {
    if !watched.hosting.applications().any(|known| known == name) {
        return (StatusCode::NOT_FOUND, "there is no such application\n".to_owned());
    }
    watched.control.stop(&name);
    (StatusCode::ACCEPTED, format!("{name} takes nothing new\n"))
}
