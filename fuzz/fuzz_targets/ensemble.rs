//! Any bytes as what an ensemble says of itself in `/zookeeper/config`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rosterd::fuzzing::ensemble(bytes));
