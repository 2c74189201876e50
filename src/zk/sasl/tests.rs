use super::*;

/// RFC 2831, section 4, the exchange with an IMAP server.
fn example<'a>() -> DigestMd5<'a> {
    let nonce = "OA6MHXh6VqTrRk".into();
    DigestMd5 { secret: b"chris:secret", uri: "imap/elwood.innosoft.com", nonce, proof: Mutex::new(None) }
}

const CHALLENGE: &str = "realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\",\
        algorithm=md5-sess,charset=utf-8";

#[test]
fn the_example_of_the_rfc() {
    let exchange = example();
    let response = exchange.respond(CHALLENGE.as_bytes()).unwrap().unwrap();
    assert_eq!(
        String::from_utf8(response).unwrap(),
        "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",\
             cnonce=\"OA6MHXh6VqTrRk\",nc=00000001,qop=auth,digest-uri=\"imap/elwood.innosoft.com\",\
             response=d388dad90d4bbd760a152321f2143af7"
    );
    assert_eq!(exchange.respond(b"rspauth=ea40f60335c427b5527b84dbabcdfffd"), Ok(None));
}

#[test]
fn a_server_that_does_not_know_the_password_is_refused() {
    for (proof, why) in [
        ("rspauth=ea40f60335c427b5527b84dbabcdfffe", "does not know"),
        ("rspauth=", "does not know"),
        (CHALLENGE, "did not prove"),
    ] {
        let exchange = example();
        exchange.respond(CHALLENGE.as_bytes()).unwrap();
        assert!(exchange.respond(proof.as_bytes()).unwrap_err().contains(why), "{proof}");
    }
    assert!(example().respond(b"rspauth=00").unwrap_err().contains("unexpected rspauth"));
}

#[test]
fn an_unusable_challenge_is_named() {
    for (challenge, why) in [
        ("", "no nonce"),
        ("algorithm=md5-sess", "no nonce"),
        ("nonce=\"x\"", "not a DIGEST-MD5"),
        ("nonce=\"x\",algorithm=md5-sess,qop=\"auth-int,auth-conf\"", "qop=auth-int,auth-conf"),
        ("nonce=\"x", "malformed"),
        ("nonce=\"x\"y=z", "malformed"),
        ("nonce", "malformed"),
    ] {
        assert!(example().respond(challenge.as_bytes()).unwrap_err().contains(why), "{challenge}");
    }
    assert!(example().respond(&[0xff]).is_err());
    assert!(example().respond(&[b'a'; MAX_CHALLENGE + 1]).is_err());
}

#[test]
fn directives_are_parsed() {
    let parse = |text| parse_directives(text).map(|all| all.into_iter().collect::<Vec<_>>());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(parse("A=1, b=\"x,y\\\"z\" ,,a=2"), Some(vec![pair("a", "1"), pair("b", "x,y\"z")]));
    assert_eq!(parse(""), Some(Vec::new()));
    assert_eq!(parse("a=\"\\"), None);
}

#[test]
fn each_exchange_has_its_own_nonce_and_texts_are_latin_if_possible() {
    let nonce = || DigestMd5::new(b"u:p").unwrap().nonce;
    assert_ne!(nonce(), nonce());
    assert_eq!(latin("é".as_bytes()), [0xe9]);
    assert_eq!(latin("é€".as_bytes()), "é€".as_bytes());
    assert_eq!(latin(&[0xff]), [0xff]);
}
