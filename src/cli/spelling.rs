//! Accepts spellings of options from confd, consul-template and Go's flag package.

use std::ffi::OsString;

use clap::Command;

#[cfg(test)]
mod tests;

/// Adds the second dash to long options with one dash (`-onetime`), and converts `--once` and `--onetime` to `render`.
pub fn modern(args: Vec<OsString>, cli: &Command) -> Vec<OsString> {
    let longs = long_options(cli);
    let mut out = Vec::with_capacity(args.len() + 1);
    let (mut once, mut verbatim) = (false, false);
    for arg in args {
        verbatim |= arg == "--";
        let text = if verbatim { None } else { arg.to_str() };
        match text.map(|text| two_dashes(text, &longs)) {
            Some(text) if text == "--once" || text == "--onetime" => once = true,
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
    out
}

fn two_dashes(text: &str, longs: &[String]) -> String {
    let name = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    let is_long = |name: &str| {
        let name = name.split('=').next().unwrap_or_default();
        name.len() > 1 && (longs.iter().any(|long| long == name) || name == "once" || name == "onetime")
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
