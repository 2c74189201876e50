use super::*;
use serde_json::json;

#[test]
fn variables_are_substituted() {
    let vars = json!({ "zone": "west", "n": 3, "on": true, "deep": { "er": "x" }, "list": [] });
    let env = BTreeMap::from([("STAGE".to_owned(), "prod".to_owned())]);
    let fill = Interpolation { vars: vars.as_object().unwrap(), env: &env, host_name: "web1", keeps_key: false };
    for (text, want) in [
        ("/a/b", "/a/b"),
        ("/{{ vars.zone }}/{{env.STAGE}}", "/west/prod"),
        ("{{vars.n}}{{ vars.on }}{{ vars.deep.er }}-{{ host.name }}", "3truex-web1"),
        ("a } b { c }}", "a } b { c }}"),
    ] {
        assert_eq!(fill.fill(text), Ok(want.to_owned()), "{text}");
    }
    for (text, part) in [
        ("/a/{{ vars.no }}/b", "{{ vars.no }}"),
        ("{{ env.NO }}", "{{ env.NO }}"),
        ("{{ host.ip }}", "{{ host.ip }}"),
        ("{{ vars.list }}", "{{ vars.list }}"),
        ("{{ vars.zone.er }}", "{{ vars.zone.er }}"),
        ("/a{{ vars.zone", "{{ vars.zone"),
        ("{{}}", "{{}}"),
    ] {
        assert_eq!(fill.fill(text).unwrap_err().0, part, "{text}");
    }
}

#[test]
fn only_the_environment_is_substituted_in_vars() {
    let env = BTreeMap::from([("STAGE".to_owned(), "prod {{ env.STAGE }}".to_owned())]);
    let fill = Interpolation { vars: &Map::new(), env: &env, host_name: "web1", keeps_key: false };
    for (text, want) in [
        ("a {{ env.STAGE }}-{{env.STAGE}}", "a prod {{ env.STAGE }}-prod {{ env.STAGE }}"),
        ("{{ $labels.instance }} {{ vars.x }} {{", "{{ $labels.instance }} {{ vars.x }} {{"),
        ("{{{ env.STAGE }}", "{{{ env.STAGE }}"),
    ] {
        assert_eq!(fill.fill_environment(text), Ok(want.to_owned()), "{text}");
    }
    assert_eq!(fill.fill_environment("x {{ env.NO }}").unwrap_err().0, "{{ env.NO }}");
}

#[test]
fn substituted_text_is_not_substituted_again() {
    let vars = json!({ "a": "{{ vars.a }}" });
    let fill =
        Interpolation { vars: vars.as_object().unwrap(), env: &BTreeMap::new(), host_name: "h", keeps_key: false };
    assert_eq!(fill.fill("{{ vars.a }}"), Ok("{{ vars.a }}".to_owned()));
}
