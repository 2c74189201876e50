//! A change is tried before it is published: the templates of an agent's configuration, and the checks of views.

use super::Scene;

const TEMPLATE: &str = "defaults\n    timeout connect 1s\n    timeout client {{ settings.idle }}\n    timeout server 1s\n\nfrontend f\n    mode http\n    \
                        bind 127.0.0.1:1\n    default_backend b\n\nbackend b\n    mode http\n{% for m in web %}    \
                        server {{ m.host }} {{ m.address }}\n{% endfor %}";

#[test]
fn a_change_that_breaks_haproxy_is_refused_in_its_own_words_and_nothing_is_written() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "idle=\"1s\""]);
    scene.client.put("/services/web/127.0.0.1:80", b"");
    scene.site.file("templates/haproxy.cfg.tera", TEMPLATE);
    scene.site.file(
        "agent.toml",
        &format!(
            "[registry]\nurl = \"zk://{}\"\n[agent]\nstate_dir = \"agent\"\n[[roster]]\npath = \"/services/web\"\n\
             [[key]]\nname = \"settings\"\npath = \"/services/pycon/views/parent/child1\"\nformat = \"json\"\n\
             [[template]]\nsrc = \"haproxy.cfg.tera\"\ndest = \"out/haproxy.cfg\"\ncheck_cmd = \"haproxy -c -f {{{{ src }}}}\"\n",
            scene.servers
        ),
    );
    let before = scene.site.tree();
    let stderr = scene.refused(&["set", "pycon/parent", "idle=\"soon\"", "-y", "--try", "agent.toml"], 1);
    assert!(
        stderr.contains("haproxy -c -f") && stderr.contains("'timeout client'") && stderr.contains("[ALERT]"),
        "haproxy's own words: {stderr}"
    );
    assert!(stderr.contains("nothing was written"), "{stderr}");
    let stderr = scene.refused(&["set", "pycon/parent", "--unset", "idle", "-y", "--try", "agent.toml"], 1);
    assert!(stderr.contains("haproxy.cfg.tera"), "a template that cannot be rendered: {stderr}");
    let tried = scene.jones(&["set", "pycon", "idle=\"9s\"", "-y", "--try", "agent.toml"]);
    assert!(
        tried.expect(0).stderr().contains("no template reads a view that changes"),
        "parent hides it: {}",
        tried.stderr()
    );
    let tried = scene.jones(&["set", "pycon/parent", "idle=\"2s\"", "-y", "--try", "agent.toml"]);
    assert!(tried.expect(0).stderr().contains("rendered and checked: haproxy.cfg"), "{}", tried.stderr());
    assert_eq!(scene.text("/services/pycon/conf/parent"), r#"{"idle": "2s"}"#);
    assert_eq!(scene.site.tree(), before, "no file of the host was touched");
    let wrong = scene.refused(&["set", "pycon/parent", "idle=\"3s\"", "-y", "--try", "gone.toml"], 78);
    assert!(wrong.contains("gone.toml"), "{wrong}");
}

/// A write that is tried first, and not asked for.
fn tried<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &["-y", "--try", "agent.toml"]].concat()
}

#[test]
fn a_host_of_the_configuration_is_tried_with_the_view_that_it_would_read() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon", "idle=\"1s\""]);
    scene.site.file("templates/idle.conf.tera", "{{ settings.idle }}\n");
    scene.site.file(
        "agent.toml",
        &format!(
            "[registry]\nurl = \"zk://{}\"\n[agent]\nstate_dir = \"agent\"\n\
             [[key]]\nname = \"settings\"\njones = \"pycon\"\nhost = \"h1\"\n\
             [[template]]\nsrc = \"idle.conf.tera\"\ndest = \"out/idle.conf\"\ncheck_cmd = \"grep -qx 1s {{{{ src }}}}\"\n",
            scene.servers
        ),
    );
    // h1 reads parent/child1.
    let stderr = scene.refused(&tried(&["set", "pycon/parent", "idle=\"2s\""]), 1);
    assert!(stderr.contains("check \"grep -qx 1s"), "{stderr}");
    scene.ok(&tried(&["set", "pycon/parent/child1", "idle=\"1s\"", "n=1"]));
    scene.ok(&tried(&["set", "pycon/parent", "idle=\"2s\""]));
    // A host that moves, and one in a canary.
    let stderr = scene.refused(&tried(&["associate", "pycon/parent", "h1"]), 1);
    assert!(stderr.contains("check \"grep -qx 1s"), "{stderr}");
    let stderr = scene.refused(&tried(&["canary", "pycon/parent/child1", "h1", "--set", "idle=\"3s\""]), 1);
    assert!(stderr.contains("check \"grep -qx 1s"), "{stderr}");
    scene.ok(&tried(&["associate", "pycon", "h1"]));
}

#[test]
fn a_view_is_refused_by_the_check_of_its_service() {
    let scene = Scene::pycon();
    let check = "[jones.check.\"pycon\"]\ncmd = \"python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))[\\\"times\\\"] < 10, \\\"too many times\\\"' {{ src }}\"\n";
    scene.configure("", check);
    let stderr = scene.refused(&["set", "pycon", "times=10", "-y"], 1);
    assert!(stderr.contains("pycon: the view was refused: check ") && stderr.contains("too many times"), "{stderr}");
    let stderr = scene.refused(&["set", "pycon/parent/child1", "times=11", "-y"], 1);
    assert!(stderr.contains("pycon/parent/child1: the view was refused"), "{stderr}");
    scene.write(&["set", "pycon", "times=9"]);
}

#[test]
fn a_view_is_refused_by_the_schema_of_its_service() {
    let scene = Scene::pycon();
    let schema = r#"{"required": ["locale"], "properties": {"times": {"type": "integer", "maximum": 10}}}"#;
    scene.site.file("pycon.schema.json", schema);
    scene.configure("", "[jones.check.\"pycon\"]\nschema = \"pycon.schema.json\"\n");
    let stderr = scene.refused(&["set", "pycon/parent", "times=\"many\"", "-y"], 1);
    assert!(stderr.contains("pycon/parent: the view does not match") && stderr.contains("'/times'"), "{stderr}");
    let stderr = scene.refused(&["canary", "pycon/parent", "h1", "--set", "times=\"many\"", "-y"], 1);
    assert!(stderr.contains("pycon/parent/child1: the view does not match"), "{stderr}");
    // The own configuration has no locale, but its view does.
    scene.write(&["set", "pycon/parent", "times=10"]);
    let stderr = scene.refused(&["set", "pycon", "--unset", "locale", "-y"], 1);
    assert!(stderr.contains("pycon: the view does not match") && stderr.contains("locale"), "{stderr}");
    scene.site.file("pycon.schema.json", "{\"type\": 1}");
    let stderr = scene.refused(&["set", "pycon", "times=1", "-y"], 78);
    assert!(stderr.contains("pycon.schema.json cannot be used"), "{stderr}");
    scene.configure("", "[jones.check.\"pycon\"]\ntimeout = \"1s\"\n");
    assert!(scene.jones(&["ls"]).expect(78).stderr().contains("a check needs `schema` or `cmd`"));
}

#[test]
fn a_new_service_and_a_pin_are_checked_as_every_view_is() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "pool=1"]);
    scene.site.file("pool.schema.json", r#"{"required": ["pool"]}"#);
    let check = |service: &str| format!("[jones.check.\"{service}\"]\nschema = \"pool.schema.json\"\n");
    scene.configure("", &(check("pycon") + &check("new")));
    let stderr = scene.refused(&["init", "new"], 1);
    assert!(stderr.contains("new: the view does not match"), "{stderr}");
    // The view had no pool then.
    let stderr = scene.refused(&["pin", "pycon", "h1", "--rev", "r4", "-y"], 1);
    assert!(stderr.contains("pycon/parent/child1: the view does not match"), "{stderr}");
    scene.write(&["pin", "pycon", "h1", "--rev", "r5"]);
}
