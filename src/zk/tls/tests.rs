use super::*;
use rustls::pki_types::ServerName;
use std::fs;

#[test]
fn faults_are_words() {
    let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
    let expected = ServerName::try_from("zk1.example.com").unwrap();
    let named = |presented: &[&str]| CertificateError::NotValidForNameContext {
        expected: expected.clone(),
        presented: presented.iter().map(|name| (*name).to_owned()).collect(),
    };
    for (wrong, words) in [
        (named(&["DnsName(\"other\")", "IpAddress(10.0.0.1)"]), "not for zk1.example.com, but for other, 10.0.0.1"),
        (named(&[]), "not for zk1.example.com, but for no name at all"),
        (CertificateError::UnknownIssuer, "from no authority that is trusted here"),
        (
            CertificateError::ExpiredContext { time: at(86_400), not_after: at(0) },
            "expired on 1970-01-01T00:00:00Z (it is 1970-01-02T00:00:00Z here)",
        ),
        (
            CertificateError::NotValidYetContext { time: at(0), not_before: at(86_400) },
            "valid from 1970-01-02T00:00:00Z on (it is 1970-01-01T00:00:00Z here)",
        ),
        (CertificateError::BadSignature, "is not signed by it"),
        (CertificateError::Revoked, "not good: Revoked"),
    ] {
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(wrong));
        let said = super::words(&error);
        assert!(said.contains(words), "{said}");
    }
    let alert = |alert| super::words(&io::Error::other(Error::AlertReceived(alert)));
    assert!(alert(AlertDescription::BadCertificate).contains("wants another client certificate"));
    assert!(alert(AlertDescription::CertificateExpired).contains("no longer valid"));
    assert!(alert(AlertDescription::HandshakeFailure).contains("in common"));
    assert!(alert(AlertDescription::InternalError).contains("broke the handshake off: InternalError"));
    for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
        assert!(super::words(&kind.into()).contains("write zk://"));
    }
    assert_eq!(super::words(&io::Error::other("else")), "else");
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, words) in [("", "holds no certificate"), ("plain", "holds no certificate"), (garbage, "ca.pem: ")] {
        let ca = file("ca.pem", text);
        let why = client_config(Some(&TlsFiles { ca: Some(ca), identity: None })).unwrap_err();
        assert!(why.contains(words) && why.contains("ca.pem"), "{why}");
    }
    let missing = TlsFiles { ca: Some(dir.path().join("none.pem")), identity: None };
    assert!(client_config(Some(&missing)).unwrap_err().contains("none.pem: No such file"));
}
