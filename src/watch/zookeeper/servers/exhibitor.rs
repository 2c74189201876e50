//! The servers that Exhibitor names (`GET /exhibitor/v1/cluster/list`).
//!
//! Exhibitor is asked every few minutes, and soon after a round of tries for servers began. If it fails, its previous
//! list stays in use.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::decide::Event;
use crate::http::Client;
use crate::log::emit;

use super::name::{LearnedServer, is_host};

#[cfg(test)]
mod tests;

/// The time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the first round waits for the list. Later rounds use the current list.
const FIRST_TIMEOUT: Duration = Duration::from_millis(3500);

/// How often Exhibitor is asked while servers are reached. Jittered by a tenth, so that agents do not ask in step.
const INTERVAL: Duration = Duration::from_mins(5);

/// The least interval while no server is reached. Jitter shortens it by up to a half.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The most bytes in a response.
const MAX_RESPONSE: u64 = 64 * 1024;

/// The most servers in a list.
const MAX_SERVERS: usize = 255;

/// The Exhibitors of one ensemble.
#[derive(Debug)]
pub struct Exhibitor {
    registry: Arc<str>,
    urls: Vec<String>,
    poller: Option<Poller>,
}

#[derive(Debug)]
struct Poller {
    /// `None` until the first list or failure.
    list: watch::Receiver<Option<Vec<LearnedServer>>>,
    /// Notified when servers are needed.
    needed: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Exhibitor {
    /// The Exhibitors at `urls`, which have no path. None is asked yet.
    pub fn new(registry: &Arc<str>, urls: &[String]) -> Self {
        Self { registry: Arc::clone(registry), urls: urls.to_vec(), poller: None }
    }

    /// The current list; empty if there is none. The call also makes the poller ask for a newer one.
    pub async fn list(&mut self) -> Vec<LearnedServer> {
        // A new poller asks at once anyway.
        if let Some(poller) = &self.poller {
            poller.needed.notify_one();
        }
        let poller = self.poller.get_or_insert_with(|| {
            let (sender, list) = watch::channel(None);
            let needed = Arc::new(Notify::new());
            let polling = poll(Arc::clone(&self.registry), self.urls.clone(), Arc::clone(&needed), sender);
            Poller { list, needed, _task: AbortOnDropHandle::new(tokio::spawn(polling)) }
        });
        // If the list is late or the request failed, the other sources are used.
        let _ = timeout(FIRST_TIMEOUT, poller.list.wait_for(Option::is_some)).await;
        poller.list.borrow().clone().unwrap_or_default()
    }
}

/// Asks for the list until the task is aborted.
async fn poll(
    registry: Arc<str>,
    urls: Vec<String>,
    needed: Arc<Notify>,
    out: watch::Sender<Option<Vec<LearnedServer>>>,
) {
    let mut logged = String::new();
    loop {
        match ask(&urls).await {
            Ok(list) => {
                if out.borrow().as_ref() != Some(&list) {
                    let servers = list.iter().map(|server| server.host.clone()).collect();
                    emit(Event::ServersLearned { registry: Arc::clone(&registry), servers });
                }
                out.send_replace(Some(list));
                logged.clear();
            }
            Err(reason) => {
                if reason != logged {
                    emit(Event::ExhibitorUnreachable { registry: Arc::clone(&registry), reason: reason.clone() });
                    logged = reason;
                }
                out.send_modify(|list| *list = Some(list.take().unwrap_or_default()));
            }
        }
        let pause = MIN_INTERVAL.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        let interval = INTERVAL.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        sleep(pause).await;
        tokio::select! {
            () = needed.notified() => {}
            () = sleep(interval.saturating_sub(pause)) => {}
        }
    }
}

/// Asks one Exhibitor after another, in random order, until one has a list.
async fn ask(urls: &[String]) -> Result<Vec<LearnedServer>, String> {
    let mut urls = urls.to_vec();
    fastrand::shuffle(&mut urls);
    let mut reasons = Vec::new();
    for url in urls {
        let shown = url.clone();
        let request = tokio::task::spawn_blocking(move || get(&url));
        match request.await.map_err(|error| error.to_string()).and_then(|body| parse(&body?)) {
            Ok(list) => return Ok(list),
            Err(reason) => reasons.push(format!("{shown}: {reason}")),
        }
    }
    // Sorted, so that the same failures are logged once.
    reasons.sort();
    Err(reasons.join("; "))
}

fn get(url: &str) -> Result<Vec<u8>, String> {
    let client = Client { limit: REQUEST_TIMEOUT, ca: None, identity: None };
    let response = client.get(&format!("{url}/exhibitor/v1/cluster/list"), [("Accept", "application/json")]);
    let mut response = response.map_err(|failure| failure.reason)?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status().as_u16()));
    }
    client.read(&mut response, MAX_RESPONSE).map_err(|failure| failure.reason)
}

/// `{"servers":["10.0.1.0","10.0.1.1"],"port":2181}`.
fn parse(body: &[u8]) -> Result<Vec<LearnedServer>, String> {
    #[derive(Deserialize)]
    struct List {
        servers: Vec<String>,
        port: u16,
    }
    let list: List =
        serde_json::from_slice(body).map_err(|reason| format!("the response is not a list of servers: {reason}"))?;
    if list.servers.is_empty() {
        return Err("the list is empty".into());
    }
    if list.port == 0 || list.servers.len() > MAX_SERVERS || !list.servers.iter().all(|host| is_host(host)) {
        return Err("the list has invalid servers".into());
    }
    Ok(list.servers.into_iter().map(|host| LearnedServer { host, port: Some(list.port) }).collect())
}
