//! axe-core, which checks a page against WCAG 2.2 and good practice.

use serde_json::Value;

use super::*;

/// Fails if axe-core finds a serious or critical violation in what the browser shows.
#[track_caller]
pub fn check(browser: &Browser, what: &str) {
    let axe =
        fs::read_to_string(installed("axe/axe_playwright_python/axe.min.js")).expect("axe-core, from .ci/install");
    browser.run(&format!("if (!window.axe) {{ {axe} }}"));
    let found = browser.run("return axe.run(document, { resultTypes: ['violations'] })");
    let violations = found["violations"].as_array().expect("the result of axe-core");
    let serious: Vec<String> = violations
        .iter()
        .filter(|it| matches!(it["impact"].as_str(), Some("serious" | "critical")))
        .map(|it| format!("{}: {}: {:?}", it["id"], it["help"], targets(it)))
        .collect();
    assert!(serious.is_empty(), "{what}:\n{}", serious.join("\n"));
    assert!(found["passes"].as_array().is_some_and(|all| all.len() > 10), "axe-core has checked little: {found}");
}

fn targets(violation: &Value) -> Vec<String> {
    violation["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .take(3)
        .map(|it| format!("{} {}", it["target"], it["any"]))
        .collect()
}
