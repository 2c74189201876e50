//! The cookbook of packaging/chef, under a stand-in for Chef: no Chef is packaged where the tests run.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::exhibitor::Exhibitor;
use crate::harness::site::Site;
use crate::support::docs::{blocks, root};
use crate::support::zookeeper::ZooKeeper;

const ROSTERD: &str = env!("CARGO_BIN_EXE_rosterd");

/// A run of Chef with one recipe.
struct Run {
    done: bool,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Checks that the run succeeded. Returns its output.
    fn output(&self) -> &str {
        assert!(self.done, "{}{}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Checks that the run failed with this exception, before the recipe printed anything.
    fn fails(&self, exception: &str) {
        assert!(!self.done && self.stdout.is_empty(), "the recipe did not fail: {}", self.stdout);
        assert!(self.stderr.contains(exception), "not {exception}: {}", self.stderr);
    }
}

/// The directory of a test, and the registry of its recipes. `SITE` in a recipe is the path of the directory.
struct Chef {
    site: Site,
    registry: String,
    command: String,
    timeout: &'static str,
}

impl Chef {
    fn new(config: &str, registry: String) -> Self {
        Self { site: Site::new(config), registry, command: ROSTERD.into(), timeout: "30s" }
    }

    fn run(&self, recipe: &str) -> Run {
        self.converge(recipe, &[])
    }

    /// The value or the exception of each call, as a line.
    fn outcomes(&self, calls: &[&str]) -> Vec<String> {
        let one = |call: &&str| format!("begin; puts JSON.generate({call}); rescue => e; puts e.class; end\n");
        let recipe: String = calls.iter().map(one).collect();
        self.run(&recipe).output().lines().map(str::to_owned).collect()
    }

    fn converge(&self, recipe: &str, options: &[&str]) -> Run {
        let dir = self.site.path("");
        self.site.file("recipe.rb", &recipe.replace("SITE/", &dir.display().to_string()));
        let attributes = json!({
            "command": self.command, "registry": self.registry, "timeout": self.timeout,
            "config": self.site.path("rosterd.toml"), "conf_dir": self.site.path("conf.d"),
            "state_dir": self.site.path("chef"),
        });
        let mut ruby = Command::new("ruby");
        ruby.args(["--disable=gems", "-w"])
            .arg(root().join("tests/it/chef/stand_in.rb"))
            .arg(root().join("packaging/chef"));
        ruby.arg(self.site.path("recipe.rb")).arg(attributes.to_string()).args(options).stdin(Stdio::null());
        // Chef also runs where the locale is not set.
        ruby.env_remove("ROSTERD_CONFIG").env("LC_ALL", "C");
        let Output { status, stdout, stderr } = ruby.output().expect("ruby is missing: apt-get install ruby");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { done: status.success(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// Runs a Python program with a kazoo client `k`.
fn kazoo(servers: &str, program: &str) {
    let code = format!(
        "import sys\nfrom kazoo.client import KazooClient\nk = KazooClient(sys.argv[1])\nk.start()\n{program}\nk.stop()\n"
    );
    let mut python = Command::new("python3");
    python.args(["-c", &code, servers]).env("PYTHONPATH", root().join("target/python")).stdin(Stdio::null());
    assert!(python.status().unwrap().success());
}

#[test]
fn chef_gets_the_members_that_kazoo_put_there_or_an_exception() {
    let mut zookeeper = ZooKeeper::one();
    let mut chef = Chef::new("", format!("zk://{}", zookeeper.connect_string()));
    kazoo(
        &zookeeper.connect_string(),
        r#"
k.create('/services/web/a:1', b'{"timestamp":"20260103000000Z","zone":"\xc3\xa9"}', makepath=True)
k.create('/services/web/b:2', b'{"pid":1,"created":"2026-01-02 00:00:00"}', ephemeral=False)
k.create('/services/web/c:3', b'zone=a')
k.ensure_path('/services/empty')"#,
    );
    let known = [
        ("rosterd_members('/services/web', min: 2)", r#"["a:1","b:2","c:3"]"#),
        ("rosterd_members('/services/web', min: 1, max: 2)", r#"["a:1","b:2"]"#),
        ("rosterd_members('/services/empty', min: 0)", "[]"),
        ("rosterd_members('/services/web', cache: 'SITE/cache.json')", r#"["a:1","b:2","c:3"]"#),
        ("rosterd_members('/services/web', format: 'members', max: 1)[0]['port']", "1"),
        ("all_providers_for_service('web').map { |server| server['name'] }", r#"["c:3","b:2","a:1"]"#),
        ("provider_for_service(:web)['zone']", "\"é\""),
        ("provider_for_service('empty', min: 0)", "null"),
        ("rosterd_members('/services/web', min: 4)", "Rosterd::TooFewMembers"),
        ("rosterd_members('/none')", "Rosterd::TooFewMembers"),
        ("all_providers_for_service('empty')", "Rosterd::TooFewMembers"),
        ("provider_for_service('empty')", "Rosterd::TooFewMembers"),
        ("rosterd_members('--version')", "Rosterd::Error"),
        ("rosterd_members('/services/$(touch SITE/evil)')", "Rosterd::TooFewMembers"),
        ("rosterd_members(\"/a\\0\")", "ArgumentError"),
        ("rosterd_members('/a', minimum: 2)", "ArgumentError"),
        ("rosterd_members('/a', min: '$(id)')", "ArgumentError"),
    ];
    let (calls, values): (Vec<_>, Vec<_>) = known.into_iter().unzip();
    assert_eq!(chef.outcomes(&calls), values);
    assert!(!chef.site.path("evil").exists(), "a shell has read an argument");
    chef.run("puts rosterd_members('/none')").fails("Rosterd::TooFewMembers");

    chef.timeout = "200ms";
    let away = [
        "rosterd_members('/services/web', min: 0)",
        "rosterd_members('/services/empty', min: 0)",
        "all_providers_for_service('web', min: 0)",
        "provider_for_service('web')",
    ];
    for frozen in [true, false] {
        if frozen {
            zookeeper.freeze(0);
        } else {
            zookeeper.stop(0);
        }
        assert_eq!(chef.outcomes(&away), vec!["Rosterd::Unreachable"; away.len()], "frozen: {frozen}");
        let stale = chef.run("puts rosterd_members('/services/web', cache: 'SITE/cache.json').join(' ')");
        assert_eq!(stale.output(), "a:1 b:2 c:3\n");
        assert!(stale.stderr.contains("WARN: rosterd: stale, "), "{}", stale.stderr);
        if frozen {
            zookeeper.thaw(0);
        }
    }
}

#[test]
fn a_template_changes_its_file_only_when_the_bytes_change() {
    let zookeeper = ZooKeeper::shared();
    let (chroot, chef) = chroot(zookeeper);
    let client = zookeeper.client(&chroot);
    client.put("/services/web/a:1", b"");
    client.put("/services/web/b:2", b"");
    chef.site.file("in.tera", "{% for m in web %}{{ m.name }} {{ vars.quote }}\n{% endfor %}");
    let recipe = r#"
        rosterd_template "SITE/out/a b $(touch evil):touch evil" do
          source 'SITE/in.tera'
          rosters web: { path: '/services/web', min: 1 }
          vars quote: %q(a'"\$(touch evil))
          mode '0640'
          check_cmd ['test', '-s', '{{ src }}']
          notifies :reload, 'service[proxy]'
        end
        service('proxy') { action :nothing }"#;
    let file = "out/a b $(touch evil):touch evil";
    let why_run = chef.converge(recipe, &["--why-run"]);
    assert!(why_run.output().contains("would update rosterd_template["), "{}", why_run.stdout);
    assert!(why_run.output().contains("\n  +a:1 a'\"\\$(touch evil)\n"), "{}", why_run.stdout);
    assert_eq!(chef.site.read(file), "");

    let first = chef.run(recipe);
    assert!(first.output().contains("\nupdated service[proxy]: reload\n"), "{}", first.stdout);
    assert_eq!(chef.site.read(file), "a:1 a'\"\\$(touch evil)\nb:2 a'\"\\$(touch evil)\n");
    let before = chef.site.fingerprint(file);
    let again = chef.run(recipe);
    assert!(again.output().starts_with("up to date rosterd_template["), "{}", again.stdout);
    assert!(!again.output().contains("reload"), "{}", again.stdout);
    assert_eq!(chef.site.fingerprint(file), before);

    client.remove("/services/web/b:2");
    assert!(chef.run(recipe).output().contains("\n  -b:2"));
    client.remove("/services/web/a:1");
    chef.run(recipe).fails("Rosterd::TooFewMembers");
    client.put("/services/web/c:3", b"");
    let refused = chef.run(&recipe.replace("'test', '-s'", "'false'"));
    assert!(!refused.done && refused.stderr.contains("check_refused"), "{}", refused.stderr);
    chef.run(&recipe.replace("['test', '-s', '{{ src }}']", "'test -s {{ src }}'")).fails("ArgumentError");
    assert_eq!(chef.site.read(file), "a:1 a'\"\\$(touch evil)\n");
    assert!(!chef.site.tree().keys().any(|path| path.ends_with("evil")), "a shell has read an argument");
}

/// A chroot of the shared server, and Chef with it as its registry.
fn chroot(zookeeper: &ZooKeeper) -> (String, Chef) {
    let chroot = zookeeper.chroot();
    let url = format!("zk://{}{chroot}", zookeeper.connect_string());
    let config = format!(
        "[registry]\nurl = \"{url}\"\n[[roster]]\npath = \"/services/web\"\n[[template]]\n\
         src = \"SITE/web.tera\"\ndest = \"SITE/out/web.cfg\"\non_drift = \"report\"\n"
    );
    (chroot, Chef::new(&config, url))
}

#[test]
fn a_file_of_the_running_agent_is_left_to_it() {
    let zookeeper = ZooKeeper::shared();
    let (chroot, chef) = chroot(zookeeper);
    zookeeper.client(&chroot).put("/services/web/a:1", b"");
    chef.site.file("web.tera", "{{ web | length }}\n");
    let named = "rosterd_template 'web.cfg'\n";
    let own = "rosterd_template 'SITE/out/web.cfg' do\nsource 'SITE/web.tera'\nrosters web: '/services/web'\nend\n";
    assert!(chef.run(named).output().starts_with("updated rosterd_template[web.cfg]"), "without an agent");
    let mut agent = chef.site.start();
    agent.says("event=file_unchanged");
    chef.run(own).fails("the running agent writes ");
    assert_eq!(chef.run(named).output(), "up to date rosterd_template[web.cfg]\n");
    chef.site.remove("out/web.cfg");
    assert!(chef.run(named).output().starts_with("updated rosterd_template[web.cfg]"), "with the agent");
    agent.stop();
    assert_eq!(
        chef.run(own).output().lines().next_back().unwrap(),
        format!("up to date rosterd_template[{}]", chef.site.path("out/web.cfg").display())
    );
}

#[test]
fn a_provided_service_is_registered_by_the_agent_and_found_by_others() {
    let zookeeper = ZooKeeper::shared();
    let (chroot, chef) = chroot(zookeeper);
    chef.site.file("web.tera", "");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let provide = format!(
        "provide_service('web', port: {port}, host: 'h1', zone: 'a').notifies(:reload, 'service[rosterd]')\n\
         service('rosterd') {{ action :nothing }}\n"
    );
    let file = "conf.d/service-web.toml";
    assert!(chef.converge(&provide, &["--why-run"]).output().contains("would update file["));
    assert_eq!(chef.site.read(file), "");
    let mut agent = chef.site.start();
    let first = chef.run(&provide);
    assert!(first.output().ends_with("updated service[rosterd]: reload\n"), "{}", first.stdout);
    agent.signal(Signal::SIGHUP).says("service registered");
    assert!(!chef.run(&provide).output().contains("updated"));

    let other = "server = provider_for_service('web', wait_for: 1)\nputs server.values_at('address', 'zone').join(' ')";
    assert_eq!(chef.run(other).output(), format!("h1:{port} a\n"));

    let before = chef.site.read(file);
    chef.run("provide_service('web', port: 0)").fails("(Rosterd::Error)");
    chef.run("provide_service('web', port: 1, check: { cmd: 'true' })").fails("(ArgumentError)");
    chef.run("rosterd_service '../x'\n").fails("(ArgumentError)");
    assert_eq!(chef.site.read(file), before, "a refused service leaves the file unchanged");
    chef.run("rosterd_service('web') { action :delete }").output();
    agent.signal(Signal::SIGHUP).says("service deregistered");
    agent.stop();
    zookeeper.client(&chroot).put("/services/web/other:1", b"");
    assert_eq!(chef.run("puts rosterd_members('/services/web')").output(), "other:1\n");
}

#[test]
fn exhibitor_names_the_servers_or_an_exception_says_why_not() {
    let exhibitor = Exhibitor::naming(&["10.0.1.1", "10.0.1.0"], 2181);
    let url = exhibitor.url();
    let named = r#""10.0.1.1:2181,10.0.1.0:2181/jones""#;
    let mut calls = vec![
        (format!("zk_connect_str(discover_zookeepers('{url}/any/path'), 'jones')"), named),
        (format!("zk_connect_str(discover_zookeepers(['http://127.0.0.1:1', '{url}']), '/jones')"), named),
        ("zk_connect_str(%w[zk1 zk2:2182 [::1]])".into(), r#""zk1:2181,zk2:2182,[::1]:2181""#),
        ("zk_connect_str([])".into(), "ArgumentError"),
        ("discover_zookeepers([])".into(), "Rosterd::ExhibitorError"),
        ("discover_zookeepers('file:///etc/passwd')".into(), "Rosterd::ExhibitorError"),
    ];
    let large = format!("{{\"servers\":[\"{}\"],\"port\":2181}}", "a".repeat(2 << 20));
    let answers = [
        (200, r#"{"servers":[],"port":2181}"#),
        (200, r#"{"servers":["a b"],"port":2181}"#),
        (200, r#"{"servers":["a"],"port":0}"#),
        (200, "[]"),
        (200, "<html>"),
        (200, large.as_str()),
        (302, r#"{"servers":["a"],"port":2181}"#),
        (500, r#"{"servers":["a"],"port":2181}"#),
    ];
    let mut others: Vec<Exhibitor> = Vec::new();
    for (status, body) in answers {
        let other = Exhibitor::naming(&["a"], 2181);
        other.answers(status, body);
        others.push(other);
    }
    others.push(Exhibitor::naming(&["a"], 2181));
    others.last().unwrap().dies();
    calls.extend(
        others.iter().map(|other| (format!("discover_zookeepers('{}')", other.url()), "Rosterd::ExhibitorError")),
    );
    let chef = Chef::new("", "zk://none".into());
    let written: Vec<&str> = calls.iter().map(|(call, _)| call.as_str()).collect();
    let wanted: Vec<&str> = calls.iter().map(|(_, value)| *value).collect();
    assert_eq!(chef.outcomes(&written), wanted);
    let asked = exhibitor.asked();
    assert!(asked[0].starts_with("GET /exhibitor/v1/cluster/list "), "{asked:?}");
}

#[test]
fn a_chroot_is_created_once() {
    let zookeeper = ZooKeeper::shared();
    let (chroot, mut chef) = chroot(zookeeper);
    let servers = zookeeper.connect_string();
    let recipe = format!("rosterd_chroot 'zk://{servers}{chroot}/jones/x'\n");
    let inside = format!("puts rosterd_members('/', min: 0, registry: 'zk://{servers}{chroot}/jones/x').inspect");
    chef.run(&inside).fails("Rosterd::Unreachable");
    assert!(chef.converge(&recipe, &["--why-run"]).output().starts_with("would update rosterd_chroot["));
    chef.run(&inside).fails("Rosterd::Unreachable");
    assert!(chef.run(&recipe).output().starts_with("updated rosterd_chroot["));
    assert_eq!(chef.run(&inside).output(), "[]\n");
    assert!(chef.run(&recipe).output().starts_with("up to date rosterd_chroot["));
    chef.run("rosterd_chroot 'zk://zk1'\n").fails("ArgumentError");
    chef.timeout = "200ms";
    chef.run("rosterd_chroot 'zk://127.0.0.1:1/a'\n").fails("Rosterd::Unreachable");
}

/// The recipes of the documentation, with the addresses and paths of this test.
#[test]
fn the_documented_recipes_run() {
    let zookeeper = ZooKeeper::shared();
    let (chroot, chef) = chroot(zookeeper);
    let client = zookeeper.client(&chroot);
    for name in ["a:1", "b:2", "c:3"] {
        client.put(&format!("/services/production/web/{name}"), b"");
        client.put(&format!("/services/memcached/{name}"), b"");
    }
    let exhibitor =
        Exhibitor::naming(&["127.0.0.1"], zookeeper.servers()[0].rsplit(':').next().unwrap().parse().unwrap());
    chef.site.file("etc/rosterd/templates/haproxy.cfg.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    chef.site.file("web.tera", "");
    let recipes = blocks("docs/chef.md").into_iter().filter(|block| block.language == "ruby");
    let recipe: String = recipes.map(|block| block.text).collect();
    let local = recipe.replace("'/etc/", "'SITE/etc/").replace("http://exhibitor:8080", &exhibitor.url());
    let local = local.replace("'haproxy', '-c', '-f'", "'test', '-s'").replace("'jones'", &format!("'{chroot}'"));
    let run = chef.run(&local);
    assert_eq!(run.output().matches("\nupdated rosterd_").count(), 2, "{}", run.stdout);
    assert!(run.output().contains("up to date rosterd_chroot["), "{}", run.stdout);
    assert_eq!(chef.site.read("etc/memcached.servers"), "a:1\nb:2\nc:3\n");
    assert_eq!(chef.site.read("etc/haproxy.cfg"), "a:1\nb:2\nc:3\n");
    assert!(chef.site.read("conf.d/service-memcached.toml").contains("port = 11211\n"));
}
