//! One service in each format in a real ZooKeeper, and one template that renders all of them.

use std::fmt::Write as _;
use std::process::Command;

use crate::harness::site::Site;
use crate::support::zookeeper::ZooKeeper;

/// What a system has registered.
struct Service {
    /// The name of the roster and of its format.
    name: &'static str,
    path: &'static str,
    /// The value of `payload`; for the others `auto` must detect the format.
    payload: Option<&'static str>,
    nodes: &'static [(&'static str, &'static [u8])],
    /// A node that the format cannot decode.
    broken: Option<(&'static str, &'static [u8])>,
    /// A line for each member.
    lines: &'static [&'static str],
}

const SERVICES: [Service; 15] = [
    Service {
        name: "nextdoor",
        path: "/services/production/web",
        payload: None,
        nodes: &[
            ("10.0.0.1:80", br#"{"pid":26802,"created":"2026-11-20 10:07:29","zone":"us-west-2b","weight":3}"#),
            // Data that is not an object is shown as a text, and data that is not a text in base64.
            ("10.0.0.2:80", b"[1, 2]"),
            ("10.0.0.3:80", b"\xff\xfe"),
            ("[2001:db8::1]:80", b""),
        ],
        broken: Some(("10.0.0.9:80", br#"{"a":"\n"}"#)),
        lines: &[
            "10.0.0.1:80 id= weight=3 status= more=us-west-2b",
            "10.0.0.2:80 id= weight= status= more=[1, 2]",
            "10.0.0.3:80 id= weight= status= more=//4=",
            "[2001:db8::1]:80 id= weight= status= more=",
        ],
    },
    Service {
        name: "hostport",
        path: "/services/hostport",
        payload: Some("\"hostport\""),
        nodes: &[("10.0.1.1:80", b"{\"weight\":3}"), ("h2", b"\xff")],
        broken: None,
        lines: &["10.0.1.1:80 id= weight= status= more=", "h2 id= weight= status= more="],
    },
    Service {
        name: "nerve",
        path: "/nerve/web/services",
        payload: None,
        nodes: &[
            ("i-1_0000000007", br#"{"host":"10.0.2.1","port":8080,"name":"i-1","weight":10}"#),
            ("base64_44_eyJob3N0IjoiMTAuMC4wLjUiLCJwb3J0Ijo4MDgxfQ==_0000000008", b""),
        ],
        broken: Some(("i-3_0000000009", br#"{"host":"10.0.2.3"}"#)),
        lines: &["10.0.0.5:8081 id= weight= status= more=8", "10.0.2.1:8080 id=i-1 weight=10 status= more=7"],
    },
    Service {
        name: "serverset",
        path: "/twitter/service/web",
        payload: None,
        nodes: &[
            (
                "member_0000000001",
                br#"{"serviceEndpoint":{"host":"s1","port":10000},"additionalEndpoints":{"http":{"host":"s1","port":80}},"status":"ALIVE","shard":0}"#,
            ),
            (
                "member_0000000002",
                br#"{"serviceEndpoint":{"host":"s2","port":10000},"additionalEndpoints":{},"status":"STOPPING","shard":1}"#,
            ),
            (
                "member_0000000020",
                br#"{"serviceEndpoint":{"host":"s20","port":10000},"additionalEndpoints":{},"status":"DEAD","shard":20}"#,
            ),
            (
                "member_0000000021",
                br#"{"serviceEndpoint":{"host":"s21","port":10000},"additionalEndpoints":{},"status":"STARTING","shard":21}"#,
            ),
            (
                "member_0000000022",
                br#"{"serviceEndpoint":{"host":"s22","port":10000},"additionalEndpoints":{},"status":"STOPPED","shard":22}"#,
            ),
            (
                "member_0000000023",
                br#"{"serviceEndpoint":{"host":"s23","port":10000},"additionalEndpoints":{},"status":"WARNING","shard":23}"#,
            ),
            (
                "member_0000000024",
                br#"{"serviceEndpoint":{"host":"s24","port":10000},"additionalEndpoints":{},"status":"UNKNOWN","shard":24}"#,
            ),
            ("member_0000000030", br#"{"serviceEndpoint":{"host":"s30","port":10000},"additionalEndpoints":{}}"#),
            ("vector_0000000003", br#"{"vector":[{"select":"shard=0","weight":1.5,"priority":1}]}"#),
            ("lock", b""),
        ],
        broken: Some(("member_0000000004", br#"{"status":"ALIVE"}"#)),
        lines: &["s1:10000 id=0 weight=1.5 status=ALIVE more=80"],
    },
    Service {
        name: "serverset_all",
        path: "/twitter/service/all",
        payload: Some("\"serverset_all\""),
        nodes: &[
            (
                "member_0000000001",
                br#"{"serviceEndpoint":{"host":"s1","port":10000},"additionalEndpoints":{},"status":"ALIVE","shard":0}"#,
            ),
            (
                "member_0000000020",
                br#"{"serviceEndpoint":{"host":"s20","port":10000},"additionalEndpoints":{},"status":"DEAD","shard":20}"#,
            ),
            ("member_0000000030", br#"{"serviceEndpoint":{"host":"s30","port":10000},"additionalEndpoints":{}}"#),
        ],
        broken: Some(("member_0000000004", br#"{"status":"ALIVE"}"#)),
        lines: &[
            "s1:10000 id=0 weight=1 status=ALIVE more=",
            "s20:10000 id=20 weight=1 status=DEAD more=",
            "s30:10000 id=member_0000000030 weight=1 status=UNKNOWN more=",
        ],
    },
    Service {
        name: "curator",
        path: "/discovery/web",
        payload: None,
        nodes: &[
            (
                "4254",
                br#"{"name":"web","id":"4254","address":"10.0.4.1","port":123,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","metadata":{"instance_status":"UP","zone":"a"}},"registrationTimeUTC":1769292890155,"serviceType":"DYNAMIC"}"#,
            ),
            (
                "4255",
                br#"{"name":"web","id":"4255","address":"10.0.4.2","port":null,"sslPort":443,"payload":null,"registrationTimeUTC":1769292890155,"serviceType":"DYNAMIC","enabled":false}"#,
            ),
            (
                "4257",
                br#"{"name":"web","id":"4257","address":"10.0.4.3","port":20880,"sslPort":null,"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"10.0.4.3:20880","name":"web","metadata":{"dubbo.metadata.storage-type":"local","zone":"b"}},"registrationTimeUTC":1769292890155,"serviceType":"DYNAMIC","uriSpec":null}"#,
            ),
        ],
        broken: Some(("4256", b"{")),
        lines: &[
            "10.0.4.1:123 id=4254 weight= status=UP more=a",
            "10.0.4.2:443 id=4255 weight= status=down more=",
            "10.0.4.3:20880 id=4257 weight= status= more=b",
        ],
    },
    Service {
        name: "dubbo",
        path: "/dubbo/com.foo.BarService/providers",
        payload: None,
        nodes: &[
            ("dubbo%3A%2F%2F10.0.5.1%3A20880%2Fcom.foo.BarService%3Fweight%3D50", b""),
            ("dubbo%3A%2F%2F10.0.5.2%3A20880%2Fcom.foo.BarService%3Fdisabled%3Dtrue", b""),
        ],
        broken: Some(("10.0.5.3:20880", b"")),
        lines: &[
            "10.0.5.1:20880 id= weight=50 status= more=com.foo.BarService",
            "10.0.5.2:20880 id= weight=100 status=down more=com.foo.BarService",
        ],
    },
    Service {
        name: "kafka",
        path: "/brokers/ids",
        payload: None,
        nodes: &[
            (
                "1",
                br#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://k1:9092"],"jmx_port":-1,"port":9092,"host":"k1","version":5,"timestamp":"1610264776275","rack":"r1"}"#,
            ),
            ("2", br#"{"endpoints":["SSL://k2:9093"],"jmx_port":-1,"port":-1,"host":null,"version":5,"timestamp":"1"}"#),
        ],
        broken: Some(("x", b"{}")),
        lines: &["k1:9092 id=1 weight= status= more=r1", "k2:9093 id=2 weight= status= more="],
    },
    Service {
        name: "hbase",
        path: "/hbase/rs",
        payload: None,
        nodes: &[("rs1,16020,1769292890155", b"\xff\x00PBUF")],
        broken: Some(("rs2,16020", b"")),
        lines: &["rs1:16020 id= weight= status= more=1769292890155"],
    },
    Service {
        name: "solr",
        path: "/live_nodes",
        payload: None,
        nodes: &[("10.0.8.1:8983_solr", b""), ("10.0.8.2:8983_a%2Fb", b"")],
        broken: Some(("10.0.8.3", b"")),
        lines: &["10.0.8.1:8983 id= weight= status= more=solr", "10.0.8.2:8983 id= weight= status= more=a/b"],
    },
    Service {
        name: "patroni",
        path: "/service/main/members",
        payload: None,
        nodes: &[
            (
                "pg1",
                br#"{"conn_url":"postgres://u:secret@10.0.9.1:6432/postgres","api_url":"http://10.0.9.1:8008/patroni","state":"running","role":"primary","version":"4.0.1","timeline":1}"#,
            ),
            ("pg2", br#"{"conn_url":"postgres://10.0.9.2/postgres","state":"streaming","role":"replica"}"#),
            ("pg4", b"postgres://u:secret@10.0.9.4:5433/postgres?application_name=http://10.0.9.4:8008/patroni"),
        ],
        broken: Some(("pg3", br#"{"conn_url":"mysql://u:secret@h/"}"#)),
        lines: &[
            "10.0.9.1:6432 id= weight= status=running more=primary",
            "10.0.9.2:5432 id= weight= status=streaming more=replica",
            "10.0.9.4:5433 id= weight= status= more=",
        ],
    },
    Service {
        name: "lock",
        path: "/locks/leader",
        payload: Some("\"lock\""),
        nodes: &[
            ("ffffffffffffffffffffffffffffffff__lock__0000000003", b"web1:80"),
            ("00000000000000000000000000000000__lock__0000000011", b"web1:80"),
            ("88888888888888888888888888888888__rlock__0000000007", b"\xff"),
            ("88888888888888888888888888888888__lease__0000000001", b"web3"),
        ],
        broken: None,
        lines: &[
            "web1:80 id=web1:80 weight= status= more=lock",
            " id= weight= status= more=rlock",
            "web1:80 id=web1:80 weight= status= more=lock",
        ],
    },
    Service {
        name: "party",
        path: "/party",
        payload: Some("\"party\""),
        nodes: &[
            ("00000000000000000000000000000000__party__", b"web1"),
            ("11111111111111111111111111111111__party__", b"web2:80"),
        ],
        broken: Some(("22222222222222222222222222222222__party__", b"\xff")),
        lines: &["web1 id=web1 weight= status= more=", "web2:80 id=web2:80 weight= status= more="],
    },
    Service {
        name: "shallow_party",
        path: "/shallow",
        payload: Some("\"shallow_party\""),
        nodes: &[("00000000000000000000000000000000-web1-4711", b"")],
        broken: None,
        lines: &["web1-4711 id=web1-4711 weight= status= more="],
    },
    Service {
        name: "custom",
        path: "/own/web",
        payload: Some(r#"{ host = "ip", port = "svc.ports.0", weight = "w", id = "uid" }"#),
        nodes: &[("one", br#"{"ip":"10.0.10.1","svc":{"ports":[8080]},"w":"2","uid":7}"#)],
        broken: Some(("two", br#"{"ip":"10.0.10.2"}"#)),
        lines: &["10.0.10.1:8080 id=7 weight=2 status= more="],
    },
];

const TEMPLATE: &str = "
{%- component line(m, more: string) -%}
{{ m.address }} id={{ m.id }} weight={{ m.weight }} status={{ m.status }} more={{ more }}
{%- endcomponent line -%}
";

/// The additional fields of each format's members.
const MORE: [(&str, &str); 10] = [
    ("nextdoor", "m.zone | default(value=m.string_value | default(value=m.raw | default(value='')))"),
    ("nerve", "m.sequence | str"),
    ("serverset", "m.additionalEndpoints.http.port | str"),
    ("curator", "m.metadata?.zone | default(value='')"),
    ("dubbo", "m.path"),
    ("kafka", "m.rack | default(value='')"),
    ("hbase", "m.startcode | str"),
    ("solr", "m.context"),
    ("patroni", "m.role | default(value='')"),
    ("lock", "m.kind"),
];

#[test]
fn every_format_is_tested() {
    let tried: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_rosterd")).args(["get", "/x", "--payload", "none"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let known =
        said.split("known formats: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_else(|| panic!("{said}"));
    assert!(known.split(", ").filter(|name| *name != "auto").all(|name| tried.contains(&name)), "{known}: {tried:?}");
}

#[test]
fn one_template_renders_every_format() {
    let zookeeper = ZooKeeper::shared();
    let chroot = zookeeper.chroot();
    let client = zookeeper.client(&chroot);
    let mut config = format!("[registry]\nurl = \"zk://{}{chroot}\"\n", zookeeper.connect_string());
    let mut template = TEMPLATE.to_owned();
    let mut expected = String::new();
    for service in &SERVICES {
        for (name, data) in service.nodes.iter().chain(&service.broken) {
            client.put(&format!("{}/{name}", service.path), data);
        }
        let (name, path) = (service.name, service.path);
        let payload = service.payload.unwrap_or("\"auto\"");
        writeln!(config, "[[roster]]\nname = \"{name}\"\npath = \"{path}\"\npayload = {payload}").unwrap();
        let more = MORE.iter().find(|(of, _)| *of == name).map_or("''", |(_, more)| more);
        writeln!(template, "{{% for m in {name} %}}{name} {{{{ <line m={{m}} more={{{more}}} /> }}}}\n{{% endfor -%}}")
            .unwrap();
        service.lines.iter().for_each(|line| writeln!(expected, "{name} {line}").unwrap());
    }
    config.push_str("[[key]]\nname = \"leader\"\npath = \"/service/main/leader\"\n");
    config.push_str("[[template]]\nsrc = \"all.tera\"\ndest = \"out/all\"\n");
    template.push_str("{% for m in patroni %}{% if m.name == leader %}{{ m.name }} leads\n{% endif %}{% endfor -%}\n");
    expected.push_str("pg1 leads\n");
    client.put("/service/main/leader", b"pg1");

    let site = Site::new(&config);
    site.file("templates/all.tera", &template);
    let mut agent = site.start();
    agent.until("the file is correct", || site.read("out/all").trim() == expected.trim());
    for service in SERVICES.iter().filter(|service| service.payload.is_none()) {
        let name = service.name;
        agent.says(&format!("format chosen: {} event=format_chosen roster={name} format={name}", service.path));
    }
    for (service, (name, _)) in SERVICES.iter().filter_map(|service| Some((service, service.broken?))) {
        agent.says(&format!("member quarantined: {}/{name}: ", service.path));
        assert_eq!(agent.said(&format!("{}/{name}: ", service.path)), 1, "{}", agent.log().join("\n"));
    }
    assert_eq!(agent.said("secret"), 0);

    // A vector changes the weights of its members, and is no member itself. A member becomes alive again.
    client.put(
        "/twitter/service/web/vector_0000000005",
        br#"{"vector":[{"select":"member=member_0000000001","weight":2},{"select":"inet=s1:10000","weight":4},{"select":"shard=9","weight":7}]}"#,
    );
    let alive =
        br#"{"serviceEndpoint":{"host":"s2","port":1},"additionalEndpoints":{"http":{"port":81}},"status":"ALIVE"}"#;
    client.put("/twitter/service/web/member_0000000002", alive);
    let old = "serverset s1:10000 id=0 weight=1.5 status=ALIVE more=80\n";
    let new = "serverset s1:10000 id=0 weight=12 status=ALIVE more=80\n\
               serverset s2:1 id=member_0000000002 weight=1 status=ALIVE more=81\n";
    let expected = expected.replace(old, new);
    agent.until("the weights are correct", || site.read("out/all").trim() == expected.trim());
    // The detected format stays, although most nodes now indicate another one.
    for number in 10..20 {
        client.put(&format!("/live_nodes/h:{number}"), b"");
    }
    agent.says("member quarantined: /live_nodes/h:19: its name is not host:port_context");
    client.put("/live_nodes/10.0.8.9:8983_solr", b"");
    agent.until("solr is read as before", || site.read("out/all").contains("\nsolr 10.0.8.9:8983 id= "));
    assert!(agent.stop().success());

    let listed = site.run(&["get", "/dubbo/com.foo.BarService/providers", "--format", "members"]);
    assert!(listed.expect(0).stdout().contains("\"host\":\"10.0.5.1\""), "{}", listed.stdout());
    let shown = site.run(&["ls", "/service/main/members"]);
    assert!(!shown.expect(0).stdout().contains("secret"), "{}", shown.stdout());
}

/// Typed fields as text, the place in the data of a bare name, numbers beyond 64 bits, and a text key with a line end.
#[test]
fn data_is_read_in_the_ways_in_which_people_write_it() {
    let site = Site::new(
        "[registry]\nurl = \"dir:registry\"\n\n[[roster]]\npath = \"/web\"\nwait = \"0s\"\n\n\
         [[key]]\npath = \"/limit\"\nformat = \"json\"\n\n[[key]]\npath = \"/word\"\n\n\
         [[template]]\nsrc = \"list.tera\"\ndest = \"out/list\"\n",
    );
    site.file(
        "templates/list.tera",
        "\u{feff}{% for m in web %}{{ m.name }} {{ m.address }} weight {{ m.weight }}\n{% endfor %}{{ limit.v }} [{{ word }}]\n",
    );
    for (name, data) in [
        ("api1", r#"{"host":"10.0.0.1","port":80}"#),
        ("api2", "10.0.0.2:80\n"),
        ("h:80", r#"{" weight": "10"}"#),
        ("serverUri=h2:10000;version=3.1.3;sequence=0000000007", "x"),
    ] {
        site.file(&format!("registry/web/{name}"), data);
    }
    site.file("registry/limit", "{\"v\": 1180591620717411303424}").file("registry/word", "yes\n");
    site.run(&["render"]).expect(0);
    assert_eq!(
        site.read("out/list"),
        "api1 10.0.0.1:80 weight \napi2 10.0.0.2:80 weight \nh:80 h:80 weight 10\n\
         serverUri=h2:10000;version=3.1.3;sequence=0000000007 h2:10000 weight \n1180591620717411303424 [yes]\n"
    );
}
