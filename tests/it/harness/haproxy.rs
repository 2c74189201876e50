//! A real haproxy that runs with a file that another process writes, and is reloaded without dropping a connection.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::zookeeper::free_port;

/// The part that an administrator adds to the managed file: a socket over which the new process takes over the
/// listening sockets, so that no connection is refused or lost.
const LOCAL: &str = "global\n    stats socket FOLDER/socket mode 600 level admin expose-fd listeners\n";

/// Starts the process, or its successor. The reload is complete when the old process is gone: from then on nothing is
/// answered according to the old file. (A zombie has no `exe`.)
const RELOAD: &str = r#"
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
set -- -D -f "$1" -f FOLDER/local.cfg -p FOLDER/pid
if [ ! -e FOLDER/pid ]; then
    exec haproxy "$@"
fi
old=$(cat FOLDER/pid)
haproxy "$@" -x FOLDER/socket -sf "$old"
while [ -e "/proc/$old/exe" ]; do
    sleep 0.01
done
echo "$old" >>FOLDER/reloads
"#;

/// Waits for the end of its input, which comes when this is dropped or the test process ends, and then ends haproxy,
/// whose pid changes with each reload.
const WARDEN: &str = r#"
read -r _
pid=$(cat "$1/pid") && grep -q "$1/local.cfg" "/proc/$pid/cmdline" && kill -KILL "$pid"
rm -rf "$1"
"#;

/// haproxy, and the number of its reloads.
pub struct HaProxy {
    folder: TempDir,
    port: u16,
    warden: Child,
}

impl HaProxy {
    /// A free port and the files that haproxy needs; not started.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("local.cfg", LOCAL), ("reload", RELOAD)] {
            fs::write(folder.path().join(name), text.replace("FOLDER", &folder.path().to_string_lossy())).unwrap();
        }
        let warden = Command::new("sh")
            .args(["-c", WARDEN, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, port: free_port(), warden }
    }

    /// The port on which it listens according to the file.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The command that reloads haproxy with the file `dest`. Successful reloads are counted.
    pub fn reload_command(&self, dest: &str) -> String {
        format!("sh {}/reload {dest}", self.folder.path().display())
    }

    /// Starts haproxy with this file.
    pub fn start(&self, dest: &Path) {
        let command = self.reload_command(&dest.to_string_lossy());
        let started = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(started.status.success(), "haproxy does not start: {}", String::from_utf8_lossy(&started.stderr));
    }

    /// The number of successful reloads.
    pub fn reloads(&self) -> usize {
        fs::read_to_string(self.folder.path().join("reloads")).unwrap_or_default().lines().count()
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}
