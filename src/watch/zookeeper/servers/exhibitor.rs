//! The servers that Exhibitor names (`GET /exhibitor/v1/cluster/list`).
//!
//! It is asked seldom while all is well, and again soon when nothing is reached. Whatever goes wrong, what it said
//! before stands.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::decide::Event;
use crate::log::emit;

use super::{NamedServer, is_host};

#[cfg(test)]
mod tests;

/// How long one Exhibitor may take over its answer.
const ANSWER: Duration = Duration::from_secs(3);

/// How long the first round waits for the list. After that a round takes what is there.
const FIRST: Duration = Duration::from_millis(3500);

/// How often it is asked while all is well; a tenth more or less, so that agents do not ask all at once.
const SELDOM: Duration = Duration::from_mins(5);

/// How soon it is asked again when nothing is reached; up to half of it less.
const SOON: Duration = Duration::from_secs(10);

/// The most bytes of an answer.
const MAX_ANSWER: u64 = 64 * 1024;

/// The most servers of an answer.
const MOST: usize = 255;

/// What several Exhibitors of one ensemble say.
#[derive(Debug)]
pub struct Exhibitor {
    registry: Arc<str>,
    urls: Vec<String>,
    asking: Option<Asking>,
}

#[derive(Debug)]
struct Asking {
    /// `None` until the first answer or failure.
    said: watch::Receiver<Option<Vec<NamedServer>>>,
    needed: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Exhibitor {
    /// Those at `urls`, each without path; none is asked yet.
    pub fn new(registry: &Arc<str>, urls: &[String]) -> Self {
        Self { registry: Arc::clone(registry), urls: urls.to_vec(), asking: None }
    }

    /// What is known now; empty when nothing is. Calling it says that servers are needed, so that a newer list is asked
    /// for.
    pub async fn list(&mut self) -> Vec<NamedServer> {
        // The first time it is asked at once, and need not be told to ask once more.
        if let Some(asking) = &self.asking {
            asking.needed.notify_one();
        }
        let asking = self.asking.get_or_insert_with(|| {
            let (say, said) = watch::channel(None);
            let needed = Arc::new(Notify::new());
            let asking = ask_on(Arc::clone(&self.registry), self.urls.clone(), Arc::clone(&needed), say);
            Asking { said, needed, _task: AbortOnDropHandle::new(tokio::spawn(asking)) }
        });
        // Late or broken off: the other sources are there.
        let _ = timeout(FIRST, asking.said.wait_for(Option::is_some)).await;
        asking.said.borrow().clone().unwrap_or_default()
    }
}

/// Asks for ever.
async fn ask_on(
    registry: Arc<str>,
    urls: Vec<String>,
    needed: Arc<Notify>,
    say: watch::Sender<Option<Vec<NamedServer>>>,
) {
    let mut complained = String::new();
    loop {
        match ask(&urls).await {
            Ok(list) => {
                if say.borrow().as_ref() != Some(&list) {
                    let servers = list.iter().map(|told| told.host.clone()).collect();
                    emit(Event::ServersLearned { registry: Arc::clone(&registry), servers });
                }
                say.send_replace(Some(list));
                complained.clear();
            }
            Err(why) => {
                if why != complained {
                    emit(Event::ExhibitorUnreachable { registry: Arc::clone(&registry), reason: why.clone() });
                    complained = why;
                }
                say.send_modify(|said| *said = Some(said.take().unwrap_or_default()));
            }
        }
        let soon = SOON.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        let seldom = SELDOM.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        sleep(soon).await;
        tokio::select! {
            () = needed.notified() => {}
            () = sleep(seldom.saturating_sub(soon)) => {}
        }
    }
}

/// Asks one after the other, in a random order, until one answers.
async fn ask(urls: &[String]) -> Result<Vec<NamedServer>, String> {
    let mut urls = urls.to_vec();
    fastrand::shuffle(&mut urls);
    let mut failed = Vec::new();
    for url in urls {
        let shown = url.clone();
        let answer = tokio::task::spawn_blocking(move || get(&url));
        match answer.await.map_err(|broken| broken.to_string()).and_then(|answer| read(&answer?)) {
            Ok(list) => return Ok(list),
            Err(why) => failed.push(format!("{shown}: {why}")),
        }
    }
    // In one order, so that the same failures are said once.
    failed.sort();
    Err(failed.join("; "))
}

fn get(url: &str) -> Result<Vec<u8>, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let asked = agent.get(format!("{url}/exhibitor/v1/cluster/list")).header("Accept", "application/json").call();
    let mut answer = asked.map_err(|why| why.to_string())?;
    answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|why| why.to_string())
}

/// `{"servers":["10.0.1.0","10.0.1.1"],"port":2181}`.
fn read(answer: &[u8]) -> Result<Vec<NamedServer>, String> {
    #[derive(Deserialize)]
    struct List {
        servers: Vec<String>,
        port: u16,
    }
    let list: List =
        serde_json::from_slice(answer).map_err(|why| format!("the answer is no list of servers: {why}"))?;
    if list.servers.is_empty() {
        return Err("it names no server".into());
    }
    if list.port == 0 || list.servers.len() > MOST || !list.servers.iter().all(|host| is_host(host)) {
        return Err("it names what are no servers".into());
    }
    Ok(list.servers.into_iter().map(|host| NamedServer { host, port: Some(list.port) }).collect())
}
