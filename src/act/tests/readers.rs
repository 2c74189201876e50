//! At every instant a reader sees the whole old or the whole new file.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::decide::Outcome;

use super::bench::Bench;

/// The least number of replacements and of reads; more to prove the documentation's numbers.
fn wanted() -> (u32, u64) {
    crate::support::random::count((200, 100), (2_000, 1_000_000))
}

/// Bytes that show whether they are complete: the number, on as many lines as it says.
fn generation(number: u32) -> Vec<u8> {
    let line = format!("{number:08}\n");
    line.repeat(50 + number as usize % 2_000).into_bytes()
}

fn number_of(bytes: &[u8]) -> Option<u32> {
    let number = std::str::from_utf8(bytes.get(..8)?).ok()?.parse().ok()?;
    (generation(number) == bytes).then_some(number)
}

/// The variable that tells another process which file to read.
const PREY: &str = "ROSTERD_ACT_TEST_READ";

/// The reader: reads until it is told to end, and reports its reads.
fn read_on(dest: &Path) {
    let (mut last, mut reads) = (0, 0_u64);
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    thread::spawn(move || {
        // The end of its input.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Relaxed);
    });
    let mut said = io::stderr();
    while !ended.load(Ordering::Relaxed) {
        let bytes = fs::read(dest).expect("the file is never missing");
        let now = number_of(&bytes).expect("the file is never torn");
        assert!(now >= last, "{now} after {last}");
        (last, reads) = (now, reads + 1);
        if reads.is_multiple_of(50) {
            said.write_all(b"50 reads\n").unwrap();
        }
    }
}

/// Another process that reads. It reports the number of its reads.
struct Reader {
    process: Child,
    reads: Arc<AtomicU64>,
    listener: JoinHandle<String>,
}

impl Reader {
    fn new(test: &str, dest: &Path) -> Self {
        let mut process = Process::new(std::env::current_exe().unwrap());
        process.args(["--exact", test, "--nocapture"]).env(PREY, dest);
        let mut process = process.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, reads) = (BufReader::new(process.stderr.take().unwrap()).lines(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&reads);
        let listener = thread::spawn(move || {
            let mut said = String::new();
            for line in lines.map_while(Result::ok) {
                if line == "50 reads" {
                    counted.fetch_add(50, Ordering::Relaxed);
                } else {
                    said += &line;
                }
            }
            said
        });
        Self { process, reads, listener }
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Whether it read something that no reader may see.
    fn has_failed(&self) -> bool {
        self.listener.is_finished()
    }

    fn end(mut self) -> u64 {
        drop(self.process.stdin.take());
        let said = self.listener.join().unwrap();
        assert!(self.process.wait().unwrap().success(), "{said}");
        self.reads.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn readers_see_whole_files_in_order() {
    const NAME: &str = "act::tests::readers::readers_see_whole_files_in_order";
    if let Some(dest) = std::env::var_os(PREY) {
        return read_on(Path::new(&dest));
    }
    let bench = Bench::new();
    let template = bench.template("f");
    fs::write(&template.dest, generation(0)).unwrap();
    let readers = [(); 2].map(|()| Reader::new(NAME, &template.dest));
    let reads = || readers.iter().map(Reader::reads).sum::<u64>();
    let begun = Instant::now();
    let (replacements, least) = wanted();
    let mut number = 0;
    while number < replacements || reads() < least {
        number += 1;
        assert_eq!(bench.publish(&template, &generation(number)).await, Outcome::Replaced);
        if readers.iter().any(Reader::has_failed) {
            break;
        }
    }
    let reads: u64 = readers.map(Reader::end).into_iter().sum();
    println!("{reads} reads by 2 processes of {number} files in {:?}", begun.elapsed());
    assert!(reads >= least, "only {reads} reads");
}
