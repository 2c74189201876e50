//! A reader sees the whole old or the whole new file, at every instant.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use rosterd::decide::Outcome;

use crate::bench::Bench;

/// At least so many.
const REPLACEMENTS: u32 = 2_000;

/// At least so many reads where the documentation's numbers are to be proved, else so many.
fn wanted() -> u64 {
    if std::env::var_os("ROSTERD_PROVE").is_some() { 1_000_000 } else { 100 }
}

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
    let reads = Arc::new(AtomicU64::new(0));
    let reader = {
        let (dest, ended, reads) = (template.dest.clone(), ended.clone(), reads.clone());
        thread::spawn(move || {
            let mut last = 0;
            while !ended.load(Ordering::Relaxed) {
                let bytes = fs::read(&dest).expect("the file is never missing");
                let now = number_of(&bytes).expect("the file is never torn");
                assert!(now >= last, "{now} after {last}");
                last = now;
                reads.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let begun = Instant::now();
    let mut number = 0;
    while number < REPLACEMENTS || (reads.load(Ordering::Relaxed) < wanted() && !reader.is_finished()) {
        number += 1;
        assert_eq!(bench.publish(&template, &generation(number)).await, Outcome::Replaced);
    }
    ended.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    let reads = reads.load(Ordering::Relaxed);
    println!("{reads} reads of {number} files in {:?}", begun.elapsed());
    assert!(reads >= wanted(), "only {reads} reads");
}
