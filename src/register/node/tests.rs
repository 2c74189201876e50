use super::*;
use crate::config::Check;
use crate::model::node_path::NodePath;

fn config(format: ServiceFormat, data: &str) -> ServiceConfig {
    let path = NodePath::parse("/services/web").unwrap();
    let plain = ServiceConfig::new("web", "default", path, 80, Check::Tcp("a:1".into()));
    let data = ServiceData::parse(data, true).unwrap();
    ServiceConfig { host: Some("h1".into()), format, data, ..plain }
}

fn made(format: ServiceFormat, data: &str, pid: u32) -> NodeSpec {
    let origin = Origin { pid, created: "2026-11-20 10:07:29".into(), created_ms: 5 };
    spec(&config(format, data), &ServiceData::default(), &origin)
}

#[test]
fn each_format_has_the_bytes_of_its_own_writers() {
    for (format, data, id, bytes) in [
        (
            ServiceFormat::Nextdoor,
            "zone=us-west-2b",
            "/services/web/h1:80",
            r#"{"pid":7,"created":"2026-11-20 10:07:29","zone":"us-west-2b"}"#,
        ),
        (
            ServiceFormat::Nextdoor,
            r#"{"pid": 1, "u": "é"}"#,
            "/services/web/h1:80",
            r#"{"pid":1,"created":"2026-11-20 10:07:29","u":"\u00e9"}"#,
        ),
        (
            ServiceFormat::Serverset,
            r#"{"shard": 3}"#,
            "/services/web/member_* (h1:80)",
            r#"{"serviceEndpoint":{"host":"h1","port":80},"additionalEndpoints":{},"status":"ALIVE","shard":3}"#,
        ),
        (
            ServiceFormat::Nerve,
            r#"{"weight": 10}"#,
            "/services/web/h1_* (h1:80)",
            r#"{"host":"h1","port":80,"name":"h1","weight":10}"#,
        ),
    ] {
        let node = made(format, data, 7);
        assert_eq!((&*node.id.to_string(), &*String::from_utf8_lossy(&node.data)), (id, bytes));
    }
    let node = made(ServiceFormat::Curator, "", 7);
    let path = node.id.to_string();
    let id = path.strip_prefix("/services/web/").unwrap();
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "as a UUID");
    let bytes = r#"{"name":"web","id":"ID","address":"h1","port":80,"sslPort":null,"payload":null,"registrationTimeUTC":5,"serviceType":"DYNAMIC","uriSpec":null}"#;
    assert_eq!(String::from_utf8_lossy(&node.data), bytes.replace("ID", id));
}

/// The example of nd_service_registry's own node, read with kazoo.
#[test]
fn a_digest_gives_the_node_its_creator_and_leaves_it_readable() {
    let auth = Auth { scheme: "digest".into(), file: "/f".into(), secret: b"username:123456".to_vec() };
    let entry = |perms, scheme: &'static str, id: &str| Acl { perms, scheme: scheme.into(), id: id.to_owned() };
    let wanted = [entry(31, "digest", "username:hVztV0Vx6ihOBILgcurXQljBYTc="), entry(1, "world", "anyone")];
    assert_eq!(acl(&[auth]), wanted);
    assert_eq!(acl(&[]), [entry(31, "world", "anyone")]);
}

#[test]
fn a_node_that_another_process_wrote_with_the_same_data_is_the_same() {
    let one = |data: &str, pid| made(ServiceFormat::Nextdoor, data, pid);
    assert!(one("a=1", 1).is_same(&one("a=1", 2).data));
    assert!(!one("a=1", 1).is_same(&one("a=2", 1).data));
    assert!(!one(r#"{"pid": 5}"#, 1).is_same(&one(r#"{"pid": 6}"#, 1).data), "a pid of the user is data");
    assert!(!one("", 1).is_same(b"not JSON"));
}
