//! What is valid and rarely meant, and backups of template files.

use super::*;
use crate::config::Command;

/// The warnings about one template, without the directory.
fn warned(text: &str) -> Vec<String> {
    let dir = dir(&[("t", text)]);
    let library = load(&dir, &["t"]).unwrap();
    let prefix = format!("{}/", dir.path().display());
    library.warnings().iter().map(|warning| warning.replace(&prefix, "")).collect()
}

#[test]
fn a_comment_in_the_text_of_another_program_causes_a_warning() {
    assert_eq!(
        warned("a\nb=${#x}\nc\n# a #}\n"),
        [
            "t:2: this {# begins a comment: the text up to the next #} (2 lines below) is left out (text with {{, {% or {# \
         that is meant for another program goes between {% raw %} and {% endraw %})",
        ]
    );
    for text in
        ["${#x} #}", "\\set{#1}\n #}", "\"{#a\n#}", "PS1='%F {#\n#}", "$${#- a #}", "{% if web %}x${#}#}{% endif %}"]
    {
        assert_eq!(warned(text).len(), 1, "{text}");
    }
    let usual = [
        "{# one line #}a{# another #}b{#- c -#}",
        "{# several\nlines #}\n  {#- indented\n#}\n{% if web %}{# after\na tag #}{% endif %}",
        "{% raw %}${#x}{% endraw %}{{ '${#x' }} #}",
    ];
    for text in usual {
        assert_eq!(warned(text), [""; 0], "{text}");
    }
}

#[test]
fn a_destination_of_the_unit_that_a_checked_template_writes_out_causes_a_warning() {
    let warned = |text: &str, check: Option<&str>, unit: Option<&str>| {
        let dir = dir(&[("h", text), ("m", "")]);
        let one = |name: &str, src: &str| TemplateConfig {
            unit: unit.map(Into::into),
            check: check.map(|check| Command::Shell(check.into())),
            ..TemplateConfig::new(name, src, format!("/etc/{name}"))
        };
        let library = Library::load(&[Arc::new(one("h.cfg", "h")), Arc::new(one("b.map", "m"))], dir.path(), globals());
        library.unwrap().warnings().iter().map(|it| it.split_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let both = (Some("c {{ src }}"), Some("edge"));
    assert_eq!(
        warned("\nmap(/etc/b.map,x)", both.0, both.1),
        [
            "the check of h.cfg reads /etc/b.map as it was before this change (write {{ staged['b.map'] }}: in the check, \
         that is the new file)",
        ]
    );
    assert_eq!(warned("include b.map;", both.0, both.1).len(), 1, "a path may be relative to the file that names it");
    for text in
        ["map({{ staged['b.map'] }})", "  # not in b.map", "b.map.old", "/etc/b.mapping", "/x/etc/b.map", "/etc/h.cfg"]
    {
        assert_eq!(warned(text, both.0, both.1), [""; 0], "{text}");
    }
    for (check, unit) in [(None, both.1), (both.0, None)] {
        assert_eq!(warned("/etc/b.map", check, unit), [""; 0]);
    }
}

#[test]
fn backups_beside_a_template_define_no_component() {
    let part = "{% component s() %}one{% endcomponent %}";
    let old = "{% component s() %}old{% endcomponent %}";
    let more = ["c.tera~", "c.tera.bak", "c.tera.orig", "c.rpmsave", "c.dpkg-dist", "#c.tera#"].map(|name| (name, old));
    assert_eq!(render_with("{{ <s /> }}", &[&more[..], &[("c.tera", part)]].concat()).unwrap(), "one");
    // One that is named is read.
    assert_eq!(render_with("{% include 'x.bak' %}", &[("x.bak", "named")]).unwrap(), "named");
}
