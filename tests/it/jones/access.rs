//! Who may do what: the history that writers cannot change, masked access control lists, compartments.

use zookeeper_client::{Acl, AuthId, Client, Error, Permission};

use super::Scene;

/// The id of a digest credential, as `DigestAuthenticationProvider.generateDigest` makes it.
fn id(credential: &str) -> String {
    use base64::Engine as _;
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, credential.as_bytes());
    format!("{}:{}", credential.split_once(':').unwrap().0, base64::engine::general_purpose::STANDARD.encode(hash))
}

fn acl(scene: &Scene, path: &str, credential: &str) -> Vec<String> {
    let (path, credential) = (path.to_owned(), credential.to_owned());
    let list = scene.client.run(|client| async move {
        client.auth("digest", credential.as_bytes()).await.unwrap();
        client.get_acl(&path).await.unwrap().0
    });
    list.iter().map(|entry| format!("{}:{} {:?}", entry.scheme(), entry.id(), entry.permission())).collect()
}

#[test]
fn a_writer_adds_to_the_history_and_cannot_change_it() {
    let scene = Scene::new();
    scene.authenticate("writer:secret");
    let auditor = format!("digest:{}", id("auditor:secret"));
    scene.ok(&["init", "pycon", "--acl", "auth::cdrwa", "--acl", "world:anyone:r", "--auditor", &auditor]);
    scene.write(&["set", "pycon", "a=1"]);
    scene.write(&["set", "pycon", "a=2"]);
    let entry = "/rosterd/jones/pycon/history/r-0000000001";
    let before = scene.node(entry).unwrap().0;
    scene.client.run(move |client: Client| async move {
        client.auth("digest", b"writer:secret").await.unwrap();
        let is_refused = |result: Result<(), Error>| matches!(result, Err(Error::NoAuth));
        assert!(is_refused(client.set_data(entry, b"{}", None).await.map(drop)), "set");
        assert!(is_refused(client.delete(entry, None).await), "delete");
        let open = [Acl::new(Permission::ALL, AuthId::new("world", "anyone"))];
        for path in [entry, "/rosterd/jones/pycon/history"] {
            assert!(is_refused(client.set_acl(path, &open, None).await.map(drop)), "setACL of {path}");
        }
        assert!(matches!(client.delete("/rosterd/jones/pycon/history", None).await, Err(Error::NotEmpty)));
    });
    assert_eq!(scene.node(entry).unwrap().0, before);
    scene.write(&["set", "pycon", "a=3"]);
    scene.client.run(move |client: Client| async move {
        client.auth("digest", b"auditor:secret").await.unwrap();
        client.delete(entry, None).await.expect("the auditor prunes");
    });
    assert!(scene.ok(&["history", "pycon"]).contains("r3 "), "everybody reads");
    // Without the credential nothing is written, and the reason says what is missing.
    scene.configure("", "");
    let stderr = scene.refused(&["set", "pycon", "a=4", "-y"], 1);
    assert!(stderr.contains("not authorized"), "{stderr}");
}

#[test]
fn an_auditor_closes_the_entries_that_are_there() {
    let scene = Scene::pycon();
    let entry = "/rosterd/jones/pycon/history/r-0000000000";
    let auditor = format!("digest:{}", id("auditor:secret"));
    let stderr = scene.refused(&["adopt", "pycon", "--auditor", &auditor, "--dry-run"], 0);
    assert!(stderr.contains("would make digest:auditor:"), "{stderr}");
    for _ in 0..2 {
        scene.write(&["adopt", "pycon", "--auditor", &auditor]);
    }
    scene.client.run(move |client: Client| async move {
        assert!(matches!(client.set_data(entry, b"{}", None).await, Err(Error::NoAuth)));
        assert!(matches!(client.delete(entry, None).await, Err(Error::NoAuth)));
    });
    scene.write(&["set", "pycon", "a=1"]);
}

#[test]
fn a_masked_list_is_refused_and_never_copied() {
    let scene = Scene::new();
    scene.authenticate("admin:secret");
    let writer = format!("digest:{}:cdrw", id("writer:secret"));
    scene.ok(&["init", "pycon", "--acl", "auth::cdrwa", "--acl", &writer, "--acl", "world:anyone:r"]);
    scene.write(&["create", "pycon/parent"]);
    scene.authenticate("writer:secret");
    let stderr = scene.refused(&["create", "pycon/child", "-y"], 1);
    assert!(
        stderr.contains("the ACL of /services/pycon/conf is masked for these credentials (digest:admin:x:cdrwa"),
        "{stderr}"
    );
    // What needs no new node but the entry is written.
    scene.write(&["set", "pycon/parent", "a=1"]);
    assert!(scene.jones(&["check", "pycon"]).expect(0).stderr().contains("masked for these credentials"));
}

#[test]
fn a_node_that_may_not_be_read_is_named() {
    let scene = Scene::pycon();
    scene.client.run(|client| async move {
        let closed = [Acl::new(Permission::ALL, AuthId::new("digest", "other:h"))];
        client.set_acl("/services/pycon/views/parent", &closed, None).await.unwrap();
    });
    let stderr = scene.refused(&["set", "pycon/parent", "a=1", "-y"], 1);
    assert!(
        stderr.contains("/services/pycon/views/parent: not authorized: the node's ACL does not allow it"),
        "{stderr}"
    );
    let found = scene.jones(&["check", "pycon"]).expect(1).stdout();
    assert!(found.contains("/services/pycon/views/parent: not authorized"), "{found}");
}

#[test]
fn the_credential_of_jones_is_derived_from_its_password() {
    let scene = Scene::new();
    scene.site.file("password", "changeme\n");
    let printed = scene.jones(&["credential", "password"]);
    assert_eq!(printed.expect(0).stdout(), "Jones:nFDMj9dz3hZ2tkur7ElnBlBogKU=\n");
    assert!(printed.stderr().contains("digest:Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU="), "{}", printed.stderr());
    scene.server("pycon", "create_service", &[]);
    let refused = scene.refused(&["set", "pycon", "a=1", "-y"], 1);
    assert!(refused.contains("masked for these credentials (world:anyone:r,digest:Jones:x:cdrwa)"), "{refused}");
    scene.authenticate(printed.stdout().trim());
    scene.write(&["set", "pycon", "a=1"]);
    // What rosterd creates belongs to Jones as well.
    scene.write(&["create", "pycon/parent"]);
    let jones = printed.stdout().trim().to_owned();
    let list = acl(&scene, "/services/pycon/conf/parent", &jones);
    assert_eq!(list, acl(&scene, "/services/pycon/conf", &jones));
    assert!(list.iter().any(|entry| entry.contains("Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU=")), "{list:?}");
    let history = acl(&scene, "/rosterd/jones/pycon/history", &jones);
    assert!(history.iter().any(|entry| entry.contains("Jones:oZp") || entry.contains("Jones:x")), "{history:?}");
}

#[test]
fn access_is_granted_on_every_node_and_differences_are_found() {
    let scene = Scene::new();
    scene.authenticate("admin:secret");
    scene.ok(&["init", "pycon", "--acl", "auth::cdrwa", "--acl", "world:anyone:r"]);
    scene.write(&["create", "pycon/parent"]);
    let team = format!("digest:{}:cdrwa", id("team:secret"));
    let stderr = scene.jones(&["acl", "pycon", "--grant", &team, "-y"]);
    assert!(stderr.expect(0).stderr().contains(":cdrwa on 7 nodes"), "{}", stderr.stderr());
    assert_eq!(scene.ok(&["check", "pycon"]), "");
    scene.authenticate("team:secret");
    scene.write(&["set", "pycon/parent", "a=1"]);
    scene.ok(&["acl", "pycon", "--auditor", &format!("digest:{}", id("auditor:secret")), "-y"]);
    let refused = scene.jones(&["acl", "pycon", "--auditor", &format!("digest:{}", id("team:secret")), "-y"]);
    assert!(refused.expect(1).stderr().contains("cannot set the ACL of /rosterd/jones/pycon/history: not authorized"));
    scene.write(&["create", "pycon/parent/child"]);
    // An environment that Jones creates has Jones's list again.
    scene.client.run(|client| async move {
        client.auth("digest", b"team:secret").await.unwrap();
        let open = [Acl::new(Permission::ALL, AuthId::new("world", "anyone"))];
        client.set_acl("/services/pycon/conf/parent", &open, None).await.unwrap();
    });
    let found = scene.jones(&["check", "pycon"]).expect(1).stdout();
    assert!(
        found.contains("/services/pycon/conf/parent: its ACL is not that of its parent: world:anyone:cdrwa"),
        "{found}"
    );
}
