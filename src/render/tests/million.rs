//! A million members in every format that try to write a line of their own.

use std::path::Path;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::decide::RosterValue;
use crate::payload::Format;

use super::hostile::{Rendered, seats};
use crate::support::examples::{Example, NASTY, Nodes, haproxy_accepts};
use crate::support::random;

/// Characters that end a line somewhere, or might.
const BREAKS: [&str; 10] = ["\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}", "\0", "\u{1b}[1A", "\\n"];

const FORMATS: [Format; 13] = [
    Format::Nextdoor,
    Format::HostPort,
    Format::Nerve,
    Format::Serverset,
    Format::Curator,
    Format::Dubbo,
    Format::Kafka,
    Format::Hbase,
    Format::Solr,
    Format::Patroni,
    Format::Lock,
    Format::Party,
    Format::ShallowParty,
];

/// A text that tries to be rendered, sometimes with a character that would end a line.
fn nasty(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.usize(1..4) {
        match rng.usize(0..24) {
            0 => text.push_str(rng.choice(BREAKS).unwrap()),
            1 if rng.u8(0..16) == 0 => text.push_str(&"long".repeat(rng.usize(64..2000))),
            1..5 => text.push(rng.char(..)),
            5..12 => text.push_str("web"),
            _ => text.push_str(rng.choice(NASTY).unwrap()),
        }
    }
    text
}

/// Valid in most cases.
fn mostly(rng: &mut Rng, right: &str) -> String {
    if rng.u8(0..8) == 0 { nasty(rng) } else { right.to_owned() }
}

fn value(rng: &mut Rng) -> Value {
    match rng.u8(0..8) {
        0 => json!(rng.i64(..)),
        1 => json!({nasty(rng): [nasty(rng), null, {"deep": nasty(rng)}]}),
        2 => json!(1.5),
        _ => json!(nasty(rng)),
    }
}

/// A node in this format, with hostile texts wherever possible.
fn node(rng: &mut Rng, format: &Format, number: usize) -> (String, Vec<u8>) {
    let host = mostly(rng, "10.0.0.1");
    let port = if rng.u8(0..8) == 0 { value(rng) } else { json!(rng.u16(1..)) };
    let tail = mostly(rng, "x");
    let mut data = match format {
        Format::Nextdoor | Format::HostPort => json!({"status": "down", "weight": value(rng)}),
        Format::Nerve => json!({"host": host, "port": port, "name": value(rng), "weight": value(rng)}),
        Format::Serverset => {
            json!({"serviceEndpoint": {"host": host, "port": port}, "status": "ALIVE", "shard": value(rng)})
        }
        Format::Curator => json!({"address": host, "port": port, "id": value(rng),
            "payload": {"metadata": {"instance_status": value(rng), "weight": value(rng)}}}),
        Format::Kafka => json!({"host": host, "port": port, "endpoints": [format!("PLAINTEXT://{host}:9092")]}),
        Format::Patroni => json!({"conn_url": format!("postgres://{tail}@{host}/{tail}"), "state": value(rng)}),
        _ => json!({}),
    };
    for _ in 0..rng.usize(0..3) {
        data[nasty(rng)] = value(rng);
    }
    let name = match format {
        Format::Nextdoor | Format::HostPort if tail == "x" => format!("10.0.{}.{}:80", number / 250, number % 250),
        Format::Nextdoor | Format::HostPort => format!("{tail}{number}:{}", rng.u16(..)),
        Format::Kafka => number.to_string(),
        Format::Serverset => format!("member_{tail}{number}"),
        Format::Dubbo => format!("dubbo%3A%2F%2F{host}%3A{number}%2F{tail}%3Fdisabled%3Dtrue%26{tail}%3D{tail}%250a"),
        Format::Hbase => format!("{host},{},{number}", rng.u16(..)),
        Format::Solr => format!("{host}:{}_{tail}{number}", rng.u16(..)),
        Format::Lock => format!("{tail}__lock__{number:010}"),
        Format::Party => format!("{tail}{number}__party__"),
        Format::ShallowParty => format!("{number:032x}-{tail}"),
        _ => format!("{tail}_{number}"),
    };
    (name, serde_json::to_vec(&data).unwrap())
}

/// An independent list of characters, not the agent's own.
fn is_breaking(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

/// The shipped haproxy template, and one that quotes nothing, render one line for each member.
#[test]
fn no_member_ever_adds_a_line() {
    // The number of members to render, not counting quarantined ones.
    let (wanted, batch) = random::count((4_000, 100), (1_000_000, 500));
    let mut rng = random::rng();
    let example = Example::open("haproxy");
    let haproxy = Rendered::example(&example);
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let bare = Rendered::load(&templates, "bare.tera", "web", Map::new());

    let clean = haproxy.with(seats(&Format::Nextdoor, &Nodes::new())).lines().count();
    let (mut made, mut admitted) = (0, 0);
    for turn in 0.. {
        if admitted >= wanted && turn >= FORMATS.len() {
            break;
        }
        let format = &FORMATS[turn % FORMATS.len()];
        let nodes: Nodes = (0..batch).map(|number| node(&mut rng, format, number + 1)).collect();
        let members = seats(format, &nodes);
        let RosterValue::List(list) = &members else { unreachable!() };
        let count = list.len();
        assert!(count * 10 > batch, "{format}: only {count} of {batch} are admitted, too few for the test");
        let text = haproxy.with(members.clone());
        assert_eq!(text.split('\n').count(), clean + 1 + count, "{format}, turn {turn}");
        let lines =
            text.lines().filter(|line| line.starts_with("    server ") || line.starts_with("    # left out, it has"));
        assert_eq!(lines.count(), count, "{format}, turn {turn}");
        if turn < FORMATS.len() {
            haproxy_accepts(&checkable(&text));
        }
        let text = bare.with(members);
        let broken: Vec<&str> = text.split('\n').filter(|line| line.contains(is_breaking)).collect();
        assert!(broken.is_empty(), "{format}, turn {turn}: {broken:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with("member ")).count(), count, "{format}, turn {turn}");
        assert_eq!(text.trim_end().lines().count(), count, "{format}, turn {turn}");
        (made, admitted) = (made + batch, admitted + count);
    }
    assert!(admitted * 2 > made, "only {admitted} of {made} are admitted");
}

/// Removes servers by host name, because haproxy would resolve them, which is slow.
fn checkable(text: &str) -> String {
    let address = |line: &str| line.strip_prefix("    server ")?.split(' ').nth(1).map(str::to_owned);
    let is_quick = |line: &&str| address(line).is_none_or(|address| address.parse::<std::net::SocketAddr>().is_ok());
    text.lines().filter(is_quick).flat_map(|line| [line, "\n"]).collect()
}
