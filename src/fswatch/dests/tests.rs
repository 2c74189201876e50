use super::*;
use tempfile::TempDir;

fn over(file: &Path) -> DestWatcher {
    DestWatcher::over(BTreeSet::from([file.to_owned()]), BTreeSet::new(), Vec::new()).0
}

// Time stands still but for what is waited for, so that no event of a real folder can come in between.
#[tokio::test(start_paused = true)]
async fn what_tells_nothing_is_looked_at_all_the_same() {
    // Nothing ever happens in a folder that is not there.
    let mut drifts = over(Path::new("/no/such/folder/file"));
    drifts.due().await;
    let begun = Instant::now();
    tokio::time::timeout(3 * LOOK, drifts.due()).await.unwrap();
    let first = begun.elapsed();
    assert!(first + RETRY >= LOOK && first <= 2 * LOOK, "{first:?}");
    tokio::time::timeout(3 * LOOK, drifts.due()).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), (first + LOOK).as_secs());
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_followed_anew() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("a");
    let file = folder.join("file");
    fs::create_dir(&folder).unwrap();
    let mut drifts = over(&file);
    drifts.due().await;
    for removed in [false, true] {
        if removed {
            fs::remove_dir_all(&folder).unwrap();
        } else {
            fs::rename(&folder, dir.path().join("away")).unwrap();
        }
        drifts.due().await;
        assert!(drifts.lacks_one);
        fs::create_dir(&folder).unwrap();
        drifts.due().await;
        assert!(!drifts.lacks_one);
        // Nothing but the watch on the new folder tells of this before the next look at all.
        drifts.looks.reset();
        fs::write(&file, "by hand").unwrap();
        tokio::time::timeout(Duration::from_mins(1), drifts.due()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_link_leads_to_is_followed_there() {
    let dir = TempDir::new().unwrap();
    let real = dir.path().canonicalize().unwrap().join("real");
    fs::create_dir(&real).unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let link = dir.path().join("etc/file");
    fs::write(real.join("file"), "").unwrap();
    std::os::unix::fs::symlink(real.join("file"), &link).unwrap();
    let mut drifts = DestWatcher::over(BTreeSet::from([link.clone()]), BTreeSet::new(), vec![link]).0;
    drifts.due().await;
    fs::write(real.join("file"), "by hand").unwrap();
    tokio::time::timeout(Duration::from_mins(1), drifts.due()).await.unwrap();
}
