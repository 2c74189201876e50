use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::model::registry_event::{Bytes, Change, Members, NodeContent, RegistryEvent, Seen};
use crate::model::version::Versions;
use crate::watch::{BoxFuture, Node, Subjects};

/// A registry that sends these updates, and nothing more until it is stopped.
struct Script(Vec<Update>);

impl Registry for Script {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for update in self.0.clone() {
                let _ = out.send(RegistryEvent { registry: "default".into(), update }).await;
            }
            stop.cancelled().await;
            drop(subjects);
        })
    }

    fn read(&self, _: NodePath, _: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(async { Err(Setback::new("look", "not in this test")) })
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    get: GetArgs,
}

fn args(line: &str) -> GetArgs {
    let words = std::iter::once("get").chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap_or_else(|why| panic!("{line}: {why}")).get
}

fn data(text: &str) -> Bytes {
    Arc::from(text.as_bytes())
}

fn members(nodes: &[(&str, &str)]) -> Seen<Members> {
    Seen::Present(nodes.iter().map(|(name, text)| (Arc::from(*name), Ok(NodeContent::ephemeral(data(text))))).collect())
}

fn names(nodes: &[&str]) -> Seen<Members> {
    members(&nodes.iter().map(|name| (*name, "")).collect::<Vec<_>>())
}

fn reset(path: &str, seen: Seen<Members>) -> Update {
    Update::Reset { subject: Subject::parse(path).unwrap(), view: View::Members(seen), versions: Versions::new() }
}

fn keyed(path: &str, keys: &[(&str, Seen<Members>)]) -> Update {
    let keys = keys.iter().map(|(key, seen)| (Arc::from(*key), seen.clone())).collect();
    Update::Reset {
        subject: Subject::parse(path).unwrap(),
        view: View::Keyed(Seen::Present(keys)),
        versions: Versions::new(),
    }
}

fn away() -> Update {
    Update::Unreachable("connect to 127.0.0.1:1: connection refused".to_owned().into())
}

fn put(path: &str, name: &str) -> Update {
    let change = Change::Put { key: None, name: name.into(), reading: Ok(NodeContent::ephemeral(data(""))) };
    Update::Changed { subject: Subject::parse(path).unwrap(), changes: vec![change], versions: Versions::new() }
}

/// Exit code, standard output, standard error.
async fn asked(line: &str, script: Vec<Update>) -> (u8, String, String) {
    let timeout = if line.contains("--timeout") { "" } else { "--timeout 100ms" };
    let args = args(&format!("{timeout} {line}"));
    let known = gather(&args, Arc::new(Script(script))).await;
    let answer = answer::answer(&args, &known, SystemTime::now());
    (answer.exit.code(), answer.out, answer.notes.join("\n"))
}

#[tokio::test]
async fn names_are_sorted_bytewise_and_max_keeps_the_first() {
    let nodes = names(&["h10:1", "h2:1", "H3:1", "h1:1"]);
    for (line, out) in [
        ("/s", "H3:1\nh10:1\nh1:1\nh2:1\n"),
        ("/s --max 2", "H3:1\nh10:1\n"),
        ("/s --max 2 --min 2 --format json", "[\"H3:1\",\"h10:1\"]\n"),
        ("/s --max 2 --format yaml", "- \"H3:1\"\n- \"h10:1\"\n"),
    ] {
        // ':' sorts after the digits, so h10 comes before h1, as in every bytewise sort.
        assert_eq!(asked(line, vec![reset("/s", nodes.clone())]).await, (0, out.into(), String::new()), "{line}");
    }
}

#[tokio::test]
async fn members_are_printed_with_all_fields() {
    let nodes = members(&[("10.0.0.2:80", ""), ("10.0.0.1:80", r#"{"zone":"a","weight":5}"#)]);
    let (code, out, _) = asked("/s --format members", vec![reset("/s", nodes)]).await;
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(
        out[0],
        json!({"name": "10.0.0.1:80", "host": "10.0.0.1", "port": 80, "address": "10.0.0.1:80", "id": null,
            "weight": 5, "status": null, "slot": 0, "stale": false, "zone": "a", "data": {"zone": "a", "weight": 5}})
    );
    assert_eq!((&out[1]["name"], &out[1]["slot"]), (&json!("10.0.0.2:80"), &json!(1)));
}

#[tokio::test]
async fn too_few_members_exit_3_and_print_nothing() {
    let unreadable = || reset("/s", Seen::Unreadable("no permission".into()));
    let torn = || reset("/s", members(&[("a:1", ""), ("b\n:1", "")]));
    for (line, update, code, says) in [
        ("/s", reset("/s", Seen::Absent), 3, "/s has 0 members but needs at least 1: the path does not exist"),
        ("/s", reset("/s", names(&[])), 3, "/s has 0 members but needs at least 1"),
        ("/s --min 3", reset("/s", names(&["a:1", "b:1"])), 3, "/s has 2 members but needs at least 3"),
        (
            "/s --min 2",
            torn(),
            3,
            "left out: /s/b\n:1: its name contains a control character or a line break\n/s has 1 member but needs at least 2 (1 quarantined)",
        ),
        ("/s", unreadable(), 3, "/s cannot be read: no permission"),
        ("/s --min 0", unreadable(), 3, "/s cannot be read: no permission"),
        (
            "/s/*",
            keyed("/s/*", &[("web", names(&[]))]),
            3,
            "left out: /s/web has 0 members but needs at least 1\nno key of /s/* has at least 1 member",
        ),
    ] {
        assert_eq!(asked(line, vec![update]).await, (code, String::new(), says.into()), "{line}");
    }
}

#[tokio::test]
async fn min_0_allows_an_empty_list() {
    for seen in [Seen::Absent, names(&[])] {
        for (format, out) in [("lines", ""), ("json", "[]\n"), ("yaml", "[]\n"), ("members", "[]\n")] {
            let line = format!("/s --min 0 --format {format}");
            assert_eq!(asked(&line, vec![reset("/s", seen.clone())]).await, (0, out.into(), String::new()), "{line}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_registry_exits_4_and_is_never_empty() {
    // The reason was reported when the wait began.
    let says = "/s: the registry did not answer within 100ms";
    for line in ["/s", "/s --min 0"] {
        assert_eq!(asked(line, vec![away()]).await, (4, String::new(), says.into()), "{line}");
        // Members that were seen before the connection was lost may be outdated.
        let lost = vec![reset("/s", names(&["a:1"])), away()];
        assert_eq!(asked(&format!("{line} --wait-for 2"), lost).await, (4, String::new(), says.into()), "{line}");
    }
    assert_eq!(asked("/s", vec![]).await.0, 4);
    let back = vec![away(), reset("/s", names(&["a:1"]))];
    assert_eq!(asked("/s", back).await, (0, "a:1\n".into(), String::new()));
}

#[tokio::test]
async fn a_failure_that_a_retry_does_not_mend_ends_the_wait_and_is_reported_once() {
    let reason = "zk://a:1/x: the chroot /x does not exist".to_owned();
    let missing = || vec![away(), Update::Unreachable(Unreachable { reason: reason.clone(), is_final: true })];
    let both = args("/s /t --timeout 1h");
    let known = gather(&both, Arc::new(Script(missing()))).await;
    assert_eq!(known.reported, "connect to 127.0.0.1:1: connection refused");
    let answer = answer::answer(&both, &known, SystemTime::now());
    let notes = [format!("/s cannot be read: {reason}"), "/t cannot be read".into()];
    assert_eq!((answer.exit, answer.notes), (Exit::Unreached, notes.to_vec()));
    // A cached answer is used at once.
    let dir = tempfile::tempdir().unwrap();
    let cached = format!("/s --timeout 1h --cache {}", dir.path().join("cache").display());
    assert_eq!(asked(&cached, vec![reset("/s", names(&["a:1"]))]).await.0, 0);
    let (code, out, says) = asked(&cached, missing()).await;
    assert_eq!((code, &*out), (0, "a:1\n"));
    assert!(says.ends_with(&format!(": /s cannot be read: {reason}")), "{says}");
}

#[tokio::test]
async fn several_paths_and_a_star_are_read() {
    let script = || {
        let web = [("api", names(&["c:1"])), ("bad", Seen::Absent), ("web", names(&["a:1", "b:1"]))];
        vec![reset("/one", names(&["x:1"])), keyed("/all/*", &web)]
    };
    let left_out = "left out: /all/bad has 0 members but needs at least 1: the path does not exist";
    for (line, out) in [
        ("/one /all/*", "x:1\napi\tc:1\nweb\ta:1\nweb\tb:1\n"),
        (
            "/one /all/* --format json",
            "{\"/all/*\":{\"api\":[\"c:1\"],\"web\":[\"a:1\",\"b:1\"]},\"/one\":[\"x:1\"]}\n",
        ),
        (
            "/one /all/* --format yaml --max 1",
            "\"/all/*\":\n  \"api\":\n  - \"c:1\"\n  \"web\":\n  - \"a:1\"\n\"/one\":\n- \"x:1\"\n",
        ),
    ] {
        assert_eq!(asked(line, script()).await, (0, out.into(), left_out.into()), "{line}");
    }
    // A key that cannot be read is omitted rather than shown as empty.
    let closed = [("api", names(&["c:1"])), ("web", Seen::Unreadable("no permission".into()))];
    let (code, out, says) = asked("/all/* --min 0 --format json", vec![keyed("/all/*", &closed)]).await;
    assert_eq!((code, out.as_str()), (0, "{\"api\":[\"c:1\"]}\n"));
    assert_eq!(says, "left out: /all/web cannot be read: no permission");
    // If one path has no answer, nothing is printed.
    let (code, out, _) = asked("/one /two", vec![reset("/one", names(&["x:1"]))]).await;
    assert_eq!((code, out.as_str()), (4, ""));
}

#[tokio::test]
async fn wait_for_waits_and_then_min_applies() {
    let joins = || vec![reset("/s", Seen::Absent), reset("/s", names(&["a:1"])), put("/s", "b:1"), put("/s", "c:1")];
    assert_eq!(asked("/s --wait-for 3", joins()).await, (0, "a:1\nb:1\nc:1\n".into(), String::new()));
    let (code, out, says) = asked("/s --wait-for 4", joins()).await;
    assert_eq!((code, out.as_str()), (0, "a:1\nb:1\nc:1\n"));
    assert_eq!(says, "/s has 3 of 4 members after 100ms");
    assert_eq!(asked("/s --wait-for 4 --min 4", joins()).await.0, 3);
}

#[tokio::test]
async fn the_cache_replaces_an_unreachable_registry() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("web.json");
    let with = |line: &str| format!("{line} --cache {}", file.display());
    let good = |nodes: &[&str]| vec![reset("/s", names(nodes))];

    let (code, _, says) = asked(&with("/s"), vec![away()]).await;
    assert_eq!((code, says.contains("cannot use the cache")), (4, true), "{says}");

    assert_eq!(asked(&with("/s"), good(&["b:1", "a:1"])).await.0, 0);
    for update in [away(), reset("/s", Seen::Unreadable("no permission".into()))] {
        let (code, out, says) = asked(&with("/s --max 1"), vec![update]).await;
        assert_eq!((code, out.as_str()), (0, "a:1\n"));
        assert!(says.starts_with("stale, ") && says.contains(" s old, from "), "{says}");
    }

    // Too few members, no members and a failure do not replace the good answer.
    assert_eq!(asked(&with("/s --min 2"), good(&["c:1"])).await.0, 3);
    assert_eq!(asked(&with("/s --min 0"), good(&[])).await.0, 0);
    assert_eq!(asked(&with("/s"), vec![reset("/s", Seen::Absent)]).await.0, 3);
    assert_eq!(asked(&with("/s"), vec![away()]).await.1, "a:1\nb:1\n");
    assert_eq!(asked(&with("/s --min 3"), vec![away()]).await.0, 4);
    assert_eq!(asked(&with("/other"), vec![away()]).await.0, 4);

    // Too old, from the future, damaged.
    let kept = fs::read_to_string(&file).unwrap();
    let at: Value = serde_json::from_str(&kept).unwrap();
    let at = at["paths"]["/s"]["at"].as_u64().unwrap();
    let aged = |by: i64| kept.replace(&at.to_string(), &at.saturating_add_signed(by).to_string());
    for (text, says) in
        [(aged(-172_900), "the maximum is 2days"), (aged(600), "from the future"), ("{".into(), "it is damaged")]
    {
        fs::write(&file, text).unwrap();
        let (code, out, said) = asked(&with("/s"), vec![away()]).await;
        assert_eq!((code, out.as_str(), said.contains(says)), (4, "", true), "{said}");
    }
    assert_eq!(asked(&with("/s --cache-max-age 100days"), good(&["d:1"])).await.0, 0);
    assert_eq!(asked(&with("/s"), vec![away()]).await.1, "d:1\n");
}

#[tokio::test]
async fn the_cache_keeps_data_keys_and_other_paths() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache");
    let with = |line: &str| format!("{line} --format members --cache {}", file.display());
    let script = || {
        let keys = [("api", names(&[])), ("web", members(&[("a:1", r#"{"zone":"z"}"#)]))];
        vec![keyed("/all/*", &keys)]
    };
    let fresh = asked(&with("/all/*"), script()).await.1;
    assert_eq!(asked(&with("/s"), vec![reset("/s", names(&["x:1"]))]).await.0, 0);
    let stale = fresh.replace(r#""stale":false"#, r#""stale":true"#);
    assert_eq!(asked(&with("/all/*"), vec![away()]).await.1, stale);
    assert!(fresh.contains(r#""zone":"z""#), "{fresh}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_reported_and_the_answer_printed() {
    let (code, out, says) = asked("/s --cache /proc/none/x", vec![reset("/s", names(&["x:1"]))]).await;
    assert_eq!((code, out.as_str()), (0, "x:1\n"));
    assert!(says.starts_with("this answer is not cached: cannot write /proc/none/x: "), "{says}");
}

#[tokio::test]
async fn get_prints_and_returns_the_exit_code() {
    let script = || Arc::new(Script(vec![reset("/s", names(&["x:1"]))]));
    let mut out = Vec::new();
    assert_eq!(get(&args("/s"), script(), &mut out).await, Exit::Done);
    assert_eq!(get(&args("/s --min 3 --max 2"), script(), &mut out).await, Exit::Usage);
    assert_eq!(get(&args("/s --min 2"), script(), &mut out).await, Exit::Held);
    let endless = format!("/s --min 2 --timeout {}s", u64::MAX);
    assert_eq!(get(&args(&endless), script(), &mut out).await, Exit::Held);
    assert_eq!(out, b"x:1\n");
}

#[test]
fn an_invalid_command_line_is_refused() {
    for line in [
        "",
        "s",
        "/*/b*",
        "/a?*",
        "/s --max 0",
        "/s --min x",
        "/s --payload nope",
        "/s --timeout 3",
        "/s --cache-max-age 1h",
    ] {
        let words = std::iter::once("get").chain(line.split_whitespace());
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
}
