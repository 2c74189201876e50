//! `staged`: the paths of the files of a unit.

use insta::assert_snapshot;

use super::*;
use crate::config::Command;

/// Templates of the unit "edge": name, text, `check_cmd`. Each has the source and the destination of its name.
fn load_unit(templates: &[(&str, &str, &str)]) -> (TempDir, Result<Library, Problems>, Vec<Arc<TemplateConfig>>) {
    let dir = dir(&templates.iter().map(|(name, text, _)| (*name, *text)).collect::<Vec<_>>());
    let configs = templates.iter().map(|(name, _, check)| {
        let check = Some(Command::Shell((*check).to_owned())).filter(|_| !check.is_empty());
        let config = TemplateConfig::new(name, *name, format!("/etc/{name}"));
        Arc::new(TemplateConfig { unit: Some("edge".into()), check, ..config })
    });
    let configs: Vec<_> = configs.collect();
    let library = Library::load(&configs, dir.path(), globals());
    (dir, library, configs)
}

#[test]
fn a_template_sees_the_paths_that_it_is_rendered_with() {
    let text = "{% set map = staged['b.map'] %}{{ map }} {{ staged.other }}";
    let (_dir, library, configs) = load_unit(&[("h", text, "c"), ("b.map", "", ""), ("other", "", "")]);
    let library = library.unwrap();
    let render = |paths: &UnitPaths| {
        String::from_utf8(library.render(Path::new("h"), &snapshot(), Some(paths)).unwrap()).unwrap()
    };
    let dests = &library.unit(&configs[0]).unwrap().dests;
    assert_eq!(render(dests), "/etc/b.map /etc/other");
    let new = ["b.map", "other"].map(|name| (Arc::from(name), PathBuf::from(format!("/new/{name}"))));
    assert_eq!(render(&UnitPaths::from(new)), "/new/b.map /new/other");
}

#[test]
fn a_check_that_reads_its_unit_depends_on_what_its_unit_depends_on() {
    let web = "{{ web | length }}";
    for (text, check) in [("{{ staged['b.map'] }}", "c"), ("", "c {{ staged['b.map'] }}"), ("", "c {{ src }}")] {
        let (_dir, library, configs) =
            load_unit(&[("h", text, check), ("b.map", web, ""), ("s", "{{ settings.b }}", "")]);
        let library = library.unwrap();
        let reads = check != "c {{ src }}";
        let names = |config: &TemplateConfig| library.needs(config).names.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&configs[0]), if reads { "settings web" } else { "" }, "{text} {check}");
        assert_eq!(names(&configs[1]), "web");
        assert_eq!(library.checked_with(&configs[0]).map(|unit| unit.templates.len()), reads.then_some(3));
        assert_eq!(library.unit(&configs[1]).is_some(), reads, "nothing else is done where nothing uses it");
        assert!(library.checked_with(&configs[1]).is_none());
    }
}

#[test]
fn a_name_that_no_template_of_the_unit_has_is_a_problem() {
    let found = |text: &str| {
        let (dir, library, _) = load_unit(&[("h", text, "c"), ("b.map", "", ""), ("other", "", "")]);
        drop(dir);
        let Problems(problems) = library.unwrap_err();
        let shown = problems.iter().map(|problem| format!("{} ({})", problem.message, problem.hint.as_ref().unwrap()));
        shown.collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(found("{{ staged.b.map }}"), @r#"unit edge has no template "b" (did you mean staged['b.map']?)"#);
    assert_snapshot!(found("{{ staged['b.mpa'] }}"), @r#"unit edge has no template "b.mpa" (did you mean staged['b.map']?)"#);
    assert_snapshot!(found("{{ staged.quite_else }}"), @r#"unit edge has no template "quite_else" (available: staged['b.map'], staged['h'], staged['other'])"#);
    assert_snapshot!(problems(&[("t", "{{ staged.x }}")]), @"t:1:4 \"staged\": there is no roster, key or variable named staged (give this template, and the one that it names, the same `unit`)");
    // A source that a unit and a single template share.
    let dir = dir(&[("h", "{{ staged.h }}")]);
    let unit = TemplateConfig { unit: Some("edge".into()), ..TemplateConfig::new("h", "h", "/etc/h") };
    for templates in [[Arc::new(unit.clone()), template("h")], [template("h"), Arc::new(unit)]] {
        let Problems(problems) = Library::load(&templates, dir.path(), globals()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("named staged"), "{problems:?}");
    }
}
