//! Tests that every kind of registry must pass.

use super::{LONG, Mirror, Tree};
use crate::model::node_path::NodePath;

/// Runs each scenario as a test, with the tree that `$tree` creates.
macro_rules! suite {
    ($tree:expr) => {
        $crate::watch::tests::suite::suite! { $tree;
            absent_empty_and_present_are_different,
            a_member_joins_changes_and_leaves,
            a_path_that_is_deleted_and_created_again_is_followed,
            a_node_that_gains_or_loses_children_is_reported,
            a_burst_converges,
            keys_come_and_go,
            keys_with_a_path_below_them_come_and_go,
            only_keys_that_match_the_pattern_are_followed,
            one_node_is_followed,
            two_subjects_on_one_path_are_both_followed,
            a_subject_above_another_is_followed,
            subjects_are_added_and_removed_live,
            names_and_data_may_be_any_text,
            read_returns_the_tree,
            dropping_the_receiver_ends_it
        }
    };
    ($tree:expr; $($name:ident),*) => {
        $(#[test]
        fn $name() {
            $crate::watch::tests::suite::$name(&$tree);
        })*
    };
}
pub(crate) use suite;

pub fn absent_empty_and_present_are_different(tree: &dyn Tree) {
    let mirror = Mirror::follow(&tree.config(), &["/svc/a"]);
    mirror.becomes("/svc/a", "absent");
    tree.create_parent("/svc/a");
    mirror.becomes("/svc/a", "");
    tree.put("/svc/a/m", "1");
    mirror.becomes("/svc/a", "m=1");
    tree.remove("/svc/a/m");
    mirror.becomes("/svc/a", "");
    tree.remove("/svc/a");
    mirror.becomes("/svc/a", "absent");
    assert!(mirror.received(|received| received.unreachable_reasons.is_empty()));
}

pub fn a_member_joins_changes_and_leaves(tree: &dyn Tree) {
    tree.put("/svc/web/a:80", "1");
    tree.put("/svc/web/b:80", "");
    let mirror = Mirror::follow(&tree.config(), &["/svc/web"]);
    mirror.becomes("/svc/web", "a:80=1 b:80=");
    let resets = mirror.received(|received| received.resets);
    tree.put("/svc/web/c:80", "{\"weight\": 3}");
    mirror.becomes("/svc/web", "a:80=1 b:80= c:80={\"weight\": 3}");
    tree.put("/svc/web/a:80", "2");
    mirror.becomes("/svc/web", "a:80=2 b:80= c:80={\"weight\": 3}");
    tree.remove("/svc/web/b:80");
    mirror.becomes("/svc/web", "a:80=2 c:80={\"weight\": 3}");
    // Changes, not a reset each time.
    assert_eq!(mirror.received(|received| received.resets), resets);
    assert_eq!(mirror.received(|received| received.updates), 3);
}

pub fn a_path_that_is_deleted_and_created_again_is_followed(tree: &dyn Tree) {
    tree.put("/deep/down/web/a", "1");
    let mirror = Mirror::follow(&tree.config(), &["/deep/down/web"]);
    for round in 0..5 {
        tree.put("/deep/down/web/a", &round.to_string());
        mirror.becomes("/deep/down/web", &format!("a={round}"));
        tree.remove("/deep");
        mirror.becomes("/deep/down/web", "absent");
    }
    // So quickly that only the last state may be seen.
    for round in 5..30 {
        tree.put(&format!("/deep/down/web/n{round}"), "x");
        tree.remove("/deep");
    }
    tree.put("/deep/down/web/last", "1");
    mirror.becomes("/deep/down/web", "last=1");
    tree.put("/deep/down/web/more", "1");
    mirror.becomes("/deep/down/web", "last=1 more=1");
}

pub fn a_node_that_gains_or_loses_children_is_reported(tree: &dyn Tree) {
    tree.create_parent("/svc/web/conf");
    tree.put("/svc/web/a:80", "1");
    tree.put("/all/web/live/a:80", "1");
    let mirror = Mirror::follow(&tree.config(), &["/svc/web", "/svc/*", "/all/*/live"]);
    mirror.becomes("/svc/web", "a:80=1 conf=");
    for _ in 0..3 {
        tree.put("/svc/web/conf/x", "1");
        mirror.becomes("/svc/web", "a:80=1 conf/=");
        mirror.becomes("/svc/*", "web:(a:80=1 conf/=)");
        tree.put("/svc/web/conf/y/deep", "1");
        tree.remove("/svc/web/conf/x");
        tree.put("/svc/web/b:80", "");
        mirror.becomes("/svc/web", "a:80=1 b:80= conf/=");
        tree.remove("/svc/web/conf/y");
        mirror.becomes("/svc/web", "a:80=1 b:80= conf=");
        tree.remove("/svc/web/b:80");
        mirror.becomes("/svc/*", "web:(a:80=1 conf=)");
    }
    tree.create_parent("/all/web/live/conf/deep");
    mirror.becomes("/all/*/live", "web:(a:80=1 conf/=)");
    tree.remove("/all/web/live/conf/deep");
    mirror.becomes("/all/*/live", "web:(a:80=1 conf=)");
}

pub fn a_burst_converges(tree: &dyn Tree) {
    tree.create_parent("/svc/burst");
    let mirror = Mirror::follow(&tree.config(), &["/svc/burst"]);
    mirror.becomes("/svc/burst", "");
    for i in 0..100 {
        tree.put(&format!("/svc/burst/m{i:03}"), "1");
    }
    let all: Vec<String> = (0..100).map(|i| format!("m{i:03}=1")).collect();
    mirror.becomes("/svc/burst", &all.join(" "));
    for i in 0..100 {
        if i % 10 == 0 {
            tree.put(&format!("/svc/burst/m{i:03}"), "2");
        } else {
            tree.remove(&format!("/svc/burst/m{i:03}"));
        }
    }
    let rest: Vec<String> = (0..10).map(|i| format!("m{:03}=2", i * 10)).collect();
    mirror.becomes("/svc/burst", &rest.join(" "));
}

pub fn keys_come_and_go(tree: &dyn Tree) {
    let mirror = Mirror::follow(&tree.config(), &["/prod/*"]);
    mirror.becomes("/prod/*", "absent");
    tree.create_parent("/prod");
    mirror.becomes("/prod/*", "");
    tree.put("/prod/web/a", "1");
    mirror.becomes("/prod/*", "web:(a=1)");
    tree.put("/prod/db/x", "1");
    tree.put("/prod/web/b", "2");
    mirror.becomes("/prod/*", "db:(x=1) web:(a=1 b=2)");
    tree.put("/prod/web/a", "3");
    tree.remove("/prod/db/x");
    mirror.becomes("/prod/*", "db:() web:(a=3 b=2)");
    tree.remove("/prod/web");
    mirror.becomes("/prod/*", "db:()");
    tree.remove("/prod");
    mirror.becomes("/prod/*", "absent");
    tree.put("/prod/new/n", "1");
    mirror.becomes("/prod/*", "new:(n=1)");
}

pub fn keys_with_a_path_below_them_come_and_go(tree: &dyn Tree) {
    tree.put("/apps/one/live/v1/a", "1");
    tree.create_parent("/apps/two");
    let mirror = Mirror::follow(&tree.config(), &["/apps/*/live/v1"]);
    mirror.becomes("/apps/*/live/v1", "one:(a=1) two:absent");
    tree.put("/apps/two/live/v1/b", "1");
    mirror.becomes("/apps/*/live/v1", "one:(a=1) two:(b=1)");
    tree.put("/apps/two/live/v2/c", "1");
    tree.put("/apps/two/live/v1/b", "2");
    mirror.becomes("/apps/*/live/v1", "one:(a=1) two:(b=2)");
    tree.remove("/apps/one/live");
    mirror.becomes("/apps/*/live/v1", "one:absent two:(b=2)");
    tree.put("/apps/one/live/v1/z", "9");
    mirror.becomes("/apps/*/live/v1", "one:(z=9) two:(b=2)");
    tree.remove("/apps/two");
    mirror.becomes("/apps/*/live/v1", "one:(z=9)");
}

pub fn only_keys_that_match_the_pattern_are_followed(tree: &dyn Tree) {
    tree.put("/prod/web/a", "1");
    tree.put("/prod/mem.eu/nodes/a", "1");
    let mirror = Mirror::follow(&tree.config(), &["/prod/mem*", "/prod/*eu/nodes", "/prod/none*"]);
    mirror.becomes("/prod/mem*", "mem.eu:(nodes/=)");
    mirror.becomes("/prod/*eu/nodes", "mem.eu:(a=1)");
    mirror.becomes("/prod/none*", "");
    for round in 0..3 {
        // Other names come and go before those that match, in one step and alone.
        tree.put(&format!("/prod/db{round}/x"), "1");
        tree.put("/prod/mem2/b", "1");
        mirror.becomes("/prod/mem*", "mem.eu:(nodes/=) mem2:(b=1)");
        tree.remove("/prod/web");
        tree.put("/prod/mem2/b", "2");
        mirror.becomes("/prod/mem*", "mem.eu:(nodes/=) mem2:(b=2)");
        tree.put("/prod/web/a", "1");
        tree.remove("/prod/mem2");
        mirror.becomes("/prod/mem*", "mem.eu:(nodes/=)");
    }
    tree.put("/prod/web-eu/nodes/b", "1");
    mirror.becomes("/prod/*eu/nodes", "mem.eu:(a=1) web-eu:(b=1)");
    tree.remove("/prod");
    mirror.becomes("/prod/mem*", "absent");
    tree.put("/prod/mem/n", "1");
    mirror.becomes("/prod/mem*", "mem:(n=1)");
}

pub fn one_node_is_followed(tree: &dyn Tree) {
    let mirror = Mirror::follow(&tree.config(), &["node /config/app"]);
    mirror.becomes("node /config/app", "absent");
    tree.put("/config/app", "a = 1");
    mirror.becomes("node /config/app", "a = 1");
    tree.put("/config/app", "a = 2");
    mirror.becomes("node /config/app", "a = 2");
    tree.remove("/config/app");
    mirror.becomes("node /config/app", "absent");
    tree.put("/config/app", "a = 3");
    mirror.becomes("node /config/app", "a = 3");
}

pub fn two_subjects_on_one_path_are_both_followed(tree: &dyn Tree) {
    tree.put("/svc/web", "own");
    tree.create_parent("/svc/web");
    tree.put("/svc/web/a", "1");
    let mirror = Mirror::follow(&tree.config(), &["/svc/web", "node /svc/web"]);
    mirror.becomes("/svc/web", "a=1");
    mirror.becomes("node /svc/web", "own");
    tree.put("/svc/web", "changed");
    mirror.becomes("node /svc/web", "changed");
    tree.put("/svc/web/b", "1");
    mirror.becomes("/svc/web", "a=1 b=1");
    // The remaining subject keeps the watch that both used.
    mirror.set_subjects(&["node /svc/web"]);
    tree.put("/svc/web", "again");
    mirror.becomes("node /svc/web", "again");
}

pub fn a_subject_above_another_is_followed(tree: &dyn Tree) {
    tree.put("/a/b/m", "1");
    let mirror = Mirror::follow(&tree.config(), &["/a", "/a/b", "/a/*"]);
    mirror.becomes("/a", "b/=");
    mirror.becomes("/a/b", "m=1");
    mirror.becomes("/a/*", "b:(m=1)");
    tree.put("/a/b/n", "2");
    mirror.becomes("/a/b", "m=1 n=2");
    mirror.becomes("/a/*", "b:(m=1 n=2)");
    tree.put("/a/c", "3");
    mirror.becomes("/a", "b/= c=3");
    mirror.set_subjects(&["/a/b"]);
    tree.put("/a/b/o", "3");
    mirror.becomes("/a/b", "m=1 n=2 o=3");
}

pub fn subjects_are_added_and_removed_live(tree: &dyn Tree) {
    tree.put("/one/a", "1");
    tree.put("/two/b", "1");
    let mirror = Mirror::follow(&tree.config(), &["/one"]);
    mirror.becomes("/one", "a=1");
    mirror.set_subjects(&["/one", "/two"]);
    mirror.becomes("/two", "b=1");
    assert_eq!(mirror.received(|received| received.resets), 2, "a subject that stays is not read again");
    mirror.set_subjects(&["/two"]);
    tree.put("/two/c", "1");
    mirror.becomes("/two", "b=1 c=1");
    tree.put("/one/x", "1");
    tree.put("/two/d", "1");
    mirror.becomes("/two", "b=1 c=1 d=1");
    assert_eq!(mirror.line("/one"), "a=1", "a removed subject gets no updates");
    mirror.set_subjects(&["/two", "/one"]);
    mirror.becomes("/one", "a=1 x=1");
}

pub fn names_and_data_may_be_any_text(tree: &dyn Tree) {
    tree.put("/svc/ünï/größe:80", "dätä");
    let mirror = Mirror::follow(&tree.config(), &["/svc/ünï"]);
    mirror.becomes("/svc/ünï", "größe:80=dätä");
    tree.put("/svc/ünï/日本:1", "→");
    tree.put("/svc/ünï/[2001:db8::1]:80 x", "\n");
    mirror.becomes("/svc/ünï", "[2001:db8::1]:80 x=\n größe:80=dätä 日本:1=→");
    tree.remove("/svc/ünï/größe:80");
    mirror.becomes("/svc/ünï", "[2001:db8::1]:80 x=\n 日本:1=→");
}

pub fn read_returns_the_tree(tree: &dyn Tree) {
    tree.put("/top/b", "2");
    tree.put("/top/a/x", "1");
    let read = |path: &str, recursive| {
        let registry = crate::watch::open(&tree.config(), &crate::watch::StateAccess::None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(registry.read(NodePath::parse(path).unwrap(), recursive)).unwrap()
    };
    let names = |node: &crate::watch::Node| -> Vec<String> {
        node.children.as_ref().unwrap().iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(read("/missing", false), None);
    let top = read("/top", false).unwrap();
    assert_eq!(names(&top), ["a", "b"]);
    let children = top.children.unwrap();
    assert_eq!(names(&children[0].1), Vec::<String>::new(), "descendants only if recursive");
    assert_eq!(children[1].1.reading.as_ref().map(|node| &*node.data), Ok(&b"2"[..]));
    let top = read("/", true).unwrap().children.unwrap();
    let top = top.iter().find(|(name, _)| name == "top").unwrap();
    assert_eq!(names(&top.1.children.as_ref().unwrap()[0].1), ["x"]);
}

pub fn dropping_the_receiver_ends_it(tree: &dyn Tree) {
    let registry = crate::watch::open(&tree.config(), &crate::watch::StateAccess::None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_subjects, receiver) =
            tokio::sync::watch::channel([(super::mirror::subject("/never"), 0)].into_iter().collect());
        let (out, mut events) = tokio::sync::mpsc::channel(1);
        let stop = tokio_util::sync::CancellationToken::new();
        let following = tokio::spawn(registry.follow(receiver, out, stop));
        assert!(events.recv().await.is_some());
        drop(events);
        tokio::time::timeout(LONG, following).await.expect("it ends").unwrap();
    });
}
