//! Any bytes as replies of a ZooKeeper server.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::replies(bytes));
