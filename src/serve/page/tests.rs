use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::decide::engine::tests::harness::{Bench, plan, present, put, roster, seconds, template, web};
use crate::decide::{Failure, Outcome, ReloadOutcome, Stage};
use crate::model::node_path::{NodePath, Subject as PathSubject};
use crate::model::registry_event::Update;
use crate::model::version::Versions;
use crate::report::status::Status;
use crate::serve::recent_events::RecentEvents;

/// The elements and attributes of the page. None of them runs a script, and no style is inline.
const ELEMENTS: &str = "html head meta title link script body header h1 h2 h3 h4 p nav ul ol li a main section details summary \
                        div b span bdi code pre time svg rect footer";
const ATTRIBUTES: &str = "lang charset name content rel type href src defer id class role open aria-label aria-labelledby \
                          aria-hidden data-about datetime title viewBox preserveAspectRatio x y width height";

/// The page of an engine. Its clock starts at 00:00 in 1970.
fn shown(bench: &Bench) -> String {
    let wall = UNIX_EPOCH + bench.now.since(Moment::START);
    let recent = RecentEvents::default();
    bench.events.iter().for_each(|event| recent.record(wall, event));
    let mut snapshot = Snapshot { report: bench.engine.report(bench.now), ..Snapshot::empty() };
    snapshot.context.wall = wall;
    page(&snapshot, &recent.since(wall), &BTreeMap::new())
}

/// The text of a page without its elements, one line for each `<p>`, `<li>` or heading.
fn text(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        let (tag, rest) = part.split_once('>').unwrap_or(("", part));
        if ["/p", "/li", "/summary", "/h2", "/h4"].contains(&tag) {
            text.push('\n');
        }
        text.push_str(rest);
    }
    text.replace("&#39;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The names of the elements and attributes of a page.
fn markup(page: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut elements, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    for tag in page.split('<').skip(2).filter(|tag| !tag.starts_with('/')) {
        let tag = tag.split('>').next().unwrap();
        elements.insert(tag.split(' ').next().unwrap());
        // Outside of the values.
        attributes.extend(tag.split('"').step_by(2).filter_map(|part| part.strip_suffix('=')?.split(' ').next_back()));
    }
    (elements, attributes)
}

fn up(names: &[&str]) -> Bench {
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "reload a")]));
    bench.reset(&web(), present(names));
    bench.publish(Outcome::Replaced);
    bench.reload(ReloadOutcome::Succeeded);
    bench
}

#[test]
fn a_page_without_problems_is_closed_rows() {
    let page = shown(&up(&["a:1", "b:1"]));
    assert!(page.contains("<title>All is well – rosterd on lb1</title>") && !page.contains(" open"), "{page}");
    let text = text(&page);
    assert!(text.contains("Nothing is wrong\n1 template, 1 roster, 2 members\n"), "{text}");
    assert!(text.contains("web fresh, 2 members, /services/web\n"), "{text}");
    assert!(text.contains("a up to date, /etc/a, last up to date 0s ago\n"), "{text}");
    assert!(text.contains("Members (2)\na:1\nb:1\n"), "{text}");
}

#[test]
fn a_hold_is_shown_first_with_its_reason_and_the_commands() {
    let mut bench = up(&["a:1", "b:1", "c:1", "d:1", "e:1"]);
    bench.pass(seconds(5));
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(5));
    let page = shown(&bench);
    let text = text(&page);
    let problem = text.split_once("What is wrong\n").unwrap().1.split_once("Rosters\n").unwrap().0;
    assert!(problem.starts_with("Warning roster web: web held since 1970-01-01T00:01:4"), "{problem}");
    assert!(problem.contains("5 members of /services/web remain") || problem.contains("1 of 5 members"), "{problem}");
    assert!(problem.contains("Run rosterd explain web\n"), "to accept a loss is no routine: {problem}");
    assert!(text.contains("With rosterd accept web, 1 member of /services/web would remain."), "{text}");
    assert!(text.contains("5 members in use, 1 in the registry"), "{text}");
    assert!(text.contains("b:1, kept by the hold\n") && text.contains("a:1\n"), "{text}");
    assert!(text.contains("Would be removed (4)\nb:1\n"), "{text}");
    assert!(page.contains("<details class=\"item warning\" id=\"roster-web\" open=\"\">"), "{page}");
}

#[test]
fn the_output_of_a_check_is_shown_as_lines() {
    let mut bench = up(&["a:1"]);
    bench.change(vec![put("b:1")]);
    bench.pass(seconds(5));
    let message = "check exited with 1:\n  line <1>\n  line \u{1b}[2J2".to_owned();
    bench.publish(Outcome::Failed(Failure::new(Stage::Check, message)));
    let page = shown(&bench);
    assert!(page.contains("<title>Critical: 1 problem – "), "{page}");
    assert!(page.contains("<pre>  line &lt;1&gt;\n  line \\u{1b}[2J2\n</pre>"), "{page}");
    let text = text(&page);
    assert!(text.contains("Critical template a: check not completed; retry at "), "{text}");
    assert!(text.contains("Run rosterd explain a, then rosterd diff a"), "{text}");
    assert!(text.contains("error: check not completed; file unchanged: /etc/a: check exited with 1:"), "{text}");
}

#[test]
fn changes_of_members_are_on_the_timeline() {
    let mut bench = up(&["a:1"]);
    let fresh = shown(&bench);
    assert!(fresh.contains("No member came or went since the start at 1970-01-01T00:00:00Z"), "{fresh}");
    bench.change(vec![put("b:1"), put("<i>:1")]);
    bench.pass(seconds(5));
    let page = shown(&bench);
    assert!(page.contains("aria-label=\"Last hour: 2 joined, 0 left\""), "{page}");
    assert!(text(&page).contains("0s ago +<i>:1 +b:1 3 members now"), "{page}");
}

/// A registry that is away is one problem, not one for each of its rosters.
#[test]
fn an_unreachable_registry_is_one_problem_of_hundreds_of_rosters() {
    let names: Vec<String> = (0..300).map(|n| format!("service{n:03}")).collect();
    let subject = |name: &str| PathSubject::Members(NodePath::parse(&format!("/services/{name}")).unwrap());
    let rosters = names.iter().map(|name| roster(name, subject(name))).collect();
    let templates = names.iter().map(|name| template(&format!("{name}.cfg"), &[name.as_str()], "")).collect();
    let mut bench = Bench::new(plan(rosters, vec![], templates));
    for name in &names {
        let (subject, view) = (subject(name), present(&["a:1", "b:1", "c:1"]));
        bench.registry_update(Update::Reset { subject, view, versions: Versions::new() });
    }
    while !bench.publications.is_empty() {
        bench.publish(Outcome::Replaced);
    }
    let well = text(&shown(&bench));
    assert!(well.contains("300 rosters without problems\n") && well.contains("300 templates without problems\n"));
    bench.away();
    bench.pass(Duration::from_secs(75));
    let page = shown(&bench);
    let text = text(&page);
    let (problem, rest) = text.split_once("What is wrong\n").unwrap().1.split_once("Rosters\n").unwrap();
    assert!(problem.starts_with("Warning registry default: registry default is unreachable: zk://a is not reached\n"));
    assert!(problem.contains("300 rosters, last known-good data in use: service000, service001"), "{problem}");
    assert_eq!(problem.matches("Warning").count(), 1, "{problem}");
    let status = Status::new(&bench.engine.report(bench.now), &Snapshot::empty().context);
    let count = status.health.problems.len();
    assert!(page.contains(&format!("<title>Warning: {count} problems – ")), "as many as `status` counts");
    assert!(rest.starts_with("300 stale rosters\n") && rest.contains("300 templates that wait for rosters\n"));
    assert!(page.len() < 900_000, "{}", page.len());
    assert!(!page.contains("<details class=\"item warning\" id=\"roster-service000\" open"));
}

#[test]
fn nothing_from_a_registry_is_markup() {
    let evil = [
        "<script>alert(1)<|script>:1",
        "\"><img src=x onerror=alert(1)>:1",
        "' onclick='x:1",
        "&lt;b&gt;:1",
        "\u{202e}1.0.0.01:1",
    ];
    let mut bench = up(&evil);
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(5));
    let page = shown(&bench);
    let (elements, attributes) = markup(&page);
    let known = |list: &'static str| list.split_whitespace().collect::<BTreeSet<_>>();
    assert_eq!(elements.difference(&known(ELEMENTS)).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>());
    assert_eq!(attributes.difference(&known(ATTRIBUTES)).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>());
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    assert!(text(&page).contains("<script>alert(1)<|script>:1, kept by the hold\n"), "{page}");
    assert!(page.contains("\\u{202e}1.0.0.01:1"), "{page}");
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn headings_are_in_order_and_ids_are_unique() {
    let mut bench = up(&["a:1", "b:1", "c:1", "d:1", "e:1"]);
    bench.reset(&web(), present(&["a:1"]));
    bench.pass(seconds(5));
    let page = shown(&bench);
    let levels: Vec<u32> = page.split("<h").filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
    assert_eq!(levels[0], 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let targets = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for target in targets {
        assert!(ids.contains(&target), "no element {target}");
    }
}
