//! Any bytes as what a ZooKeeper server sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rosterd::watch::zookeeper::any_bytes;

fuzz_target!(|bytes: &[u8]| any_bytes::answers(bytes));
