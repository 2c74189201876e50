//! `rosterd generate`: what it prints is used as its readers use it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::site::Site;
use crate::support::docs::root;
use crate::support::examples::run;

/// What the schema does not accept of these files.
pub fn mismatches(files: &[PathBuf]) -> String {
    let site = Site::new("");
    site.file("schema.json", &site.run(&["generate", "schema"]).expect(0).stdout());
    let mut python = Command::new("python3");
    python.arg(root().join("tests/it/generate/validate.py")).arg(site.path("schema.json")).args(files);
    python.env("PYTHONPATH", root().join("target/python")).stdin(Stdio::null());
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with this configuration, and with the files that the annotated one names.
fn site(config: &str) -> Site {
    let site = Site::new("");
    for name in ["haproxy.cfg", "service.cfg", "hosts"] {
        site.file(&format!("templates/{name}.tera"), "");
    }
    for (name, text) in [("zk.auth", "user:password\n"), ("ca.pem", ""), ("agent.pem", ""), ("agent.key", "")] {
        site.file(name, text);
        fs::set_permissions(site.path(name), Permissions::from_mode(0o600)).unwrap();
    }
    site.file("rosterd.toml", config);
    site
}

fn annotated() -> String {
    Site::new("").run_without_config(&["generate", "config"]).expect(0).stdout()
}

#[test]
fn the_annotated_configuration_is_valid_as_printed() {
    let site = Site::new("");
    site.file("rosterd.toml", &annotated());
    let checked = site.run(&["check"]);
    assert!(checked.expect(0).stderr().contains("configuration is valid"), "{}", checked.stderr());
    assert_eq!(mismatches(&[site.path("rosterd.toml")]), "");
}

#[test]
fn the_annotated_configuration_is_valid_with_every_setting() {
    // Prose and alternatives have a space after the #.
    let is_setting = |line: &str| line.len() > 1 && line.starts_with('#') && !line.starts_with("# ");
    let lines = annotated();
    let lines = lines.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    let site = site(&lines.collect::<Vec<_>>().join("\n"));
    let checked = site.run(&["check"]);
    assert!(checked.expect(0).stderr().contains("roster_count=2 key_count=2 template_count=3 service_count=1"));
    assert_eq!(mismatches(&[site.path("rosterd.toml")]), "");
}

#[test]
fn the_schema_accepts_every_example() {
    let examples = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = examples.map(|path| path.join("rosterd.toml")).filter(|file| file.exists()).collect();
    assert!(files.len() >= 8, "{files:?}");
    assert_eq!(mismatches(&files), "");
}

#[test]
fn the_schema_rejects_what_check_rejects() {
    let template = "[[template]]\nsrc = \"hosts.tera\"\ndest = \"/x/a\"\n";
    let service = "[[service]]\npath = \"/x\"\nhost = \"h\"\nport = 1\ncheck = { tcp = \"h:1\" }\n";
    let wrong = [
        "[[roster]]\npath = 1\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nmni = 1\n".to_owned(),
        "[roster]\npath = \"/x\"\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nmax = 0\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nmin = -1\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nmax_shrink = \"150%\"\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nhold_max = 15\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nhold_max = \"15\"\n".to_owned(),
        "[[roster]]\npath = \"/x\"\npayload = \"nextdor\"\n".to_owned(),
        "[[roster]]\npath = \"/x\"\nwait = { max = \"1s\" }\n".to_owned(),
        "[[key]]\nname = \"x\"\npath = 1\n".to_owned(),
        "[agent]\nlog_format = \"xml\"\n".to_owned(),
        "[status]\nlisten_on = 1\n".to_owned(),
        format!("{template}mode = 644\n"),
        format!("{template}backup = 100\n"),
        format!("{template}env = {{ A = 1 }}\n"),
        format!("{template}check_cmd = {{ cmd = \"x\" }}\n"),
        format!("{template}reload_cmd = {{ signal = \"HUP\" }}\n"),
        service.replace("port = 1\n", "port = 70000\n"),
        service.replace("check = ", "#"),
    ];
    let sites: Vec<_> = wrong.iter().map(|text| site(&format!("registry.url = \"zk://zk1\"\n{text}"))).collect();
    for (site, text) in sites.iter().zip(&wrong) {
        assert_eq!(site.run(&["check"]).code(), 78, "{text}");
    }
    let files: Vec<_> = sites.iter().map(|site| site.path("rosterd.toml")).collect();
    let told = mismatches(&files);
    for (file, text) in files.iter().zip(&wrong) {
        assert!(told.contains(file.to_str().unwrap()), "accepted: {text}");
    }
}

/// A directory with the completions of a shell in the file `script`.
fn completions(shell: &str) -> Site {
    let site = Site::new("");
    site.file("script", &site.run(&["generate", "completions", shell]).expect(0).stdout());
    site
}

/// What a shell prints for a command line that can use the file as `$1`.
fn told(shell: &str, site: &Site, args: &[&str]) -> String {
    let script = site.path("script");
    let output = run(shell, shell, &[args, &[script.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_and_options() {
    let site = completions("bash");
    let complete = |words: &str, last: &str| {
        let count = words.split(' ').count();
        let script = format!(
            ". \"$1\"; COMP_WORDS=({words} {last}); COMP_CWORD={count}; _rosterd rosterd {last} x; \
             echo \"${{COMPREPLY[@]}}\""
        );
        told("bash", &site, &["-c", &script, "bash"]).trim().to_owned()
    };
    assert_eq!(complete("rosterd", "dr"), "drain");
    assert_eq!(complete("rosterd pause", "--rea"), "--reason");
    assert_eq!(complete("rosterd generate", "s"), "schema");
}

#[test]
fn zsh_loads_the_completions() {
    let site = completions("zsh");
    told("zsh", &site, &["-n"]);
    let script = "autoload -U compinit; compinit -D -u; . \"$1\"; print $_comps[rosterd] $+functions[_rosterd]";
    assert_eq!(told("zsh", &site, &["-fc", script, "zsh"]), "_rosterd 1\n");
}

#[test]
fn fish_completes_commands_and_options() {
    let site = completions("fish");
    let complete = |line: &str| told("fish", &site, &["-c", &format!("source $argv[1]; complete -C '{line}'")]);
    assert!(complete("rosterd dr").starts_with("drain\t"), "{}", complete("rosterd dr"));
    assert!(complete("rosterd pause --rea").starts_with("--reason"), "{}", complete("rosterd pause --rea"));
}

/// The commands and their own commands, as `--help` lists them: `rosterd`, `rosterd-generate-man`.
fn commands(site: &Site, words: &[&str], found: &mut BTreeSet<String>) {
    let help = site.run(&[words, &["--help"]].concat()).expect(0).stdout();
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in list.filter(|line| !line.starts_with("   ") && !line.starts_with("  help ")) {
        commands(site, &[words, &[line.split_whitespace().next().unwrap()]].concat(), found);
    }
    found.insert(words.iter().fold("rosterd".to_owned(), |mut name, word| {
        let _ = write!(name, "-{word}");
        name
    }));
}

#[test]
fn every_command_has_a_man_page_that_groff_accepts() {
    let site = Site::new("");
    fs::create_dir(site.path("man")).unwrap();
    site.run_without_config(&["generate", "man", "man"]).expect(0);
    let mut known = BTreeSet::new();
    commands(&site, &[], &mut known);
    let files = || fs::read_dir(site.path("man")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().trim_end_matches(".1").to_owned();
    assert_eq!(files().map(|path| name(&path)).collect::<BTreeSet<_>>(), known);
    for path in files() {
        let output =
            run("groff", "groff-base", &["-man", "-ww", "-z", "-K", "utf8", "-T", "utf8", path.to_str().unwrap()]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", path.display());
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains(".SH OPTIONS") && !page.contains(".SH EXTRA"), "{page}");
    }
    let page = site.read("man/rosterd-get.1");
    assert!(page.contains(".SH EXAMPLES") && page.contains(".SH \"EXIT STATUS\""), "{page}");
    // Without a directory, the page of the program itself is printed.
    assert_eq!(site.run(&["generate", "man"]).expect(0).stdout(), site.read("man/rosterd.1"));
    let missing = site.run(&["generate", "man", "nowhere"]);
    assert!(missing.expect(1).stderr().contains("cannot write nowhere/rosterd.1: No such file"));
}

#[test]
fn a_release_build_of_a_checkout_knows_its_commit() {
    let site = Site::new("");
    let script = site.path("script");
    run(
        "rustc",
        "rustc",
        &["--edition=2024", "-o", script.to_str().unwrap(), root().join("build.rs").to_str().unwrap()],
    );
    let dir = site.path("out").canonicalize().unwrap();
    let version = |profile: &str, dir: &Path| {
        let mut built = Command::new(&script);
        built.current_dir(dir).env("CARGO_MANIFEST_DIR", dir).env("PROFILE", profile);
        let text = String::from_utf8(built.output().unwrap().stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=ROSTERD_COMMIT=")).map(str::to_owned)
    };
    assert_eq!(version("release", &dir), None);
    let commit =
        "git init -q && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m a --date=2026-01-31T00:00:00Z";
    let mut git = Command::new("sh");
    git.args(["-c", commit]).current_dir(&dir).env("GIT_COMMITTER_DATE", "2026-01-31T12:00:00Z");
    assert!(git.status().unwrap().success());
    let known = version("release", &dir).unwrap();
    assert!(known.ends_with(", 2026-01-31") && known.len() == 24, "{known}");
    assert_eq!(version("debug", &dir), None);
    fs::create_dir(dir.join("unpacked")).unwrap();
    assert_eq!(version("release", &dir.join("unpacked")), None);
}
