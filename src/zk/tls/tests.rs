use super::*;
use rustls::pki_types::ServerName;
use std::fs;

#[test]
fn errors_name_what_to_correct() {
    let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
    let expected = ServerName::try_from("zk1.example.com").unwrap();
    let named = |presented: &[&str]| CertificateError::NotValidForNameContext {
        expected: expected.clone(),
        presented: presented.iter().map(|name| (*name).to_owned()).collect(),
    };
    for (wrong, words) in [
        (named(&["DnsName(\"other\")", "IpAddress(10.0.0.1)"]), "not for zk1.example.com, but for other, 10.0.0.1"),
        (named(&[]), "not for zk1.example.com, but for no name"),
        (CertificateError::UnknownIssuer, "not signed by a trusted authority"),
        (
            CertificateError::ExpiredContext { time: at(86_400), not_after: at(0) },
            "expired on 1970-01-01T00:00:00Z (now: 1970-01-02T00:00:00Z)",
        ),
        (
            CertificateError::NotValidYetContext { time: at(0), not_before: at(86_400) },
            "not valid before 1970-01-02T00:00:00Z (now: 1970-01-01T00:00:00Z)",
        ),
        (CertificateError::BadSignature, "is not signed by it"),
        (CertificateError::Revoked, "invalid: Revoked"),
    ] {
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(wrong));
        let text = describe(&error);
        assert!(text.contains(words), "{text}");
    }
    let alert = |alert| describe(&io::Error::other(Error::AlertReceived(alert)));
    assert!(alert(AlertDescription::BadCertificate).contains("requires a different client certificate"));
    assert!(alert(AlertDescription::CertificateExpired).contains("no longer valid"));
    assert!(alert(AlertDescription::HandshakeFailure).contains("in common"));
    assert!(alert(AlertDescription::InternalError).contains("aborted the handshake: InternalError"));
    for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
        assert!(describe(&kind.into()).contains("write zk://"));
    }
    assert_eq!(describe(&io::Error::other("else")), "else");
}

#[test]
fn an_unusable_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, words) in
        [("", "contains no PEM certificate"), ("plain", "contains no PEM certificate"), (garbage, "ca.pem: ")]
    {
        let ca = file("ca.pem", text);
        let why = client_config(Some(&ca), None).unwrap_err();
        assert!(why.contains(words) && why.contains("ca.pem"), "{why}");
    }
    let missing = client_config(Some(&dir.path().join("none.pem")), None).unwrap_err();
    assert!(missing.contains("none.pem cannot be read: No such file"), "{missing}");
}
