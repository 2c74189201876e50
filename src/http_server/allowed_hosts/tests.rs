use std::net::Ipv4Addr;

use super::*;

#[test]
fn only_loopback_the_own_address_and_configured_names_are_allowed() {
    let hosts = ["status.example.com".to_owned(), "10.1.1.1".to_owned(), "fd00::1".to_owned()];
    let local = IpAddr::from(Ipv4Addr::new(10, 0, 0, 7));
    let allowed = [
        "localhost",
        "LOCALHOST:9189",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.8.8.8:9189",
        "[::1]:9189",
        "[::ffff:127.0.0.1]",
        "10.0.0.7:9189",
        "status.example.com",
        "Status.Example.COM:443",
        "10.1.1.1:80",
        "[fd00::1]:9189",
    ];
    let refused = [
        "",
        ":9189",
        "evil.example",
        "evil.example:9189",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "localhost@evil.example",
        "localhost:9189@evil.example",
        "localhost:80:80",
        "10.0.0.8",
        "0.0.0.0:9189",
        "[::1",
        "[::1]evil",
        "[::1]:80x",
        "::1",
        "localhost/",
        "2130706433",
        "status.example.com.evil",
    ];
    for host in allowed {
        assert!(is_allowed(host, local, &hosts), "{host}");
    }
    for host in refused {
        assert!(!is_allowed(host, local, &hosts), "{host}");
    }
    let mapped = "::ffff:10.0.0.7".parse().unwrap();
    assert!(is_allowed("10.0.0.7", mapped, &[]), "a connection of IPv4 to a socket of IPv6");
}
