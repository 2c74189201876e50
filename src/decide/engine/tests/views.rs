//! The views that `get --agent` shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::harness::*;
use crate::decide::FollowedView;
use crate::decide::engine::Engine;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, Update, View};

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn followed(engine: &Engine, path: &str) -> Option<FollowedView> {
    engine.followed(&Arc::from("default"), &subject(path))
}

#[test]
fn a_path_is_followed_alone_or_as_a_key() {
    let rosters = ["/services/web", "/all/*", "/deep/x*/nodes"].map(|text| (text, subject(text)));
    let plan = plan(
        rosters
            .iter()
            .map(|(_, subject)| roster("r", subject.clone()))
            .enumerate()
            .map(|(n, it)| crate::config::RosterConfig { name: Arc::from(format!("r{n}")), ..it })
            .collect(),
        vec![],
        vec![],
    );
    let mut bench = Bench::new(plan);
    assert_eq!(followed(&bench.engine, "/services/web").unwrap().view, None, "not read yet");
    bench.reset(&subject("/services/web"), present(&["a:1"]));
    let keys = BTreeMap::from([("db".into(), Seen::Present(members(&["b:1"])))]);
    bench.reset(&subject("/all/*"), View::Keyed(Seen::Present(keys.clone())));
    bench.reset(&subject("/deep/x*/nodes"), View::Keyed(Seen::Absent));
    let view = |path: &str| followed(&bench.engine, path).map(|it| it.view.unwrap());
    assert_eq!(view("/services/web"), Some(present(&["a:1"])));
    assert_eq!(view("/all/*"), Some(View::Keyed(Seen::Present(keys))));
    assert_eq!(view("/all/db"), Some(present(&["b:1"])));
    assert_eq!(view("/all/none"), Some(View::Members(Seen::Absent)));
    assert_eq!(view("/deep/x1/nodes"), Some(View::Members(Seen::Absent)));
    for other in
        ["/", "/all", "/all/db/x", "/services/db", "/deep/y1/nodes", "/deep/x1", "/deep/x1/other", "/services/*"]
    {
        assert_eq!(view(other), None, "{other}");
    }
    assert_eq!(bench.engine.followed(&Arc::from("other"), &subject("/services/web")), None, "of another registry");
}

#[test]
fn a_view_is_stale_from_the_loss_of_the_connection_to_the_next_read() {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![]));
    bench.reset(&web(), present(&["a:1"]));
    let now = |bench: &Bench| followed(&bench.engine, "/services/web").unwrap();
    assert_eq!((now(&bench).stale_since, now(&bench).reason), (None, None));
    let lost = bench.now;
    bench.registry_update(Update::Suspended);
    bench.pass(seconds(5));
    bench.away();
    let stale = now(&bench);
    assert_eq!((stale.view, stale.stale_since), (Some(present(&["a:1"])), Some(lost)));
    assert_eq!(stale.reason.as_deref(), Some("zk://a is not reached"));
    bench.reset(&web(), present(&["b:1"]));
    assert_eq!(now(&bench), FollowedView { view: Some(present(&["b:1"])), stale_since: None, reason: None });
}
