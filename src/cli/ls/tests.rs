use insta::assert_snapshot;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::Setback;
use crate::model::registry_event::{NodeContent, NodeKind, RegistryEvent};
use crate::watch::BoxFuture;

/// A registry that gives the same answer to every question, or none.
struct Fixed(Option<Result<Option<Node>, Setback>>);

impl Registry for Fixed {
    fn follow(
        self: Arc<Self>,
        _: watch::Receiver<crate::watch::Subjects>,
        _: mpsc::Sender<RegistryEvent>,
        _: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn read(&self, _: NodePath, _: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(async move {
            match &self.0 {
                Some(answer) => answer.clone(),
                None => std::future::pending().await,
            }
        })
    }
}

fn node(data: &[u8], children: Vec<(&str, Node)>) -> Node {
    let children: Vec<_> = children.into_iter().map(|(name, node)| (name.to_owned(), node)).collect();
    let kind = if children.is_empty() { NodeKind::Persistent } else { NodeKind::Parent };
    Node { reading: Ok(NodeContent { data: data.into(), kind }), children: Ok(children) }
}

async fn listed(answer: Option<Result<Option<Node>, Setback>>) -> (u8, String) {
    let args = LsArgs {
        path: path("/services").unwrap(),
        recursive: true,
        payload: Payload::default(),
        every_child: false,
        timeout: Duration::from_millis(50),
    };
    let mut out = Vec::new();
    let exit = ls(&args, Arc::new(Fixed(answer)), &mut out).await;
    (exit.code(), String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn nodes_are_listed_with_their_data_and_decoded_member() {
    let long = format!("{{\"k\":\"{}\"}}", "x".repeat(100));
    let web = vec![
        ("10.0.0.1:80", node(br#"{"zone":"a","weight":5,"status":"up"}"#, vec![])),
        ("[2001:db8::1]:80", node(b"", vec![])),
        ("bad\u{1b}[2J", node(b"\x1b]0;x\x07", vec![])),
        ("bytes:1", node(b"\xff\x00", vec![])),
        ("long:1", node(long.as_bytes(), vec![])),
    ];
    let top = node(b"", vec![("db", node(b"", vec![])), ("web", node(b"the web", web))]);
    let (code, out) = listed(Some(Ok(Some(top)))).await;
    assert_eq!(code, 0);
    assert_snapshot!(out, @r#"
        /services             -
          db                  -                                                                          → not a member: it is persistent and empty, and its name has no valid port
          web                 the web                                                                    → not a member: it has children of its own
            10.0.0.1:80       {"zone":"a","weight":5,"status":"up"}                                      → nextdoor: host 10.0.0.1 port 80 weight 5 status up
            [2001:db8::1]:80  -                                                                          → nextdoor: host 2001:db8::1 port 80
            bad\u{1b}[2J      \u{1b}]0;x\u{7}                                                            → quarantined as nextdoor: its name contains a control character or a line break
            bytes:1           b"\xff\x00"                                                                → nextdoor: host bytes port 1
            long:1            {"k":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (108 bytes)  → nextdoor: host long port 1
        "#);
}

#[tokio::test]
async fn nodes_of_a_path_share_one_format_and_passwords_are_hidden() {
    let pg = br#"{"conn_url":"postgres://u:secret@pg1/","state":"running"}"#;
    let set = vec![
        ("member_1", node(br#"{"status":"DEAD","serviceEndpoint":{"host":"a","port":1}}"#, vec![])),
        ("vector_1", node(br#"{"vector":[]}"#, vec![])),
    ];
    let top = node(
        b"",
        vec![("pg", node(b"", vec![("pg1", node(pg, vec![])), ("x", node(b"y", vec![]))])), ("set", node(b"", set))],
    );
    let (code, out) = listed(Some(Ok(Some(top)))).await;
    assert_eq!(code, 0);
    assert_snapshot!(out, @r#"
        /services     -
          pg          -                                                          → not a member: it has children of its own
            pg1       {"conn_url":"postgres://u:***@pg1/","state":"running"}     → patroni: host pg1 port 5432 status running
            x         y                                                          → quarantined as patroni: its data is not JSON: expected value at line 1 column 1
          set         -                                                          → not a member: it has children of its own
            member_1  {"status":"DEAD","serviceEndpoint":{"host":"a","port":1}}  → serverset: not a member
            vector_1  {"vector":[]}                                              → serverset: not a member
        "#);
}

#[tokio::test]
async fn an_unreadable_path_is_reported_and_exits_1() {
    let hidden = Node { reading: Err("no permission".into()), children: Err("no permission\n".into()) };
    let (code, out) = listed(Some(Ok(Some(node(b"", vec![("web", hidden)]))))).await;
    assert_eq!(code, 1);
    assert_snapshot!(out, @r"
        /services  -
          web      (cannot be read: no permission)  → quarantined as nextdoor: its data cannot be read: no permission
            (its children cannot be listed: no permission\n)
        ");
}

#[tokio::test]
async fn an_absent_path_exits_3_and_an_unreachable_registry_4() {
    assert_eq!(listed(Some(Ok(None))).await, (3, String::new()));
    assert_eq!(listed(Some(Err(Setback::new("connect", "refused")))).await, (4, String::new()));
    assert_eq!(listed(None).await, (4, String::new()));
}
