//! Any bytes as an ensemble's own description in `/zookeeper/config`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::ensemble(bytes));
