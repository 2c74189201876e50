use super::*;
use clap::Arg;

fn spelled(words: &str) -> String {
    let cli = Command::new("rosterd")
        .arg(Arg::new("config").short('c').long("config").global(true))
        .subcommand(Command::new("run"))
        .subcommand(Command::new("migrate").arg(Arg::new("prefix").long("prefix")))
        .subcommand(Command::new("render").arg(Arg::new("dry-run").long("dry-run").visible_alias("noop")));
    let args = words.split(' ').map(OsString::from).collect();
    let out = match modern(args, || cli.clone()) {
        Ok(out) => out,
        Err(wrong) => return wrong,
    };
    let out: Vec<String> = out.into_iter().map(|arg| arg.into_string().unwrap()).collect();
    out.join(" ")
}

#[test]
fn old_spellings_are_accepted() {
    let cases = [
        ("rosterd -config=f run", "rosterd --config=f run"),
        ("rosterd -c f run", "rosterd -c f run"),
        ("rosterd -onetime -noop", "rosterd render --noop"),
        ("rosterd -c f --once", "rosterd render -c f"),
        ("rosterd run --once -config f", "rosterd render --config f"),
        ("rosterd render --once", "rosterd render"),
        ("rosterd run -- prog -config", "rosterd run -- prog -config"),
        ("rosterd -x --nonsense", "rosterd -x --nonsense"),
        ("rosterd run -config-file=f", "rosterd run --config=f"),
        ("rosterd --config-file f run", "rosterd --config f run"),
        (
            "rosterd -watch -backend zookeeper",
            "-watch is an option of confd; in rosterd: the command rosterd run (`rosterd migrate confd` converts its configuration; see docs/migrating.md)",
        ),
        (
            "rosterd -onetime -backend=zookeeper -node a:2181",
            "-backend is an option of confd; in rosterd: [registry] url, or --registry zk://HOST:2181 (`rosterd migrate confd` converts its configuration; see docs/migrating.md)",
        ),
        ("rosterd run -- prog -backend x", "rosterd run -- prog -backend x"),
        ("rosterd migrate confd d -prefix /p", "rosterd migrate confd d --prefix /p"),
    ];
    for (words, read) in cases {
        assert_eq!(spelled(words), read);
    }
}
