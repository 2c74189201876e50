//! Any bytes as what an ensemble says of itself in `/zookeeper/config`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rosterd::watch::zookeeper::any_bytes;

fuzz_target!(|bytes: &[u8]| any_bytes::ensemble(bytes));
