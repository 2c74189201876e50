//! What messages say to run, works as printed.

use crate::harness::site::Site;

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
"#
);

/// The shipped templates leave out members without a port in the same way.
const TEMPLATE: &str = "{% for m in web %}{% if m.port %}{{ m.address }}\n{% endif %}{% endfor %}";

#[test]
fn a_printed_command_works_in_another_shell() {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", TEMPLATE);
    site.file("registry/services/web/web1", "a server");
    let agent = site.start();
    agent.until("the file", || site.path("out/list").exists());
    agent.says("event=members_without_port");
    let status = site.run(&["status"]).expect(0).stdout();
    assert!(status.lines().next().unwrap().ends_with(": WARNING, 1 problem"), "no server is served: {status}");
    assert!(status.contains("  1 member has no port, which the template reads: web1 of web\n"), "{status}");
    let command = status.lines().find_map(|line| line.strip_prefix("  details: rosterd ")).unwrap();
    let shown = site.run_without_config(&command.split(' ').collect::<Vec<_>>()).expect(0).stdout();
    assert!(shown.contains("web1 of web"), "{shown}");
}

/// The broken template is refused at once, and with the configuration on HUP.
#[test]
fn a_refused_configuration_is_forgotten_when_its_template_is_corrected() {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", TEMPLATE);
    site.file("registry/services/web/10.0.0.1:80", "");
    let agent = site.start();
    agent.until("the file", || site.path("out/list").exists());
    let status = || site.run(&["status"]).expect(0).stdout();
    for (config, is_changed) in [(CONFIG.to_owned(), false), (CONFIG.replace("20ms", "30ms"), true)] {
        site.file("templates/list.tera", "{{ nothing }}");
        site.configure(&config);
        agent.until("the template is refused", || status().contains("templates rejected at "));
        agent.signal(nix::sys::signal::Signal::SIGHUP);
        agent.until("the configuration is refused", || status().contains("configuration rejected at "));
        site.file("templates/list.tera", TEMPLATE);
        agent.until("the template is accepted", || !status().contains("templates rejected at "));
        if is_changed {
            agent
                .until("it says so", || status().contains(": it has been corrected since; the previous one is in use"));
        } else {
            agent.until("nothing is left", || status().lines().next().unwrap().ends_with(": OK"));
        }
    }
}
