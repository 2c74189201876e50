//! Chroots, credentials, and reading with `get` and `ls`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use zookeeper_client::{Acl, AuthId, CreateMode, Permission};

use super::{CONFIG, becomes, member, site, site_at};
use crate::support::zookeeper::ZooKeeper;

#[test]
fn a_protected_path_is_read_with_the_credentials_of_a_file() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put("/services", b"");
    client.run(|client| async move {
        client.auth("digest", b"user:se:cret").await.unwrap();
        let acl = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
        let options = CreateMode::Persistent.with_acls((&acl[..]).into());
        client.create("/services/x", b"", &options).await.unwrap();
        client.create(&member(1), b"", &options).await.unwrap();
    });
    let auth = "session_timeout = \"4s\"\nauth = [{ scheme = \"digest\", file = \"zk.auth\" }]";
    let servers = format!("{}{chroot}", shared.connect_string());
    let let_in = site(&CONFIG.replace("session_timeout = \"4s\"", auth), &servers);
    let_in.file("zk.auth", "user:se:cret\n");
    fs::set_permissions(let_in.path("zk.auth"), Permissions::from_mode(0o600)).unwrap();
    let agent = let_in.start();
    becomes(&agent, &let_in, [1]);
    client.put(&member(2), b"");
    becomes(&agent, &let_in, [1, 2]);
    assert!(!agent.log().join("\n").contains("se:cret"));
    assert_eq!(let_in.run(&["get", "/services/x"]).expect(0).stdout(), "10.0.0.1:80\n10.0.0.2:80\n");

    // Unreadable differs from empty and absent.
    let left_out = site(CONFIG, &servers);
    left_out.file("out/list", "from before\n");
    let before = left_out.fingerprint("out/list");
    let refused = "not authorized: the node's ACL does not allow this agent's credentials to read it";
    let agent = left_out.start();
    agent.says(&format!("hold in effect: /services/x cannot be read: {refused}"));
    assert_eq!(left_out.fingerprint("out/list"), before);
    let pass = left_out.run(&["get", "/services/x"]);
    assert!(pass.code() != 0 && pass.stdout().is_empty() && pass.stderr().contains(refused), "{}", pass.stderr());
}

#[test]
fn a_missing_chroot_is_named_and_exits_4() {
    let shared = ZooKeeper::shared();
    let site = site_at(&shared.connect_string(), "/nobody/made/that");
    site.file("out/list", "from before\n");
    let before = site.fingerprint("out/list");
    let missing = "the chroot /nobody/made/that does not exist";
    for args in [&["render"][..], &["diff"], &["get", "/services/x", "/services/y"], &["ls", "/services/x"]] {
        // It ends at once, and says why once.
        let ended = site.run(&[args, &["--timeout", "1h"]].concat());
        let stderr = ended.expect(4).stderr();
        assert_eq!((&*ended.stdout(), stderr.matches(missing).count()), ("", 1), "{stderr}");
    }
    let agent = site.start();
    agent.says(missing);
    assert_eq!(site.fingerprint("out/list"), before);
    shared.client("").put(&format!("/nobody/made/that{}", member(1)), b"");
    becomes(&agent, &site, [1]);
}

#[test]
fn get_and_ls_read_from_the_ensemble() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put(&member(2), br#"{"pid":7,"created":"2026-11-20 10:07:29","zone":"us-west-2b"}"#);
    client.put(&member(1), b"");
    client.put("/config/app", b"plain text");
    let site = site_at(&shared.connect_string(), &chroot);
    let url = format!("zk://{}{chroot}", shared.connect_string());

    let get = |args: &[&str]| site.run_without_config(&[&["get", "--registry", &url], args].concat());
    assert_eq!(get(&["/services/x"]).expect(0).stdout(), "10.0.0.1:80\n10.0.0.2:80\n");
    assert_eq!(get(&["/services/x", "--max", "1", "--format", "json"]).expect(0).stdout().trim(), r#"["10.0.0.1:80"]"#);
    let members = get(&["/services/x", "--format", "members"]);
    let members: serde_json::Value = serde_json::from_str(&members.expect(0).stdout()).unwrap();
    assert_eq!((&members[1]["address"], &members[1]["zone"]), (&"10.0.0.2:80".into(), &"us-west-2b".into()));
    for args in [["/services/x", "--min", "3"], ["/services/void", "--min", "1"]] {
        assert_eq!(get(&args).expect(3).stdout(), "", "{args:?}");
    }

    let ls = site.run(&["ls", "/services/x"]);
    let shown = ls.expect(0).stdout();
    assert!(shown.contains("10.0.0.1:80") && shown.contains(r#""zone":"us-west-2b""#), "{shown}");
    let all = site.run(&["ls", "-R", "/"]);
    let shown = all.expect(0).stdout();
    assert!(
        ["services", "x", "10.0.0.2:80", "config", "app", "plain text"].iter().all(|it| shown.contains(it)),
        "{shown}"
    );
    site.run(&["ls", "/void"]).expect(3);
}
