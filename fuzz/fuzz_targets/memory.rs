//! Any bytes as a file of what was known before: what is whole in it is taken, and what is not does no harm.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::memory::any(&HOME, bytes));
