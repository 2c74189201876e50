//! A certificate authority for a single test, made with openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority, with a directory for the certificates it signs.
pub struct Authority {
    folder: TempDir,
}

/// The configuration of `openssl ca`.
const CONFIG: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\ndefault_md = sha256\npolicy = any\n\
    rand_serial = yes\nunique_subject = no\n[any]\ncommonName = supplied\n";

/// The validity of a certificate.
#[derive(Debug, Clone, Copy)]
pub enum Valid {
    Now,
    /// Until the end of 2020.
    NoMore,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        let script = r#"
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj "/CN=$1" \
                -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE
            printf '%s' "$2" > ca.cnf
            : > index
        "#;
        authority.sh(script, &[name, CONFIG]);
        authority
    }

    /// The authority's own certificate, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Signs a certificate for these alternative names (`IP:127.0.0.1`, `DNS:zk1`). Returns it and its key, as PEM.
    pub fn sign(&self, name: &str, alternatives: &str, valid: Valid) -> (PathBuf, PathBuf) {
        let script = r#"
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
            printf 'subjectAltName=%s' "$2" > "$1.san"
            openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -notext -extfile "$1.san" \
                -startdate 20200101000000Z -enddate "$3" -in "$1.csr" -out "$1.pem"
        "#;
        let end = match valid {
            Valid::Now => "20990101000000Z",
            Valid::NoMore => "20201231235959Z",
        };
        self.sh(script, &[name, alternatives, end]);
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    /// Writes the files that a ZooKeeper server of that name needs: its key store `NAME.p12`, and its trust store
    /// `ca.p12`.
    pub fn equip(&self, folder: &Path, name: &str) {
        let script = r#"
            openssl pkcs12 -export -in "$1.pem" -inkey "$1.key" -passout pass:secret -out "$2/$1.p12"
            rm -f "$2/ca.p12"
            keytool -importcert -noprompt -alias ca -file ca.pem -storetype PKCS12 -storepass secret -keystore "$2/ca.p12"
        "#;
        self.sh(script, &[name, folder.to_str().unwrap()]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sh(&self, script: &str, args: &[&str]) {
        let made = Command::new("sh").args(["-ec", script, "sh"]).args(args).current_dir(self.folder.path()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{script}: {}", String::from_utf8_lossy(&made.stderr));
    }
}
