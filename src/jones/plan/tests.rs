use super::*;
use crate::jones::json::Json;
use crate::jones::proposal::{ConfEdit, HostEdit, Proposal, Refused};
use crate::jones::tree::tests::{Nodes, env, object};

impl Nodes {
    /// Does all steps, or none: as a server does a multi.
    fn apply(&mut self, steps: &[Step]) -> Result<(), String> {
        let mut next = self.clone();
        next.zxid += 1;
        let has = |next: &Self, path: &NodePath, version: i32| match next.nodes.get(path.as_str()) {
            None => Err(format!("no node {path}")),
            Some((_, now)) if version != -1 && *now != version => Err(format!("bad version of {path}")),
            Some(_) => Ok(()),
        };
        for step in steps {
            match step {
                Step::Check(path, version) => has(&next, path, *version)?,
                Step::Set(path, data, version) => {
                    has(&next, path, *version)?;
                    next.put(path.as_str(), std::str::from_utf8(data).unwrap());
                }
                Step::Create(path, data) => {
                    let (parent, _) = path.as_str().rsplit_once('/').unwrap();
                    if next.nodes.contains_key(path.as_str()) {
                        return Err(format!("{path} exists"));
                    }
                    if parent != "/services/s" && !next.nodes.contains_key(parent) {
                        return Err(format!("no parent of {path}"));
                    }
                    next.put(path.as_str(), std::str::from_utf8(data).unwrap());
                }
                Step::Delete(path, version) => {
                    has(&next, path, *version)?;
                    if next.nodes.keys().any(|other| other.starts_with(&format!("{path}/"))) {
                        return Err(format!("{path} is not empty"));
                    }
                    next.nodes.remove(path.as_str());
                }
                Step::Record(data) => {
                    let number = next.nodes.keys().filter(|path| path.starts_with("/r-")).count();
                    next.put(&format!("/r-{number:010}"), std::str::from_utf8(data).unwrap());
                }
            }
        }
        *self = next;
        Ok(())
    }
}

fn set(name: &str, base: Option<&str>, wanted: Option<&str>) -> Proposal {
    let edit = ConfEdit { base: base.map(object), wanted: wanted.map(object), version: None };
    Proposal { confs: [(env(name), edit)].into_iter().collect(), ..Proposal::default() }
}

fn planned(nodes: &Nodes, proposal: &Proposal) -> Result<Plan, String> {
    let tree = nodes.tree();
    let change = proposal.rebase(&tree).map_err(|refused| format!("{refused:?}"))?;
    Plan::new(&tree, &change, Entry { op: "set".into(), ..Entry::default() })
}

fn shown(steps: &[Step]) -> Vec<String> {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    let one = |step: &Step| match step {
        Step::Check(path, version) => format!("check {path} {version}"),
        Step::Create(path, data) => format!("create {path} {}", text(data)),
        Step::Set(path, data, version) => format!("set {path} {} {version}", text(data)),
        Step::Delete(path, version) => format!("delete {path} {version}"),
        Step::Record(_) => "record".to_owned(),
    };
    steps.iter().map(one).collect()
}

fn example() -> Nodes {
    let mut nodes = Nodes::new(&[
        ("", r#"{"a": 1, "b": 1}"#),
        ("eu", r#"{"b": 2}"#),
        ("eu/de", r#"{"a": 3}"#),
        ("eu/fr", r#"{"c": 1}"#),
        ("us", "{}"),
    ]);
    nodes.put("/services/s/nodemaps", "h1 -> /services/s/views/eu/fr\nh2 -> /services/s/pins/r1/eu/fr");
    nodes.put("/services/s/pins/r1/eu/fr", "{}");
    nodes
}

#[test]
fn ancestors_are_checked_then_conf_descendants_views_entry_and_pins() {
    let mut nodes = example();
    let plan = planned(&nodes, &set("eu", Some(r#"{"b": 2}"#), Some(r#"{"b": 2, "a": 5}"#))).unwrap();
    // The view of eu/de does not change, and us is not concerned.
    let wanted = [
        "check /services/s/conf 0",
        r#"set /services/s/conf/eu {"b": 2, "a": 5} 0"#,
        "check /services/s/conf/eu/de 0",
        "check /services/s/conf/eu/fr 0",
        r#"set /services/s/views/eu {"a": 5, "b": 2} 0"#,
        r#"set /services/s/views/eu/fr {"a": 5, "b": 2, "c": 1} 0"#,
        "record",
        "set /services/s/pins/r1/eu/fr {} 0",
    ];
    assert_eq!(shown(&plan.steps), wanted);
    let hosts: Vec<(String, usize)> = plan.views.iter().map(|diff| (diff.env.to_string(), diff.hosts.len())).collect();
    assert_eq!(hosts, [("eu".to_owned(), 0), ("eu/fr".to_owned(), 1)]);
    nodes.apply(&plan.steps).unwrap();
    let entry = Entry::parse(nodes.text("/r-0000000000").as_bytes()).unwrap();
    assert_eq!(entry.changes[0].before, Some(Before { version: 0, conf: Some(object(r#"{"b": 2}"#)) }));
    assert_eq!(entry.changes[0].after, Some(object(r#"{"b": 2, "a": 5}"#)));
    let view = sha256(nodes.text("/services/s/views/eu").as_bytes());
    assert_eq!(entry.views["eu"], view);
    assert_eq!(entry.views.len(), 2);
}

#[test]
fn a_new_environment_is_never_without_its_view_and_changes_the_version_of_its_parent() {
    let mut nodes = example();
    let plan = planned(&nodes, &set("eu/it", None, Some(r#"{"x": 1}"#))).unwrap();
    let wanted = [
        "check /services/s/conf 0",
        r#"set /services/s/conf/eu {"b": 2} 0"#,
        r#"create /services/s/conf/eu/it {"x": 1}"#,
        r#"create /services/s/views/eu/it {"a": 1, "b": 2, "x": 1}"#,
        "record",
    ];
    assert_eq!(shown(&plan.steps), wanted);
    // A writer of the parent that has not seen it fails, and its view cannot become stale.
    let unaware = planned(&nodes, &set("", Some(r#"{"a": 1, "b": 1}"#), Some(r#"{"a": 7, "b": 1}"#))).unwrap();
    nodes.apply(&plan.steps).unwrap();
    assert!(nodes.apply(&unaware.steps).unwrap_err().contains("bad version of /services/s/conf/eu"));
    // A deletion is checked against the associations of the same moment.
    let plan = planned(&nodes, &set("eu/it", Some(r#"{"x": 1}"#), None)).unwrap();
    let tail = ["delete /services/s/conf/eu/it 0", "delete /services/s/views/eu/it 0", "check /services/s/nodemaps 1"];
    assert_eq!(shown(&plan.steps)[2..5], tail);
    nodes.apply(&plan.steps).unwrap();
}

#[test]
fn arrows_stay_arrows() {
    let mut nodes = example();
    let edit = |wanted: Option<&str>| HostEdit { base: None, wanted: wanted.map(str::to_owned), env: Some(env("us")) };
    let hosts = [("h0".to_owned(), edit(Some("/services/s/views/us")))].into_iter().collect();
    let plan = planned(&nodes, &Proposal { hosts, ..Proposal::default() }).unwrap();
    assert_eq!(shown(&plan.steps)[0], "check /services/s/conf/us -1");
    nodes.apply(&plan.steps).unwrap();
    let wanted = "h0 -> /services/s/views/us\nh1 -> /services/s/views/eu/fr\nh2 -> /services/s/pins/r1/eu/fr";
    assert_eq!(nodes.text("/services/s/nodemaps"), wanted);
}

#[test]
fn what_a_rule_forbids_is_refused_with_the_way_out() {
    let mut nodes = example();
    let host = |env: &str| {
        let edit = HostEdit { base: None, wanted: Some("/services/s/views/x".into()), env: Some(self::env(env)) };
        Proposal { hosts: [("h0".to_owned(), edit)].into_iter().collect(), ..Proposal::default() }
    };
    for (proposal, words) in [
        (set("x/y", None, Some("{}")), "s/x/y: its parent s/x does not exist; create it first"),
        (set("eu", Some(r#"{"b": 2}"#), None), "s/eu has environments below it: s/eu/de, s/eu/fr; delete them first"),
        (set("eu/fr", Some(r#"{"c": 1}"#), None), "s/eu/fr is read by 2 hosts: h1, h2; dissociate them first"),
        (set("", Some(r#"{"a": 1, "b": 1}"#), None), "goes with its service only"),
        (host("x"), "s/x does not exist; create it first"),
    ] {
        let why = planned(&nodes, &proposal).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    for (maps, words) in [
        ("h9 -> /services/s/conf/us", "s/us is read by 1 host: h9; dissociate them first"),
        ("garbage", "s/us: hosts may read it: /services/s/nodemaps cannot be used: "),
    ] {
        nodes.put("/services/s/nodemaps", maps);
        let why = planned(&nodes, &set("us", Some("{}"), None)).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    nodes.put("/services/s/conf", r#"{"a": Infinity}"#);
    let why = planned(&nodes, &set("eu", Some(r#"{"b": 2}"#), Some("{}"))).unwrap_err();
    assert!(why.contains("/services/s/conf is not a valid configuration: Infinity is not a finite"), "{why}");
    assert!(why.contains("rosterd jones apply s"), "{why}");
    // The whole conf can be replaced, and then nothing is stale.
    let plan = planned(&nodes, &set("", Some("{}"), Some(r#"{"a": 1}"#))).unwrap();
    nodes.apply(&plan.steps).unwrap();
    assert!(nodes.tree().envs.keys().all(|env| !nodes.tree().is_stale(env)));
}

#[test]
fn a_repair_writes_what_is_stale_empty_or_missing_and_nothing_else() {
    let mut nodes = example();
    nodes.put("/services/s/views/eu/de", "");
    nodes.put("/services/s/views/us", r#"{"b": 1, "a": 1}"#);
    nodes.nodes.remove("/services/s/views/eu/fr");
    let steps = repair(&nodes.tree(), &Env::ROOT).unwrap();
    let wanted = [
        "check /services/s/conf 0",
        "check /services/s/conf/eu 0",
        "check /services/s/conf/eu/de 0",
        "check /services/s/conf/eu/fr 0",
        r#"set /services/s/views/eu/de {"a": 3, "b": 2} 1"#,
        r#"create /services/s/views/eu/fr {"a": 1, "b": 2, "c": 1}"#,
    ];
    assert_eq!(shown(&steps), wanted);
    nodes.apply(&steps).unwrap();
    assert!(repair(&nodes.tree(), &Env::ROOT).unwrap().is_empty());
}

/// An edit of one environment by a writer that read the service some edits ago.
#[derive(Debug, Clone)]
struct RandomEdit {
    env: usize,
    key: u8,
    value: i64,
    kind: u8,
    lag: usize,
}

const ENVS: [&str; 7] = ["", "a", "a/b", "a/b/c", "a/d", "e", "e/f"];

proptest::proptest! {
    #![proptest_config(crate::support::random::config(200, 20_000))]

    /// Writers with stale reads, on a model of the server. After each transaction every view is the fold, computed in the
    /// plainest way; no edit is lost; and the entries tell every conf.
    #[test]
    fn every_view_is_the_fold_after_each_transaction_and_no_edit_is_lost(
        edits in proptest::collection::vec(edits(), 1..25)
    ) {
        let mut nodes = Nodes::new(&[("", "{}")]);
        let mut model: BTreeMap<&str, BTreeMap<String, i64>> = [("", BTreeMap::new())].into_iter().collect();
        let mut past = vec![nodes.clone()];
        for edit in edits {
            let name = ENVS[edit.env];
            let key = format!("k{}", edit.key);
            let read = past[past.len().saturating_sub(1 + edit.lag)].tree();
            let base = read.envs.get(&env(name)).map(|nodes| nodes.conf.object.clone().unwrap());
            let mut wanted = base.clone().unwrap_or_default();
            match edit.kind {
                0 => _ = wanted.shift_remove(&key),
                _ => _ = wanted.insert(key.clone(), Json::from(edit.value)),
            }
            let wanted = (edit.kind != 1).then_some(wanted);
            let conf = ConfEdit { base: base.clone(), wanted: wanted.clone(), version: None };
            let proposal = Proposal { confs: [(env(name), conf)].into_iter().collect(), ..Proposal::default() };
            // What was planned from the old read fails if anything that it depends on has changed, and is planned again.
            let stale = proposal.rebase(&read).ok().and_then(|change| Plan::new(&read, &change, Entry::default()).ok());
            let is_done = stale.is_some_and(|plan| !plan.confs.is_empty() && nodes.apply(&plan.steps).is_ok());
            let is_done = is_done || match proposal.rebase(&nodes.tree()) {
                Ok(change) if !change.is_empty() => match Plan::new(&nodes.tree(), &change, Entry::default()) {
                    Ok(plan) => {
                        nodes.apply(&plan.steps).unwrap();
                        true
                    }
                    Err(_) => false,
                },
                Ok(_) | Err(Refused::Check(_) | Refused::Changed(_)) => false,
            };
            if is_done {
                match (edit.kind, wanted) {
                    (_, None) => _ = model.remove(name),
                    (0, _) => _ = model.entry(name).or_default().remove(&key),
                    _ => _ = model.entry(name).or_default().insert(key, edit.value),
                }
            }
            check(&nodes, &model);
            past.push(nodes.clone());
        }
    }
}

/// Compares the nodes with a model in which confs are maps.
fn check(nodes: &Nodes, model: &BTreeMap<&str, BTreeMap<String, i64>>) {
    let tree = nodes.tree();
    let value = |object: &Object| -> BTreeMap<String, i64> {
        object.iter().map(|(key, value)| (key.clone(), value.as_integer().unwrap())).collect()
    };
    let names: Vec<String> = tree.envs.keys().map(Env::to_string).collect();
    assert_eq!(names, model.keys().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    for (env, nodes) in &tree.envs {
        let name = env.to_string();
        assert_eq!(value(nodes.conf.object.as_ref().unwrap()), model[&*name], "conf of {name:?}");
        let mut fold = BTreeMap::new();
        for (other, conf) in model {
            if other.is_empty() || name == *other || name.starts_with(&format!("{other}/")) {
                fold.extend(conf.clone());
            }
        }
        let view = nodes.view.as_ref().expect("a view").object.as_ref().unwrap();
        assert_eq!(value(view), fold, "view of {name:?}");
    }
    assert!(tree.orphans.is_empty());
}

fn edits() -> impl proptest::strategy::Strategy<Value = RandomEdit> {
    use proptest::prelude::*;
    (0..ENVS.len(), 0u8..4, 0i64..4, 0u8..8, 0usize..4).prop_map(|(env, key, value, kind, lag)| RandomEdit {
        env,
        key,
        value,
        kind,
        lag,
    })
}

#[test]
fn the_views_of_pins_and_canaries_are_checked_as_others_are() {
    let nodes = example();
    let service = nodes.tree().service;
    for (path, data, wanted) in [
        (service.pin(7, &env("eu")), "{\"n\": 1}", Some(("eu", "{\"n\": 1}"))),
        (service.canary("c", &env("eu/de")), "{\"n\": 2}", Some(("eu/de", "{\"n\": 2}"))),
        // A node above one.
        (service.pin(7, &env("us")), "", None),
    ] {
        let proposal = Proposal { nodes: [(path, Some(data.into()))].into_iter().collect(), ..Proposal::default() };
        let wanted: Vec<(Env, Object)> = wanted.into_iter().map(|(name, view)| (env(name), object(view))).collect();
        assert_eq!(planned(&nodes, &proposal).unwrap().new_views(&service), wanted);
    }
}
