//! pgpool, started with its file for a real `PostgreSQL`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::postgres::{Postgres, pgpool, query, wait_for};
use crate::harness::site::Site;
use crate::support::docs::blocks;
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

#[test]
fn pgpool_finds_the_primary_of_patroni_with_the_file_of_the_recipe() {
    let primary = Postgres::start("127.0.0.1");
    let standby = Postgres::standby(&primary);
    query(&primary.port.to_string(), "create role pgpool login").unwrap();
    let recipe = || blocks("docs/recipes.md").into_iter().filter(|block| block.heading == "pgpool with Patroni");
    let text = |language: &str| recipe().find(|block| block.language == language).unwrap().text;
    let config = text("toml").replace("/etc/pgpool2/pgpool.conf", "SITE/out/pgpool.conf");
    let site = Site::new(&format!("[registry]\nurl = \"dir:registry\"\n{config}"));
    site.file("templates/patroni-pgpool.conf.tera", &text("jinja"));
    for (name, role, server) in [("pg1", "replica", &standby), ("pg2", "primary", &primary)] {
        let url = format!("postgres://127.0.0.1:{}/postgres", server.port);
        let data = json!({"conn_url": url, "role": role, "state": "running"});
        site.file(&format!("registry/service/main/members/{name}"), &data.to_string());
    }
    site.run(&["render", "--no-reload"]).expect(0);

    let dir = primary.dir.path().join("pgpool");
    fs::create_dir(&dir).unwrap();
    let port = free_port();
    let own = format!(
        "port = {port}\npcp_port = {1}\nunix_socket_directories = '{0}'\npcp_socket_dir = '{0}'\n\
         pid_file_name = '{0}/pid'\nlogdir = '{0}'\n",
        dir.display(),
        free_port()
    );
    fs::write(dir.join("pgpool.conf"), site.read("out/pgpool.conf") + &own).unwrap();
    fs::write(dir.join("pcp.conf"), "").unwrap();
    let _running = pgpool(&dir);
    let expected = [format!("0 {} standby", standby.port), format!("1 {} primary", primary.port)];
    let show = || {
        let answer = query(&port.to_string(), "show pool_nodes").ok()?;
        // node_id|hostname|port|status|pg_status|lb_weight|role|…
        let columns = answer.lines().map(|line| line.split('|').collect::<Vec<_>>());
        let nodes: Vec<String> = columns.map(|node| format!("{} {} {}", node[0], node[2], node[6])).collect();
        (nodes == expected).then_some(())
    };
    wait_for("the primary", show, || fs::read_to_string(dir.join("log")).unwrap());
}
