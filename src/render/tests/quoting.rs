//! The output of each quoting filter, read by the program that it is for.

use std::fs;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::payload::Format;

use super::hostile::{Rendered, seats};
use crate::support::examples::{NASTY, Nodes, file, run, said};

/// Texts with a special meaning in some program, alone and combined. A member has no control characters.
fn texts() -> Vec<String> {
    let odd = [
        "",
        "a",
        "'",
        "''",
        "a'b \"c\" $d\\ ; # {{ e }} é",
        "\\'",
        "-n",
        "%s",
        "~",
        "!",
        "[x]",
        "*",
        "\\\\",
        "=",
        "yes",
        "0x1f",
        "1e3",
    ];
    let mut texts: Vec<String> = NASTY.iter().chain(&odd).map(|text| (*text).to_owned()).collect();
    texts.retain(|text| !text.contains('\n'));
    let pairs: Vec<String> = NASTY.iter().zip(NASTY.iter().skip(1)).map(|(a, b)| format!("x{a}{b} y")).collect();
    texts.extend(pairs.into_iter().filter(|text| !text.contains('\n')));
    texts
}

/// One line for each text, available as `m.x`.
fn lines(line: &str, texts: &[String]) -> String {
    let nodes: Nodes = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("n{at:03}:1"), json!({"x": text}).to_string().into_bytes()))
        .collect();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("t"), format!("{{% for m in web %}}{line}\n{{% endfor %}}")).unwrap();
    let text = Rendered::load(dir.path(), "t", "web", Map::new()).with(seats(&Format::Nextdoor, &nodes));
    assert_eq!(text.lines().count(), texts.len(), "{text}");
    text
}

#[test]
fn sh_reads_the_output_of_shell() {
    let texts = texts();
    let (_dir, script) = file("script.sh", &lines("printf '%s\\n' {{ m.x | shell }}", &texts));
    let output = run("sh", "dash", &[&script]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), texts);
}

#[test]
fn haproxy_reads_the_output_of_the_haproxy_filter() {
    let texts: Vec<String> = texts().into_iter().filter(|text| !text.is_empty()).collect();
    let (_dir, path) = file("haproxy.cfg", &lines(".notice {{ m.x | haproxy }}", &texts));
    // haproxy fails without a listener, but reports what it parsed.
    let output = run("haproxy", "haproxy", &["-c", "-f", &path]);
    let said = String::from_utf8(output.stderr).unwrap();
    let read = said.lines().filter_map(|line| line.split_once("]: '")?.1.strip_suffix("'."));
    assert_eq!(read.collect::<Vec<_>>(), texts, "{said}");
}

#[test]
fn nginx_reads_the_output_of_the_nginx_filter_as_one_argument() {
    let texts: Vec<String> = texts().into_iter().filter(|text| !text.contains('$')).collect();
    let (dir, locations) = file("locations.conf", &lines("location /{{ m.slot }} { root {{ m.x | nginx }}; }", &texts));
    let conf = dir.path().join("nginx.conf");
    let whole = format!(
        "pid {0}/pid; error_log stderr; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:1; include {locations}; }} }}",
        dir.path().display()
    );
    fs::write(&conf, whole).unwrap();
    let output = run("nginx", "nginx-light", &["-t", "-c", conf.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

/// A file as Python reads it.
fn python(read: &str, text: &str) -> Value {
    let (_dir, path) = file("data", text);
    let output = run("python3", "python3", &["-c", &format!("import json, sys; {read}"), &path]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn python_reads_the_output_of_json_and_toml() {
    let texts = texts();
    let json = lines("{{ m.x | json }}", &texts);
    assert_eq!(
        python("print(json.dumps([json.loads(line) for line in open(sys.argv[1], encoding='utf8')]))", &json),
        json!(texts)
    );
    let toml = lines("k{{ m.slot }} = {{ m.x | toml }}", &texts);
    let read = "import tomllib; print(json.dumps(list(tomllib.load(open(sys.argv[1], 'rb')).values())))";
    assert_eq!(python(read, &toml), json!(texts));
}

#[test]
fn a_yaml_parser_reads_the_output_of_yaml() {
    let texts = texts();
    let read: Value = serde_norway::from_str(&lines("- {{ m.x | yaml }}", &texts)).unwrap();
    assert_eq!(read, json!(texts));
}

#[test]
fn a_hosts_file_accepts_the_output_of_hosts_name() {
    let texts = texts();
    let entries = crate::support::examples::hosts(&lines("10.0.0.1 {{ m.x | hosts_name }}", &texts));
    assert_eq!(entries.len(), texts.len());
    assert!(entries.iter().all(|(_, names)| names.len() == 1));
}
