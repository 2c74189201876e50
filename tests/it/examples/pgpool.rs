//! pgpool, started with its file for a real `PostgreSQL`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::postgres::{Postgres, pgpool, query, wait_for};
use crate::support::examples::{Example, nodes};
use crate::support::zookeeper::free_port;

#[test]
fn pgpool_starts_with_its_file_and_the_backends() {
    let postgres = Postgres::start("127.0.0.1,127.0.0.2,127.0.0.3");
    // Three addresses of one server are three backends. pgpool keeps its sockets, its pid and its status in this directory.
    let dir = postgres.dir.path().join("pgpool");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let (port, backend) = (free_port(), postgres.port);
    let vars =
        json!({"pgpool_port": port, "pgpool_socket_dir": dir, "pgpool_mode": "raw", "pgpool_listen": "127.0.0.1"});
    let members = nodes(&[
        (&format!("127.0.0.1:{backend}"), r#"{"weight": 1}"#),
        (&format!("127.0.0.2:{backend}"), ""),
        (&format!("127.0.0.3:{backend}"), r#"{"weight": 2}"#),
        ("it's 'bad' \\:1", ""),
    ]);
    let text = Example::open("pgpool").render_nodes(&members, vars.as_object().unwrap());
    let own = format!("pid_file_name = '{0}/pid'\nlogdir = '{0}'\npcp_port = {1}\n", dir.display(), free_port());
    fs::write(dir.join("pgpool.conf"), text.clone() + &own).unwrap();
    fs::write(dir.join("pcp.conf"), "").unwrap();
    let _running = pgpool(&dir);
    let port = port.to_string();
    let show = || query(&port, "show pool_nodes").ok().filter(|answer| !answer.is_empty());
    let answer = wait_for("pgpool", show, || fs::read_to_string(dir.join("log")).unwrap());
    let nodes: Vec<String> = answer
        .lines()
        .map(|line| {
            // node_id|hostname|port|status|pg_status|lb_weight|…
            let columns: Vec<&str> = line.split('|').collect();
            format!("{} {} {} {}", columns[0], columns[1], columns[2], columns[5])
        })
        .collect();
    let expected = [
        format!("0 127.0.0.1 {backend} 0.250000"),
        format!("1 127.0.0.2 {backend} 0.250000"),
        format!("2 127.0.0.3 {backend} 0.500000"),
    ];
    // "i" sorts after the addresses, so slot 3 is not included.
    assert_eq!(nodes, expected, "{text}");
}
