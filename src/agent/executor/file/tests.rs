use super::*;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_slow_diff_does_not_delay_timers() {
    let dir = tempfile::TempDir::new().unwrap();
    let template = TemplateConfig::new("t", "t.tera", dir.path().join("t"));
    // Both have the same few lines in a different order, so the smallest difference is hard to find.
    let text = |seed: u64| {
        let next = |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let lines = std::iter::successors(Some(seed), next).take(20_000);
        lines
            .map(|n| ["aa\n", "b\n", "ccc\n", "dddd\n", "e\n"][usize::try_from((n >> 40) % 5).unwrap()])
            .collect::<String>()
    };
    std::fs::write(&template.dest, text(1)).unwrap();
    let (writer, stop) = (Writer::start().unwrap(), CancellationToken::new());
    let (diff, mut batch_file) = (DiffSink::default(), None);
    let bytes = text(2).into_bytes().into();
    let comparing = replace(&writer, &template, bytes, true, Some(&diff), &stop, &mut batch_file);
    let mut comparing = std::pin::pin!(comparing);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let outcome = loop {
        tokio::select! {
            outcome = &mut comparing => break outcome,
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
    };
    longest = longest.max(last.elapsed());
    assert_eq!(outcome, Outcome::WouldReplace);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}
