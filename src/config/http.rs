//! `listen` and `hosts` in `[status]`.

use std::net::{IpAddr, SocketAddr};

use super::HttpConfig;
use super::problem::ValueError;
use super::table::Table;
use super::url::host_name;

/// An address for hints.
const EXAMPLE: &str = "\"127.0.0.1:9189\"";

/// Reads both keys; `None` if HTTP is off.
pub fn http(table: &Table<'_>) -> Option<HttpConfig> {
    let hosts = table.get("hosts");
    let Some(value) = table.get("listen") else {
        if let Some(hosts) = hosts {
            let hint = format!("add listen = {EXAMPLE}, or remove `hosts`");
            hosts.reject(ValueError::new("`hosts` has no effect without `listen`", hint));
        }
        return None;
    };
    let names = hosts.and_then(|value| value.items("[\"monitoring.example.com\"]")).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.read(host, "\"monitoring.example.com\"")).collect();
    let listen = value.read(listen, EXAMPLE)?;
    if !listen.ip().to_canonical().is_loopback() {
        value.report.warn(format!(
            "`listen` is {listen}, which is not a loopback address: whoever reaches this port can read the state of the \
             agent"
        ));
    }
    Some(HttpConfig { listen, hosts: names })
}

/// Parses an address and port. A name is not accepted, because it may stand for several addresses.
pub fn listen(text: &str) -> Result<SocketAddr, ValueError> {
    let wrong = |message: String, hint: String| Err(ValueError::new(message, hint));
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port != 0);
    match (text.parse::<SocketAddr>(), port) {
        (Ok(address), Some(_)) => Ok(address),
        (Ok(address), None) => {
            let hint = format!("write a port from 1 to 65535, as in \"{}:9189\"", in_brackets(address.ip()));
            wrong(format!("{text:?} has no usable port"), hint)
        }
        (Err(_), _) => match (text.parse::<IpAddr>(), port) {
            (Ok(ip), _) => wrong(format!("{text:?} has no port"), format!("write \"{}:9189\"", in_brackets(ip))),
            (Err(_), Some(port)) if text.starts_with("localhost:") => wrong(
                format!("{text:?} is not an IP address and port"),
                format!("write \"127.0.0.1:{port}\", or \"[::1]:{port}\" for IPv6"),
            ),
            (Err(_), Some(port)) if text.starts_with(':') || text.starts_with('*') => wrong(
                format!("{text:?} has no IP address"),
                format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" if every host may read the state"),
            ),
            _ => wrong(
                format!("{text:?} is not an IP address and port"),
                format!("write {EXAMPLE}, or \"[::1]:9189\" for IPv6"),
            ),
        },
    }
}

fn in_brackets(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// Parses one of `hosts`: a name or an IP address, without a port.
pub fn host(text: &str) -> Result<String, ValueError> {
    let hint = "write a name or an IP address without a port, as in \"monitoring.example.com\"";
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    host_name(text, text, hint).map(|name| name.to_ascii_lowercase())
}
