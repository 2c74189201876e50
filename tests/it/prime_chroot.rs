//! `prime-chroot`: creates the chroot of a registry and changes nothing that exists.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use crate::harness::site::Site;
use crate::support::zookeeper::{Zk, ZooKeeper, free_port};

const CREDENTIAL: &str = "username:123456";

fn acl(client: &Zk, path: &str) -> Vec<Acl> {
    let path = path.to_owned();
    client.run(|client| async move { client.get_acl(&path).await.unwrap().0 })
}

/// A directory with the credential in the file `auth`.
fn site() -> Site {
    let site = Site::new("");
    site.file("auth", &format!("{CREDENTIAL}\n"));
    set_permissions(site.path("auth"), Permissions::from_mode(0o600)).unwrap();
    site
}

#[test]
fn a_missing_chroot_is_created_once_and_an_existing_one_is_not_changed() {
    let (site, shared) = (Site::new(""), ZooKeeper::shared());
    let above = shared.chroot();
    let servers = shared.connect_string();
    let url = format!("zk://{servers}{above}/prod/west");
    let get = || site.run_without_config(&["get", "/x", "--registry", &url]);
    assert!(get().expect(4).stderr().contains("create it with rosterd prime-chroot"), "{}", get().stderr());

    let client = shared.client("");
    let before = acl(&client, &above);
    let primed = site.run_without_config(&["prime-chroot", &url]);
    assert_eq!(primed.expect(0).stdout(), format!("{above}/prod\n{above}/prod/west\n"));
    get().expect(3);
    let open = [Acl::new(Permission::ALL, AuthId::new("world", "anyone"))];
    assert_eq!(acl(&client, &format!("{above}/prod")), open);
    assert_eq!(acl(&client, &format!("{above}/prod/west")), open);

    // A connection string, with other entries: nothing that exists is changed.
    let text = format!("{servers}{above}/prod/west");
    let again = ["prime-chroot", &text, "--acl", "world:anyone:r"];
    assert_eq!(site.run_without_config(&again).expect(0).stdout(), "");
    let more = ["prime-chroot", &format!("{text}/1"), "--acl", "world:anyone:r"];
    assert_eq!(site.run_without_config(&more).expect(0).stdout(), format!("{above}/prod/west/1\n"));
    assert_eq!(acl(&client, &format!("{above}/prod/west")), open);
    assert_eq!(acl(&client, &above), before);
    let root = format!("zk://{servers}");
    assert_eq!(site.run_without_config(&["prime-chroot", &root]).expect(0).stdout(), "", "the root exists");
}

#[test]
fn credentials_and_acl_entries_close_what_is_created() {
    let (site, shared) = (site(), ZooKeeper::shared());
    let above = shared.chroot();
    let url = format!("zk://{}{above}/closed/in", shared.connect_string());
    let prime = |more: &[&str]| site.run_without_config(&[&["prime-chroot", &url], more].concat());
    let entries = ["--acl", "auth::cdrwa", "--acl", "world:anyone:r"];
    assert!(prime(&entries).expect(64).stderr().contains("needs credentials"), "no entry without a credential");
    prime(&["--acl", "world:anyone:x"]).expect(64);
    assert_eq!(prime(&[&entries[..], &["--auth", "auth"]].concat()).expect(0).stdout().lines().count(), 2);
    let client = shared.client("");
    // ZooKeeper shows the hash only to who may administrate the node.
    let owned = [
        Acl::new(Permission::ALL, AuthId::new("digest", "username:x")),
        Acl::new(Permission::READ, AuthId::new("world", "anyone")),
    ];
    assert_eq!(acl(&client, &format!("{above}/closed/in")), owned);

    // The parent is closed to others.
    let below = format!("{url}/deep");
    let refused = site.run_without_config(&["prime-chroot", &below]);
    assert!(refused.expect(1).stderr().contains("not authorized: the ACL of its parent"), "{}", refused.stderr());
    assert_eq!(refused.stdout(), "");
    // What exists is found without credentials.
    prime(&[]).expect(0);
    site.run_with_env(&[("ROSTERD_AUTH", "auth"), ("ROSTERD_CONFIG", "")], &["prime-chroot", &below]).expect(0);
    let config = "[registry]\nurl = \"zk://none\"\nauth = [{ scheme = \"digest\", file = \"auth\" }]\n";
    site.configure(config);
    let configured = ["prime-chroot", "-c", "rosterd.toml", &format!("{below}/er")];
    assert_eq!(site.run(&configured).expect(0).stdout().lines().count(), 1);
    let readable = ["prime-chroot", &url, "--auth", "rosterd.toml"];
    assert!(site.run_without_config(&readable).expect(78).stderr().contains("rosterd.toml"));
}

#[test]
fn it_waits_for_a_server_and_exits_4_without_one() {
    let site = Site::new("");
    let away = format!("zk://127.0.0.1:{}/a", free_port());
    let failed = site.run_without_config(&["prime-chroot", &away, "--timeout", "300ms"]);
    assert!(failed.expect(4).stderr().contains("cannot create the chroot of zk://"), "{}", failed.stderr());
    site.run_without_config(&["prime-chroot", "dir:x"]).expect(64);
    site.run_without_config(&["prime-chroot", "zk://a:b/c"]).expect(64);

    let mut server = ZooKeeper::one_stopped();
    let url = format!("zk://{}/late/one", server.connect_string());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| site.run_without_config(&["prime-chroot", &url, "--timeout", "80s"]).code());
        server.start(0);
        assert_eq!(waiting.join().unwrap(), 0);
    });
    // A node that ends with its session cannot have children.
    let client = server.client("");
    client.run(|client| async move {
        client.create("/gone", b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.unwrap();
    });
    let refused = site.run_without_config(&["prime-chroot", &format!("zk://{}/gone/x", server.connect_string())]);
    assert!(refused.expect(1).stderr().contains("ephemeral nodes cannot have children"), "{}", refused.stderr());
}
