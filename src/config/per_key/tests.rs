use super::*;
use crate::config::{Command, Reload};

fn template(dest: &str) -> TemplateConfig {
    let each = Each::new("svc", "services", OnGone::Remove);
    let reload = Reload::Command(Command::Shell("reload {{ dest }}".into()));
    TemplateConfig { each: Some(each), reload: Some(reload), ..TemplateConfig::new("svc", "t", dest) }
}

#[test]
fn a_key_names_a_file_and_nothing_else() {
    let long = "k".repeat(255);
    let template = template("/etc/x/{{ key }}.cfg");
    for (key, fits) in [
        ("web", true),
        ("db-1.example:5432", true),
        ("a@b+c=d,e_F", true),
        ("...", false),
        (".", false),
        ("..", false),
        ("..x", false),
        (".hidden", false),
        ("../x", false),
        ("a/b", false),
        ("a b", false),
        ("ä", false),
        ("a\nb", false),
        ("$(touch x)", false),
        ("", false),
        (&long, false),
    ] {
        assert_eq!(template.for_key(&Arc::from(key)).is_ok(), fits, "{key:?}");
    }
    let file = template.for_key(&Arc::from("web")).unwrap();
    assert_eq!((&*file.name, file.dest.to_str().unwrap()), ("svc[web]", "/etc/x/web.cfg"));
    assert_eq!(file.reload.unwrap().to_string(), "reload /etc/x/web.cfg");
}
