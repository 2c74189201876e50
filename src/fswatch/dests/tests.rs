use super::*;
use tempfile::TempDir;

fn over(file: &Path) -> DestWatcher {
    DestWatcher::over(BTreeSet::from([file.to_owned()]), BTreeSet::new(), Vec::new()).0
}

// Time advances only while the test waits, so that no event of a real directory comes in between.
#[tokio::test(start_paused = true)]
async fn a_directory_without_events_is_polled() {
    // A missing directory reports no events.
    let mut watcher = over(Path::new("/no/such/directory/file"));
    watcher.due().await;
    let begun = Instant::now();
    tokio::time::timeout(3 * CHECK_INTERVAL, watcher.due()).await.unwrap();
    let first = begun.elapsed();
    assert!(first + RETRY >= CHECK_INTERVAL && first <= 2 * CHECK_INTERVAL, "{first:?}");
    tokio::time::timeout(3 * CHECK_INTERVAL, watcher.due()).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), (first + CHECK_INTERVAL).as_secs());
}

#[tokio::test]
async fn a_recreated_directory_is_watched_again() {
    let dir = TempDir::new().unwrap();
    let directory = dir.path().join("a");
    let file = directory.join("file");
    fs::create_dir(&directory).unwrap();
    let mut watcher = over(&file);
    watcher.due().await;
    for removed in [false, true] {
        if removed {
            fs::remove_dir_all(&directory).unwrap();
        } else {
            fs::rename(&directory, dir.path().join("away")).unwrap();
        }
        watcher.due().await;
        assert!(watcher.is_incomplete);
        fs::create_dir(&directory).unwrap();
        watcher.due().await;
        assert!(!watcher.is_incomplete);
        // Before the next check, only the watch on the new directory reports this.
        watcher.checks.reset();
        fs::write(&file, "by hand").unwrap();
        tokio::time::timeout(Duration::from_mins(1), watcher.due()).await.unwrap();
    }
}

#[tokio::test]
async fn the_target_of_a_link_is_watched() {
    let dir = TempDir::new().unwrap();
    let real = dir.path().canonicalize().unwrap().join("real");
    fs::create_dir(&real).unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let link = dir.path().join("etc/file");
    fs::write(real.join("file"), "").unwrap();
    std::os::unix::fs::symlink(real.join("file"), &link).unwrap();
    let mut watcher = DestWatcher::over(BTreeSet::from([link.clone()]), BTreeSet::new(), vec![link]).0;
    watcher.due().await;
    fs::write(real.join("file"), "by hand").unwrap();
    tokio::time::timeout(Duration::from_mins(1), watcher.due()).await.unwrap();
}
