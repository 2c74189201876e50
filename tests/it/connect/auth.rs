//! Credentials.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use zookeeper_client::{Acl, AuthId, CreateMode, Permission};

use super::{becomes, is_refused, site};
use crate::ensemble::{list, member};
use crate::harness::site::Site;
use crate::support::zookeeper::ZooKeeper;

const JAAS: &str = r#"Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_rosterd="se:cr et";
};
"#;

/// The registry's keys for a credential in a file of the site.
fn with(scheme: &str) -> String {
    format!("auth = [{{ scheme = \"{scheme}\", file = \"zk.auth\" }}]")
}

fn secret(site: &Site, text: &str) {
    site.file("zk.auth", text);
    fs::set_permissions(site.path("zk.auth"), Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn sasl_accepts_only_the_right_password() {
    let lines = "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
    let java = ["-Djava.security.auth.login.config={folder}/jaas.conf"];
    let server = ZooKeeper::one_with_java(lines, &java, |folder| fs::write(folder.join("jaas.conf"), JAAS).unwrap());
    let client = server.client("");
    client.put("/services", b"");
    client.run(|client| async move {
        let acl = [Acl::new(Permission::ALL, AuthId::new("sasl", "rosterd"))];
        let options = CreateMode::Persistent.with_acls((&acl[..]).into());
        let open = CreateMode::Persistent.with_acls(zookeeper_client::Acls::anyone_all());
        client.create("/services/x", b"", &open).await.unwrap();
        client.create(&member(1), b"", &options).await.unwrap();
        let (acls, _) = client.get_acl("/services/x").await.unwrap();
        assert_eq!(acls.len(), 1);
        client.set_acl("/services/x", &acl, None).await.unwrap();
    });
    let url = format!("zk://{}", server.connect_string());
    let let_in = site(&url, &with("sasl"));
    secret(&let_in, "rosterd:se:cr et\n");
    let mut agent = let_in.start();
    becomes(&agent, &let_in, &[1]);
    assert_eq!(let_in.run(&["get", "/services/x"]).expect(0).stdout(), list([1]));
    assert!(agent.stop().success());
    assert!(!agent.log().join("\n").contains("se:cr"));

    let wrong = site(&url, &with("sasl"));
    secret(&wrong, "rosterd:guessed\n");
    is_refused(&wrong, &["SASL credentials refused", "zk.auth"]);

    let without = site(&url, "");
    without.file("out/list", "from before\n");
    let before = without.fingerprint("out/list");
    let pass = without.run(&["render", "--timeout", "2s"]);
    assert_eq!(without.fingerprint("out/list"), before);
    assert!(
        pass.code() != 0 && pass.stderr().contains("/services/x cannot be read: not authorized"),
        "{}",
        pass.stderr()
    );
}

#[test]
fn a_server_without_sasl_is_reported() {
    let shared = ZooKeeper::shared();
    let site = site(&format!("zk://{}{}", shared.connect_string(), shared.chroot()), &with("sasl"));
    secret(&site, "rosterd:secret\n");
    is_refused(&site, &["SASL"]);
}

#[test]
fn a_server_that_requires_authentication_says_so_and_the_agent_retries() {
    let server = ZooKeeper::one_with("enforce.auth.enabled=true\nenforce.auth.schemes=digest", |_| {});
    let url = format!("zk://{}", server.connect_string());
    let words = "requires authentication, and the registry has no auth";
    let without = site(&url, "");
    is_refused(&without, &[words]);
    let mut agent = without.start();
    agent.says(words);
    // The agent takes the credentials at a HUP.
    secret(&without, "rosterd:secret\n");
    let config = without.read("rosterd.toml");
    without.file("rosterd.toml", &config.replace("session_timeout", &format!("{}\nsession_timeout", with("digest"))));
    agent.signal(Signal::SIGHUP).says("/services/x has 0 members but needs at least 1: the path does not exist");
    assert!(agent.stop().success());
    // A server that requires another scheme.
    let java = ["-Djava.security.auth.login.config={folder}/jaas.conf"];
    let lines = "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
        enforce.auth.enabled=true\nenforce.auth.schemes=sasl";
    let server = ZooKeeper::one_with_java(lines, &java, |folder| fs::write(folder.join("jaas.conf"), JAAS).unwrap());
    let other = site(&format!("zk://{}", server.connect_string()), &with("digest"));
    secret(&other, "rosterd:secret\n");
    is_refused(&other, &["requires other credentials (digest from ", "zk.auth"]);
}

#[test]
fn a_wrong_password_for_a_path_is_reported_with_the_path() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put("/services", b"");
    client.run(|client| async move {
        client.auth("digest", b"rosterd:secret").await.unwrap();
        let acl = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
        let options = CreateMode::Persistent.with_acls((&acl[..]).into());
        client.create("/services/x", b"", &options).await.unwrap();
        client.create(&member(1), b"", &options).await.unwrap();
    });
    let site = site(&format!("zk://{}{chroot}", shared.connect_string()), &with("digest"));
    secret(&site, "rosterd:secret\n");
    site.run(&["render"]).expect(0);
    assert_eq!(site.read("out/list"), list([1]));
    let before = site.fingerprint("out/list");
    secret(&site, "rosterd:guessed\n");
    let pass = site.run(&["render", "--timeout", "2s"]);
    assert!(pass.code() != 0, "{}", pass.stderr());
    let words =
        "/services/x cannot be read: not authorized: the node's ACL does not allow this agent's credentials to read it";
    assert!(pass.stderr().contains(words), "{}", pass.stderr());
    assert!(!pass.stderr().contains("guessed"));
    assert_eq!(site.fingerprint("out/list"), before);
}
