//! The cost of keeping files in sync, compared with the minimum, as a Markdown table.
//!
//! Everything is measured in one run on one machine, against a real ZooKeeper: a bare program that only waits for an
//! event, reads one node and writes the files with the same syncs (the floor); rosterd; and confd if
//! `ROSTERD_BENCH_CONFD` names its binary. Run it with `make bench` on an otherwise idle machine.
//!
//! Arguments after `cargo bench --bench cost --` select measurements: `change` or one case of it such as `1000x20`,
//! `first`, `storm`, `idle`.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/support/mod.rs"]
mod support;

mod change;
mod confd;
mod first;
mod idle;
mod storm;
mod table;

use support::zookeeper::ZooKeeper;
use table::Table;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |figure: &str| chosen.is_empty() || chosen.iter().any(|word| word == figure);
    let confd = confd::named();
    let zookeeper = ZooKeeper::one();
    let mut table = Table::new(&change::COLUMNS);
    let mut one_change = false;
    for (members, templates) in [(1, 1), (10, 1), (100, 1), (1000, 1), (10_000, 1), (1000, 20), (1000, 200)] {
        if is_chosen("change") || is_chosen(&format!("{members}x{templates}")) {
            change::measure(&zookeeper, members, templates, confd.as_deref(), &mut table);
            one_change = true;
        }
    }
    if one_change {
        println!("\n### One change\n\n{table}");
    }
    if is_chosen("first") {
        println!("\n### First read\n\n{}", first::measure(&zookeeper, confd.as_deref()));
    }
    if is_chosen("storm") {
        println!("\n### Storm\n\n{}", storm::measure(&zookeeper));
    }
    if is_chosen("idle") {
        println!("\n### At rest\n\n{}", idle::measure(&zookeeper));
    }
}
