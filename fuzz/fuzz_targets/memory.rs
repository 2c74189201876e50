//! Any bytes as a file of saved members: intact lines are read, and damaged ones are ignored.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary directory"));

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::memory::any(&HOME, bytes));
