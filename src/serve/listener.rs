//! Listens on the configured address, and serves at most [`MAX_CONNECTIONS`] at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::limits::{MAX_CONNECTIONS, MAX_HEAD};
use super::routes::answer;
use super::shared::Shared;
use crate::config::HttpConfig;
use crate::decide::Event;
use crate::http_server::accept::accept;
use crate::http_server::answers::Body;
use crate::http_server::connection::{Ends, Handler};
use crate::log::emit;

/// The time between attempts to listen.
const RETRY: Duration = Duration::from_secs(2);

/// What answers on one address.
struct Status {
    hosts: Vec<String>,
    shared: Arc<Shared>,
}

impl Handler for Status {
    const MAX_HEAD: usize = MAX_HEAD;

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<Body> {
        answer(&request, ends.local, &self.hosts, &self.shared).await
    }
}

/// Serves until there will be no other configuration.
pub async fn run(
    mut config: watch::Receiver<Option<HttpConfig>>,
    shared: Shared,
    events: Receiver<Arc<Event>>,
    recent: Receiver<Arc<Event>>,
) {
    let shared = Arc::new(shared);
    let collector = Arc::clone(&shared);
    tokio::spawn(async move { tokio::join!(collector.events.collect(events), collector.recent.collect(recent)) });
    loop {
        let current = config.borrow_and_update().clone();
        let serve = async {
            match current {
                Some(current) => listen(&current, &shared).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A change drops every connection.
            changed = config.changed() => if changed.is_err() {
                return;
            },
            () = serve => {}
        }
    }
}

/// Listens for ever, and retries whatever fails.
async fn listen(config: &HttpConfig, shared: &Arc<Shared>) {
    let status = Rc::new(Status { hosts: config.hosts.clone(), shared: Arc::clone(shared) });
    let mut last_error: Option<String> = None;
    let mut connections = JoinSet::new();
    loop {
        let failed = match TcpListener::bind(config.listen).await {
            Ok(listener) => {
                last_error = None;
                emit(Event::HttpListening { listen: config.listen.to_string() });
                let why = accept(&listener, &status, MAX_CONNECTIONS, &mut connections).await;
                format!("cannot accept a connection on {}: {why}", config.listen)
            }
            Err(why) => format!("cannot listen on {}: {why}", config.listen),
        };
        if last_error.as_ref() != Some(&failed) {
            emit(Event::HttpUnavailable { reason: failed.clone() });
            last_error = Some(failed);
        }
        sleep(RETRY).await;
    }
}
