//! Destinations that are more than a file in a directory: links that are followed, backups, mounts that are
//! overwritten.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use crate::act::files::{CurrentConfig, recover};
use crate::config::{Method, Symlink, TemplateConfig};
use crate::decide::{Outcome, Stage};

use super::bench::{Bench, identity, is_again, is_root, mode, passes_again, set_mode, shell, staged_in};
use super::faults::{Mounted, with_mounts};
use super::files::acl;
use super::journals::take_over;

fn followed(bench: &Bench) -> TemplateConfig {
    let mut template = bench.template("link");
    template.placing.symlink = Symlink::Follow;
    template
}

#[tokio::test]
async fn a_link_is_followed_and_stays() {
    let bench = Bench::new();
    set_mode(bench.directory.path(), 0o755);
    let template = followed(&bench);
    fs::create_dir_all(bench.path("real/there")).unwrap();
    // Through another link and up again; the file does not exist yet.
    symlink("real/there/../second", bench.path("link")).unwrap();
    symlink(bench.path("real/there/f"), bench.path("real/second")).unwrap();
    for text in ["one", "two"] {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(fs::read_to_string(bench.path("real/there/f")).unwrap(), text);
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Unchanged);
    }
    assert!(bench.path("link").is_symlink() && bench.path("real/second").is_symlink());
    let mut elsewhere = followed(&bench);
    elsewhere.check = Some(shell("case {{ src }} in */real/there/.rosterd-*) ;; *) exit 1; esac"));
    assert_eq!(bench.publish(&elsewhere, b"three").await, Outcome::Replaced, "staged beside the file itself");
    // The target is subject to the same rules.
    fs::hard_link(bench.path("real/there/f"), bench.path("other")).unwrap();
    assert!(bench.failure(&template, b"four", Stage::Write).await.contains("hard links"));
    fs::remove_file(bench.path("other")).unwrap();
    symlink("loop", bench.path("loop")).unwrap();
    let mut round = followed(&bench);
    round.dest = bench.path("loop");
    assert!(bench.failure(&round, b"x", Stage::Write).await.contains("Too many levels of symbolic links"));
    if is_root() {
        std::os::unix::fs::lchown(bench.path("real/second"), Some(65534), Some(65534)).unwrap();
        let message = bench.failure(&template, b"four", Stage::Write).await;
        assert!(message.contains("users other than root can change it"), "{message}");
        std::os::unix::fs::lchown(bench.path("real/second"), Some(0), Some(0)).unwrap();
        set_mode(&bench.path("real/there"), 0o777);
        assert!(bench.failure(&template, b"four", Stage::Write).await.contains("it is world-writable"));
    }
    assert_eq!(fs::read_to_string(bench.path("real/there/f")).unwrap(), "three");
}

#[tokio::test]
async fn the_missing_directory_that_a_link_leads_to_is_created() {
    let bench = Bench::new();
    let mut template = followed(&bench);
    symlink("real/there/f", bench.path("link")).unwrap();
    let message = bench.failure(&template, b"one", Stage::Write).await;
    assert!(message.contains("real/there: it does not exist"), "{message}");
    template.make_dirs = true;
    for text in ["one", "two"] {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(fs::read_to_string(bench.path("real/there/f")).unwrap(), text);
        assert!(bench.path("link").is_symlink());
    }
}

fn backups(bench: &Bench) -> Vec<String> {
    let names = (1..6).map(|number| bench.path(&format!(".f.rosterd-{number}.bak")));
    names.map(|path| fs::read_to_string(path).unwrap_or_default()).take_while(|text| !text.is_empty()).collect()
}

#[tokio::test]
async fn the_last_versions_are_backed_up() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.backup = 3;
    let (uid, gid) =
        if is_root() { (12345, 23456) } else { (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()) };
    for (text, kept) in
        [("1", &[][..]), ("2", &["1"]), ("3", &["2", "1"]), ("4", &["3", "2", "1"]), ("5", &["4", "3", "2"])]
    {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(backups(&bench), kept);
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Unchanged);
        assert_eq!(backups(&bench), kept, "nothing was replaced");
        set_mode(&template.dest, 0o640);
        chown(&template.dest, Some(uid), Some(gid)).unwrap();
    }
    let newest = fs::metadata(bench.path(".f.rosterd-1.bak")).unwrap();
    assert_eq!((newest.mode() & 0o7777, newest.uid(), newest.gid()), (0o640, uid, gid));
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
    // A replacement that fails after that and is retried pushes no backup out.
    fs::remove_file(&template.dest).unwrap();
    fs::write(&template.dest, "5").unwrap();
    template.placing.backup = 2;
    assert_eq!(bench.publish(&template, b"6").await, Outcome::Replaced);
    assert_eq!(backups(&bench), ["5", "4"], "fewer are kept from here on");
}

#[tokio::test]
async fn an_agent_that_is_killed_while_it_renames_backups_loses_none() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.backup = 3;
    // It was killed after renaming one or the other, when all existed.
    for free in [2, 1] {
        for (name, text) in
            [("f", "4"), (".f.rosterd-1.bak", "3"), (".f.rosterd-2.bak", "2"), (".f.rosterd-3.bak", "2")]
        {
            fs::write(bench.path(name), text).unwrap();
        }
        if free == 1 {
            fs::write(bench.path(".f.rosterd-2.bak"), "3").unwrap();
        }
        fs::remove_file(bench.path(&format!(".f.rosterd-{free}.bak"))).unwrap();
        assert_eq!(bench.publish(&template, b"5").await, Outcome::Replaced);
        assert_eq!(backups(&bench), ["4", "3", "2"]);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_backed_up_is_not_replaced() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.backup = 1;
    fs::write(&template.dest, "old").unwrap();
    fs::create_dir(bench.path(".f.rosterd-1.bak")).unwrap();
    let before = identity(&template.dest);
    for _ in 0..2 {
        let message = bench.failure(&template, b"new", Stage::Write).await;
        assert!(message.contains("back up "), "{message}");
        assert_eq!(identity(&template.dest), before);
    }
    fs::remove_dir(bench.path(".f.rosterd-1.bak")).unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(backups(&bench), ["old"]);
}

#[tokio::test]
async fn repeated_failures_push_no_backup_out() {
    const NAME: &str = "act::tests::placing::repeated_failures_push_no_backup_out";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.backup = 2;
    for text in ["1", "2"] {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
    }
    fs::write(bench.path("source"), "3").unwrap();
    {
        let _mounted = Mounted::new(&["--bind", bench.path("source").to_str().unwrap()], &template.dest);
        for _ in 0..3 {
            assert!(bench.failure(&template, b"4", Stage::Write).await.contains("write = \"auto\""));
        }
    }
    assert_eq!(backups(&bench), ["3", "1"]);
}

#[tokio::test]
async fn a_partly_overwritten_file_is_not_backed_up() {
    const NAME: &str = "act::tests::placing::a_partly_overwritten_file_is_not_backed_up";
    if !is_again() {
        let traced = ["-e", "trace=ftruncate", "-e", "inject=ftruncate:error=EIO:when=1"];
        return passes_again(NAME, &[&["strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
    }
    let bench = Bench::new();
    let mut template = bench.template("f");
    (template.placing.write, template.placing.backup) = (Method::InPlace, 1);
    fs::write(&template.dest, "an old one").unwrap();
    take_over(&bench, std::slice::from_ref(&template)).await;
    let _ = bench.failure_at(&template, b"new", Stage::Write).await;
    assert_eq!(fs::read_to_string(&template.dest).unwrap(), "newold one");
    for (text, kept) in [("newer", "an old one"), ("newest", "newer")] {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(backups(&bench), [kept]);
    }
}

#[tokio::test]
async fn a_mount_point_is_overwritten_and_keeps_its_inode() {
    const NAME: &str = "act::tests::placing::a_mount_point_is_overwritten_and_keeps_its_inode";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    for method in [Method::Auto, Method::InPlace] {
        let bench = Bench::new();
        fs::write(bench.path("source"), "a long old text\n").unwrap();
        set_mode(&bench.path("source"), 0o640);
        let mut template = bench.template("f");
        fs::write(&template.dest, "under").unwrap();
        let mounted = Mounted::new(&["--bind", bench.path("source").to_str().unwrap()], &template.dest);
        let inode = fs::metadata(bench.path("source")).unwrap().ino();
        template.placing.write = method;
        template.check = Some(shell("grep -q good {{ src }}"));
        let before = identity(&template.dest);
        bench.failure(&template, b"bad", Stage::Refused).await;
        assert_eq!(identity(&template.dest), before);
        for text in ["good", "good and longer than what was there\n", "good"] {
            assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
            assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Unchanged);
            let source = bench.path("source");
            assert_eq!((fs::read_to_string(&source).unwrap().as_str(), mode(&source)), (text, 0o640));
        }
        template.mode = Some(0o600);
        assert_eq!(bench.publish(&template, b"good").await, Outcome::Replaced);
        assert_eq!((fs::metadata(bench.path("source")).unwrap().ino(), mode(&bench.path("source"))), (inode, 0o600));
        assert_eq!(staged_in(bench.directory.path()), [""; 0]);
        drop(mounted);
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), "under");
        // Without a mount one of them replaces the file.
        let inode = fs::metadata(&template.dest).unwrap().ino();
        assert_eq!(bench.publish(&template, b"good").await, Outcome::Replaced);
        assert_eq!(fs::metadata(&template.dest).unwrap().ino() == inode, method == Method::InPlace);
    }
}

#[tokio::test]
async fn in_a_read_only_directory_a_file_is_staged_in_the_state_directory() {
    const NAME: &str = "act::tests::placing::in_a_read_only_directory_a_file_is_staged_in_the_state_directory";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    fs::create_dir(bench.path("conf")).unwrap();
    fs::create_dir(bench.path("state")).unwrap();
    fs::write(bench.path("conf/f"), "old").unwrap();
    fs::write(bench.path("source"), "old").unwrap();
    let conf = bench.path("conf");
    let _directory = Mounted::new(&["--bind", conf.to_str().unwrap()], &conf);
    let _file = Mounted::new(&["--bind", bench.path("source").to_str().unwrap()], &bench.path("conf/f"));
    let remounted = std::process::Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&conf).status().unwrap();
    assert!(remounted.success());
    let mut template = bench.template("conf/f");
    template.placing.write = Method::Auto;
    assert!(bench.failure(&template, b"new", Stage::Write).await.contains("Read-only"), "there is nowhere to stage");
    let nothing = CurrentConfig { templates: Vec::new(), files: Vec::new() };
    recover(&bench.writer, &bench.path("state"), nothing).await.unwrap();
    template.check =
        Some(shell(format!("case {{{{ src }}}} in {}/.rosterd-*) ;; *) exit 1; esac", bench.path("state").display())));
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(fs::read_to_string(bench.path("source")).unwrap(), "new");
    assert_eq!(staged_in(&bench.path("state")), [""; 0]);
}

#[tokio::test]
async fn the_staged_file_of_an_overwrite_is_private() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.write = Method::InPlace;
    fs::write(&template.dest, "old").unwrap();
    set_mode(&template.dest, 0o640);
    // The directory gives its files another group, and an ACL.
    let default = acl(&[(1, 7, u32::MAX), (2, 7, 4711), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)]);
    xattr::set(bench.directory.path(), "system.posix_acl_default", &default).unwrap();
    if is_root() {
        chown(bench.directory.path(), None, Some(4711)).unwrap();
    }
    set_mode(bench.directory.path(), 0o2755);
    template.check = Some(shell("[ $(stat -c %a {{ src }}) = 600 ] && grep -q new {{ src }}"));
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    assert_eq!(mode(&template.dest), 0o640);
}

#[tokio::test]
async fn an_overwrite_keeps_set_id_bits() {
    const NAME: &str = "act::tests::placing::an_overwrite_keeps_set_id_bits";
    if is_root() && !is_again() {
        // Without root a write clears them too.
        passes_again(NAME, &["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]);
    }
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.write = Method::InPlace;
    template.owner = is_root().then_some(12345);
    fs::write(&template.dest, "old").unwrap();
    set_mode(&template.dest, 0o4755);
    for text in ["new", "newer"] {
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(bench.publish(&template, text.as_bytes()).await, Outcome::Unchanged);
        assert_eq!(mode(&template.dest), 0o4755);
    }
    template.mode = Some(0o6711);
    assert_eq!(bench.publish(&template, b"newer").await, Outcome::Replaced);
    assert_eq!(mode(&template.dest), 0o6711);
}

#[tokio::test]
async fn an_overwrite_notices_a_full_disk_before_it_changes_a_byte() {
    const NAME: &str = "act::tests::placing::an_overwrite_notices_a_full_disk_before_it_changes_a_byte";
    if !is_again() {
        return passes_again(NAME, with_mounts());
    }
    let bench = Bench::new();
    let (small, mut template) = (bench.path("small"), bench.template("f"));
    template.placing.write = Method::InPlace;
    fs::create_dir(&small).unwrap();
    fs::write(&template.dest, "").unwrap();
    let _disk = Mounted::new(&["-t", "tmpfs", "-o", "size=64k,mode=755", "none"], &small);
    fs::write(small.join("f"), "old").unwrap();
    let _file = Mounted::new(&["--bind", small.join("f").to_str().unwrap()], &template.dest);
    fs::write(small.join("other"), vec![b'x'; 40_000]).unwrap();
    let text = vec![b'n'; 50_000];
    // As long as needed, or longer: in both cases the file has no blocks after its first page.
    for length in [3, 50_000, 60_000] {
        fs::File::options().write(true).open(&template.dest).unwrap().set_len(length).unwrap();
        let before = identity(&template.dest);
        let message = bench.failure(&template, &text, Stage::Write).await;
        assert!(message.contains("reserve space for") && message.contains("No space left"), "{length}: {message}");
        assert_eq!(identity(&template.dest).1, before.1);
    }
    fs::remove_file(small.join("other")).unwrap();
    assert_eq!(bench.publish(&template, &text).await, Outcome::Replaced);
}

#[tokio::test]
async fn an_overwrite_follows_no_link() {
    let bench = Bench::new();
    let mut template = bench.template("f");
    template.placing.write = Method::InPlace;
    fs::write(bench.path("victim"), "kept").unwrap();
    for make in [|a: &Path, b: &Path| symlink(a, b), |a: &Path, b: &Path| fs::hard_link(a, b)] {
        make(&bench.path("victim"), &template.dest).unwrap();
        bench.failure(&template, b"new", Stage::Write).await;
        fs::remove_file(&template.dest).unwrap();
        // Or later, while the check runs.
        fs::write(&template.dest, "old").unwrap();
        make(&bench.path("victim"), &bench.path("ready")).unwrap();
        template.check = Some(shell(format!("mv -f {} {{{{ dest }}}}", bench.path("ready").display())));
        bench.failure(&template, b"new", Stage::Write).await;
        assert_eq!(fs::read_to_string(bench.path("victim")).unwrap(), "kept");
        fs::remove_file(&template.dest).unwrap();
        template.check = None;
    }
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced, "a missing file is created");
}
