use std::collections::BTreeSet;

use super::*;
use crate::render::filter::tera;

fn render(text: &str) -> Result<String, String> {
    let mut context = tera::Context::new();
    let hosts: Vec<Value> = (0..200).map(|number| Value::from(format!("h{number}.example.com"))).collect();
    let member = |name: &str| Value::from(std::collections::BTreeMap::from([("name", name)]));
    context.insert_value("hosts", Value::from(hosts));
    context.insert_value("web", Value::from(["c:1", "a:1", "b:1"].map(member).to_vec()));
    let mut tera = tera();
    tera.add_raw_template("t", text).map_err(|error| error.to_string())?;
    tera.render("t", &context).map_err(|error| format!("{error:?}"))
}

/// The hosts of a share.
fn chosen(percent: &str, flag: &str) -> BTreeSet<String> {
    let text = format!("{{{{ in_share(roster=hosts, percent={percent}, flag=\"{flag}\") | join(sep=\" \") }}}}");
    render(&text).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn murmur3_gives_the_published_values() {
    for (text, hash) in [
        ("", 0),
        ("a", 0x3c25_69b2),
        ("abc", 0xb3dd_93fa),
        ("hello", 0x248b_fa47),
        ("hello, world", 0x149b_bb7f),
        ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
    ] {
        assert_eq!(murmur3(text.as_bytes()), hash, "{text}");
    }
}

/// The values in the tests of Unleash's clients (`client-specification`, and `unleash-client-node`, test/strategy/util).
#[test]
fn buckets_are_those_of_unleash() {
    assert_eq!(render("{{ bucket(id=\"123\", flag=\"gr1\") }}").as_deref(), Ok("73"));
    assert_eq!(render("{{ bucket(id=999, flag=\"groupX\") }}").as_deref(), Ok("25"));
    // A bucket is compared with a percentage.
    let text = "{% for h in hosts %}{% if 10 >= bucket(id=h, flag=\"q\") %}{{ h }} {% endif %}{% endfor %}";
    let text_of_20 = text.replace("10", "20");
    let (ten, twenty) = (render(text).unwrap(), render(&text_of_20).unwrap());
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let (ten, twenty) = (names(&ten), names(&twenty));
    assert!(
        ten.is_subset(&twenty) && (8..35).contains(&ten.len()) && twenty.len() < 60,
        "{} {}",
        ten.len(),
        twenty.len()
    );
    // Tenths of a percent.
    let fine = "{% for h in hosts %}{{ bucket(id=h, flag=\"q\", of=10000) }} {% endfor %}";
    let fine: Vec<u32> = render(fine).unwrap().split_whitespace().map(|text| text.parse().unwrap()).collect();
    assert!(fine.iter().all(|bucket| (1..=10_000).contains(bucket)) && fine.iter().any(|bucket| *bucket > 100));
}

#[test]
fn a_share_is_exact_and_only_grows() {
    for (percent, count) in [("0", 0), ("0.1", 1), ("0.5", 1), ("10", 20), ("12.1", 25), ("99.6", 200), ("100", 200)] {
        assert_eq!(chosen(percent, "q").len(), count, "{percent}");
    }
    assert!(chosen("10", "q").is_subset(&chosen("20", "q")));
    assert_ne!(chosen("10", "q"), chosen("10", "other"), "each flag has its own hosts");
    // The order is that of the roster.
    let all = "{{ in_share(roster=web, percent=100, flag=\"q\") | pluck(attribute=\"name\") | join(sep=\" \") }}";
    assert_eq!(render(all).as_deref(), Ok("c:1 a:1 b:1"));
    assert_eq!([share(0.7, 1000), share(10.0, 0), share(33.3, 3), share(34.0, 3)], [7, 0, 1, 2]);
}

#[test]
fn wrong_arguments_are_errors() {
    for (text, words) in [
        ("{{ bucket(id=nothing, flag=\"q\") }}", "`bucket` was given an undefined value"),
        ("{{ bucket(id=web, flag=\"q\") }}", "`bucket`"),
        ("{{ bucket(id=1, flag=\"q\", of=0) }}", "1 or more"),
        ("{{ bucket(id=1) }}", "flag"),
        ("{{ bucket(id=1, flag=\"q\", percent=1) }}", "`bucket` takes id and flag and of, not percent"),
        ("{{ in_share(roster=\"a\", percent=1, flag=\"q\") }}", "takes a list"),
        ("{{ in_share(roster=web, percent=101, flag=\"q\") }}", "0 to 100, but got 101"),
        ("{{ in_share(roster=web, percent=-1, flag=\"q\") }}", "0 to 100"),
        ("{{ in_share(roster=[web], percent=1, flag=\"q\") }}", "`in_share`"),
    ] {
        let error = render(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}
