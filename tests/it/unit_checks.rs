//! Files of a unit that need each other, with the real haproxy and nginx as their checkers: they land together, or not
//! at all.

use std::fs;

use serde_json::Value;

use crate::harness::site::{Agent, Site};

const REGISTRY: &str = r#"
[registry]
url = "dir:registry"

[[key]]
name = "app"
path = "/config/app"

[[roster]]
name = "web"
path = "/services/web"
wait = "10ms"
max_shrink = "100%"
"#;

/// haproxy reads a map that haproxy.cfg names, and a second file that only the command names.
const HAPROXY: &str = r#"
[[template]]
src = "haproxy.cfg"
dest = "out/haproxy.cfg"
check_cmd = "PATH=$PATH:/usr/sbin; haproxy -c -f {{ src }} -f {{ staged['backend.cfg'] }}"
unit = "edge"

[[template]]
src = "backend.cfg"
dest = "out/backend.cfg"
unit = "edge"

[[template]]
src = "hosts.map"
dest = "out/hosts.map"
unit = "edge"
"#;

const HAPROXY_CFG: &str = "\
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind 127.0.0.1:18081
    http-request deny if { src,map_ip({{ staged['hosts.map'] }}) -m found }
    default_backend {{ app }}
";

const BACKEND_CFG: &str = "\
backend {{ app }}
{%- for m in web %}
    server s{{ m.slot }} {{ m.address }} weight {{ m.weight | default(value=1) }}
{%- endfor %}
";

const HOSTS_MAP: &str = "{% for m in web %}{{ m.host }} {{ m.host }}\n{% endfor %}";

/// nginx.conf includes a file with the upstream that it passes requests to.
const NGINX: &str = r#"
[[template]]
src = "nginx.conf"
dest = "out/nginx.conf"
check_cmd = "PATH=$PATH:/usr/sbin; nginx -t -c {{ src }}"
unit = "edge"

[[template]]
src = "upstream.conf"
dest = "out/upstream.conf"
unit = "edge"
"#;

const NGINX_CONF: &str = "\
pid SITE/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    include {{ staged['upstream.conf'] }};
    server {
        listen 127.0.0.1:18082;
        location / { proxy_pass http://{{ app }}; }
    }
}
";

const UPSTREAM_CONF: &str = "\
upstream {{ app }} {
{%- for m in web %}
    server {{ m.address }};
{%- endfor %}
}
";

/// A site with these templates, an application "blue", and one member.
fn site(config: &str, templates: &[(&str, &str)]) -> Site {
    let site = Site::new(&format!("{REGISTRY}{config}"));
    for (name, text) in templates {
        site.file(&format!("templates/{name}"), &text.replace("SITE", &site.path("").to_string_lossy()));
    }
    site.file("registry/config/app", "blue").file("registry/services/web/10.0.0.1:80", "{}");
    site
}

fn haproxy() -> Site {
    site(HAPROXY, &[("haproxy.cfg", HAPROXY_CFG), ("backend.cfg", BACKEND_CFG), ("hosts.map", HOSTS_MAP)])
}

fn nginx() -> Site {
    site(NGINX, &[("nginx.conf", NGINX_CONF), ("upstream.conf", UPSTREAM_CONF)])
}

fn template(site: &Site, name: &str) -> Value {
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    let templates = status["templates"].as_array().unwrap().clone();
    templates.into_iter().find(|template| template["name"] == name).unwrap()
}

/// All that is in `out`, by name, and that no file names a staged one.
fn placed(site: &Site) -> Vec<(String, String)> {
    let files = fs::read_dir(site.path("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.map(|name| (name.clone(), site.read(&format!("out/{name}")))).collect();
    files.sort();
    assert!(files.iter().all(|(_, text)| !text.contains(".rosterd-")), "{files:?}");
    files
}

fn all_name(site: &Site, names: &[&str], app: &str) -> bool {
    names.iter().all(|name| site.read(&format!("out/{name}")).contains(app))
}

/// Waits until these files name the application, and no temporary file is left.
fn names(agent: &Agent, site: &Site, names: &[&str], app: &str) {
    agent.until("all files name it", || all_name(site, names, app));
    agent.until("nothing is left behind", || site.leftovers().is_empty());
}

#[test]
fn haproxy_and_its_map_are_written_together_the_first_time_and_after_a_rename() {
    let site = haproxy();
    // In a single pass, too. A dry run shows the destinations.
    let diff = site.run(&["diff"]);
    let map = site.path("out/hosts.map");
    assert!(diff.expect(2).stdout().contains(&format!("map_ip({})", map.display())), "{}", diff.stdout());
    site.run(&["render"]).expect(0);
    assert_eq!(placed(&site).len(), 3);
    assert!(site.read("out/haproxy.cfg").contains(&format!("map_ip({})", map.display())));
    assert!(site.run(&["diff"]).expect(0).stdout().is_empty());

    let mut agent = site.start();
    site.file("registry/config/app", "green");
    names(&agent, &site, &["haproxy.cfg", "backend.cfg"], "green");
    placed(&site);
    // The map alone changes.
    site.file("registry/services/web/10.0.0.2:80", "{}");
    agent.until("the map", || site.read("out/hosts.map").contains("10.0.0.2 10.0.0.2"));
    assert_eq!(agent.said("event=check_refused"), 0, "{}", agent.log().join("\n"));
    assert_eq!(agent.said("event=drift_detected"), 0, "{}", agent.log().join("\n"));
    assert!(agent.stop().success());
    assert!(site.leftovers().is_empty());
}

#[test]
fn a_member_that_another_file_of_the_unit_shows_is_found_and_left_out_of_all() {
    let site = haproxy();
    let agent = site.start();
    names(&agent, &site, &["haproxy.cfg", "backend.cfg"], "blue");
    // haproxy.cfg itself shows no member, and its check is the only one. The most that haproxy takes is 256.
    site.file("registry/services/web/10.0.0.2:80", "{}")
        .file("registry/services/web/10.0.0.3:80", r#"{"weight": 999}"#);
    agent.until("the others are served", || site.read("out/backend.cfg").contains("10.0.0.2:80"));
    agent.until("all files leave it out", || {
        !placed(&site).iter().any(|(_, text)| text.contains("10.0.0.3"))
            && site.read("out/hosts.map").contains("10.0.0.2")
    });
    let out = template(&site, "haproxy.cfg")["left_out"].clone();
    assert_eq!((&out[0]["member"], out.as_array().unwrap().len()), (&Value::from("10.0.0.3:80"), 1), "{out}");
    site.file("registry/services/web/10.0.0.3:80", r#"{"weight": 9}"#);
    agent.until("it is back", || all_name(&site, &["backend.cfg", "hosts.map"], "10.0.0.3"));
    agent.until("nothing is left behind", || site.leftovers().is_empty());
}

#[test]
fn nginx_and_what_it_includes_are_written_together_the_first_time_and_after_a_rename() {
    let site = nginx();
    let agent = site.start();
    let both = ["nginx.conf", "upstream.conf"];
    names(&agent, &site, &both, "blue");
    assert!(site.read("out/nginx.conf").contains(&format!("include {};", site.path("out/upstream.conf").display())));
    site.file("registry/config/app", "green");
    names(&agent, &site, &both, "green");
    placed(&site);
    assert_eq!(agent.said("event=check_refused"), 0, "{}", agent.log().join("\n"));
    // A rename in the included file alone: nginx.conf stays as it is, and is checked all the same.
    let before = both.map(|name| site.fingerprint(&format!("out/{name}")));
    site.file("templates/upstream.conf", &UPSTREAM_CONF.replace("{{ app }}", "red"));
    agent.says("event=check_refused");
    agent.until("both are told", || {
        template(&site, "nginx.conf")["last_error"].to_string().contains("green")
            && template(&site, "upstream.conf")["last_error"].to_string().contains("template nginx.conf: check failed")
    });
    assert_eq!(both.map(|name| site.fingerprint(&format!("out/{name}"))), before);
    // Its counterpart lets both land.
    site.file("templates/nginx.conf", &site.read("templates/nginx.conf").replace("{{ app }}", "red"));
    names(&agent, &site, &both, "red");
    placed(&site);
}
