use super::*;
use std::os::unix::net::UnixListener as Plain;

fn config(socket: PathBuf) -> StatusConfig {
    StatusConfig { socket, group: None, http: None }
}

#[tokio::test]
async fn only_the_socket_of_a_dead_agent_is_replaced() {
    let dir = tempfile::TempDir::new().unwrap();
    let at = config(dir.path().join("deep/run.sock"));
    std::fs::create_dir(dir.path().join("deep")).unwrap();
    drop(Plain::bind(&at.socket).unwrap());
    let bound = BoundSocket::open(&at).await.unwrap();
    assert_eq!(symlink_metadata(&at.socket).unwrap().mode() & 0o777, 0o660);
    let second = BoundSocket::open(&at).await.unwrap_err();
    assert!(second.to_string().contains("another agent is listening on it"), "{second}");
    assert!(bound.exists());
    drop(bound);
    assert!(!at.socket.exists(), "removed at the end");
    std::fs::write(&at.socket, "mine").unwrap();
    let file = BoundSocket::open(&at).await.unwrap_err();
    assert!(file.to_string().contains("it is not a socket"), "{file}");
    assert_eq!(std::fs::read(&at.socket).unwrap(), b"mine");
}

#[tokio::test]
async fn the_directory_is_created_and_another_agents_socket_is_left() {
    let dir = tempfile::TempDir::new().unwrap();
    let at = config(dir.path().join("run/x/run.sock"));
    let bound = BoundSocket::open(&at).await.unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("run/x")).unwrap().mode() & 0o777, 0o755);
    std::fs::remove_file(&at.socket).unwrap();
    assert!(!bound.exists());
    let other = Plain::bind(&at.socket).unwrap();
    drop(bound);
    assert!(at.socket.exists(), "it belongs to another agent");
    drop(other);
}
