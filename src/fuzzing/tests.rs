//! The fuzz targets with random inputs, on a stable compiler. `make fuzz` runs the same functions for longer.

use crate::model::registry_event::NodeContent;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{config, memory, migrate, nodes, payload, render, request};
use crate::support::random;

/// The inputs that the fuzz targets start from.
fn seeds(of: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(of);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Nearly valid and invalid inputs: seeds with parts removed and others inserted.
fn nearly(of: &str, pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let piece = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..4),
        3 => prop::sample::select(pieces).prop_map(|text| text.as_bytes().to_vec()),
    ];
    let edit = (any::<prop::sample::Index>(), 0usize..3, piece);
    let edited = (prop::sample::select(seeds(of)), prop::collection::vec(edit, 0..6));
    let edited = edited.prop_map(|(mut bytes, edits)| {
        for (at, cut, piece) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        bytes
    });
    prop_oneof![9 => edited, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// Texts with a meaning in a node, in JSON, in a line or in the template.
const OF_NODES: &[&str] = &[
    "\n",
    "\r",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\0",
    "\u{1b}[1A",
    "\\n",
    "\\u2028",
    "\\u0085",
    "\\ud800",
    "\"",
    "'",
    "{",
    "}",
    "[",
    ",",
    ":",
    "%",
    "%0a",
    "%250a",
    "_",
    "{{ 1 }}",
    "{%",
    "{#",
    "1e999",
    "-1",
    nodes::NODE,
    nodes::DATA,
    " server evil 10.0.0.9:1",
];

/// Parts of configurations, so that random combinations get past the first line.
const OF_CONFIGS: &[&str] = &[
    "[registry]\n",
    "[[registry]]\n",
    "url = \"zk://a:1,[::1]/x\"\n",
    "[agent]\n",
    "[status]\n",
    "[vars]\n",
    "[[roster]]\n",
    "[[key]]\n",
    "[[template]]\n",
    "[template]\n",
    "[exec]\n",
    "cmd = ",
    "path = ",
    "min = ",
    "max = ",
    "wait = ",
    "src = ",
    "dest = ",
    "mode = ",
    "check_cmd = ",
    "reload_cmd = ",
    "env = ",
    "tls = ",
    "auth = ",
    "owner = ",
    "\"/a/{{ vars.x }}\"\n",
    "\"{{ src }}\"\n",
    "\"é\u{1F980}\"\n",
    "5\n",
    "-1\n",
    "0xffffffffffffffffff\n",
    "nan\n",
    "true\n",
    "{ a = 1 }\n",
    "[1, 2]\n",
    "1979-05-27\n",
    "\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
];

/// Parts of requests and of saved state.
const OF_LINES: &[&str] = &[
    "\n",
    "\"",
    "{",
    "}",
    "null",
    ":",
    ",",
    "-1",
    "1e999",
    "[[[[[[[[",
    "\\u0000",
    "\"secs\":18446744073709551615",
    "\"v\":2",
    "rosterd memory 2\n",
];

/// Parts of Go templates.
const OF_GO: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{end}}",
    "{{else}}",
    "{{if .}}",
    "{{else if $x}}",
    "{{range $i, $v := gets \"/a/*\"}}",
    "{{with json .Value}}",
    "{{$x := 1}}",
    "{{$x = .Key}}",
    "{{define \"a\"}}",
    "{{template \"a\" .}}",
    "{{/* c */}}",
    "(",
    ")",
    "|",
    "\"",
    "`",
    "'",
    ".",
    "$",
    ".Key",
    ".Value",
    " eq ",
    " printf \"%s%d\" ",
    "getv \"/a/b\"",
    "ls \"/a\"",
    "{{break}}",
    "service .Name",
    "key \"a\"",
    "keyOrDefault \"a\" \"b\"",
    "services",
    "index . 0",
    "len ",
    "and ",
    "not ",
    "map \"a\" .",
    "{#",
    "{%",
    "#}",
    "%}",
    "{",
    "}",
    "\n",
    "\\",
    "*",
    "/",
    "é",
    "<<E\n",
    "template {",
    "contents = ",
    "=",
    "[",
];

proptest! {
    #![proptest_config(random::config(1_000, 200_000))]

    #[test]
    fn any_node_is_decoded_or_refused(bytes in nearly("nodes", OF_NODES)) {
        payload::any(&bytes);
    }

    #[test]
    fn any_members_are_rendered_as_one_line_each(bytes in nearly("nodes", OF_NODES)) {
        render::any(&bytes);
    }

    #[test]
    fn any_text_is_a_valid_configuration_or_is_reported(
        picks in prop::collection::vec(prop::sample::select(OF_CONFIGS), 0..40),
        nearly in nearly("config", OF_CONFIGS),
    ) {
        let home = TempDir::new().unwrap();
        config::any(&home, picks.concat().as_bytes());
        config::any(&home, &nearly);
    }

    #[test]
    fn any_saved_roster_is_loaded_or_ignored(bytes in nearly("memory", OF_LINES)) {
        memory::any(&TempDir::new().unwrap(), &bytes);
    }

    #[test]
    fn any_go_template_becomes_valid_tera(
        picks in prop::collection::vec(prop::sample::select(OF_GO), 0..30),
        nearly in nearly("migrate", OF_GO),
    ) {
        migrate::any(&nearly);
        migrate::any(picks.concat().as_bytes());
    }

    #[test]
    fn any_request_is_parsed_or_refused(bytes in nearly("request", OF_LINES)) {
        request::any(&bytes);
    }
}

/// Without a test above, a fuzz target would run only with a nightly compiler.
#[test]
fn every_fuzz_target_has_a_test() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = fs::read_to_string(crate_dir.join("src/fuzzing/tests.rs")).unwrap();
    let makefile = fs::read_to_string(crate_dir.join("Makefile")).unwrap();
    let mut targets = 0;
    for entry in fs::read_dir(crate_dir.join("fuzz/fuzz_targets")).unwrap() {
        let file = entry.unwrap().path();
        let (name, text) = (file.file_stem().unwrap().to_str().unwrap(), fs::read_to_string(&file).unwrap());
        let is_here = text.contains(&format!("fuzzing::{name}::any")) && own.contains(&format!("{name}::any(&"));
        assert!(is_here || text.contains(&format!("fuzzing::{name}(")), "{name} has no test");
        assert!(makefile.contains(&format!("fuzz,{name},")), "make fuzz leaves {name} out");
        targets += 1;
    }
    assert!(targets >= 8, "{targets}");
}

/// Each seed is valid input for its target.
#[test]
fn every_seed_is_valid() {
    for seed in seeds("request") {
        let request = serde_json::from_slice::<crate::control::protocol::Request>(&seed);
        assert!(request.is_ok(), "{request:?}");
    }
    for seed in seeds("memory") {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("rosters")).unwrap();
        fs::write(home.path().join("rosters/web.roster"), &seed).unwrap();
        let recalled =
            crate::state::last_good::LastGood::new(home.path()).load(crate::state::append_log::Access::ReadOnly);
        assert_eq!(recalled["web"].paths["x"].members.keys().map(|name| &**name).collect::<Vec<_>>(), ["b:1"]);
    }
    for seed in seeds("config") {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join("rosterd.toml"), &seed).unwrap();
        let overrides = crate::config::Overrides { host_name: "web1".into(), ..Default::default() };
        let problems = crate::config::load(&home.path().join("rosterd.toml"), &overrides).err();
        // Only the files that it names are missing.
        let said = problems.map(|problems| problems.to_string()).unwrap_or_default();
        assert!(said.lines().filter(|line| line.starts_with("error")).all(|line| line.contains("nowhere")), "{said}");
    }
    for seed in seeds("nodes") {
        let nodes = nodes::nodes(&seed);
        let payload = crate::payload::Payload::parse(&nodes[0].0).expect("a format's name");
        let all = nodes[1..]
            .iter()
            .map(|(name, data)| (name.as_str().into(), Ok(NodeContent::ephemeral(data.as_slice()))))
            .collect();
        let children = crate::payload::DecodedChildren::read(&payload, None, &all, None);
        assert!(
            !children.members().is_empty() && children.quarantined().is_empty(),
            "{payload}: {:?}",
            children.quarantined()
        );
    }
}
