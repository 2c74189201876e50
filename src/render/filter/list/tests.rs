use crate::render::filter::tests::render;

#[test]
fn lists_are_filtered_sorted_and_grouped() {
    let names = |filters: &str| render(&format!("{{{{ web | {filters} | pluck(attribute='name') | join(sep=' ') }}}}"));
    let cases = [
        ("where(attribute='zone', value='x')", "b:1"),
        ("where(attribute='zone')", "b:1 a:1"),
        ("where(attribute='up')", "c:1"),
        ("where(attribute='deep.k', value=2)", "a:1"),
        ("where(attribute='typo', value=2)", ""),
        ("sort_by(attribute='name')", "a:1 b:1 c:1"),
        ("sort_by(attribute='weight')", "b:1 a:1 c:1"),
        ("sort_by(attribute='weight', reverse=true)", "a:1 b:1 c:1"),
    ];
    for (filters, expected) in cases {
        assert_eq!(names(filters).as_deref(), Ok(expected), "{filters}");
    }
}

#[test]
fn groups_are_in_the_order_of_their_keys() {
    let template = "{% for k, l in [{'z': 9}, {'z': 10}, {'z': 1}, {'z': 3}, {'z': 2}, {'z': none}] \
                        | group_by(attribute='z') %}{{ k }}={{ l | length }} {% endfor %}";
    assert_eq!(render(template).as_deref(), Ok("1=1 2=1 3=1 9=1 10=1 "));
}

#[test]
fn a_missing_attribute_is_reported_with_its_item() {
    let hint = "filter with where(attribute=\"zone\") first";
    let cases = [
        ("{{ web | pluck(attribute='zone') }}", format!("\"c:1\" has no zone: {hint}")),
        ("{{ web | group_by(attribute='zone') }}", format!("\"c:1\" has no zone: {hint}")),
        ("{{ [1] | pluck(attribute='zone') }}", format!("element 0 has no zone: {hint}")),
        ("{{ odd.q | pluck(attribute='a') }}", "`pluck` takes a list, but got a string".into()),
        (
            "{{ odd | where(attribute='a') }}",
            "`where` takes a list, but got a map: name one of its keys, or loop over it with for key, list in …".into(),
        ),
        ("{{ web | where(value=1) }}", "Missing keyword argument `attribute`".into()),
        (
            "{{ web | where(attribute='a', value=odd.typo) }}",
            "`where` was given an undefined value to compare with".into(),
        ),
        (
            "{{ [{'a': 1}, {'a': 'x'}] | sort_by(attribute='a') }}",
            "`sort_by` cannot compare a: some values are a string, others a number".into(),
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template), Err(expected), "{template}");
    }
}

#[test]
fn default_replaces_null_but_not_zero() {
    let template = "{{ odd.none | default(value=1) }} {{ odd.typo | default(value=2) }} {{ 0 | default(value=3) }} \
                        {{ 0 | default(value=4, boolean=true) }}";
    assert_eq!(render(template).as_deref(), Ok("1 2 0 4"));
}
