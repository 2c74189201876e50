//! Accepts spellings of options from confd, consul-template and Go's flag package, and says what replaces the others.

use std::cell::LazyCell;
use std::ffi::OsString;

use clap::Command;

#[cfg(test)]
mod tests;

/// Options of confd and consul-template that rosterd does not have: the program, the option, and the counterpart.
const FOREIGN: [(&str, &str, &str); 21] = [
    ("confd", "auth-token", "[registry] auth"),
    ("confd", "backend", "[registry] url, or --registry zk://HOST:2181"),
    ("confd", "basic-auth", "[registry] auth"),
    ("confd", "client-ca-keys", "[registry] tls"),
    ("confd", "client-cert", "[registry] tls"),
    ("confd", "client-key", "[registry] tls"),
    ("confd", "confdir", "-c FILE: conf.d/*.toml next to FILE is included"),
    ("confd", "interval", "not needed: rosterd run watches, and reads everything again every 5 minutes"),
    ("confd", "keep-stage-file", "rosterd diff"),
    ("confd", "log-level", "the environment variable ROSTERD_LOG"),
    ("confd", "node", "[registry] url, or --registry zk://HOST:2181"),
    ("confd", "prefix", "a chroot in the registry's url, zk://HOST:2181/PREFIX, or part of each roster's path"),
    ("confd", "scheme", "[registry] url: zk:// or zks://"),
    ("confd", "srv-domain", "[registry] url with every server"),
    ("confd", "sync-only", "rosterd render --no-reload"),
    ("confd", "watch", "the command rosterd run"),
    ("consul-template", "consul-addr", "[registry] url, or --registry zk://HOST:2181"),
    ("consul-template", "dry", "the command rosterd diff"),
    ("consul-template", "exec", "rosterd run -- CMD, or [exec]"),
    ("consul-template", "pid-file", "not needed: rosterd status shows the process ID"),
    ("consul-template", "wait", "wait in [[roster]]"),
];

/// Adds the second dash to long options with one dash (`-onetime`), and converts `--once` and `--onetime` to `render`.
///
/// # Errors
/// There is an option of confd or consul-template that has no counterpart of its name: what to use.
pub fn modern(args: Vec<OsString>, cli: impl Fn() -> Command) -> Result<Vec<OsString>, String> {
    // Most command lines need no list of the options, which costs as much as the parsing.
    let longs = LazyCell::new(|| {
        let mut all = cli();
        all.build();
        long_options(&all)
    });
    let is_option = |name: &str| longs.iter().any(|long| long == name);
    let mut out = Vec::with_capacity(args.len() + 1);
    let (mut once, mut verbatim) = (false, false);
    // It has confd's option of that name itself.
    let migrates = args.iter().any(|arg| arg == "migrate");
    for arg in args {
        verbatim |= arg == "--";
        let text = if verbatim { None } else { arg.to_str() };
        if let Some(wrong) = text.filter(|_| !migrates).and_then(|text| foreign(text, is_option)) {
            return Err(wrong);
        }
        match text.map(|text| two_dashes(text, is_option)) {
            Some(text) if text == "--once" || text == "--onetime" => once = true,
            Some(text) if text == "--config-file" || text.starts_with("--config-file=") => {
                out.push(OsString::from(text.replacen("-file", "", 1)));
            }
            Some(text) => out.push(OsString::from(text)),
            None => out.push(arg),
        }
    }
    if once {
        // `rosterd run --once` is the command of a unit file, run by hand.
        if let Some(at) = out.iter().position(|arg| arg == "run") {
            out.remove(at);
        }
        if !out.iter().any(|arg| arg == "render") {
            out.insert(out.len().min(1), OsString::from("render"));
        }
    }
    Ok(out)
}

/// What to use instead of an option that only confd or consul-template has.
fn foreign(text: &str, is_option: impl Fn(&str) -> bool) -> Option<String> {
    let name = text.strip_prefix('-').map(|rest| rest.strip_prefix('-').unwrap_or(rest))?;
    let name = name.split('=').next().unwrap_or_default();
    let (program, _, instead) = FOREIGN.iter().find(|(_, option, _)| *option == name)?;
    // `prefix` is an option of `migrate` only.
    if name != "prefix" && is_option(name) {
        return None;
    }
    Some(format!(
        "-{name} is an option of {program}; in rosterd: {instead} (`rosterd migrate {program}` converts its configuration; \
         see docs/migrating.md)"
    ))
}

fn two_dashes(text: &str, is_option: impl Fn(&str) -> bool) -> String {
    let name = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    let is_long = |name: &str| {
        let name = name.split('=').next().unwrap_or_default();
        name.len() > 1 && (["config-file", "once", "onetime"].contains(&name) || is_option(name))
    };
    match name {
        Some(name) if is_long(name) => format!("--{name}"),
        _ => text.to_owned(),
    }
}

fn long_options(command: &Command) -> Vec<String> {
    let own = command.get_arguments().flat_map(|arg| arg.get_long_and_visible_aliases().unwrap_or_default());
    let own = own.map(str::to_owned).chain(["help".to_owned(), "version".to_owned()]);
    own.chain(command.get_subcommands().flat_map(long_options)).collect()
}
