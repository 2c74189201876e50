//! Tests of a directory registry from within.

use std::sync::atomic::Ordering;

use super::*;
use crate::model::registry_event::{Seen, Update, View};

#[tokio::test]
async fn a_reading_that_breaks_is_said_and_begun_anew() {
    let root = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::new("r".into(), root.path().to_owned()));
    let subject = Subject::roster("/svc").unwrap();
    let (_subjects, wanted) = watch::channel([(subject, 0)].into());
    let (out, mut events) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&directory).follow(wanted, out, stop.clone()));
    assert!(matches!(events.recv().await.unwrap().update, Update::Reset { .. }));
    directory.breaks.store(true, Ordering::Relaxed);
    std::fs::create_dir(root.path().join("svc")).unwrap();
    let Update::Unreachable { reason: why } = events.recv().await.unwrap().update else { panic!("not away") };
    assert!(why.contains("reading came to a sudden end"), "{why}");
    let Update::Reset { view, .. } = events.recv().await.unwrap().update else { panic!("not said anew") };
    assert_eq!(view, View::Members(Seen::Present([].into())));
    std::fs::write(root.path().join("svc/a"), "").unwrap();
    assert!(matches!(events.recv().await.unwrap().update, Update::Changed { .. }), "it is watched anew");
    stop.cancel();
    following.await.unwrap();
}
