//! Many writers at once, killed writers, and a reader that checks every view at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use zookeeper_client::{Client, Error, MultiReadResult};

use super::{Scene, python};
use crate::support::proxy::Proxy;
use crate::support::random::count;
use crate::support::wait::{PATIENCE, eventually, holds};

/// The environments that stay.
pub const ENVS: [&str; 7] = ["", "a", "a/b", "a/b/c", "a/d", "e", "e/f"];

/// The edits that were answered with success: the last value of each key by environment.
pub type Written = BTreeMap<String, BTreeMap<String, Value>>;

fn path(kind: &str, env: &str) -> String {
    if env.is_empty() { format!("/services/s/{kind}") } else { format!("/services/s/{kind}/{env}") }
}

pub fn tree() -> Scene {
    let scene = Scene::new();
    scene.ok(&["init", "s"]);
    for env in &ENVS[1..] {
        scene.write(&["create", &format!("s/{env}")]);
    }
    scene
}

/// The confs and views of all environments at one moment. Those that come or go meanwhile are left out.
async fn moment(client: &Client) -> Result<Vec<(String, Map<String, Value>, Vec<u8>)>, Error> {
    client.sync("/").await?;
    let mut envs: Vec<String> = ENVS.iter().map(|env| (*env).to_owned()).collect();
    let passing = client.list_children("/services/s/conf/a").await?;
    envs.extend(passing.into_iter().filter(|name| name.starts_with('x')).map(|name| format!("a/{name}")));
    let mut reader = client.new_multi_reader();
    for env in &envs {
        reader.add_get_data(&path("conf", env))?;
        reader.add_get_data(&path("views", env))?;
    }
    let results = reader.commit().await?;
    let data = |result: &MultiReadResult| match result {
        MultiReadResult::Data { data, .. } => Some(data.clone()),
        _ => None,
    };
    let mut found = Vec::new();
    for (env, pair) in envs.iter().zip(results.chunks(2)) {
        match (data(&pair[0]), data(&pair[1])) {
            (Some(conf), Some(view)) => found.push((env.clone(), serde_json::from_slice(&conf).unwrap(), view)),
            (None, None) => {}
            (conf, view) => panic!("half of {env:?} is there: conf {} view {}", conf.is_some(), view.is_some()),
        }
    }
    Ok(found)
}

/// Checks that every view is the fold of the confs at one moment. Returns the confs.
pub fn check_views(scene: &Scene) -> BTreeMap<String, Map<String, Value>> {
    let found = scene.client.run(|client| async move { moment(&client).await.expect("read") });
    let confs: BTreeMap<String, Map<String, Value>> =
        found.iter().map(|(env, conf, _)| (env.clone(), conf.clone())).collect();
    for (env, _, view) in &found {
        let mut fold = Map::new();
        let is_above = |other: &&String| other.is_empty() || env == *other || env.starts_with(&format!("{other}/"));
        for other in confs.keys().filter(is_above) {
            fold.extend(confs[other].clone());
        }
        let view: Map<String, Value> =
            serde_json::from_slice(view).unwrap_or_else(|why| panic!("view of {env:?}: {why}"));
        assert_eq!(view, fold, "the view of {env:?} is not the fold of its confs");
    }
    confs
}

/// One editor: sets its own key in random environments until the time is over.
pub fn edit(scene: &Scene, number: usize, end: Instant, written: &Mutex<Written>, revisions: &AtomicU64) {
    let mut value = 0;
    while Instant::now() < end {
        value += 1;
        let env = ENVS[fastrand::usize(..ENVS.len())];
        let (target, key) = (if env.is_empty() { "s".to_owned() } else { format!("s/{env}") }, format!("k{number}"));
        let assignment = format!("{key}={value}");
        let ended = scene.jones(&["set", &target, &assignment, "-y", "--timeout", "60s", "-m", &assignment]);
        match ended.code() {
            0 => {
                revisions.fetch_add(1, Ordering::Relaxed);
                written.lock().unwrap().entry(env.to_owned()).or_default().insert(key, value.into());
            }
            code => panic!("{target} {assignment}: exit code {code}: {}", ended.stderr()),
        }
    }
}

/// An editor whose writers are killed at random times. `doubtful` has the comments of those that were killed.
fn edit_and_die(scene: &Scene, number: usize, end: Instant, revisions: &AtomicU64, doubtful: &Mutex<Vec<String>>) {
    let mut value = 0;
    while Instant::now() < end {
        value += 1;
        let env = ENVS[fastrand::usize(..ENVS.len())];
        let target = if env.is_empty() { "s".to_owned() } else { format!("s/{env}") };
        let assignment = format!("k{number}={value}");
        let mut writer = writer(scene, &["set", &target, &assignment, "-y", "--timeout", "60s", "-m", &assignment]);
        let killed = Duration::from_millis(fastrand::u64(..3000));
        if holds(killed, || writer.try_wait().unwrap().is_some()) {
            assert!(writer.wait().unwrap().success(), "{target} {assignment}");
            revisions.fetch_add(1, Ordering::Relaxed);
        } else {
            writer.kill().unwrap();
            writer.wait().unwrap();
            doubtful.lock().unwrap().push(assignment);
        }
    }
}

fn writer(scene: &Scene, args: &[&str]) -> Child {
    let mut rosterd = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    rosterd.arg("jones").args(args).arg("-c").arg(scene.site.path("rosterd.toml")).env("USER", "ada");
    rosterd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The entries of the history by revision. Old ones are deleted, so they are read while others write.
fn read_history(scene: &Scene, entries: &mut BTreeMap<u64, Value>) {
    let known: BTreeSet<u64> = entries.keys().copied().collect();
    let read = |client: Client| async move {
        let directory = "/rosterd/jones/s/history";
        let mut found: Vec<(u64, Value)> = Vec::new();
        for name in client.list_children(directory).await.expect("list") {
            let revision: u64 = name.trim_start_matches("r-").parse().unwrap();
            if !known.contains(&revision)
                && let Ok((data, _)) = client.get_data(&format!("{directory}/{name}")).await
            {
                found.push((revision, serde_json::from_slice(&data).unwrap()));
            }
        }
        found
    };
    entries.extend(scene.client.run(read));
}

/// The confs after all entries of a history: each begins where the one before it ended, and has an author.
fn replay(entries: &BTreeMap<u64, Value>) -> BTreeMap<String, Map<String, Value>> {
    let mut confs = BTreeMap::new();
    for (number, (revision, entry)) in entries.iter().enumerate() {
        assert_eq!(number as u64, *revision, "a revision is missing");
        assert!(entry["author"].as_str().unwrap().starts_with("ada@"), "r{revision}: {entry}");
        let others = entry["also"].as_array().into_iter().flatten();
        for change in [entry].into_iter().chain(others) {
            let env = change["env"].as_str().unwrap_or_else(|| panic!("r{revision} has no change: {entry}"));
            let before = change["before"]["conf"].as_object();
            assert_eq!(before, confs.get(env), "r{revision} of {env:?} does not begin where the one before it ended");
            match change["after"]["conf"].as_object() {
                Some(conf) => _ = confs.insert(env.to_owned(), conf.clone()),
                None => _ = confs.remove(env),
            }
        }
    }
    confs
}

/// Creates and deletes an environment of its own.
fn come_and_go(scene: &Scene, number: usize, end: Instant, revisions: &AtomicU64) {
    let target = format!("s/a/x{number}");
    while Instant::now() < end {
        for command in ["create", "delete"] {
            let ended = scene.jones(&[command, &target, "-y", "--timeout", "60s"]);
            ended.expect(0);
            revisions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub fn check_written(confs: &BTreeMap<String, Map<String, Value>>, written: &Written) {
    for (env, keys) in written {
        for (key, value) in keys {
            assert_eq!(confs[env].get(key), Some(value), "the edit of {key} in {env:?} is lost");
        }
    }
}

#[test]
fn with_fifty_editors_some_of_them_killed_every_view_is_the_fold_at_every_moment_and_no_edit_is_lost() {
    let scene = tree();
    let (written, revisions, doubtful) = (Mutex::new(Written::new()), AtomicU64::new(0), Mutex::new(Vec::new()));
    let (done, moments) = (AtomicBool::new(false), AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(count(4, 60));
    let mut entries = BTreeMap::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                check_views(&scene);
                read_history(&scene, &mut entries);
                moments.fetch_add(1, Ordering::Relaxed);
            }
        });
        let editors: Vec<_> = (0..50)
            .map(|number| {
                let (scene, written, revisions, doubtful) = (&scene, &written, &revisions, &doubtful);
                scope.spawn(move || match number {
                    0..36 => edit(scene, number, end, written, revisions),
                    36..48 => edit_and_die(scene, number, end, revisions, doubtful),
                    _ => come_and_go(scene, number, end, revisions),
                })
            })
            .collect();
        let results: Vec<_> = editors.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader");
        assert!(results.into_iter().all(|result| result.is_ok()), "an editor failed");
    });
    let confs = check_views(&scene);
    check_written(&confs, &written.into_inner().unwrap());
    assert_eq!(scene.ok(&["check", "s"]), "");
    read_history(&scene, &mut entries);
    assert_eq!(replay(&entries), confs, "the history has every edit");
    // One revision for each success, some for the killed writers, and the first seven.
    let (total, moments, doubtful) = (revisions.into_inner(), moments.into_inner(), doubtful.into_inner().unwrap());
    let comments: Vec<&str> = entries.values().filter_map(|entry| entry["comment"].as_str()).collect();
    let times = |wanted: &String| comments.iter().filter(|comment| *comment == wanted).count();
    assert!(doubtful.iter().all(|comment| times(comment) <= 1), "an edit was written twice");
    let late: usize = doubtful.iter().map(times).sum();
    assert_eq!(entries.len() as u64, total + late as u64 + 7);
    println!("{total} edits, {moments} moments; {} writers killed, of which {late} had written", doubtful.len());
    assert!(total >= 50 && moments >= 10, "{total} edits, {moments} moments");
}

#[test]
fn beside_editing_jones_servers_no_edit_is_lost_and_a_repair_leaves_nothing_stale() {
    let scene = Scene::new();
    scene.server("s", "create_service", &[]);
    for env in &ENVS[1..] {
        scene.server("s", "create_config", &[env, "{}"]);
    }
    scene.authenticate("Jones:nFDMj9dz3hZ2tkur7ElnBlBogKU=");
    let args = [&[&*scene.servers, "changeme", "s", "10"], &ENVS[..]].concat();
    let mut jones = python("jones_editors.py", &args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = jones.stdout.take().unwrap();
    let mut started = [0; 8];
    stdout.read_exact(&mut started).unwrap();
    let (written, revisions) = (Mutex::new(Written::new()), AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(count(3, 60));
    std::thread::scope(|scope| {
        for number in 0..10 {
            let (scene, written, revisions) = (&scene, &written, &revisions);
            scope.spawn(move || edit(scene, number, end, written, revisions));
        }
    });
    jones.stdin.take().unwrap().flush().unwrap();
    let mut answer = String::new();
    stdout.read_to_string(&mut answer).unwrap();
    assert!(jones.wait().unwrap().success());
    let by_jones: Written = serde_json::from_str(&answer).unwrap();
    assert!(!by_jones.is_empty() && revisions.into_inner() > 0, "{answer}");
    scene.ok(&["check", "s", "--repair", "-y"]);
    let confs = check_views(&scene);
    check_written(&confs, &written.into_inner().unwrap());
    check_written(&confs, &by_jones);
    assert_eq!(scene.ok(&["check", "s"]), "");
}

#[test]
fn a_killed_writer_leaves_all_of_its_change_or_nothing() {
    let scene = tree();
    let (mut before, mut done) = (0, 0);
    for value in 1..=count(40, 2000) {
        let mut writer = writer(&scene, &["set", "s", &format!("n={value}"), "-y"]);
        sleep(Duration::from_micros(fastrand::u64(..120_000)));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let confs = check_views(&scene);
        let now = confs[""].get("n").map_or(0, |n| n.as_i64().unwrap());
        assert!(now == value || now == before, "{before}, then {value}: {now}");
        done += i64::from(now == value);
        before = now;
    }
    println!("{done} of the killed writers had written");
    assert_eq!(scene.ok(&["check", "s"]), "");
    scene.write(&["set", "s", "n=-1"]);
    assert_eq!(check_views(&scene)["e/f"].get("n"), None);
}

#[test]
fn a_writer_that_loses_the_reply_finds_out_that_its_change_was_written() {
    let scene = tree();
    let (host, chroot) = scene.servers.split_once('/').unwrap();
    let proxy = Proxy::to(host);
    proxy.delay(Duration::from_millis(300));
    let url = format!("zk://{}/{chroot}", proxy.address());
    let args = ["jones", "set", "s", "n=1", "-y", "--registry", &url];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| scene.site.run_without_config(&args).expect(0).stderr());
        // The transaction is done, and its reply is on its way.
        eventually(PATIENCE, "the change is written", || scene.text("/services/s/conf") == r#"{"n": 1}"#);
        proxy.hang_up();
        let stderr = writer.join().unwrap();
        assert!(stderr.contains("s: published as r7"), "{stderr}");
    });
    assert_eq!(scene.ok(&["history", "s"]).lines().count(), 8, "it was written once");
}

#[test]
fn a_writer_that_gets_no_reply_ends_in_time_and_says_that_the_result_is_not_known() {
    let scene = tree();
    let (host, chroot) = scene.servers.split_once('/').unwrap();
    let proxy = Proxy::to(host);
    proxy.delay(Duration::from_millis(200));
    // The session outlasts the writer's patience: nothing else ends it.
    let registry = format!("[registry]\nurl = \"zk://{}/{chroot}\"\nsession_timeout = \"60s\"\n", proxy.address());
    scene.site.configure(&registry);
    std::thread::scope(|scope| {
        let began = Instant::now();
        let writer = scope.spawn(|| scene.jones(&["set", "s", "n=1", "-y", "--timeout", "5s"]));
        eventually(PATIENCE, "the change is written", || scene.text("/services/s/conf") == r#"{"n": 1}"#);
        proxy.swallow(true);
        let stderr = writer.join().unwrap().expect(4).stderr();
        assert!(stderr.contains("whether the change was written is not known"), "{stderr}");
        // Twice the time limit, before and after the review, and what a busy machine adds.
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    });
    proxy.swallow(false);
}

#[test]
fn old_entries_are_deleted_and_revisions_go_on() {
    let scene = tree();
    let entries = |range: std::ops::Range<u32>| {
        let entry = |number: u32| (format!("/rosterd/jones/s/history/r-{number:010}"), b"{\"op\": \"set\"}".to_vec());
        range.map(entry).collect::<Vec<_>>()
    };
    scene.client.put_all(&entries(7..257));
    scene.write(&["set", "s", "n=1"]);
    let history = scene.ok(&["history", "s"]);
    assert_eq!(history.lines().count(), 200);
    assert!(history.starts_with("r257  "), "{history}");
    assert!(scene.node("/rosterd/jones/s/history/r-0000000057").is_none());
    assert!(scene.node("/rosterd/jones/s/history/r-0000000058").is_some());
}
