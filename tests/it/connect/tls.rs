//! TLS: only a verified server is used.

use std::fs;

use super::{AWAY, becomes, is_not_reached, is_refused, site};
use crate::ensemble::{list, member};
use crate::support::authority::{Authority, Valid};
use crate::support::zookeeper::{ZooKeeper, free_port};

/// A server with a TLS port besides the plain one, and that port. `client` is `none` or `need`.
fn secure(authority: &Authority, name: &str, client: &str) -> (ZooKeeper, u16) {
    let port = free_port();
    let lines = format!(
        "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         ssl.keyStore.location={{folder}}/{name}.p12\nssl.keyStore.password=secret\n\
         ssl.trustStore.location={{folder}}/ca.p12\nssl.trustStore.password=secret\nssl.clientAuth={client}\n\
         authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider"
    );
    let server = ZooKeeper::one_with(&lines, |folder| authority.equip(folder, name));
    server.client("").put(&member(1), b"");
    (server, port)
}

#[test]
fn only_a_verified_server_is_used() {
    let authority = Authority::new("ca");
    authority.sign("zk", "IP:127.0.0.1,DNS:zk1.example.com", Valid::Now);
    let (server, port) = secure(&authority, "zk", "none");
    let tls = |ca: &std::path::Path| format!("tls = {{ ca = \"{}\" }}", ca.display());
    let (ca, url) = (tls(&authority.ca()), format!("zks://127.0.0.1:{port}"));

    let good = site(&url, &ca);
    good.run(&["render"]).expect(0);
    assert_eq!(good.read("out/list"), list([1]));
    let mut agent = good.start();
    server.client("").put(&member(2), b"");
    becomes(&agent, &good, &[1, 2]);
    assert!(agent.stop().success());

    let other = Authority::new("other");
    is_refused(&site(&url, &tls(&other.ca())), &["TLS: the server's certificate is not signed by a trusted authority"]);
    // Another server with the same name.
    is_refused(
        &site(&url, &tls(&Authority::new("ca").ca())),
        &["TLS: the server's certificate names a trusted authority, but"],
    );
    is_refused(&site(&url, ""), &["TLS: the server's certificate is not signed by a trusted authority"]);
    is_refused(
        &site(&format!("zks://localhost:{port}"), &ca),
        &["TLS: the server's certificate is not for localhost, but for 127.0.0.1, zk1.example.com"],
    );
    is_not_reached(
        &site(&format!("zks://{}", server.connect_string()), &ca),
        &["TLS: connection closed during the handshake; for a port without TLS, write zk://"],
    );
    is_not_reached(&site(&format!("zk://127.0.0.1:{port}"), ""), &["write zks://"]);

    // A running agent reports the same, and touches nothing.
    let stranger = site(&url, &tls(&other.ca()));
    stranger.file("out/list", "from before\n");
    let before = stranger.fingerprint("out/list");
    let mut agent = stranger.start();
    agent.says(AWAY).says("not signed by a trusted authority");
    assert_eq!(stranger.fingerprint("out/list"), before);
    assert!(agent.stop().success());
}

#[test]
fn a_renewed_certificate_is_used_and_an_expired_one_refused() {
    let authority = Authority::new("ca");
    authority.sign("zk", "IP:127.0.0.1", Valid::Now);
    let (mut server, port) = secure(&authority, "zk", "none");
    let url = format!("zks://127.0.0.1:{port}");
    let running = site(&url, "tls = { ca = \"ca.pem\" }");
    fs::copy(authority.ca(), running.path("ca.pem")).unwrap();
    let mut agent = running.start();
    becomes(&agent, &running, &[1]);
    // A new authority and a new certificate, while the agent runs.
    let next = Authority::new("next");
    next.sign("zk", "IP:127.0.0.1", Valid::Now);
    let restart = |server: &mut ZooKeeper| {
        server.stop(0);
        next.equip(server.folder(), "zk");
        server.start(0);
        server.wait_ready();
    };
    restart(&mut server);
    server.client("").put(&member(2), b"");
    fs::copy(next.ca(), running.path("ca.pem")).unwrap();
    becomes(&agent, &running, &[1, 2]);
    assert!(agent.stop().success());

    next.sign("zk", "IP:127.0.0.1", Valid::NoMore);
    restart(&mut server);
    let expired = "TLS: the server's certificate expired on 2020-12-31T23:59:59Z (now: 20";
    running.file("out/list", "from before\n");
    let mut agent = running.start();
    agent.says(expired);
    // The last known-good members are used, and nothing from an unverified server.
    becomes(&agent, &running, &[1, 2]);
    assert!(agent.stop().success());
    // By now the server is fast enough for a single pass. Its first handshake may take seconds.
    is_refused(&running, &[expired]);
}

#[test]
fn a_client_certificate_is_sent_if_the_server_asks_for_it() {
    let authority = Authority::new("ca");
    authority.sign("zk", "IP:127.0.0.1", Valid::Now);
    let (_server, port) = secure(&authority, "zk", "need");
    let url = format!("zks://127.0.0.1:{port}");
    let ca = authority.ca().display().to_string();
    let with = |authority: &Authority, valid| {
        let (cert, key) = authority.sign("agent", "DNS:agent", valid);
        format!("tls = {{ ca = \"{ca}\", cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
    };
    let good = site(&url, &with(&authority, Valid::Now));
    good.run(&["render"]).expect(0);
    assert_eq!(good.read("out/list"), list([1]));

    is_refused(&site(&url, &format!("tls = {{ ca = \"{ca}\" }}")), &["TLS: ", "client certificate"]);
    let other = Authority::new("other");
    is_refused(&site(&url, &with(&other, Valid::Now)), &["TLS: ", "client certificate"]);
    is_refused(&site(&url, &with(&authority, Valid::NoMore)), &["TLS: ", "client certificate"]);
}
