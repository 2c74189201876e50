//! Members that cannot be used, and members that lack what a file needs of them: nothing counts as well.

use crate::decide::{Event, Needs, Outcome, TemplatePlan};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Members, NodeContent, Seen, View};
use crate::report::conditions::Health;

use super::harness::{Bench, path, plan, present, roster, seconds, template, web};
use super::reports::{explained, health, status};

fn bench(reads_port: bool) -> Bench {
    let plain = template("a", &["web"], "");
    let needs = Needs { reads_port, ..plain.needs };
    Bench::new(plan(vec![roster("web", web())], vec![], vec![TemplatePlan { needs, ..plain }]))
}

fn show(bench: &mut Bench, nodes: &[(&str, &str)]) {
    let nodes: Members =
        nodes.iter().map(|(name, data)| ((*name).into(), Ok(NodeContent::ephemeral(data.as_bytes())))).collect();
    bench.reset(&web(), View::Members(Seen::Present(nodes)));
    bench.pass(seconds(5));
    bench.publish(Outcome::Replaced);
}

/// The problems of a roster with these nodes, with a template that reads ports or does not.
fn problems(nodes: &[(&str, &str)], reads_port: bool) -> (Health, Vec<String>) {
    let mut bench = bench(reads_port);
    show(&mut bench, nodes);
    health(&bench)
}

#[test]
fn a_member_without_a_usable_port_does_not_satisfy_min() {
    for (name, data) in [("10.0.0.1:99999", ""), ("web1", r#"{"port":99999}"#), ("web1", r#"{"port":"http"}"#)] {
        let mut bench = bench(true);
        bench.reset(
            &web(),
            View::Members(Seen::Present([(name.into(), Ok(NodeContent::ephemeral(data.as_bytes())))].into())),
        );
        assert!(bench.publications.is_empty(), "{name} {data}");
        let (state, problems) = health(&bench);
        assert_eq!(state, Health::Critical, "{problems:?}");
        assert!(
            problems[0].contains("/services/web has 0 members but needs at least 1 (1 quarantined)"),
            "{problems:?}"
        );
        assert!(explained(&bench, "web").contains(&format!("/services/web/{name}: ")), "{}", explained(&bench, "web"));
        let logged = |event: &Event| matches!(event, Event::MemberQuarantined { .. });
        assert_eq!(bench.events.iter().filter(|it| logged(it)).count(), 1);
    }
}

#[test]
fn members_without_a_port_are_a_problem_of_a_template_that_reads_it() {
    let text = "template a: 1 member has no port, which the template reads: web2 of web";
    let mixed = [("10.0.0.1:80", ""), ("web2", "")];
    assert_eq!(problems(&mixed, true), (Health::Warning, vec![text.to_owned()]));
    assert_eq!(problems(&mixed, false), (Health::Ok, vec![]), "a list of hosts");
    let (state, all) = problems(&[("web1", "x"), ("web2", "")], true);
    assert_eq!(state, Health::Warning, "a backend would have no server");
    assert!(all[0].contains("2 members have no port, which the template reads: web1 of web, web2 of web"), "{all:?}");

    let mut bench = bench(true);
    show(&mut bench, &mixed);
    show(&mut bench, &[("10.0.0.1:80", ""), ("10.0.0.3:80", ""), ("web2", "")]);
    let reasons: Vec<&str> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            Event::MembersWithoutPort { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["1 member has no port: web2"], "logged once");
    assert_eq!(status(&bench).templates[0].warnings, ["1 member has no port, which the template reads: web2 of web"]);
    show(&mut bench, &[("10.0.0.1:80", "")]);
    assert_eq!(health(&bench), (Health::Ok, vec![]));
}

#[test]
fn a_member_that_names_no_port_counts_whatever_its_data_is() {
    for data in [r#"{"port":0}"#, r#"{"port":""}"#, "pid:123456", "{'weight': 1}"] {
        let mut bench = bench(true);
        show(&mut bench, &[("10.0.0.1:80", ""), ("web2", data)]);
        let status = status(&bench);
        assert_eq!((status.rosters[0].members, status.rosters[0].quarantined), (2, 0), "{data}");
        assert_eq!(status.rosters[0].data_errors, usize::from(data.starts_with('{') && data.contains('\'')), "{data}");
        let warning = "1 member has no port, which the template reads: web2 of web";
        assert_eq!(status.templates[0].warnings, [warning], "{data}");
    }
}

#[test]
fn hosts_without_ports_beside_servers_with_ports_are_not_reported() {
    let hosts = Subject::Members(path("/services/hosts"));
    let plain = template("a", &["web", "hosts"], "");
    let needs = Needs { reads_port: true, ..plain.needs };
    let rosters = vec![roster("web", web()), roster("hosts", hosts.clone())];
    let mut bench = Bench::new(plan(rosters, vec![], vec![TemplatePlan { needs, ..plain }]));
    bench.reset(&hosts, present(&["h1", "h2"]));
    show(&mut bench, &[("10.0.0.1:80", "")]);
    assert_eq!(health(&bench), (Health::Ok, vec![]));
}

#[test]
fn data_that_is_not_json_is_reported_and_the_member_stays() {
    let mut bench = bench(true);
    show(&mut bench, &[("10.0.0.1:80", r#"{"weight": 5"#), ("10.0.0.2:80", "plain text")]);
    let text = "web: 1 node used without data, which is not JSON; details: rosterd explain web";
    assert_eq!(health(&bench), (Health::Warning, vec![text.to_owned()]));
    let status = status(&bench);
    assert_eq!((status.rosters[0].members, status.rosters[0].data_errors), (2, 1));
    let explained = explained(&bench, "web");
    assert!(
        explained.contains("used without their data (1):\n    /services/web/10.0.0.1:80: its data is not JSON: "),
        "{explained}"
    );
    let logged = bench.events.iter().filter(|event| matches!(event, Event::MemberDataIgnored { .. })).count();
    assert_eq!(logged, 1);
}

#[test]
fn any_text_is_right_where_every_child_is_a_member() {
    let mut config = roster("web", web());
    config.payload.every_child = true;
    let mut bench = Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]));
    show(&mut bench, &[("snippet", "{ proxy_pass http://web; }"), ("web1:http", "{")]);
    assert_eq!(health(&bench), (Health::Ok, vec![]));
    assert_eq!(status(&bench).rosters[0].members, 2);
}
