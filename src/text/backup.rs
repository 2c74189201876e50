//! Backups that editors and package managers leave beside the files of a directory.

#[cfg(test)]
mod tests;

/// How their names end.
const SUFFIXES: [&str; 21] = [
    "~",
    ".bak",
    ".orig",
    ".rej",
    ".save",
    ".swp",
    ".swo",
    ".swx",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".dpkg-bak",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
    ".pacnew",
    ".pacsave",
];

/// Whether a file of this name is a backup, which is not read where all files of a directory are.
#[must_use]
pub fn is_backup(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) || (name.starts_with('#') && name.ends_with('#'))
}
