//! `prime-chroot`: creates the chroot of a registry.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Global;
use super::agent_commands::print;
use crate::config::{Auth, flags};
use crate::error::{Exit, Fatal};
use crate::watch::zookeeper::chroot;
use crate::zk::{Acl, PERMS_ALL};

#[cfg(test)]
mod tests;

/// The schemes of access control lists.
const SCHEMES: [&str; 6] = ["world", "auth", "digest", "sasl", "ip", "x509"];

/// The permissions with their letters, as in ZooKeeper's own command line.
const PERMS: [(char, i32); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];

/// The length of a SHA-1 hash in base64.
const HASH_LENGTH: usize = 28;

/// The command line of `prime-chroot`.
#[derive(Debug, Clone, Args)]
pub struct PrimeArgs {
    /// The URL with the chroot, zk://a:2181,b:2181/chroot, or the same without zk://
    /// [default: that of --registry or the configuration]
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[arg(long, value_name = "SCHEME:ID:PERMS", value_parser = acl)]
    #[arg(
        help = "An entry of the access control list of each node that is created: world:anyone:cdrwa, auth::cdrwa, \
                  digest:USER:HASH:r, … Repeatable [default: world:anyone:cdrwa]"
    )]
    acl: Vec<Acl>,
    #[arg(long, value_name = "FILE")]
    #[arg(
        help = "Authenticate with the digest credentials in FILE, which contains one line: USER:PASSWORD [env: ROSTERD_AUTH]"
    )]
    auth: Option<PathBuf>,
    /// How long to wait for the registry
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    timeout: Duration,
}

impl PrimeArgs {
    /// The URL of the registry. Without a scheme it is a connection string of ZooKeeper.
    pub fn registry(&self) -> Option<String> {
        let is_url = |url: &str| url.contains("://") || url.starts_with("dir:");
        self.url.as_ref().map(|url| if is_url(url) { url.clone() } else { format!("zk://{url}") })
    }
}

/// Creates what is missing of the chroot, and prints the path of each node that it created.
pub async fn prime_chroot(global: &Global, args: PrimeArgs) -> Result<Exit, Fatal> {
    let (config, state) = global.registry_with_auth(args.auth)?;
    if config.auth.is_empty() && args.acl.iter().any(|acl| acl.scheme == "auth") {
        let message = "--acl auth::PERMS needs credentials: use --auth FILE, or -c FILE with `auth` in [registry]";
        return Err(Fatal::new(Exit::Usage, message));
    }
    let open = Acl { perms: PERMS_ALL, scheme: "world".into(), id: "anyone".to_owned() };
    let acl = if args.acl.is_empty() { vec![open] } else { args.acl };
    let mut created = Vec::new();
    let done = chroot::create(&config, &state, &acl, args.timeout, &mut created).await;
    print(&created.into_iter().map(|path| path + "\n").collect::<String>())?;
    done.map(|()| Exit::Done)
}

/// Reads digest credentials.
pub fn credential(file: &Path) -> Result<Auth, Fatal> {
    Auth::digest(&flags::working_dir().join(file)).map_err(|wrong| {
        let hint = wrong.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Fatal::new(Exit::Config, format!("{wrong}{hint}"))
    })
}

/// Parses an entry of an access control list, in the form of ZooKeeper's own command line.
pub fn acl(text: &str) -> Result<Acl, String> {
    let form = "write SCHEME:ID:PERMS, as in world:anyone:r or auth::cdrwa";
    let (scheme, rest) = text.split_once(':').ok_or(form)?;
    let (id, letters) = rest.rsplit_once(':').ok_or(form)?;
    let known = SCHEMES.into_iter().find(|known| *known == scheme);
    let scheme = known.ok_or_else(|| format!("unknown scheme {scheme:?}; known schemes: {}", SCHEMES.join(", ")))?;
    let wrong = match scheme {
        "world" if id != "anyone" => Some("the id of the scheme world is anyone: world:anyone:PERMS"),
        "auth" if !id.is_empty() => Some("the scheme auth has no id, it is for the credentials in use: auth::PERMS"),
        "digest" if id.split_once(':').is_none_or(|(_, hash)| hash.len() != HASH_LENGTH) => {
            Some("write digest:USER:HASH:PERMS, with the SHA-1 hash of USER:PASSWORD in base64; or auth::PERMS")
        }
        "sasl" | "ip" | "x509" if id.is_empty() => Some("the id is missing"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(wrong.to_owned());
    }
    let mut perms = 0;
    for letter in letters.chars() {
        let perm = PERMS.iter().find(|(known, _)| *known == letter);
        perms |=
            perm.map(|(_, bit)| bit).ok_or("permissions are letters of cdrwa: create, delete, read, write, admin")?;
    }
    if perms == 0 {
        return Err("the permissions are missing: letters of cdrwa".to_owned());
    }
    Ok(Acl { perms, scheme: scheme.into(), id: id.to_owned() })
}
