//! Many editors at once, through one server and through two.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::super::Scene;
use super::super::races::{ENVS, Written, check_views, check_written, edit, tree};
use super::{FORM, JSON, Serving, WANTS_JSON};
use crate::support::random::count;
use crate::support::wait::PATIENCE;

/// Sets its own key in random environments, as a script of Jones does: it reads, and writes with the version that it has
/// read, and begins again after a conflict. It goes on until the time is over and it has written once: beside writers
/// that merge, one that compares versions can lose every time, until they end.
fn edit_over_http(server: &Serving, number: usize, end: Instant, written: &Mutex<Written>, done: &AtomicU64) {
    let key = format!("web{number}");
    let (mut value, mut is_done) = (0, false);
    while Instant::now() < end || !is_done {
        assert!(Instant::now() < end + 3 * PATIENCE, "the editor {number} never gets through");
        let env = ENVS[fastrand::usize(..ENVS.len())];
        let path = format!("/service/s/{env}");
        let read = server.ask("GET", &path, WANTS_JSON, "");
        // Too many connections.
        if matches!(read.status, 0 | 503) {
            continue;
        }
        let shown: Value = serde_json::from_str(&read.body).unwrap_or_else(|_| panic!("{read:?}"));
        let mut conf: Map<String, Value> = shown["config"].as_object().unwrap().clone();
        value += 1;
        conf.insert(key.clone(), value.into());
        let data = Value::Object(conf).to_string();
        let data = percent_encoding::utf8_percent_encode(&data, percent_encoding::NON_ALPHANUMERIC);
        let body = format!("data={data}&version={}", shown["version"]);
        let answer = server.ask("PUT", &path, FORM, &body);
        match answer.status {
            200 => {
                is_done = true;
                done.fetch_add(1, Ordering::Relaxed);
                written.lock().unwrap().entry(env.to_owned()).or_default().insert(key.clone(), value.into());
            }
            409 | 503 | 0 => {}
            status => panic!("{env}: {status}: {answer:?}"),
        }
    }
}

#[test]
fn with_fifty_editors_half_of_them_over_http_every_view_is_the_fold_and_no_edit_is_lost() {
    let scene = tree();
    let servers = [scene.serve(&["--write"]), scene.serve(&["--write"])];
    let (written, revisions, by_http) = (Mutex::new(Written::new()), AtomicU64::new(0), AtomicU64::new(0));
    let (done, moments) = (AtomicBool::new(false), AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(count(5, 60));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                check_views(&scene);
                moments.fetch_add(1, Ordering::Relaxed);
            }
        });
        let editors: Vec<_> = (0..50)
            .map(|number| {
                let (scene, written, revisions, by_http) = (&scene, &written, &revisions, &by_http);
                let server = &servers[number % 2];
                scope.spawn(move || {
                    if number < 25 {
                        edit(scene, number, end, written, revisions);
                    } else {
                        edit_over_http(server, number, end, written, by_http);
                    }
                })
            })
            .collect();
        let results: Vec<_> = editors.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader");
        assert!(results.into_iter().all(|result| result.is_ok()), "an editor failed");
    });
    check_written(&check_views(&scene), &written.into_inner().unwrap());
    assert_eq!(scene.ok(&["check", "s"]), "");
    let (by_command, by_http) = (revisions.into_inner(), by_http.into_inner());
    println!("{by_command} edits by commands, {by_http} over HTTP, {moments:?} moments");
    assert!(by_command >= 10 && by_http >= 25, "{by_command} {by_http}");
}

#[test]
fn two_servers_side_by_side_never_replace_what_the_other_has_written() {
    let scene = Scene::pycon();
    let (one, other) = (scene.serve(&["--write"]), scene.serve(&["--write"]));
    let version = one.api("/pycon/envs/")["version"].as_i64().unwrap();
    let tag = format!("{JSON}If-Match: \"{version}\"\r\n");
    let text = |text: &str| json!({"text": text, "comment": "at the same time"});
    let first = one.write("PUT", "/pycon/envs/", &tag, &text(r#"{"locale": "fr", "times": 0, "a": 1}"#));
    assert_eq!(first.status, 200, "{first:?}");
    let second = other.write("PUT", "/pycon/envs/", &tag, &text(r#"{"locale": "de", "times": 0, "b": 1}"#));
    assert_eq!(second.status, 409, "{second:?}");
    let problem: Value = serde_json::from_str(&second.body).unwrap();
    assert_eq!(problem["version"], version + 1);
    assert!(problem["text"].as_str().unwrap().contains("\"fr\""), "{problem}");
    let conflict = json!([{"key": "locale", "base": "Canada", "ours": "de", "theirs": "fr"}]);
    assert_eq!((&problem["conflicts"], &problem["merged"]), (&conflict, &Value::Null));
    // Without a common key, the two texts are offered as one.
    let third = other.write("PUT", "/pycon/envs/", &tag, &text(r#"{"locale": "Canada", "times": 0, "b": 1}"#));
    let problem: Value = serde_json::from_str(&third.body).unwrap();
    let merged: Value = serde_json::from_str(problem["merged"].as_str().unwrap()).unwrap();
    assert_eq!(merged, json!({"locale": "fr", "times": 0, "a": 1, "b": 1}));
    assert_eq!(scene.text("/services/pycon/conf"), r#"{"locale": "fr", "times": 0, "a": 1}"#);
}
