use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Instant;

use super::*;

fn http_check(url: String) -> HttpCheck {
    HttpCheck { url, expect: None, headers: std::collections::BTreeMap::new(), body: None, ca: None }
}

async fn run(check: Check) -> Result<(), String> {
    Checks::new(CancellationToken::new()).run(&check, Duration::from_secs(5)).await
}

/// A server that gives this answer to every request, and records the requests.
fn server(answer: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let (send, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), [0; 4096]);
            let count = stream.read(&mut bytes).unwrap_or(0);
            let _ = send.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, received)
}

#[tokio::test]
async fn a_command_passes_if_it_exits_with_0() {
    let shell = |text: &str| Check::Cmd(Command::Shell(text.to_owned()));
    assert_eq!(run(shell("exit 0")).await, Ok(()));
    assert_eq!(run(shell("echo why; exit 3")).await.unwrap_err(), "check \"echo why; exit 3\" exited with 3:\n  why");
    let list = |words: &[&str]| Check::Cmd(Command::Exec(words.iter().map(|word| (*word).to_owned()).collect()));
    assert!(run(list(&["no-such-program"])).await.unwrap_err().contains("not found in PATH"));
    let both = Check::All(vec![shell("true"), shell("exit 4")]);
    assert!(run(both).await.unwrap_err().contains("exited with 4"));
}

#[tokio::test]
async fn a_check_that_hangs_is_ended_with_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let text = format!("sh -c 'echo $$ > {}; exec sleep 1000' & wait", file.display());
    let began = Instant::now();
    let (checks, check) = (Checks::new(CancellationToken::new()), Check::Cmd(Command::Shell(text)));
    let failed = checks.run(&check, Duration::from_millis(300)).await;
    assert!(failed.unwrap_err().contains("did not exit within 300ms and was terminated"));
    assert!(began.elapsed() < Duration::from_secs(5));
    let pid = std::fs::read_to_string(file).unwrap();
    // It may not have been reaped yet.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "its child was ended too: {stat}");
}

#[tokio::test]
async fn a_port_passes_if_it_accepts_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(run(Check::Tcp(address)).await, Ok(()));
    let refused = run(Check::Tcp("127.0.0.1:1".into())).await.unwrap_err();
    assert!(refused.starts_with("127.0.0.1:1: ") && refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn a_url_passes_by_its_status_and_body() {
    let (url, received) = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready");
    let check = |change: &dyn Fn(&mut HttpCheck)| {
        let mut check = http_check(url.clone());
        change(&mut check);
        Check::Http(check)
    };
    assert_eq!(run(check(&|_| {})).await, Ok(()));
    received.recv().unwrap();
    assert_eq!(run(check(&|it| it.body = Some("ready".into()))).await, Ok(()));
    received.recv().unwrap();
    let missing = run(check(&|it| it.body = Some("steady".into()))).await.unwrap_err();
    assert!(missing.ends_with("the body does not contain \"steady\""), "{missing}");
    received.recv().unwrap();
    let status = run(check(&|it| it.expect = Some(204))).await.unwrap_err();
    assert!(status.ends_with("status 200, expected 204"), "{status}");
    received.recv().unwrap();
    run(check(&|it| _ = it.headers.insert("X-Probe".into(), "yes".into()))).await.unwrap();
    assert!(received.recv().unwrap().to_lowercase().contains("x-probe: yes"));
    let (url, _received) = server("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    let moved = run(Check::Http(http_check(url))).await.unwrap_err();
    assert!(moved.ends_with("status 302, expected 200 to 299"), "{moved}");
}

#[tokio::test]
async fn https_is_checked_against_the_ca() {
    let (url, _received) = server("");
    let url = url.replace("http://", "https://");
    let failed = run(Check::Http(HttpCheck { ca: Some("/nonexistent.pem".into()), ..http_check(url.clone()) })).await;
    assert!(failed.unwrap_err().contains("/nonexistent.pem cannot be read"));
    assert!(run(Check::Http(http_check(url.clone()))).await.unwrap_err().starts_with(&url));
}

#[tokio::test]
async fn a_pid_file_passes_while_its_process_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let check = || run(Check::PidFile(file.clone()));
    assert!(check().await.unwrap_err().contains("No such file"));
    std::fs::write(&file, format!("{}\n", std::process::id())).unwrap();
    assert_eq!(check().await, Ok(()));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    std::fs::write(&file, child.id().to_string()).unwrap();
    assert!(check().await.unwrap_err().contains("which is not running"));
    std::fs::write(&file, "0").unwrap();
    assert!(check().await.unwrap_err().contains("contains no process ID"));
}

#[tokio::test]
async fn a_pid_file_that_is_no_file_fails_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for file in [pipe, dir.path().to_owned(), "/dev/zero".into()] {
        let check = tokio::time::timeout(Duration::from_secs(5), run(Check::PidFile(file.clone())));
        let failed = check.await.expect("it does not wait for a writer").unwrap_err();
        assert!(failed.ends_with("it is not a regular file"), "{}: {failed}", file.display());
    }
}

/// The slots are for all services, and their checks may hang.
#[tokio::test]
async fn the_wait_for_a_slot_is_not_counted() {
    let checks = Checks::new(CancellationToken::new());
    let (hangs, passes) = (Check::Cmd(Command::Shell("sleep 1000".into())), Check::Cmd(Command::Shell("true".into())));
    let (long, short) = (Duration::from_secs(1), Duration::from_millis(900));
    let hanging: Vec<_> = (0..MAX_AT_ONCE).map(|_| checks.run(&hangs, long)).collect();
    let (hung, passed) = tokio::join!(futures_util::future::join_all(hanging), async {
        // The others come first.
        tokio::task::yield_now().await;
        (checks.slots.available_permits(), checks.run(&passes, short).await)
    });
    assert!(hung.iter().all(Result::is_err));
    assert_eq!(passed, (0, Ok(())));
}
