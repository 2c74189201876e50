//! Tests against a server that follows a script.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::jute::{Decoder, Encoder};
use super::*;

/// One accepted connection, seen from the server.
struct Peer(TcpStream);

impl Peer {
    /// The body of the next frame; empty at the end of the stream.
    async fn receive(&mut self) -> Vec<u8> {
        let Ok(length) = self.0.read_u32().await else { return Vec::new() };
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await.unwrap();
        body
    }

    /// The next request other than a ping: its number, operation and body.
    async fn request(&mut self) -> (i32, i32, Vec<u8>) {
        loop {
            let body = self.receive().await;
            let mut read = Decoder(&body);
            let (xid, op) = (read.int().unwrap(), read.int().unwrap());
            if xid != -2 {
                return (xid, op, read.0.to_vec());
            }
        }
    }

    async fn send(&mut self, out: Encoder) {
        self.0.write_all(&out.frame()).await.unwrap();
    }

    /// Grants a session with this timeout in milliseconds, and returns the id of the session asked for.
    async fn grant_session(&mut self, timeout: i32) -> i64 {
        let body = self.receive().await;
        let mut read = Decoder(&body);
        let (_version, _zxid, _timeout, id) =
            (read.int().unwrap(), read.long().unwrap(), read.int().unwrap(), read.long().unwrap());
        let mut out = Encoder::new();
        out.int(0);
        out.int(timeout);
        out.long(7);
        out.bytes(&[1; 16]);
        out.bool(false);
        self.send(out).await;
        let ping = self.receive().await;
        assert_eq!(Decoder(&ping).int(), Ok(-2));
        self.send(reply(-2, 0, 0)).await;
        id
    }
}

/// The header of a reply.
pub fn reply(xid: i32, zxid: i64, code: i32) -> Encoder {
    let mut out = Encoder::new();
    out.int(xid);
    out.long(zxid);
    out.int(code);
    out
}

fn stat(out: &mut Encoder, pzxid: i64, children: i32) {
    for n in [1, 2, 0, 0] {
        out.long(n);
    }
    for n in [3, 4, 0] {
        out.int(n);
    }
    out.long(0);
    out.int(0);
    out.int(children);
    out.long(pzxid);
}

fn event(kind: i32, path: &str) -> Encoder {
    let mut out = reply(-1, -1, 0);
    out.int(kind);
    out.int(3);
    out.bytes(path.as_bytes());
    out
}

const REQUEST: ConnectRequest<'static> = ConnectRequest {
    session: None,
    session_timeout: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
    auth: &[],
    sasl: None,
    chroot: None,
    tls: None,
};

fn ignore_events() -> EventHandler {
    Arc::new(|_, _| {})
}

/// Starts a server that runs `serve` with its first connection.
async fn server<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(Peer) -> F + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(Peer(stream)).await;
    });
    Server { host: "127.0.0.1".into(), port: address.port(), address }
}

#[tokio::test]
async fn events_come_before_the_replies_that_follow_them_with_paths_in_the_chroot() {
    let server = server(|mut peer| async move {
        assert_eq!(peer.grant_session(10_000).await, 0, "a new session");
        let (xid, op, body) = peer.request().await;
        assert_eq!((op, Decoder(&body).text()), (12, Ok("/chroot/services")));
        for (kind, path) in [(1, "/chroot/services/a"), (2, "/chroot"), (3, "/chrooted/x"), (4, "/chroot/services")] {
            peer.send(event(kind, path)).await;
        }
        let mut out = reply(xid, 99, 0);
        out.int(2);
        out.bytes(b"a");
        out.bytes("ü".as_bytes());
        stat(&mut out, 42, 2);
        peer.send(out).await;
        assert!(peer.receive().await.is_empty(), "dropping the last handle closes the socket and not the session");
    })
    .await;
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let on_event: EventHandler = {
        let heard = Arc::clone(&heard);
        Arc::new(move |event, path| heard.lock().unwrap().push(format!("{event:?} {path}")))
    };
    let chroot = NodePath::parse("/chroot").unwrap();
    let request = ConnectRequest { chroot: Some(&chroot), ..REQUEST };
    let connection = connect(&server, &request, on_event).await.unwrap();
    let reply = connection.children("/services", false).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["Created /services/a", "Deleted /", "ChildrenChanged /services"]);
    let (names, stat) = reply.value.unwrap();
    assert_eq!(
        (reply.zxid, names, stat.pzxid, stat.num_children),
        (Zxid(99), vec!["a".into(), "ü".into()], Zxid(42), 2)
    );
    assert_eq!((connection.session().id, connection.session().zxid), (7, Zxid(99)));
}

#[tokio::test]
async fn a_session_is_resumed_and_an_expired_one_is_reported() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let first = server({
        let tell = tell.clone();
        |mut peer| async move { tell.send(peer.grant_session(10_000).await).unwrap() }
    })
    .await;
    let connection = connect(&first, &REQUEST, ignore_events()).await.unwrap();
    let lost = connection.lost().await;
    assert!(lost.to_string().contains("closed by the server"), "{lost}");
    assert_eq!(connection.exists("/", false).await, Err(lost), "every request fails with the reason");
    let session = connection.session();
    assert!(!session.is_expired());

    let second = server(|mut peer| async move { tell.send(peer.grant_session(10_000).await).unwrap() }).await;
    let request = ConnectRequest { session: Some(&session), ..REQUEST };
    connect(&second, &request, ignore_events()).await.unwrap();
    assert_eq!((told.recv().await, told.recv().await), (Some(0), Some(7)));

    let third = server(|mut peer| async move {
        peer.receive().await;
        let mut out = Encoder::new();
        out.int(0);
        out.int(0);
        out.long(0);
        out.bytes(&[0; 16]);
        out.bool(false);
        peer.send(out).await;
        peer.receive().await;
    })
    .await;
    assert_eq!(connect(&third, &request, ignore_events()).await.err(), Some(ConnectError::SessionExpired));
}

#[tokio::test]
async fn an_unusable_server_is_named() {
    async fn failure(answer: &'static [u8]) -> (bool, String) {
        let server = server(move |mut peer| async move {
            peer.receive().await;
            peer.0.write_all(answer).await.unwrap();
            peer.0.shutdown().await.unwrap();
            peer.receive().await;
        })
        .await;
        match connect(&server, &REQUEST, ignore_events()).await {
            Err(ConnectError::Unreachable(why)) if why.starts_with(&server.address.to_string()) => (false, why),
            Err(ConnectError::Rejected(why)) if why.starts_with(&server.address.to_string()) => (true, why),
            Err(failure) => panic!("{failure:?}"),
            Ok(_) => panic!("connected"),
        }
    }
    let read_only = b"\0\0\0\x25\0\0\0\0\0\0\x27\x10\0\0\0\0\0\0\0\x01\0\0\0\x10................\x01";
    for (answer, is_rejected, words) in [
        (&b""[..], false, "connection closed before a session was granted"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", true, "not a ZooKeeper server"),
        (b"\x15\x03\x03\0\x02\x02\x50", true, "write zks://"),
        (b"\0\0\0\x04\0\0\0\0", true, "not a ZooKeeper server"),
        (read_only, false, "read-only"),
    ] {
        let (rejected, why) = failure(answer).await;
        assert!(rejected == is_rejected && why.contains(words), "{why}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server { host: "zk1".into(), port: address.port(), address };
    let request = ConnectRequest { timeout: Duration::from_millis(50), ..REQUEST };
    let silent = connect(&server, &request, ignore_events()).await.err();
    let wanted = format!("zk1:{} (127.0.0.1): connected, but no session within 50ms", address.port());
    assert_eq!(silent, Some(ConnectError::TimedOut(wanted)));
    drop(listener);
    assert!(
        matches!(connect(&server, &REQUEST, ignore_events()).await.err(), Some(ConnectError::Unreachable(why)) if why.contains("refused"))
    );
}

#[tokio::test]
async fn the_ping_does_not_wait_for_the_new_session() {
    let server = server(|mut peer| async move {
        peer.receive().await;
        let ping = peer.receive().await;
        assert_eq!(Decoder(&ping).int(), Ok(-2));
        let mut out = Encoder::new();
        out.int(0);
        out.int(10_000);
        out.long(7);
        out.bytes(&[1; 16]);
        peer.send(out).await;
        peer.send(reply(-2, 0, 0)).await;
        peer.receive().await;
    })
    .await;
    assert!(connect(&server, &REQUEST, ignore_events()).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_is_reset_before_a_session_counts_as_closed() {
    let server = server(|mut peer| async move {
        // A socket that is closed before the ping is read sends a reset.
        let mut request = [0; 49];
        peer.0.read_exact(&mut request).await.unwrap();
        peer.0.readable().await.unwrap();
    })
    .await;
    match connect(&server, &REQUEST, ignore_events()).await.err() {
        Some(ConnectError::Unreachable(why)) => assert!(why.contains("before a session was granted"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_that_drops_packets_delays_the_others_by_at_most_a_second() {
    // A full accept queue drops packets, as a firewall does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let server = Server { host: "127.0.0.1".into(), port: address.port(), address };
    let refused =
        connect(&server, &ConnectRequest { timeout: Duration::from_secs(8), ..REQUEST }, ignore_events()).await.err();
    assert_eq!(refused, Some(ConnectError::TimedOut(format!("{address}: no connection within 1s"))));
}

#[tokio::test]
async fn a_request_without_a_reply_ends_the_connection_even_if_pings_are_answered() {
    let server = server(|mut peer| async move {
        peer.grant_session(3000).await;
        loop {
            let body = peer.receive().await;
            match Decoder(&body).int() {
                Ok(-2) => peer.send(reply(-2, 0, 0)).await,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    })
    .await;
    let connection = connect(&server, &REQUEST, ignore_events()).await.unwrap();
    let lost = connection.sync("/").await.unwrap_err();
    assert!(lost.to_string().contains("no reply to sync for 3s, although"), "{lost}");
}

#[tokio::test]
async fn only_a_sync_confirms_that_the_leader_hears_of_the_session() {
    let server = server(|mut peer| async move {
        peer.grant_session(4000).await;
        let (xid, ..) = peer.request().await;
        peer.send(reply(xid, 0, -101)).await;
        let (xid, ..) = peer.request().await;
        for _ in 0..10 {
            peer.send(event(1, "/a")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peer.send(reply(xid, 0, 0)).await;
        while !peer.receive().await.is_empty() {}
    })
    .await;
    let (heard, mut events) = mpsc::unbounded_channel();
    let on_event = Arc::new(move |_, _: &str| heard.send(()).unwrap());
    let connection = connect(&server, &REQUEST, on_event).await.unwrap();
    let before = connection.session();
    assert!(before.confirmed <= before.last_heard);
    assert_eq!(connection.exists("/x", false).await.unwrap().value, Ok(None));
    assert_eq!(connection.session().confirmed, before.confirmed, "a follower alone may have answered");
    let (reply, sent) = tokio::join!(connection.sync("/x"), async {
        let sent = Instant::now();
        for _ in 0..10 {
            events.recv().await.unwrap();
        }
        assert_eq!(connection.session().confirmed, before.confirmed);
        assert!(connection.session().last_heard > before.last_heard);
        sent
    });
    reply.unwrap();
    let confirmed = connection.session().confirmed;
    assert!(confirmed > before.confirmed && confirmed <= sent + Duration::from_millis(100));
}

#[tokio::test]
async fn a_silent_server_is_lost_within_the_session() {
    let server = server(|mut peer| async move {
        peer.grant_session(300).await;
        while !peer.receive().await.is_empty() {}
    })
    .await;
    let connection = connect(&server, &REQUEST, ignore_events()).await.unwrap();
    let lost = connection.lost().await;
    assert!(lost.to_string().contains("no reply for 200ms, not even to pings"), "{lost}");
    assert!(!connection.session().is_expired(), "time is left to find another server");
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_skipped_and_the_next_one_is_read() {
    let server = server(|mut peer| async move {
        peer.grant_session(10_000).await;
        let (xid, ..) = peer.request().await;
        let mut large = reply(xid, 5, 0);
        large.bytes(&vec![b'x'; MAX_FRAME]);
        peer.send(large).await;
        let (xid, op, body) = peer.request().await;
        assert_eq!((op, Decoder(&body[9..]).text()), (22, Ok("/a")));
        let mut out = reply(xid, 6, 0);
        for part in 0..2 {
            out.int(if part == 0 { 4 } else { -1 });
            out.bool(false);
            out.int(if part == 0 { 0 } else { -101 });
            if part == 0 {
                out.bytes(b"data");
                stat(&mut out, 1, 0);
            } else {
                out.int(-101);
            }
        }
        peer.send(out).await;
        peer.receive().await;
    })
    .await;
    let connection = connect(&server, &REQUEST, ignore_events()).await.unwrap();
    let large = connection.data("/large", false).await.unwrap();
    assert!(matches!(large.value, Err(ServerError::TooLarge { bytes }) if bytes > MAX_FRAME));
    let read = connection.multi_read(&["/a", "/gone"]).await.unwrap().value.unwrap();
    assert_eq!(read[0].as_ref().unwrap().0, Bytes::from(&b"data"[..]));
    assert_eq!(read[1], Err(ServerError::NoNode));
}

#[tokio::test]
async fn a_transaction_names_the_part_that_failed() {
    fn part(out: &mut Encoder, op: i32, code: i32) {
        out.int(op);
        out.bool(false);
        out.int(code);
        if op == -1 {
            out.int(code);
        }
    }
    let server = server(|mut peer| async move {
        peer.grant_session(10_000).await;
        let (xid, op, body) = peer.request().await;
        assert_eq!((op, Decoder(&body[9..]).text()), (14, Ok("/chroot/a")));
        let mut out = reply(xid, 6, 0);
        for code in [0, -103, -2] {
            part(&mut out, -1, code);
        }
        multi_end(&mut out);
        peer.send(out).await;
        let (xid, ..) = peer.request().await;
        let mut out = reply(xid, 7, 0);
        part(&mut out, 13, 0);
        part(&mut out, 5, 0);
        stat(&mut out, 1, 0);
        part(&mut out, 1, 0);
        out.bytes(b"/chroot/c-0000000001");
        multi_end(&mut out);
        peer.send(out).await;
        peer.receive().await;
    })
    .await;
    let chroot = NodePath::parse("/chroot").unwrap();
    let connection =
        connect(&server, &ConnectRequest { chroot: Some(&chroot), ..REQUEST }, ignore_events()).await.unwrap();
    let new = NewNode { path: "/c-", data: b"", acl: &[], mode: CreateMode::PersistentSequential };
    let operations = [
        Operation::Check { path: "/a", version: 1 },
        Operation::SetData { path: "/b", data: b"{}", version: 2 },
        Operation::Create(new),
    ];
    let refused = connection.multi(&operations).await.unwrap().value.unwrap();
    assert_eq!(refused, Err(Refusal { at: 1, error: ServerError::BadVersion }));
    let done = connection.multi(&operations).await.unwrap();
    assert_eq!(done.zxid, Zxid(7));
    let done = done.value.unwrap().unwrap();
    assert!(matches!(&done[..], [Done::Checked, Done::Set(Stat { version: 3, .. }), Done::Created(_)]), "{done:?}");
    assert_eq!(done[2], Done::Created("/chroot/c-0000000001".to_owned()));
}

/// The end of a transaction's reply.
fn multi_end(out: &mut Encoder) {
    out.int(-1);
    out.bool(true);
    out.int(-1);
}

#[tokio::test]
async fn a_malformed_reply_ends_the_connection() {
    async fn lost(answer: impl Fn(i32) -> Encoder + Send + 'static) -> String {
        let server = server(|mut peer| async move {
            peer.grant_session(10_000).await;
            let (xid, ..) = peer.request().await;
            peer.send(answer(xid)).await;
            peer.receive().await;
        })
        .await;
        let connection = connect(&server, &REQUEST, ignore_events()).await.unwrap();
        connection.children("/", false).await.unwrap_err().to_string()
    }
    let mut seen = vec![lost(|xid| reply(xid + 1, 0, 0)).await];
    seen.push(lost(|_| Encoder::new()).await);
    seen.push(lost(|_| event(1, "/x").truncated(14)).await);
    seen.push(lost(|xid| reply(xid, 0, -112)).await);
    // A list that announces more names than there are bytes.
    seen.push(
        lost(|xid| {
            let mut out = reply(xid, 0, 0);
            out.int(i32::MAX);
            out
        })
        .await,
    );
    for (seen, words) in seen.iter().zip(["not sent", "not a ZooKeeper", "not a ZooKeeper", "expired", "malformed"]) {
        assert!(seen.contains(words), "{seen}: {words}");
    }
}

#[tokio::test]
async fn authentication_comes_before_the_first_request() {
    async fn greeted(mut peer: Peer, auth: i32, ping: i32) {
        peer.receive().await;
        let mut out = Encoder::new();
        out.int(0);
        out.int(10_000);
        out.long(7);
        out.bytes(&[1; 16]);
        peer.send(out).await;
        for (challenge, wanted) in [(&b"challenge"[..], &b""[..]), (b"proof", b"answer to challenge")] {
            let (xid, op, body) = peer.request().await;
            assert_eq!((op, Decoder(&body).bytes().unwrap()), (102, wanted));
            let mut out = reply(xid, 0, 0);
            out.bytes(challenge);
            peer.send(out).await;
        }
        let (xid, op, body) = peer.request().await;
        let mut read = Decoder(&body);
        assert_eq!(
            (xid, op, read.int(), read.text(), read.text()),
            (-4, 100, Ok(0), Ok("digest"), Ok("user:password"))
        );
        peer.send(reply(-4, 0, auth)).await;
        peer.receive().await;
        peer.send(reply(-2, 0, ping)).await;
        peer.receive().await;
    }
    let sasl = |challenge: &[u8]| match challenge {
        b"challenge" => Ok(Some(b"answer to challenge".to_vec())),
        b"proof" => Ok(None),
        _ => Err("no proof".to_owned()),
    };
    let auth: [(&str, &[u8]); 1] = [("digest", b"user:password")];
    let request = ConnectRequest { sasl: Some(&sasl), auth: &auth, ..REQUEST };
    for (auth, ping, words) in [(0, 0, None), (-115, 0, Some("digest")), (0, -124, Some("requires other credentials"))]
    {
        let server = server(move |peer| greeted(peer, auth, ping)).await;
        match (connect(&server, &request, ignore_events()).await.err(), words) {
            (None, None) => {}
            (Some(ConnectError::AuthFailed(why)), Some(words)) => assert!(why.contains(words), "{why}"),
            (other, _) => panic!("{other:?}"),
        }
    }
}

proptest::proptest! {
    #![proptest_config(crate::support::random::config(1_000, 1_000_000))]

    #[test]
    fn any_bytes_are_decoded_without_a_panic(
        // Mostly small numbers, as lengths, request numbers and flags are.
        bytes in proptest::collection::vec(proptest::prop_oneof![4 => 0u8..1, 2 => 0u8..24, 1 => 0u8..=255], 0..200)
    ) {
        fuzzing::replies(&bytes);
    }
}
