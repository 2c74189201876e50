//! A ZooKeeper client for tests, with blocking calls.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Handle;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::wait::holds;
use super::zookeeper::START;

/// Runs a request to its end on a separate runtime.
pub fn on_runtime<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    let (send, receive) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let _ = send.send(work.await);
    });
    receive.recv_timeout(Duration::from_mins(1)).expect("ZooKeeper answers")
}

/// Sends a request to the servers, each time with a new client, until one of them carries it out.
pub fn soon<F>(servers: &str, what: &str, ask: impl Fn(Client) -> F + Clone + Send + 'static)
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    // Servers that were frozen may need several elections.
    let limit = START * 3;
    assert!(is_done_within(limit, servers, ask), "not within {limit:?}: {what}");
}

/// The same within a time limit. Returns whether one of them carried it out.
pub fn is_done_within<F>(limit: Duration, servers: &str, ask: impl Fn(Client) -> F + Clone + Send + 'static) -> bool
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    holds(limit, || {
        let (servers, ask) = (servers.to_owned(), ask.clone());
        let asking = async move {
            let client = Client::connector().with_fail_eagerly().connect(&servers).await?;
            ask(client).await
        };
        on_runtime(async move {
            tokio::time::timeout(Duration::from_secs(5), asking).await.is_ok_and(|answer| answer.is_ok())
        })
    })
}

/// Creates a node with its ancestors, or sets its data.
pub async fn put(client: &Client, path: &str, data: &[u8]) -> Result<(), Error> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    match client.create(path, data, &options).await {
        Ok(_) => Ok(()),
        Err(Error::NodeExists) => client.set_data(path, data, None).await.map(|_| ()),
        Err(Error::NoNode) => {
            let (parent, _) = path.rsplit_once('/').unwrap();
            client.mkdir(parent, &options).await?;
            client.create(path, data, &options).await.map(|_| ())
        }
        Err(error) => Err(error),
    }
}

/// A client whose calls block until they are done, and panic when they fail.
pub struct Zk {
    client: Client,
}

impl Zk {
    /// A client for a connect string, which may end in a chroot.
    pub fn connect(cluster: &str) -> Self {
        let cluster = cluster.to_owned();
        Self { client: on_runtime(async move { Client::connect(&cluster).await }).expect("connect") }
    }

    /// Creates a node with its ancestors, or sets its data.
    pub fn put(&self, path: &str, data: &[u8]) {
        let (client, path, data) = (self.client.clone(), path.to_owned(), data.to_vec());
        on_runtime(async move { put(&client, &path, &data).await }).expect("put");
    }

    /// Creates many nodes, hundreds at a time in one transaction.
    pub fn put_all(&self, nodes: &[(String, Vec<u8>)]) {
        for nodes in nodes.chunks(500).map(<[_]>::to_vec) {
            let client = self.client.clone();
            on_runtime(async move {
                let mut writer = client.new_multi_writer();
                let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
                for (path, data) in &nodes {
                    writer.add_create(path, data, &options).unwrap();
                }
                writer.commit().await.map(|_| ())
            })
            .expect("put_all");
        }
    }

    /// Deletes a node and everything below it, in one transaction. Does nothing if it does not exist.
    pub fn remove(&self, path: &str) {
        let (client, path) = (self.client.clone(), path.to_owned());
        on_runtime(async move {
            let mut all = vec![path];
            let mut next = 0;
            while let Some(path) = all.get(next).cloned() {
                match client.list_children(&path).await {
                    Ok(names) => all.extend(names.iter().map(|name| format!("{path}/{name}"))),
                    Err(Error::NoNode) => return,
                    Err(error) => panic!("list {path}: {error}"),
                }
                next += 1;
            }
            let mut writer = client.new_multi_writer();
            for path in all.iter().rev() {
                writer.add_delete(path, None).unwrap();
            }
            writer.commit().await.expect("remove");
        });
    }

    /// Runs any other request on the client.
    pub fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, work: impl FnOnce(Client) -> F) -> T {
        on_runtime(work(self.client.clone()))
    }
}
