//! Commands of rosterd in messages: with the options by which this process was told its configuration and socket, so
//! that they work as printed.

use std::path::Path;
use std::sync::OnceLock;

use super::single_quoted;

#[cfg(test)]
mod tests;

/// Constant for a process, like its arguments.
static OPTIONS: OnceLock<String> = OnceLock::new();

/// Sets the files that this process was given instead of the default ones. Later calls have no effect.
pub fn set_files(config: Option<&Path>, socket: Option<&Path>) {
    let option = |name, path: Option<&Path>| {
        let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        path.map(|path| format!(" {name} {}", single_quoted(&path.display().to_string()))).unwrap_or_default()
    };
    let _ = OPTIONS.set(option("-c", config) + &option("--socket", socket));
}

/// A command of rosterd with these arguments. Names of a registry may have characters of a shell: they are in quotes.
pub fn rosterd(arguments: &[&str]) -> String {
    let words: Vec<String> = arguments.iter().map(|argument| single_quoted(argument)).collect();
    format!("rosterd {}{}", words.join(" "), OPTIONS.get().map_or("", String::as_str))
}
