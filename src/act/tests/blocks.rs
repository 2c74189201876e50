//! Blocks in files that other processes write too.

use std::fs;

use crate::act::files::{Comparison, compare};
use crate::config::{Block, TemplateConfig};
use crate::decide::{Outcome, Stage};

use super::bench::{Bench, identity, mode, set_mode, shell, staged_in};

const OLD: &str = "127.0.0.1 localhost\r\n# mine";
const NEW: &str = "127.0.0.1 localhost\r\n# mine\r\n# BEGIN rosterd a\r\n10.0.0.1 zk1\r\n# END rosterd a\r\n";

fn block(bench: &Bench, name: &str) -> TemplateConfig {
    let mut template = bench.template("f");
    template.placing.block = Some(Block::new(name));
    template
}

#[tokio::test]
async fn only_the_block_is_written() {
    let bench = Bench::new();
    let mut template = block(&bench, "a");
    fs::write(&template.dest, OLD).unwrap();
    set_mode(&template.dest, 0o640);
    // The check sees the whole file.
    template.check = Some(shell("grep -q localhost {{ src }} && grep -q zk1 {{ src }}"));
    let expected = Comparison { differs: true, old: Some(OLD.into()), new: NEW.into(), attributes: None };
    assert_eq!(compare(&bench.writer, &template, b"10.0.0.1 zk1\n").await, Ok(expected));
    assert_eq!(bench.publish(&template, b"10.0.0.1 zk1\n").await, Outcome::Replaced);
    assert_eq!((fs::read_to_string(&template.dest).unwrap().as_str(), mode(&template.dest)), (NEW, 0o640));
    let before = identity(&template.dest);
    let expected = Comparison { differs: false, old: Some(NEW.into()), new: NEW.into(), attributes: None };
    assert_eq!(compare(&bench.writer, &template, b"10.0.0.1 zk1\n").await, Ok(expected));
    assert_eq!(bench.publish(&template, b"10.0.0.1 zk1\n").await, Outcome::Unchanged);
    assert_eq!(identity(&template.dest), before);
    // Edits outside the block cause no write, and stay.
    fs::write(&template.dest, format!("# theirs\r\n{NEW}")).unwrap();
    assert_eq!(bench.publish(&template, b"10.0.0.1 zk1\n").await, Outcome::Unchanged);
}

#[tokio::test]
async fn a_missing_file_is_created_with_the_block_alone() {
    let bench = Bench::new();
    let template = block(&bench, "a");
    let text = "# BEGIN rosterd a\nx\n# END rosterd a\n";
    let expected = Comparison { differs: true, old: None, new: text.into(), attributes: None };
    assert_eq!(compare(&bench.writer, &template, b"x").await, Ok(expected));
    assert_eq!(bench.publish(&template, b"x").await, Outcome::Replaced);
    assert_eq!(fs::read_to_string(&template.dest).unwrap(), text);
}

#[tokio::test]
async fn invalid_markers_leave_the_file_unchanged() {
    let bench = Bench::new();
    let template = block(&bench, "a");
    fs::write(&template.dest, "x\n# BEGIN rosterd a\n").unwrap();
    let before = identity(&template.dest);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(message.contains("line 2 begins block a, and no line ends it"), "{message}");
    assert_eq!(compare(&bench.writer, &template, b"new").await.unwrap_err().to_string(), message);
    assert_eq!(identity(&template.dest), before);
}

#[tokio::test]
async fn a_concurrent_edit_is_not_lost() {
    for (edit, shows) in [
        ("echo theirs >> {{ dest }}", "theirs\n"),
        ("sed -i s/old/their/ {{ dest }}", "their\n"),
        // Equal bytes except for one.
        ("printf O | dd of={{ dest }} conv=notrunc bs=1 status=none", "Old\n"),
        ("rm {{ dest }}", "# BEGIN"),
    ] {
        let bench = Bench::new();
        let mut template = block(&bench, "a");
        fs::write(&template.dest, "old\n").unwrap();
        let once = bench.path("once");
        template.check = Some(shell(format!("[ -e {0} ] || {{ touch {0}; {edit}; }}", once.display())));
        assert_eq!(bench.publish(&template, b"x").await, Outcome::Replaced, "{edit}");
        let now = fs::read_to_string(&template.dest).unwrap();
        assert!(now.contains(shows) && now.ends_with("# BEGIN rosterd a\nx\n# END rosterd a\n"), "{edit}: {now}");
        assert_eq!(staged_in(bench.directory.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_file_created_meanwhile_is_not_lost() {
    let bench = Bench::new();
    let mut template = block(&bench, "a");
    template.check = Some(shell("[ -e {{ dest }} ] || echo theirs > {{ dest }}"));
    assert_eq!(bench.publish(&template, b"x").await, Outcome::Replaced);
    assert_eq!(fs::read_to_string(&template.dest).unwrap(), "theirs\n# BEGIN rosterd a\nx\n# END rosterd a\n");
}

#[tokio::test]
async fn a_file_that_changes_all_the_time_is_not_written() {
    let bench = Bench::new();
    let mut template = block(&bench, "a");
    template.check = Some(shell("echo theirs >> {{ dest }}"));
    let message = bench.failure(&template, b"x", Stage::Changed).await;
    assert!(message.contains("another process changed it in the meantime"), "{message}");
    assert_eq!(fs::read_to_string(&template.dest).unwrap(), "theirs\n".repeat(5));
}

#[tokio::test]
async fn templates_with_a_block_each_share_a_file() {
    let bench = Bench::new();
    fs::write(bench.path("f"), "x\n").unwrap();
    let templates = ["a", "b", "c"].map(|name| block(&bench, name));
    for round in ["1", "2"] {
        let publications = templates.iter().map(|it| bench.publish(it, round.as_bytes()));
        let outcomes = futures_util::future::join_all(publications).await;
        assert_eq!(outcomes, [Outcome::Replaced, Outcome::Replaced, Outcome::Replaced]);
        let now = fs::read_to_string(bench.path("f")).unwrap();
        for name in ["a", "b", "c"] {
            assert!(now.contains(&format!("# BEGIN rosterd {name}\n{round}\n# END rosterd {name}\n")), "{now}");
        }
        assert!(now.starts_with("x\n") && now.lines().count() == 10, "{now}");
    }
}
