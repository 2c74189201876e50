//! A real nginx that serves the files of a directory.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::wait::{PATIENCE, eventually};
use crate::support::zookeeper::free_port;

/// The name of the object of a web registry.
pub const OBJECT: &str = "ensemble.json";

/// The files `fail` and `slow` in the directory, while they exist, make every request fail or take minutes.
const CONFIG: &str = "
daemon off; master_process off; pid DIR/pid; error_log DIR/error; events {}
http {
  access_log DIR/access; default_type text/plain;
  client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4;
  scgi_temp_path DIR/t5;
  server {
    listen 127.0.0.1:PORT TLS;
    root DIR/www;
    MORE
    location / {
      if (-f DIR/fail) { return 500; }
      if (-f DIR/slow) { set $limit_rate 1; }
    }
  }
}";

/// nginx on its own port. It ends when it is dropped.
pub struct Nginx {
    dir: TempDir,
    port: u16,
    is_tls: bool,
    child: Option<Child>,
    /// How many versions of the object were published.
    published: u64,
}

impl Nginx {
    /// One without TLS, started.
    pub fn start() -> Self {
        Self::with("", None)
    }

    /// One with these further lines for its server, and with this certificate and key, started.
    pub fn with(lines: &str, certificate: Option<(&Path, &Path)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("www")).unwrap();
        let (port, is_tls) = (free_port(), certificate.is_some());
        let lines = format!(
            "{lines}{}",
            if is_tls { "\nssl_certificate DIR/cert.pem; ssl_certificate_key DIR/cert.key;" } else { "" }
        );
        let config = CONFIG.replace("MORE", &lines).replace("TLS", if is_tls { "ssl" } else { "" });
        let config = config.replace("PORT", &port.to_string()).replace("DIR", &dir.path().to_string_lossy());
        fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let mut nginx = Self { dir, port, is_tls, child: None, published: 0 };
        if let Some((cert, key)) = certificate {
            nginx.certify(cert, key);
        }
        nginx.restart();
        nginx
    }

    /// The URL of the object.
    pub fn url(&self) -> String {
        format!("http{}://127.0.0.1:{}/{OBJECT}", if self.is_tls { "s" } else { "" }, self.port)
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Writes a file that it serves.
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.path("www").join(name), text).unwrap();
    }

    /// Uses another certificate after the next start.
    pub fn certify(&self, cert: &Path, key: &Path) {
        fs::copy(cert, self.path("cert.pem")).unwrap();
        fs::copy(key, self.path("cert.key")).unwrap();
    }

    /// Ends the server, if it runs, and starts it.
    pub fn restart(&mut self) {
        self.stop();
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-e", "stderr", "-c"]).arg(self.path("nginx.conf"));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(quiet.spawn().expect("nginx is missing: apt-get install nginx-light"));
        eventually(PATIENCE, "nginx serves", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Ends the server: connections are refused.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it: connections are accepted by the kernel, and nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Resumes it.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Replaces the object. Its time of modification is long ago, and another one each time.
    pub fn publish(&mut self, content: &str) {
        self.published += 1;
        self.publish_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.published), content);
    }

    /// Replaces the object by one with this time of modification.
    pub fn publish_at(&self, modified: SystemTime, content: &str) {
        let fresh = self.path("fresh");
        fs::write(&fresh, content).unwrap();
        File::options().write(true).open(&fresh).unwrap().set_modified(modified).unwrap();
        fs::rename(fresh, self.path("www").join(OBJECT)).unwrap();
    }

    /// Makes requests fail (`fail`) or take minutes (`slow`) as long as `is_on`.
    pub fn set(&self, flag: &str, is_on: bool) {
        if is_on { fs::write(self.path(flag), "").unwrap() } else { fs::remove_file(self.path(flag)).unwrap() }
    }

    /// Removes the object.
    pub fn remove(&self) {
        fs::remove_file(self.path("www").join(OBJECT)).unwrap();
    }

    /// How many requests were answered with this status.
    pub fn answered(&self, status: u16) -> usize {
        let log = fs::read_to_string(self.path("access")).unwrap_or_default();
        log.lines().filter(|line| line.contains(&format!("HTTP/1.1\" {status} "))).count()
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("nginx runs");
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}
