//! One bad member must not prevent the others' changes: it is found, reported and excluded.

use serde_json::Value;

use crate::harness::site::{Agent, Site};

const CONFIG: &str = web!(
    r#"wait = "200ms:1s""#,
    r#"
[[template]]
name = "haproxy"
src = "haproxy.cfg.tera"
dest = "out/haproxy.cfg"
check_cmd = "PATH=$PATH:/usr/sbin:/sbin; echo check >> SITE/checks; haproxy -c -f {{ src }}"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"
"#
);

const TEMPLATE: &str = "\
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen web
    bind 127.0.0.1:18080
{%- for m in web %}
    server s{{ m.slot }} {{ m.address }} weight {{ m.weight }}
{%- endfor %}
";

/// The maximum weight in haproxy is 256.
const POISON: &str = r#"{"weight": 999}"#;
const WELL: &str = r#"{"weight": 5}"#;

/// The bad member.
const VICTIM: usize = 23;

fn site(config: &str) -> Site {
    let site = Site::new(config);
    site.file("templates/haproxy.cfg.tera", TEMPLATE);
    for number in 0..50 {
        put(&site, number, if number == VICTIM { POISON } else { WELL });
    }
    site
}

fn member(number: usize) -> String {
    format!("10.0.0.{number}:8080")
}

fn put(site: &Site, number: usize, data: &str) {
    site.file(&format!("registry/services/web/{}", member(number)), data);
}

/// The addresses in the file, in order.
fn served(site: &Site) -> Vec<String> {
    let text = site.read("out/haproxy.cfg");
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("server "));
    let mut all: Vec<String> = servers.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect();
    all.sort();
    all
}

fn all_but(left_out: Option<usize>) -> Vec<String> {
    let mut all: Vec<String> = (0..50).filter(|number| Some(*number) != left_out).map(member).collect();
    all.sort();
    all
}

fn template(site: &Site) -> Value {
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    status["templates"][0].clone()
}

/// Waits until the agent serves these members, and no reload is pending.
fn serves(agent: &Agent, site: &Site, wanted: &[String]) {
    let done = || served(site) == wanted && template(site)["owed_reload"] == Value::Bool(false);
    agent.until("the file is correct and its reload has run", done);
}

#[test]
fn a_bad_member_is_named_and_the_other_49_are_served() {
    let site = site(CONFIG);
    let mut agent = site.start();
    serves(&agent, &site, &all_but(Some(VICTIM)));
    assert_eq!(site.read("reloads").lines().count(), 1, "one replacement, one reload\n{}", agent.log().join("\n"));
    let checks = site.read("checks").lines().count();
    assert!(checks <= 2 + 2 * 6 + 2, "{checks} checks for one of 50");
    println!("{checks} checks for one of 50");

    let name = member(VICTIM);
    let template = template(&site);
    let out = &template["left_out"][0];
    assert_eq!((&out["roster"], &out["member"]), (&Value::from("web"), &Value::from(name.as_str())), "{template}");
    assert!(out["why"].as_str().unwrap().contains("999"), "the message of haproxy: {out}");
    assert_eq!(template["left_out"].as_array().unwrap().len(), 1);
    assert_eq!(template["last_error"], Value::Null, "nothing has failed: {template}");
    let explained = site.run(&["explain", "haproxy"]).expect(0).stdout();
    assert!(explained.contains(&format!("{name} of web is isolated: ")) && explained.contains("999"), "{explained}");
    let roster = site.run(&["explain", "web"]).expect(0).stdout();
    let named = format!("  left out of template haproxy (1):\n    {name}: the check rejects it: check ");
    assert!(roster.contains(&named), "{roster}");
    let told = format!("{name}: the check rejects it: ");
    agent.says(&told);
    assert!(site.run(&["status"]).expect(0).stdout().contains(&name));

    // Other members join and leave: it stays excluded, and nothing is reported or searched again.
    let mut wanted = all_but(Some(VICTIM));
    wanted.push("10.0.1.1:8080".to_owned());
    wanted.sort();
    site.file("registry/services/web/10.0.1.1:8080", WELL);
    serves(&agent, &site, &wanted);
    site.remove("registry/services/web/10.0.1.1:8080");
    serves(&agent, &site, &all_but(Some(VICTIM)));
    assert_eq!(agent.said(&told), 1, "{}", agent.log().join("\n"));
    assert_eq!(site.read("checks").lines().count(), checks + 2);

    put(&site, VICTIM, WELL);
    serves(&agent, &site, &all_but(None));
    assert_eq!(self::template(&site)["left_out"], Value::Array(Vec::new()));
    assert!(agent.stop().success());
    assert_eq!(site.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn single_passes_with_and_without_an_agent_find_the_bad_member() {
    let site = site(CONFIG);
    site.run(&["render"]).expect(0);
    assert_eq!(served(&site), all_but(Some(VICTIM)));
    assert_eq!(site.read("reloads").lines().count(), 1);

    let agent = site.start();
    agent.says("event=file_unchanged");
    put(&site, VICTIM + 1, POISON);
    site.run(&["render"]).expect(0);
    agent.until("the second one is excluded", || served(&site).len() == 48);
}

const PICKY: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
name = "list"
src = "list.tera"
dest = "out/list"
check_cmd = "echo check >> SITE/checks; test ! -e SITE/broken || { echo broken; exit 1; }; ! grep bad {{ src }}"
"#
);

fn picky() -> Site {
    let site = Site::new(PICKY);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    for name in ["a", "b", "c"] {
        site.file(&format!("registry/services/web/{name}"), "-");
    }
    site
}

#[test]
fn a_check_that_always_fails_excludes_no_member() {
    let site = picky();
    let agent = site.start();
    agent.says("event=file_written");
    // The existing content would not pass the check now either.
    site.file("broken", "");
    site.file("registry/services/web/d", "-");
    agent.says("check failed; file unchanged");
    let told = template(&site);
    assert_eq!(told["left_out"], Value::Array(Vec::new()), "{told}");
    assert!(told["last_error"].as_str().unwrap().contains("broken"), "{told}");
    site.remove("broken");
    agent.until("it is retried without a change", || site.read("out/list") == "a\nb\nc\nd\n");
    assert_eq!(agent.said("event=member_isolated"), 0, "{}", agent.log().join("\n"));
}

#[test]
fn after_a_restart_the_bad_member_is_found_again_and_the_file_unchanged() {
    let site = picky();
    let mut agent = site.start();
    agent.says("event=file_written");
    site.file("registry/services/web/bad", "-");
    agent.says("bad: the check rejects it: ");
    assert!(agent.stop().success());
    let before = site.fingerprint("out/list");
    let agent = site.start();
    agent.says("bad: the check rejects it: ").says("event=file_unchanged");
    assert_eq!(site.fingerprint("out/list"), before);
    let told = template(&site);
    assert!(told["left_out"][0]["again"].is_string(), "{told}");
    let explained = site.run(&["explain", "list"]).expect(0).stdout();
    assert!(
        explained.contains("bad of web is isolated: the check rejects it (retried when the member changes, or at "),
        "{explained}"
    );
}

#[test]
fn a_check_killed_by_a_signal_refuses_the_member() {
    let site = picky();
    let config = PICKY.replace("! grep bad {{ src }}\"", "! grep bad {{ src }} || kill -SEGV $$\"");
    assert_ne!(config, PICKY);
    site.configure(&config);
    site.file("registry/services/web/bad", "-");
    let agent = site.start();
    agent.says("bad: the check rejects it: ");
    agent.until("the others are served", || site.read("out/list") == "a\nb\nc\n");
}

#[test]
fn a_pass_through_the_agent_waits_for_a_search_in_its_unit() {
    let site = picky();
    let mate = "\n[[template]]\nname = \"mate\"\nsrc = \"list.tera\"\ndest = \"out/mate\"\nunit = \"u\"\n";
    site.configure(&format!("{PICKY}unit = \"u\"\n{mate}"));
    let agent = site.start();
    agent.until("both are written", || agent.said("event=file_written") == 2);
    for number in 0..3 {
        site.run(&["pause", "--for", "10m"]).expect(0);
        site.file(&format!("registry/services/web/bad{number}"), "-");
        site.run(&["resume"]).expect(0);
        site.run(&["render"]).expect(0);
        assert_eq!((site.read("out/list"), site.read("out/mate")), ("a\nb\nc\n".into(), "a\nb\nc\n".into()));
        site.remove(&format!("registry/services/web/bad{number}"));
    }
}

#[test]
fn with_isolate_false_the_old_file_stays() {
    let site = site(&format!("{CONFIG}isolate = false\n"));
    let agent = site.start();
    agent.says("check failed; file unchanged");
    assert_eq!(site.read("out/haproxy.cfg"), "");
    let template = template(&site);
    assert!(template["last_error"].as_str().unwrap().contains("999"), "{template}");
    assert_eq!(template["left_out"], Value::Array(Vec::new()));
    put(&site, VICTIM, WELL);
    serves(&agent, &site, &all_but(None));
}

const UNCHECKED: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
name = "list"
src = "list.tera"
dest = "out/list"
"#
);

/// The template needs a field that the member `c` lacks.
fn without_field(config: &str) -> Site {
    let site = Site::new(config);
    site.file("templates/list.tera", "{% for m in web %}{{ m.data.host }}\n{% endfor %}");
    site.file("registry/services/web/a", r#"{"host": "h1"}"#).file("registry/services/web/b", r#"{"host": "h2"}"#);
    site.file("registry/services/web/c", "not json");
    site
}

#[test]
fn a_member_without_a_field_of_the_template_is_named_and_left_out() {
    let site = without_field(UNCHECKED);
    let agent = site.start();
    agent.until("the others are served", || site.read("out/list") == "h1\nh2\n");
    agent.says("member left out: c: the template cannot be rendered with it: Field `host` is not defined");
    let why = "c of web is isolated: the template cannot be rendered with it (retried when the member changes, or at ";
    assert!(site.run(&["explain", "list"]).expect(0).stdout().contains(why));
    let told = template(&site);
    assert!(told["left_out"][0]["why"].as_str().unwrap().starts_with("the template cannot be rendered"), "{told}");
    assert_eq!(told["last_error"], Value::Null, "nothing has failed: {told}");
    site.run(&["diff"]).expect(0);
    site.run(&["render"]).expect(0);
    site.file("registry/services/web/c", r#"{"host": "h3"}"#);
    agent.until("all are served", || site.read("out/list") == "h1\nh2\nh3\n");
    assert_eq!(agent.said("event=render_failed"), 0, "{}", agent.log().join("\n"));
}

#[test]
fn with_isolate_false_the_member_that_cannot_be_rendered_is_named() {
    let site = without_field(&format!("{UNCHECKED}isolate = false\n"));
    let why = "at member /services/web/c: Field `host` is not defined";
    for command in ["render", "diff"] {
        let told = site.run(&[command]).expect(1).stderr();
        assert!(told.contains(why) && told.contains("event=render_failed"), "{told}");
    }
    let agent = site.start();
    agent.says(why);
    let told = site.run(&["diff"]).expect(1).stderr();
    assert!(told.contains(why), "{told}");
    assert!(template(&site)["last_error"].as_str().unwrap().starts_with(why));
    assert_eq!(site.read("out/list"), "");
}

#[test]
fn more_than_half_of_the_members_without_a_field_are_not_left_out() {
    let site = without_field(UNCHECKED);
    site.file("registry/services/web/b", "not json");
    let told = site.run(&["render"]).expect(1).stderr();
    assert!(told.contains("at member /services/web/b: ") && told.contains("no member is left out: "), "{told}");
}

#[test]
fn single_passes_without_an_agent_leave_out_a_member_that_cannot_be_rendered() {
    let site = without_field(&format!("{UNCHECKED}check_cmd = \"echo check >> SITE/checks\"\n"));
    let told = site.run(&["diff"]);
    told.expect(2);
    assert!(told.stdout().contains("+h1\n+h2\n"), "{}", told.stdout());
    assert!(told.stderr().contains("member left out: c: the template cannot be rendered"), "{}", told.stderr());
    assert_eq!((site.read("out/list"), site.read("checks")), (String::new(), String::new()), "a dry run runs nothing");
    site.run(&["render"]).expect(0);
    assert_eq!(site.read("out/list"), "h1\nh2\n");
    site.run(&["diff"]).expect(0);
}
