//! A change is tried before it is published: the templates of an agent's configuration, and the checks of views.

use super::Scene;

const TEMPLATE: &str = "defaults\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n\nfrontend f\n    mode http\n    \
                        bind 127.0.0.1:1\n    maxconn {{ settings.maxconn }}\n    default_backend b\n\nbackend b\n    mode http\n{% for m in web %}    \
                        server {{ m.host }} {{ m.address }}\n{% endfor %}";

#[test]
fn a_change_that_breaks_haproxy_is_refused_in_its_own_words_and_nothing_is_written() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "maxconn=100"]);
    scene.client.put("/services/web/h1:80", b"");
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
    let stderr = scene.refused(&["set", "pycon/parent", "maxconn=\"many\"", "-y", "--try", "agent.toml"], 1);
    assert!(stderr.contains("haproxy -c -f") && stderr.contains("'maxconn'"), "haproxy's own words: {stderr}");
    assert!(stderr.contains("nothing was written"), "{stderr}");
    let stderr = scene.refused(&["set", "pycon/parent", "--unset", "maxconn", "-y", "--try", "agent.toml"], 1);
    assert!(stderr.contains("haproxy.cfg.tera"), "a template that cannot be rendered: {stderr}");
    let tried = scene.jones(&["set", "pycon", "maxconn=9", "-y", "--try", "agent.toml"]);
    assert!(
        tried.expect(0).stderr().contains("no template reads a view that changes"),
        "parent hides it: {}",
        tried.stderr()
    );
    let tried = scene.jones(&["set", "pycon/parent", "maxconn=200", "-y", "--try", "agent.toml"]);
    assert!(tried.expect(0).stderr().contains("rendered and checked: haproxy.cfg"), "{}", tried.stderr());
    assert_eq!(scene.text("/services/pycon/conf/parent"), r#"{"maxconn": 200}"#);
    assert_eq!(scene.site.tree(), before, "no file of the host was touched");
    let wrong = scene.refused(&["set", "pycon/parent", "maxconn=1", "-y", "--try", "gone.toml"], 78);
    assert!(wrong.contains("gone.toml"), "{wrong}");
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
