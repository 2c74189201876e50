//! A real haproxy that runs by a file which somebody else keeps, and is reloaded without dropping a connection.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::zookeeper::free_port;

/// What an administrator adds to the file that is kept in step: a socket over which the next process takes the
/// listening sockets from the present one, so that no connection is refused or lost in between.
const LOCAL: &str = "global\n    stats socket FOLDER/socket mode 600 level admin expose-fd listeners\n";

/// Starts the process, or the one that takes over from it. The reload is done when the old process is gone: from then
/// on nothing is answered by the old file. (A process that ended and is waited for by nobody has no `exe`.)
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

/// Waits for the end of its input, which comes when this is dropped or the test's process is no more, and then ends
/// haproxy, whose process is another one after each reload.
const WARDEN: &str = r#"
read -r _
pid=$(cat "$1/pid") && grep -q "$1/local.cfg" "/proc/$pid/cmdline" && kill -KILL "$pid"
rm -rf "$1"
"#;

/// haproxy, and its reloads.
pub struct HaProxy {
    folder: TempDir,
    port: u16,
    warden: Child,
}

impl HaProxy {
    /// A free port to listen on, and what it takes to run; not started yet.
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

    /// Where it listens, once the file says so.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The command that makes it take up the file `dest`. Counted when it has succeeded.
    pub fn reload_command(&self, dest: &str) -> String {
        format!("sh {}/reload {dest}", self.folder.path().display())
    }

    /// Starts it with this file.
    pub fn start(&self, dest: &Path) {
        let command = self.reload_command(&dest.to_string_lossy());
        let started = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(started.status.success(), "haproxy does not start: {}", String::from_utf8_lossy(&started.stderr));
    }

    /// How many reloads have ended well.
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
