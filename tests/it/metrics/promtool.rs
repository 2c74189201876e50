//! The rules on series of live values: promtool evaluates them as Prometheus would, without waiting for minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::Metrics;
use crate::support::docs::root;

pub const RULES: &str = "packaging/prometheus/rosterd.rules.yml";

/// Runs promtool. Panics with its output if it fails.
#[track_caller]
pub fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).output().expect("promtool: .ci/install");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

/// What a Prometheus saw: answers, each for a number of minutes. `None` is a target that does not answer.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<(Option<Metrics>, usize)>);

impl History {
    /// The same answer for some more minutes.
    pub fn then(mut self, answer: Option<&Metrics>, minutes: usize) -> Self {
        self.0.push((answer.cloned(), minutes));
        self
    }

    fn minutes(&self) -> usize {
        self.0.iter().map(|(_, minutes)| minutes).sum()
    }

    /// Every series in promtool's notation, as the job `rosterd`; those of histograms if `expressions` name them.
    fn series(&self, expressions: &str) -> Vec<Value> {
        let names: BTreeSet<&String> =
            self.0.iter().filter_map(|(answer, _)| answer.as_ref()).flat_map(|it| it.0.keys()).collect();
        let is_named = |name: &str| name.split('{').next().is_some_and(|name| expressions.contains(name));
        let names = names.into_iter().filter(|name| !name.contains("_seconds_bucket") || is_named(name));
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for name in names {
            let (plain, labels) = name.split_once('{').unwrap_or((name, "}"));
            let comma = if labels == "}" { "" } else { "," };
            let with_target = format!("{plain}{{job=\"rosterd\",instance=\"host:9189\"{comma}{labels}");
            all.insert(with_target, self.values(|answer| answer.and_then(|answer| answer.get(name))));
        }
        let up = self.values(|answer| Some(if answer.is_some() { 1.0 } else { 0.0 }));
        all.insert("up{job=\"rosterd\",instance=\"host:9189\"}".to_owned(), up);
        all.into_iter().map(|(series, values)| json!({ "series": series, "values": values })).collect()
    }

    fn values(&self, value: impl Fn(Option<&Metrics>) -> Option<f64>) -> String {
        let mut text = String::new();
        for (answer, minutes) in &self.0 {
            let _ = match (value(answer.as_ref()), minutes) {
                (Some(value), 1) => write!(text, "{value} "),
                (Some(value), _) => write!(text, "{value}+0x{} ", minutes - 1),
                // A series that a scrape lacks is stale from then on.
                (None, 1) => write!(text, "stale "),
                (None, _) => write!(text, "stale _x{} ", minutes - 1),
            };
        }
        text
    }
}

/// Cases that are evaluated together.
#[derive(Debug, Default)]
pub struct Cases(Vec<Value>);

impl Cases {
    /// Exactly these alerts fire at the end.
    pub fn fire_at_the_end(&mut self, history: &History, alerts: &[&str]) {
        self.add(history, "ALERTS{alertstate=\"firing\"}", alerts);
    }

    /// No alert fires at any time.
    pub fn never_fire(&mut self, history: &History) {
        self.add(history, "max_over_time(ALERTS{alertstate=\"firing\"}[30d])", &[]);
    }

    /// Each of these expressions has a result at the end.
    pub fn have_results(&mut self, history: &History, expressions: &[String]) {
        let one = |expression: &String| {
            let samples = json!([{ "labels": "{}", "value": 1 }]);
            (format!("group({expression})"), samples)
        };
        self.evaluate(history, expressions.iter().map(one));
    }

    fn add(&mut self, history: &History, alerts: &str, names: &[&str]) {
        let sample = |name: &&str| json!({ "labels": format!("{{alertname=\"{name}\"}}"), "value": 1 });
        let samples = names.iter().map(sample).collect();
        self.evaluate(history, std::iter::once((format!("group by (alertname) ({alerts})"), samples)));
    }

    /// Adds expressions with their results at the end.
    fn evaluate(&mut self, history: &History, expected: impl Iterator<Item = (String, Value)>) {
        let end = format!("{}m", history.minutes() - 1);
        let one = |(expr, samples): (String, Value)| json!({ "expr": expr, "eval_time": end, "exp_samples": samples });
        let tests: Vec<Value> = expected.map(one).collect();
        let series = history.series(&Value::from(tests.clone()).to_string());
        self.0.push(json!({ "interval": "1m", "input_series": series, "promql_expr_test": tests }));
    }

    /// Evaluates them with the rules that are shipped.
    #[track_caller]
    pub fn check(self) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cases.yml");
        let rules = [root().join(RULES)];
        // JSON is YAML.
        let text = json!({ "rule_files": rules, "evaluation_interval": "1m", "tests": self.0 }).to_string();
        fs::write(&file, text).unwrap();
        promtool(&["test", "rules", file.to_str().unwrap()]);
    }
}
