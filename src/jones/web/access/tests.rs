use std::fs;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Access, MAX_COMPARISONS, MAX_WAITING, check};
use crate::config::{Grants, JonesWeb, WebAuth};

fn grants(rules: &[(&str, &[&str])]) -> Grants {
    let rule = |(service, users): &(&str, &[&str])| {
        ((*service).to_owned(), users.iter().map(|user| (*user).to_owned()).collect())
    };
    rules.iter().map(rule).collect()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn roles_are_by_service_and_user() {
    let viewers = Some(grants(&[("pycon", &["vera"]), ("web-*", &["*"])]));
    let editors = Some(grants(&[("pycon", &["ada"]), ("web-*", &["eve"])]));
    // viewers, editors, write, user, service: may view, may edit
    for (viewers, editors, write, user, service, wanted) in [
        (&None, &None, true, None, "pycon", (true, true)),
        (&None, &None, false, None, "pycon", (true, false)),
        (&viewers, &editors, true, Some("vera"), "pycon", (true, false)),
        (&viewers, &editors, true, Some("ada"), "pycon", (true, true)),
        (&viewers, &editors, false, Some("ada"), "pycon", (true, false)),
        (&viewers, &editors, true, Some("ada"), "pycon2", (false, false)),
        (&viewers, &editors, true, Some("ada"), "web-1", (true, false)),
        (&viewers, &editors, true, Some("eve"), "web-1", (true, true)),
        (&viewers, &editors, true, Some("eve"), "web", (false, false)),
        (&viewers, &editors, true, Some("eve"), "other", (false, false)),
        (&viewers, &editors, true, Some("Ada"), "pycon", (false, false)),
        (&viewers, &editors, true, None, "pycon", (false, false)),
        (&viewers, &None, true, Some("vera"), "other", (false, false)),
        (&None, &editors, true, Some("vera"), "other", (true, false)),
    ] {
        let config = JonesWeb { write, viewers: viewers.clone(), editors: editors.clone(), ..JonesWeb::default() };
        let access = Access::new(&config);
        let may = (access.may_view(user, service), access.may_edit(user, service));
        assert_eq!(may, wanted, "{user:?} {service} {write}");
    }
}

#[tokio::test]
async fn a_header_counts_only_from_a_named_proxy() {
    let proxies: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap()];
    let auth = Some(WebAuth::Header { name: "x-forwarded-user".to_owned(), proxies });
    let access = Access::new(&JonesWeb { auth, ..JonesWeb::default() });
    let name = "x-forwarded-user";
    for (peer, lines, wanted) in [
        ("10.0.0.1", &[(name, "ada")][..], Ok("ada")),
        ("10.0.0.1", &[(name, " ada ")], Ok("ada")),
        ("10.0.0.2", &[(name, "ada")], Err(403)),
        ("127.0.0.1", &[(name, "ada")], Err(403)),
        ("10.0.0.1", &[], Err(401)),
        ("10.0.0.1", &[(name, "")], Err(401)),
        ("10.0.0.1", &[("x-user", "ada")], Err(401)),
        ("10.0.0.1", &[(name, "ada"), (name, "eve")], Err(400)),
    ] {
        let user = access.user(&headers(lines), peer.parse().unwrap()).await;
        let user = user.map_err(|problem| problem.status.as_u16());
        assert_eq!(user, wanted.map(|user| Some(user.to_owned())), "{peer} {lines:?}");
    }
}

#[tokio::test]
async fn a_password_is_compared_with_its_hash_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let line = |user: &str, password: &str| format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap());
    fs::write(&users, format!("# people\n\n{}{}", line("ada", "lovelace:1"), line("eve", ""))).unwrap();
    let access = Access::new(&JonesWeb { auth: Some(WebAuth::Basic { users: users.clone() }), ..JonesWeb::default() });
    let peer = "127.0.0.1".parse().unwrap();
    let ask = async |value: &str| {
        let lines = if value.is_empty() { vec![] } else { vec![("authorization", value)] };
        let user = access.user(&headers(&lines), peer).await;
        user.map_err(|problem| problem.status.as_u16())
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for _ in 0..2 {
        for (value, wanted) in [
            (basic("ada:lovelace:1"), Ok("ada")),
            (basic("ada:lovelace:1").replace("Basic", "bAsIc"), Ok("ada")),
            (basic("ada:lovelace:2"), Err(401)),
            (basic("ada:"), Err(401)),
            (basic("ada"), Err(401)),
            (basic("bob:lovelace:1"), Err(401)),
            (basic("# people"), Err(401)),
            (basic(":"), Err(401)),
            ("Basic !!!".to_owned(), Err(401)),
            ("Bearer YTph".to_owned(), Err(401)),
            (String::new(), Err(401)),
        ] {
            assert_eq!(ask(&value).await, wanted.map(|user| Some(user.to_owned())), "{value}");
        }
    }
    // A new password counts at once, and the old one no longer.
    fs::write(&users, line("ada", "new")).unwrap();
    assert_eq!(ask(&basic("ada:lovelace:1")).await, Err(401));
    assert_eq!(ask(&basic("ada:new")).await, Ok(Some("ada".to_owned())));
    fs::remove_file(&users).unwrap();
    assert_eq!(ask(&basic("ada:new")).await, Err(500), "no file is not no user");
}

/// An access with ada, whose password is `right`.
fn basic(dir: &std::path::Path) -> Access {
    let users = dir.join("users");
    fs::write(&users, format!("ada:{}\n", bcrypt::hash("right", 4).unwrap())).unwrap();
    Access::new(&JonesWeb { auth: Some(WebAuth::Basic { users }), ..JonesWeb::default() })
}

async fn ask(access: &Access, user: &str, password: &str) -> Result<Option<String>, u16> {
    let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let user = access.user(&headers(&[("authorization", &*value)]), "127.0.0.1".parse().unwrap()).await;
    user.map_err(|problem| problem.status.as_u16())
}

#[tokio::test]
async fn only_a_few_passwords_wait_and_who_goes_away_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let access = basic(dir.path());
    // An unknown user costs as much as a wrong password.
    for user in ["ada", "bob"] {
        let answers = join_all((0..50).map(|_| ask(&access, user, "wrong"))).await;
        let refused = |status: u16| answers.iter().filter(|answer| **answer == Err(status)).count();
        let compared = MAX_COMPARISONS + MAX_WAITING;
        assert_eq!((refused(401), refused(503)), (compared, 50 - compared), "{user}");
    }
    for _ in 0..800 {
        let _ = ask(&access, "ada", "wrong").now_or_never();
    }
    assert_eq!(ask(&access, "ada", "right").await, Ok(Some("ada".to_owned())));
}

#[tokio::test]
async fn the_hash_that_an_unknown_user_is_compared_with_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let access = basic(dir.path());
    assert_eq!(ask(&access, "bob", "right").await, Err(401));
    assert_eq!(ask(&access, "ada", "right").await, Ok(Some("ada".to_owned())));
    let text = fs::read_to_string(dir.path().join("users")).unwrap();
    fs::write(dir.path().join("users"), text.replace("ada:", "bob:")).unwrap();
    assert_eq!(ask(&access, "ada", "right").await, Err(401), "a remembered one");
}

#[test]
fn an_address_that_others_reach_needs_users() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "ada:$2y$04$abc\n").unwrap();
    let header = WebAuth::Header { name: "x-user".to_owned(), proxies: Vec::new() };
    for (auth, listen, is_refused) in [
        (None, "127.0.0.1:1", false),
        (None, "[::1]:1", false),
        (None, "[::ffff:127.0.0.1]:1", false),
        (None, "0.0.0.0:1", true),
        (None, "[::]:1", true),
        (None, "10.0.0.1:1", true),
        (Some(header), "0.0.0.0:1", false),
        (Some(WebAuth::Basic { users }), "0.0.0.0:1", false),
        (Some(WebAuth::Basic { users: dir.path().join("none") }), "127.0.0.1:1", true),
    ] {
        let listen: SocketAddr = listen.parse().unwrap();
        let refused = check(&JonesWeb { auth, ..JonesWeb::default() }, listen);
        assert_eq!(refused.is_err(), is_refused, "{listen} {refused:?}");
    }
}
