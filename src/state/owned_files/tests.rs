use std::fs;

use super::*;
use crate::config::OnGone;

fn template(roster: &str, dest: &str) -> Arc<TemplateConfig> {
    let each = Each::new("svc", roster, OnGone::Remove);
    Arc::new(TemplateConfig { each: Some(each), ..TemplateConfig::new("svc", "t", dest) })
}

fn keys(ledger: &OwnedFiles, template: &Arc<TemplateConfig>) -> Vec<String> {
    ledger.written(&[Arc::clone(template)])["svc"].iter().map(ToString::to_string).collect()
}

#[test]
fn a_truncated_log_knows_written_files_and_only_for_their_template() {
    let dir = tempfile::TempDir::new().unwrap();
    let svc = template("services", "/x/{{ key }}.cfg");
    let [a, b] = ["a", "b"].map(|key| svc.for_key(&Arc::from(key)).unwrap());
    let ledger = OwnedFiles::open(dir.path(), Access::ReadWrite);
    ledger.record_intent(&a, 7);
    ledger.record_written(&a);
    ledger.record_intent(&a, 8);
    ledger.record_intent(&b, 9);
    let again = OwnedFiles::open(dir.path(), Access::ReadWrite);
    assert_eq!(keys(&again, &svc), ["a", "b"]);
    assert_eq!((again.claim(&a), again.claim(&b)), (Some(Claim::Written), Some(Claim::Intended(9))));
    assert_eq!(keys(&again, &template("others", "/x/{{ key }}.cfg")), [""; 0], "of another roster");
    assert_eq!(keys(&again, &template("services", "/y/{{ key }}.cfg")), [""; 0], "in another directory");
    again.record_removed(&b);
    assert_eq!(keys(&OwnedFiles::open(dir.path(), Access::ReadWrite), &svc), ["a"]);
    let whole = fs::read(dir.path().join(NAME)).unwrap();
    for cut in 0..whole.len() {
        fs::write(dir.path().join(NAME), &whole[..cut]).unwrap();
        let ledger = OwnedFiles::open(dir.path(), Access::ReadWrite);
        assert!(keys(&ledger, &svc).iter().all(|key| key == "a" || key == "b"), "cut at {cut}");
        ledger.record_written(&a);
        assert!(keys(&OwnedFiles::open(dir.path(), Access::ReadWrite), &svc).contains(&"a".to_owned()), "cut at {cut}");
    }
    fs::write(dir.path().join(NAME), &whole).unwrap();
    OwnedFiles::open(dir.path(), Access::ReadWrite).retain(&[]);
    assert_eq!(keys(&OwnedFiles::open(dir.path(), Access::ReadWrite), &svc), [""; 0]);
}

#[test]
fn the_lines_of_an_earlier_version_are_read_and_written_unchanged() {
    let json = r#"{"dest":"/x/a","is":{"template":"svc","roster":"services","key":"a","meant":7}}"#;
    let line: Line = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&line).unwrap(), json);
    assert_eq!(line.is.unwrap().intended, Some(7));
}
