//! Any members, through the shipped haproxy template: one line for each, and no other.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/nodes.rs"]
mod nodes;
#[path = "../../tests/fuzz/render.rs"]
mod render;

fuzz_target!(|bytes: &[u8]| render::any(bytes));
