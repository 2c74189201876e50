//! An agent is killed before any of its calls on files. The next one restores order: the file is complete and correct,
//! software has loaded it, and no other file is left.
//!
//! A pass is recorded under strace. It is then repeated, and killed before a different call of the record each time.
//! Without `ROSTERD_PROVE` only the calls after a change of a name and a sample of the others are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::site::{PATIENCE, Site};
use crate::support::wait::holds;

/// Every call that creates, changes, renames or syncs a file, and those that open one.
pub const CALLS: &str = "open,openat,openat2,creat,write,pwrite64,writev,ftruncate,truncate,fallocate,fchown,fchownat,fchmod,\
                     fchmodat,fsetxattr,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,\
                     mkdirat";

/// Calls on a descriptor that only the file thread makes, so they are counted without a path.
const ALONE: [&str; 5] = ["fchown", "fchmod", "fsetxattr", "fsync", "fdatasync"];

/// All files in the order of their names are loaded at each reload. What software has loaded is in `seen`.
const TAKES_UP: &str =
    "cd SITE/out && for file in *; do test -e \"$file\" && echo \"$file:\" && cat \"$file\"; done > SITE/seen || true";

/// An operation on files.
pub struct ProgramEffect {
    pub name: &'static str,
    /// `RELOAD` stands for a command by which software loads the files in `out`.
    pub config: &'static str,
    /// The state before the operation, whose files are in place and loaded; `None` if no agent has run yet.
    pub before: Option<fn(&Site)>,
    /// The change that the killed agent handles.
    pub change: fn(&Site),
    /// The files in `out` after that.
    pub right: &'static [(&'static str, &'static str)],
    /// Whether a pass reports a failure even if everything was corrected.
    pub fails: bool,
}

impl ProgramEffect {
    /// A site in which the operation is about to happen.
    pub fn scene(&self) -> Site {
        let site = Site::new("");
        self.set(&site);
        site
    }

    /// The same in a used site. Paths stay the same, because recorded calls are found by path.
    pub fn set(&self, site: &Site) {
        site.begin_again(&self.config.replace("RELOAD", &format!("'''{TAKES_UP}'''")));
        site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
        site.file("templates/svc.tera", "{{ key }}{% for m in members %} {{ m.name }}{% endfor %}\n");
        fs::create_dir_all(site.path("registry/services")).unwrap();
        if let Some(before) = self.before {
            before(site);
            site.run(&["render"]).expect(0);
        }
        (self.change)(site);
    }

    /// Checks that everything is in order after an agent was disturbed at a point.
    pub fn check(&self, site: &Site, point: &str) {
        let right: BTreeMap<String, String> =
            self.right.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let files =
            fs::read_dir(site.path("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let now: BTreeMap<String, String> =
            files.map(|name| (name.clone(), site.read(&format!("out/{name}")))).collect();
        assert_eq!(now, right, "{}, {point}", self.name);
        assert_eq!(site.read("seen"), self.seen(), "{}, {point}: not loaded", self.name);
        let left = staged(site);
        assert!(left.is_empty(), "{}, {point}: {left:?} is left", self.name);
    }

    /// What software has loaded when it has loaded everything except hidden files.
    pub fn seen(&self) -> String {
        let shown = self.right.iter().filter(|(name, _)| !name.starts_with('.'));
        shown.flat_map(|(name, text)| [name, ":\n", text]).collect()
    }
}

/// The staged files that a killed agent left.
pub fn staged(site: &Site) -> Vec<PathBuf> {
    site.tree().into_keys().filter(|path| is_staged(path)).collect()
}

fn is_staged(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with(".rosterd-") || name.ends_with(".tmp")
}

/// A call before which an agent is killed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub call: String,
    /// Relative to the site; empty if the call alone identifies it. For a staged file, whose name differs each time, it
    /// is the directory.
    pub path: String,
    /// The number among equal calls.
    pub nth: usize,
    /// The first write to a staged file cannot be identified by its path, so the agent is delayed before it and killed.
    pub is_staged_write: bool,
}

/// The points of a recorded pass, in order.
fn points(trace: &str, site: &Site) -> Vec<Point> {
    let top = site.path("");
    let (top, mut counts, mut seen) = (top.to_str().unwrap(), BTreeMap::new(), BTreeSet::new());
    let here = format!("AT_FDCWD<{}>", top.trim_end_matches('/'));
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = call.trim_start().split_once('(') else { continue };
        // Commands run in another directory.
        let is_elsewhere = arguments.starts_with("AT_FDCWD<") && !arguments.starts_with(&here);
        // Written data may contain any text.
        let most = if call == "write" { 1 } else { 2 };
        let own = arguments.split(", ").take(most).find_map(|part| part.split(top).nth(1));
        let Some(path) = own.filter(|_| !is_elsewhere) else { continue };
        let path = path.split(['"', '>']).next().unwrap_or_default();
        if !(path.starts_with("out") || path.starts_with("state")) || arguments.contains(" = ?") {
            continue;
        }
        let staged = path.contains("/.rosterd-");
        let alone = ALONE.contains(&call);
        let path = match path.rsplit_once('/') {
            _ if alone => "",
            Some((folder, _)) if staged => folder,
            _ => path,
        };
        let count: &mut usize = counts.entry((thread.to_owned(), call.to_owned(), path.to_owned())).or_default();
        // A write through a descriptor does not match a directory.
        let is_staged_write = call == "write" && staged;
        *count += usize::from(!is_staged_write);
        let nth =
            if is_staged_write { counts[&(thread.to_owned(), "openat".to_owned(), path.to_owned())] } else { *count };
        let point = Point { call: call.to_owned(), path: path.to_owned(), nth, is_staged_write };
        if seen.insert(point.clone()) {
            points.push(point);
        }
    }
    points
}

impl Point {
    /// The options of strace that do this at the point.
    pub fn options(&self, site: &Site, how: &str) -> Vec<String> {
        let Self { call, path, nth, is_staged_write } = self;
        let call = if *is_staged_write { "openat" } else { call };
        let mut options = Vec::new();
        if !path.is_empty() {
            options.extend(["-P".to_owned(), site.path(path).display().to_string()]);
        }
        options.extend(["-e".to_owned(), format!("trace={call}")]);
        options.extend(["-e".to_owned(), format!("inject={call}:{how}:when={nth}")]);
        options
    }
}

/// Runs a pass under strace with these options. Returns its exit status.
pub fn strace(site: &Site, options: &[String]) -> ExitStatus {
    try_strace(site, options).expect("nothing is staged")
}

/// The same; `None` if another call was delayed than the one that stages a file.
fn try_strace(site: &Site, options: &[String]) -> Option<ExitStatus> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-o"]).arg(site.path("trace")).args(options);
    command.args([env!("CARGO_BIN_EXE_rosterd"), "render"]).current_dir(site.path(""));
    command.env("ROSTERD_CONFIG", site.path("rosterd.toml")).env_remove("ROSTERD_REGISTRY").env("RUST_LOG", "off");
    let mut child = command.spawn().unwrap();
    if options.iter().any(|option| option.contains("delay_exit")) {
        let empty = |path: &Path| is_staged(path) && fs::metadata(path).is_ok_and(|meta| meta.len() == 0);
        let staged = || fs::read_dir(site.path("out")).unwrap().any(|entry| empty(&entry.unwrap().path()));
        let is_staged = holds(PATIENCE, staged);
        // The agent may have ended if another call was delayed.
        let killed = kill(Pid::from_raw(site.read("state/lock").trim().parse().unwrap()), Signal::SIGKILL);
        // strace would wait for the end of the delay.
        child.kill().unwrap();
        if !is_staged {
            child.wait().unwrap();
            return None;
        }
        killed.unwrap();
    }
    Some(child.wait().unwrap())
}

/// Records a pass. Returns its site and its points.
pub fn record(deed: &ProgramEffect) -> (Site, Vec<Point>) {
    let site = deed.scene();
    let ended = strace(&site, &["-e".into(), format!("trace={CALLS}")]);
    assert_eq!(ended.success(), !deed.fails, "{}", site.read("trace"));
    deed.check(&site, "undisturbed");
    let points = points(&site.read("trace"), &site);
    (site, points)
}

/// Prepares the operation with `set`, runs it, and kills it at a point. Threads that take turns in another order than in the
/// recorded pass make other calls first, so it is tried again.
pub fn kill_at(site: &Site, point: &Point, set: impl Fn()) {
    let how = if point.is_staged_write { "delay_exit=60000000" } else { "signal=KILL" };
    let mut runs = (0..3).map(|_| {
        set();
        try_strace(site, &point.options(site, how))
    });
    let ended = runs.find_map(|ended| ended).expect("nothing is staged in three passes");
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "{point:?} was not reached: {ended:?}");
}

/// Whether a call adds, changes or removes a name.
fn renames(point: &Point) -> bool {
    point.call.starts_with("rename") || point.call.starts_with("unlink") || point.call.starts_with("link")
}

/// Kills an agent before its calls in this operation, and lets the next one restore order: a daemon or a single pass,
/// in turn.
pub fn survives(deed: &ProgramEffect) {
    let (site, points) = record(deed);
    let apart = crate::support::random::count(5, 1);
    let after = |at: usize| at > 0 && renames(&points[at - 1]);
    let chosen: Vec<usize> = (0..points.len()).filter(|at| at % apart == 0 || after(*at)).collect();
    for at in &chosen {
        let point = &points[*at];
        let name = format!("killed before {point:?} ({at})");
        kill_at(&site, point, || deed.set(&site));
        // A failing operation ends as it began, so it cannot be seen when a daemon is done.
        if deed.fails || at % 2 == 0 {
            site.run(&["render"]).expect(i32::from(deed.fails));
        } else {
            let mut agent = site.start();
            // It handles signals from here on.
            agent.says("managing file");
            agent.until(&format!("{}, {name}: loaded", deed.name), || site.read("seen") == deed.seen());
            assert!(agent.stop().success());
        }
        deed.check(&site, &name);
    }
    println!("{}: killed before {} of {} calls", deed.name, chosen.len(), points.len());
}

const ONE: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "grep -q . {{ src }}"
reload_cmd = RELOAD
reload_interval = "0s"
"#
);

const IN_PLACE: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
mode = "0640"
write = "inplace"
reload_cmd = RELOAD
reload_interval = "0s"
"#
);

/// A file becomes shorter: if it is overwritten only partly, it still has the end of the old version.
pub const SHORTENED: ProgramEffect = ProgramEffect {
    name: "overwriting",
    config: IN_PLACE,
    before: Some(|site| {
        for name in ["a:1", "b:1", "c:1"] {
            site.file(&format!("registry/services/web/{name}"), "");
        }
    }),
    change: |site| _ = site.remove("registry/services/web/b:1"),
    right: &[("list", "a:1\nc:1\n")],
    fails: false,
};

const KEEPING: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
backup = 2
reload_cmd = RELOAD
reload_interval = "0s"
"#
);

const EACH: &str = r#"
[registry]
url = "dir:registry"

[[roster]]
name = "services"
path = "/services/*"
wait = "0s:0s"
max_shrink = "100%"

[[template]]
name = "svc"
each = "services"
src = "svc.tera"
dest = "out/{{ key }}"
reload_cmd = RELOAD
reload_interval = "0s"
"#;

const UNIT: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/one"
unit = "edge"
reload_cmd = RELOAD
reload_interval = "0s"

[[template]]
src = "list.tera"
dest = "out/two"
unit = "edge"
"#
);

/// Software that loads nothing while a member is called poison. In a unit, both files are rolled back.
const BACK: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/one"
unit = "edge"
reload_cmd = RELOAD
verify_cmd = "cd SITE/out && ! grep -qs poison one two"
reload_interval = "0s"
on_reload_failure = "rollback"

[[template]]
src = "list.tera"
dest = "out/two"
unit = "edge"
"#
);

/// A file that was not there.
pub const FIRST: ProgramEffect = ProgramEffect {
    name: "a first write",
    config: ONE,
    before: None,
    change: |site| _ = site.file("registry/services/web/a:1", ""),
    right: &[("list", "a:1\n")],
    fails: false,
};

/// A file that replaces another one.
pub const UPDATE: ProgramEffect = ProgramEffect {
    name: "an update",
    config: ONE,
    before: Some(|site| _ = site.file("registry/services/web/a:1", "")),
    change: |site| _ = site.file("registry/services/web/b:1", ""),
    right: &[("list", "a:1\nb:1\n")],
    fails: false,
};

/// The same with a backup of the old file.
pub const BACKED_UP: ProgramEffect = ProgramEffect {
    name: "an update with a backup",
    config: KEEPING,
    right: &[(".list.rosterd-1.bak", "a:1\n"), ("list", "a:1\nb:1\n")],
    ..UPDATE
};

/// A file that is removed with its key.
pub const REMOVAL: ProgramEffect = ProgramEffect {
    name: "a removal",
    config: EACH,
    before: Some(|site| _ = site.file("registry/services/a/1:1", "").file("registry/services/b/2:2", "")),
    change: |site| fs::remove_dir_all(site.path("registry/services/a")).unwrap(),
    right: &[("b", "b 2:2\n")],
    fails: false,
};

/// Two files that change together.
pub const OF_A_UNIT: ProgramEffect = ProgramEffect {
    name: "a unit",
    config: UNIT,
    before: Some(|site| _ = site.file("registry/services/web/a:1", "")),
    change: |site| _ = site.file("registry/services/web/b:1", ""),
    right: &[("one", "a:1\nb:1\n"), ("two", "a:1\nb:1\n")],
    fails: false,
};

/// Two files that are rolled back together.
pub const ROLLBACK: ProgramEffect = ProgramEffect {
    name: "a rollback",
    config: BACK,
    before: Some(|site| _ = site.file("registry/services/web/a:1", "")),
    change: |site| _ = site.file("registry/services/web/poison:1", ""),
    right: &[("one", "a:1\n"), ("two", "a:1\n")],
    fails: true,
};

/// Two files that are rolled back together, one of which did not exist before.
pub const TAKEN_AWAY: ProgramEffect = ProgramEffect {
    name: "a rollback of what was not there",
    change: |site| _ = site.file("registry/services/web/poison:1", "").remove("out/two"),
    right: &[("one", "a:1\n")],
    ..ROLLBACK
};

#[test]
fn a_first_write_survives_a_kill_at_any_call() {
    survives(&FIRST);
}

#[test]
fn an_update_survives_a_kill_at_any_call() {
    survives(&UPDATE);
}

#[test]
fn an_update_with_a_backup_survives_a_kill_at_any_call() {
    survives(&BACKED_UP);
}

#[test]
fn a_removal_survives_a_kill_at_any_call() {
    survives(&REMOVAL);
}

#[test]
fn the_update_of_a_unit_survives_a_kill_at_any_call() {
    survives(&OF_A_UNIT);
}

#[test]
fn a_rollback_survives_a_kill_at_any_call() {
    survives(&ROLLBACK);
}

#[test]
fn a_rollback_of_a_new_file_survives_a_kill_at_any_call() {
    survives(&TAKEN_AWAY);
}

#[test]
fn an_overwrite_survives_a_kill_at_any_call() {
    survives(&SHORTENED);
}

/// An interrupted overwrite is finished from the staged file, because the registry is gone.
#[test]
fn an_incomplete_overwrite_is_finished_without_the_registry() {
    let (old, new) = ("a:1\nb:1\nc:1\n", "a:1\nc:1\n");
    let mut parts = 0;
    let (quiet, _) = IN_PLACE.split_once("reload_cmd").unwrap();
    for config in [IN_PLACE, quiet] {
        let deed = ProgramEffect { config, ..SHORTENED };
        let site = deed.scene();
        assert!(strace(&site, &["-e".into(), format!("trace={CALLS}")]).success(), "{}", site.read("trace"));
        let points = points(&site.read("trace"), &site);
        for point in points.iter().filter(|point| point.path.starts_with("out") || renames(point)) {
            kill_at(&site, point, || deed.set(&site));
            let killed = site.read("out/list");
            fs::rename(site.path("registry"), site.path("away")).unwrap();
            site.run(&["render", "--timeout", "0s"]).expect(4);
            let now = site.read("out/list");
            let is_part = killed != old && killed != new;
            assert!(now == new || !is_part && now == old, "killed before {point:?}: {killed:?}, then {now:?}");
            assert_eq!(site.leftovers(), [""; 0].map(std::path::PathBuf::from), "killed before {point:?}");
            parts += usize::from(is_part);
        }
    }
    assert!(parts >= 2, "no kill left an incomplete file");
}
