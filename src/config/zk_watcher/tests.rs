use std::fmt::Write as _;

use super::*;

fn overrides(env: &[(&str, &str)]) -> Overrides {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Overrides { env, host_name: "h".into(), ..Overrides::default() }
}

fn load(text: &str) -> Result<Config, Problems> {
    read(Path::new("config.cfg"), &text.into(), "zk1:2181/svc", true, &overrides(&[]))
}

/// The service as a line.
fn shown(config: &Config) -> String {
    config.services.iter().fold(String::new(), |mut out, it| {
        let (Check::Cmd(cmd), host) = (&it.check, it.host.as_deref().unwrap_or("-")) else { panic!("not a command") };
        let Command::Exec(words) = cmd else { panic!("not a list") };
        let (name, path, port, data) = (&it.name, &it.path, it.port, it.data.to_json());
        writeln!(out, "{name} {path} {host}:{port} {data} {words:?} {:?} fall {}", it.interval, it.fall).unwrap();
        out
    })
}

#[test]
fn the_documented_file_is_read() {
    let text = "# comment\n[DEFAULT]\nrefresh: 30\n\n[auth]\nuser: u\npassword: p%%1\n\n[memcache]\ncmd: pgrep  memcached\n\
                service_port: 11211\nzookeeper_path: /services/prod/memcache/\nzookeeper_data: { \"foo\": \"bar\" }\n\n[ssh]\n\
                cmd = true\nrefresh = 5\nservice_port = 22\nservice_hostname = h.example.com\n\
                zookeeper_path = /services/ssh\nzookeeper_data = foo=bar, bah=humbug\n";
    let config = load(text).unwrap();
    assert_eq!(
        shown(&config),
        "memcache /services/prod/memcache -:11211 {\"foo\":\"bar\"} [\"pgrep\", \"\", \"memcached\"] 30s fall 1\n\
         ssh /services/ssh h.example.com:22 {\"foo\":\"bar\",\"bah\":\"humbug\"} [\"true\"] 5s fall 1\n"
    );
    let registry = &config.registries[0];
    assert_eq!(registry.url.to_string(), "zk://zk1:2181/svc");
    assert_eq!((&*registry.auth[0].scheme, &*registry.auth[0].secret), ("digest", &b"u:p%1"[..]));
}

#[test]
fn a_wrong_file_is_refused_as_a_whole_with_each_place() {
    let good = "[a]\ncmd: true\nrefresh: 1\nservice_port: 1\nzookeeper_path: /a\n";
    assert_eq!(load(good).unwrap().services.len(), 1);
    for (text, line, wanted) in [
        (format!("{good}[b]\ncmd: x\nservice_port: 1\nzookeeper_path: /b\n"), 6, "[b] has no `refresh`"),
        (good.replace("service_port: 1", "service_port: http"), 4, "`service_port` is \"http\", which is not a port"),
        (good.replace("service_port: 1", "service_port: 0"), 4, "which is not a port"),
        (good.replace("service_port: 1", "service_port: 65536"), 4, "which is not a port"),
        (good.replace("refresh: 1", "refresh: 0"), 3, "it must be a whole number of seconds, at least 1"),
        (good.replace("refresh: 1", "refresh: 1m"), 3, "it must be a whole number of seconds, at least 1"),
        (good.replace("/a", "/a/../b"), 5, "a registry path has no . or .. segment"),
        (good.replace("/a", "a"), 5, "a registry path starts with /"),
        (good.replace("/a", "/a/*"), 5, "without *"),
        (good.replace("/a", "/zookeeper/a"), 5, "belongs to the ensemble"),
        (good.replace("cmd: true", "cmd: date +%s"), 2, "% is followed neither by % nor by (NAME)s"),
        (format!("{good}[a]\n{}", &good[4..]), 6, "the section [a] appears twice"),
        (format!("{good}[auth]\nuser: u\n"), 6, "[auth] needs `user` and `password`"),
        (format!("{good}zookeeper_data: 7\n"), 6, "is JSON that is not an object"),
        (format!("{good}servicename: x\n"), 6, "`servicename` is not a key of zk_watcher"),
        (format!("{good}service_hostname: a b\n"), 6, "is not a valid host"),
        (String::new(), 1, "the file has no service"),
    ] {
        let problems = load(&text).unwrap_err();
        let found = problems.0.iter().any(|it| it.line() == line && it.message.contains(wanted));
        assert!(found, "{text}: {problems}");
    }
}

#[test]
fn an_ini_file_is_told_from_toml() {
    let service = "cmd: true\nservice_port: 1\n";
    for (name, text, wanted) in [
        ("config.cfg", "[a]\ncmd: true\n", true),
        ("config", "[a]\ncmd = pgrep x\n", true),
        ("config.cfg", &*format!("[service]\n{service}"), true),
        ("config.cfg", &*format!("[registry]\n{service}"), true),
        ("config.cfg", "", true),
        ("config.cfg", "# nothing\n", true),
        ("config.cfg", "[DEFAULT]\nrefresh = 30\n", true),
        ("config.cfg", "[memcached]\nwhat\n", true),
        ("config.toml", "[a]\ncmd: true\n", false),
        ("config.toml", "", false),
        ("rosterd.conf", "[[service]]\nname = \"a\"\n", false),
        ("rosterd.conf", "[vars]\nrefresh = 30\n", false),
        ("rosterd.conf", "[registry]\nurl = zk://a\n", false),
        ("rosterd.conf", "[vars]\nrefresh = 30\n[[service]]\nport = x\n", false),
    ] {
        assert_eq!(is_ini(Path::new(name), text), wanted, "{name}: {text}");
    }
}

#[test]
fn no_problem_shows_a_password() {
    let good = "[a]\ncmd: true\nrefresh: 1\nservice_port: 1\nzookeeper_path: /a\n";
    for auth in [
        "[auth]\nuser: u\npassword: sécret%\n",
        "[auth]\nuser: u\nPassword = a\n  sécret%\n",
        "[auth]\nuser: u\npassword sécret\n",
        "[auth]\npassword: sécret\n",
        "[auth]\npassword: sécret\nuser: u\npassword: sécret\n",
        "[DEFAULT]\n password: sécret%\n",
        "password: sécret\n",
    ] {
        let problems = load(&format!("{auth}{good}")).unwrap_err();
        assert!(!problems.to_string().contains("cret"), "{problems}");
        assert!(problems.to_string().contains("config.cfg:"), "{problems}");
    }
    assert_eq!(ini::without_passwords("a: b\npassword: é x\ncmd: y\n"), "a: b\npassword: ** *\ncmd: y\n");
}

#[test]
fn untrimmed_keys_are_kept_on_request() {
    let text = "[a]\ncmd: true\nrefresh: 1\nservice_port: 1\nzookeeper_path: /a\nzookeeper_data: foo=bar, bah= x\n";
    let data = |trims| {
        let config = read(Path::new("config.cfg"), &text.into(), "zk1", trims, &overrides(&[])).unwrap();
        config.services[0].data.to_json()
    };
    assert_eq!(data(true), "{\"foo\":\"bar\",\"bah\":\"x\"}");
    assert_eq!(data(false), "{\"foo\":\"bar\",\" bah\":\" x\"}");
}

#[test]
fn the_variables_of_the_container_are_read() {
    let all = [
        ("ZK_PATH", "/services/x"),
        ("SVC_HOST", "10.0.0.5"),
        ("SVC_PORT", "$PORT"),
        ("PORT", "8080"),
        ("CMD", "nc -z $SVC_HOST ${PORT}"),
        ("ZOOKEEPER_HOST", "zk1"),
        ("DRAIN_TIME", "2"),
        ("WAIT_TIME", "1"),
    ];
    let config = from_env(&overrides(&all)).unwrap();
    let wanted = "service /services/x 10.0.0.5:8080 {} [\"nc\", \"-z\", \"10.0.0.5\", \"8080\"] 30s fall 1\n";
    assert_eq!((&*shown(&config), config.registries[0].url.to_string()), (wanted, "zk://zk1:2181".into()));
    assert_eq!(config.services[0].drain, Duration::from_secs(3));
    for (name, value, wanted) in [
        ("CMD", "", "$CMD is not set"),
        ("SVC_PORT", "http", "`service_port` is \"http\""),
        ("ZK_PATH", "x", "starts with /"),
        ("REFRESH", "soon", "it must be a whole number of seconds"),
        ("DRAIN_TIME", "-1", "must be numbers of seconds"),
    ] {
        let mut changed = all.to_vec();
        changed.push((name, value));
        let problems = from_env(&overrides(&changed)).unwrap_err();
        assert!(problems.0.iter().any(|it| it.message.contains(wanted)), "{name}: {problems}");
    }
}
