use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::config::{Problem, Problems};

fn problems(message: &str) -> Problems {
    let problem = Problem {
        file: PathBuf::from("/etc/rosterd/rosterd.toml"),
        text: "a = 1\noops = 1\n".into(),
        span: 6..10,
        message: message.to_owned(),
        hint: None,
    };
    Problems(vec![problem.clone(), problem])
}

#[test]
fn a_refusal_stays_until_the_same_part_is_loaded() {
    let mut refusals = Refusals::default();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    refusals.record(at(1), &Loaded::Everything(Err(problems("first"))));
    refusals.record(at(2), &Loaded::Everything(Err(problems("second"))));
    let place = Some("/etc/rosterd/rosterd.toml:2".to_owned());
    let configuration =
        Refusal { part: Part::Configuration, since: at(1), place, reason: "second".to_owned(), problems: 2 };
    assert_eq!(refusals.all(), std::slice::from_ref(&configuration));
    refusals.record(at(3), &Loaded::Templates(Err(problems("third"))));
    assert_eq!(refusals.all().len(), 2);
    refusals.record(at(4), &Loaded::Templates(Ok(None)));
    assert_eq!(refusals.all(), [configuration], "the configuration was not read");
    refusals.record(at(4), &Loaded::Checked(Ok(false)));
    assert_eq!((refusals.all()[0].since, &*refusals.all()[0].reason), (at(1), "it has been corrected since"));
    refusals.record(at(4), &Loaded::Checked(Err(problems("fourth"))));
    assert_eq!((refusals.all()[0].since, &*refusals.all()[0].reason), (at(1), "fourth"));
    refusals.record(at(4), &Loaded::Checked(Ok(true)));
    assert_eq!(refusals.all(), [], "it is what is in use");
    refusals.record(at(1), &Loaded::Everything(Err(problems("fifth"))));
    refusals.record(at(5), &Loaded::Broken("panicked".to_owned()));
    assert_eq!((refusals.all()[0].since, &*refusals.all()[0].reason), (at(1), "panicked"));
}
