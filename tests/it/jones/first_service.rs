//! The first service of the documentation, as its page prints it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Scene, Site};

/// The blocks of the page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .filter_map(|block| block.split_once('\n'))
        .filter(|(of, _)| *of == language)
        .map(|(_, text)| text.to_owned())
        .collect()
}

#[test]
fn the_commands_of_the_page_build_the_service_that_its_text_describes() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/jones-start.md")).unwrap();
    let scene = Scene::new();
    let binaries = Path::new(env!("CARGO_BIN_EXE_rosterd")).parent().unwrap();
    let mut shown = String::new();
    for block in blocks(&page, "") {
        let output = Command::new("sh")
            .args(["-e", "-c", &block])
            .env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()))
            .env("ROSTERD_REGISTRY", format!("zk://{}", scene.servers))
            .env_remove("ROSTERD_CONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}: {}", String::from_utf8_lossy(&output.stderr));
        shown += &String::from_utf8(output.stdout).unwrap();
    }
    for words in
        ["pool     talks/eu  20     hides talks\n", "verbose  talks     false\n", "  \"pool\": 20,\n", "larger\n"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    let config = blocks(&page, "toml").concat().replace("/etc/talks.conf", "SITE/out/talks.conf");
    let config = config
        .replace("systemctl reload talks", "true")
        .replace("\"talks\"\n", "\"talks\"\nhost = \"web1.example.com\"\n");
    let site = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n\n{config}", scene.servers));
    site.file("templates/talks.conf.tera", "{{ settings.pool }} {{ settings.verbose }}\n");
    let agent = site.start();
    agent.until("the file is written", || site.read("out/talks.conf") == "20 false\n");
}
