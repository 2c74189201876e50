use std::sync::atomic::Ordering;

use super::*;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, Unreachable, Update, View};

#[tokio::test]
async fn a_read_that_panics_is_reported_and_restarted() {
    let root = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::new("r".into(), root.path().to_owned()));
    let subject = Subject::parse("/svc").unwrap();
    let (_subjects, wanted) = watch::channel([(subject, 0)].into());
    let (out, mut events) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&directory).follow(wanted, out, stop.clone()));
    assert!(matches!(events.recv().await.unwrap().update, Update::Reset { .. }));
    directory.panics.store(true, Ordering::Relaxed);
    std::fs::create_dir(root.path().join("svc")).unwrap();
    let Update::Unreachable(Unreachable { reason, .. }) = events.recv().await.unwrap().update else {
        panic!("not unreachable")
    };
    assert!(reason.contains("the read failed unexpectedly"), "{reason}");
    let Update::Reset { view, .. } = events.recv().await.unwrap().update else { panic!("no reset") };
    assert_eq!(view, View::Members(Seen::Present([].into())));
    std::fs::write(root.path().join("svc/a"), "").unwrap();
    assert!(matches!(events.recv().await.unwrap().update, Update::Changed { .. }), "not watched again");
    stop.cancel();
    following.await.unwrap();
}
