use super::*;
use proptest::prelude::*;

/// As `host port`, with `?` for no port.
fn shown(text: &str, tls: bool) -> Option<(u64, String)> {
    let ensemble = parse(text.as_bytes(), tls)?;
    let port = |known: &LearnedServer| known.port.map_or("?".to_owned(), |port| port.to_string());
    let servers: Vec<String> = ensemble.servers.iter().map(|known| format!("{} {}", known.host, port(known))).collect();
    Some((ensemble.version, servers.join(", ")))
}

#[test]
fn lists_are_parsed() {
    for (text, version, plain, secure) in [
        // As ZooKeeper 3.8 writes it: no line break at the end.
        (
            "server.1=127.0.0.1:22881:23881:participant;127.0.0.1:21811\nversion=100000003",
            0x1_0000_0003,
            "127.0.0.1 21811",
            "127.0.0.1 ?",
        ),
        (
            "server.2=zoo2.example.com:2888:3888:observer;0.0.0.0:2181\nversion=0",
            0,
            "zoo2.example.com 2181",
            "zoo2.example.com ?",
        ),
        (
            "server.3=[2001:db8:0:0:0:0:0:3]:2888:3888:observer;[2001:db8:0:0:0:0:0:3]:2181",
            0,
            "2001:db8:0:0:0:0:0:3 2181",
            "2001:db8:0:0:0:0:0:3 ?",
        ),
        ("server.1=a:1:2:participant;[0:0:0:0:0:0:0:0]:2181", 0, "a 2181", "a ?"),
        ("server.1=a:1:2:participant;2181", 0, "a 2181", "a ?"),
        ("server.1=a:1:2;b:2181", 0, "b 2181", "b ?"),
        // Static: without a client's port.
        ("server.1=a:1:2:participant\nserver.2=b:1:2:participant", 0, "a ?, b ?", "a ?, b ?"),
        // Several addresses of one server.
        ("server.1=a:1:2|b:1:2:participant;0.0.0.0:2181\nversion=a", 10, "a 2181, b 2181", "a ?, b ?"),
        ("server.1=a:1:2|[::1]:1:2:participant", 0, "a ?, ::1 ?", "a ?, ::1 ?"),
        // A port for TLS, beside the plain one and alone.
        ("server.1=a:1:2:participant;b:2181;c:2281", 0, "b 2181", "c 2281"),
        ("server.1=a:1:2:participant;0.0.0.0:2181;0.0.0.0:2281", 0, "a 2181", "a 2281"),
        ("server.1=a:1:2:participant;;c:2281\nserver.2=b:1:2;2181", 0, "b 2181", "c 2281, b ?"),
        // Unknown and malformed lines hide no other line.
        ("group.1=1:2\nweight.1=1\n\nx\nserver.1=a:1:2;2181\nserver.2=\nserver.3=!:1:2;3", 0, "a 2181", "a ?"),
        ("server.1=0.0.0.0:1:2;2181\nserver.2=b:1:2;2181", 0, "b 2181", "b ?"),
        ("server.1=a:1:2;0\nserver.2=a:1:2;99999\nserver.3=b:1:2;2181", 0, "b 2181", "b ?"),
        (" server.1 = a:1:2:participant;0.0.0.0:2181 \r\nversion= 1f \r\n", 31, "a 2181", "a ?"),
    ] {
        assert_eq!(shown(text, false), Some((version, plain.to_owned())), "{text}");
        assert_eq!(shown(text, true), Some((version, secure.to_owned())), "{text}, by TLS");
    }
}

#[test]
fn a_list_without_a_usable_server_is_none() {
    for text in ["", "version=1", "server.1=a", "server.1=0.0.0.0:1:2;0.0.0.0:2181", "version=x\nserver.1=a:1:2;1"] {
        assert_eq!(shown(text, false), None, "{text}");
    }
    assert_eq!(shown("server.1=a:1:2;;b:2281", false), None, "a port for TLS is none for zk://");
    assert_eq!(parse(b"server.1=a:1:2;1\n\xff", false), None);
    let many: Vec<String> = (0..300).map(|i| format!("server.{i}=h{i}:1:2;2181")).collect();
    assert_eq!(parse(many.join("\n").as_bytes(), false).map(|ensemble| ensemble.servers.len()), Some(MAX_SERVERS));
}

proptest! {
    #![proptest_config(crate::support::random::config(1_000, 1_000_000))]

    #[test]
    fn every_learned_server_can_be_connected_to(text in "(server\\.1=|version=|[a-z0-9:;|.\\[\\]\n=]){0,40}") {
        super::any(text.as_bytes());
    }
}
