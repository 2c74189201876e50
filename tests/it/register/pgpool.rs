//! Two `PostgreSQL` servers that are registered, and pgpool in front of them, which follows the registry.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::harness::postgres::{Postgres, Running, pgpool, query, wait_for};
use crate::support::docs::{blocks, text};
use crate::support::zookeeper::free_port;

/// How often a query is repeated on a new connection. pgpool 4.3 closes connections when a backend is attached or
/// detached.
const ATTEMPTS: usize = 5;

/// A query: when it began, and the port of the server that answered it, or why its last attempt failed.
type Asked = (Instant, Result<String, String>);

/// Clients that send queries through pgpool until the end of the test, each query on a new connection.
struct Queries {
    stop: Arc<AtomicBool>,
    repeated: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Queries {
    fn start(port: u16) -> Self {
        let (stop, repeated, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::default());
        let client = |asked: &Arc<Mutex<Vec<Asked>>>| {
            let (stop, repeated, asked) = (Arc::clone(&stop), Arc::clone(&repeated), Arc::clone(asked));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let mut answer = Err(String::new());
                    for attempt in 0..ATTEMPTS {
                        repeated.fetch_add(usize::from(attempt > 0), Ordering::Relaxed);
                        answer = query(&port.to_string(), "select inet_server_port()");
                        if answer.is_ok() {
                            break;
                        }
                    }
                    asked.lock().unwrap().push((began, answer));
                }
            })
        };
        let threads = (0..2).map(|_| client(&asked)).collect();
        Self { stop, repeated, asked, threads }
    }

    /// How many queries that began at `since` or later a server has answered.
    fn answered(&self, server: &Postgres, since: Instant) -> usize {
        let (asked, port) = (self.asked.lock().unwrap(), server.port.to_string());
        asked.iter().filter(|(began, answer)| *began >= since && answer.as_ref() == Ok(&port)).count()
    }

    /// Stops the clients. Returns the number of queries, the errors of those that failed, and how many were repeated.
    fn end(self) -> (usize, Vec<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let asked = self.asked.lock().unwrap();
        let failed = asked.iter().filter_map(|(_, answer)| answer.clone().err()).collect();
        (asked.len(), failed, self.repeated.load(Ordering::Relaxed))
    }
}

/// pgpool, with an agent's directory that writes its file.
struct Pool {
    site: Site,
    port: u16,
}

impl Pool {
    /// Configures an agent that writes `pgpool.conf` with the members of `DIRECTORY`, and runs the script of the
    /// documentation after that.
    fn new(servers: &str) -> Self {
        let (port, pcp_port) = (free_port(), free_port());
        let site = Site::new(&format!(
            "[vars]\npgpool_port = {port}\npgpool_socket_dir = \"SITE\"\npgpool_listen = \"127.0.0.1\"\n\n\
             [registry]\nurl = \"zk://{servers}\"\n\n\
             [[roster]]\nname = \"postgres\"\npath = \"{DIRECTORY}\"\nwait = \"20ms:200ms\"\nslot_keep = \"1d\"\n\n\
             [[template]]\nsrc = \"pgpool.conf.tera\"\ndest = \"pgpool.conf\"\nreload_cmd = \"sh SITE/apply.sh\"\n"
        ));
        let dir = site.path("").display().to_string();
        let dir = dir.trim_end_matches('/');
        let own = format!(
            "pid_file_name = '{dir}/pid'\nlogdir = '{dir}'\npcp_port = {pcp_port}\npcp_listen_addresses = '127.0.0.1'\n\
             sr_check_user = 'postgres'\nsr_check_period = 0\nnum_init_children = 8\nconnection_cache = off\n"
        );
        site.file("templates/pgpool.conf.tera", &(text("templates/pgpool.conf.tera") + &own));
        let script = blocks("docs/registration.md").into_iter().find(|block| block.text.contains("apply.sh")).unwrap();
        site.file("apply.sh", &script.text.replace("/etc/pgpool2", dir).replace("9898", &pcp_port.to_string()));
        site.file("pcp.conf", &format!("pgpool:{:x}\n", md5::compute("secret")));
        site.file("pcppass", "*:*:pgpool:secret\n");
        set_permissions(site.path("pcppass"), Permissions::from_mode(0o600)).unwrap();
        Self { site, port }
    }

    /// Starts pgpool with the file that the agent has written, and waits until it has both servers.
    fn start(&self) -> Running {
        let running = pgpool(self.site.path("").as_path());
        let both = || (self.nodes().lines().filter(|line| line.contains("|up|")).count() == 2).then_some(());
        wait_for("pgpool", both, || self.site.read("log"));
        running
    }

    /// A line for each backend: `node_id|hostname|port|status|…`.
    fn nodes(&self) -> String {
        query(&self.port.to_string(), "show pool_nodes").unwrap_or_default()
    }

    fn is(&self, server: &Postgres, status: &str) -> bool {
        self.nodes().contains(&format!("|{}|{status}|", server.port))
    }
}

/// The service of a server.
fn postgres(server: &Postgres, check: &str) -> String {
    let port = server.port;
    format!(
        "[[service]]\nname = \"postgres\"\npath = \"{DIRECTORY}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         check = {}\ninterval = \"200ms\"\nfall = 1\n",
        check.replace("PORT", &port.to_string())
    )
}

#[test]
fn a_standby_behind_pgpool_is_drained_restarted_and_undrained_without_a_failed_query() {
    let primary = Postgres::start("127.0.0.1");
    let mut standby = Postgres::standby(&primary);
    let scene = Scene::new(&postgres(&primary, "{ tcp = \"127.0.0.1:PORT\" }"));
    let check = "{ cmd = [\"pg_isready\", \"-q\", \"-h\", \"127.0.0.1\", \"-p\", \"PORT\"] }";
    let host = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n{}", scene.servers, postgres(&standby, check)));
    let (_first, second) = (scene.site.start(), host.start());
    second.until("both are registered", || scene.names().len() == 2);

    let pool = Pool::new(&scene.servers);
    pool.site.run(&["render", "--no-reload"]).expect(0);
    let _pgpool = pool.start();
    let agent = pool.site.start();
    let queries = Queries::start(pool.port);
    let began = Instant::now();
    let answers = |server: &Postgres, since| queries.answered(server, since) >= 10;
    agent.until("both answer", || answers(&primary, began) && answers(&standby, began));

    host.run(&["drain", "postgres"]).expect(0);
    agent.says("reload succeeded").until("pgpool has detached the standby", || pool.is(&standby, "down"));
    let drained = Instant::now();
    standby.stop();
    second.says("service is down");
    agent.until("the primary answers alone", || answers(&primary, drained));
    standby.run();
    second.says_times("service is up", 2);
    assert_eq!(queries.answered(&standby, drained), 0, "the standby is drained until undrain");

    let undrained = Instant::now();
    host.run(&["undrain", "postgres"]).expect(0);
    agent.says_times("reload succeeded", 2);
    agent.until("both answer again", || answers(&primary, undrained) && answers(&standby, undrained));
    let (count, failed, repeated) = queries.end();
    println!("{count} queries, {repeated} repeated");
    assert_eq!(failed, [""; 0], "{}\n{}", agent.log().join("\n"), pool.site.read("log"));
}
