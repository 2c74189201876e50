//! Any nodes, in every format: each is read or refused, and no text of a member can end a line.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/nodes.rs"]
mod nodes;
#[path = "../../tests/fuzz/payload.rs"]
mod payload;

fuzz_target!(|bytes: &[u8]| payload::any(bytes));
