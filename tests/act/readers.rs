//! A reader sees the whole old or the whole new file, at every instant.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rosterd::decide::Outcome;

use crate::bench::Bench;

const REPLACEMENTS: u32 = 2_000;

/// Bytes that show by themselves whether they are whole: the number, on as many lines as it has to be.
fn generation(number: u32) -> Vec<u8> {
    let line = format!("{number:08}\n");
    line.repeat(50 + number as usize % 2_000).into_bytes()
}

fn number_of(bytes: &[u8]) -> Option<u32> {
    let number = std::str::from_utf8(bytes.get(..8)?).ok()?.parse().ok()?;
    (generation(number) == bytes).then_some(number)
}

#[tokio::test]
async fn no_read_is_torn_missing_or_backwards() {
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, generation(0)).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let reader = {
        let (dest, ended) = (template.dest.clone(), ended.clone());
        thread::spawn(move || {
            let (mut reads, mut last) = (0_u64, 0);
            while !ended.load(Ordering::Relaxed) {
                let bytes = fs::read(&dest).expect("the file is never missing");
                let now = number_of(&bytes).expect("the file is never torn");
                assert!(now >= last, "{now} after {last}");
                (reads, last) = (reads + 1, now);
            }
            reads
        })
    };
    for number in 1..=REPLACEMENTS {
        assert_eq!(bench.publish(&template, &generation(number)).await, Outcome::Replaced);
    }
    ended.store(true, Ordering::Relaxed);
    let reads = reader.join().unwrap();
    assert!(reads >= 100, "only {reads} reads");
}
