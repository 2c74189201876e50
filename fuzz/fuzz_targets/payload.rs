//! Any node, in every format: it is read or refused, and no text of a member can end a line.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rosterd::decide::member::is_breaking;
use rosterd::payload::{Child, Children, Custom, FieldPath, Format, Payload, decode, masked};
use rosterd::sighting::{Members, Reading};
use serde_json::Value;

fn formats() -> Vec<Format> {
    let path = |text: &str| FieldPath::parse(text).ok();
    let custom = Custom { host: path("host"), port: path("port"), weight: path("a.0"), ..Custom::default() };
    let named = Payload::NAMES.iter().filter_map(|name| match Payload::named(name) {
        Some(Payload::As(format)) => Some(format),
        _ => None,
    });
    named.chain([Format::Custom(Arc::new(custom))]).collect()
}

fn is_plain(value: &Value) -> bool {
    let plain = |text: &str| !text.chars().any(is_breaking);
    match value {
        Value::String(text) => plain(text),
        Value::Array(list) => list.iter().all(is_plain),
        Value::Object(map) => map.iter().all(|(key, value)| plain(key) && is_plain(value)),
        _ => true,
    }
}

fuzz_target!(|nodes: Vec<(String, Vec<u8>)>| {
    for format in formats() {
        for (name, data) in &nodes {
            let reading: Reading = Ok(Arc::from(&**data));
            match decode(&format, name, &reading) {
                Ok(Child::Member(member)) => {
                    let fields = member.fields();
                    let texts = [Some(&fields.name), fields.host.as_ref(), fields.id.as_ref(), fields.status.as_ref()];
                    assert!(texts.into_iter().flatten().all(|text| !text.chars().any(is_breaking)), "{fields:?}");
                    assert!(
                        fields.data.iter().all(|(key, value)| is_plain(&Value::from(key.as_str())) && is_plain(value))
                    );
                    assert!(fields.weight.is_none_or(f64::is_finite));
                }
                Ok(_) => {}
                Err(why) => assert!(!why.to_string().chars().any(is_breaking), "{why}"),
            }
        }
    }
    // One by one or all at once, what was chosen reads the same.
    let mut children = Children::read(&Payload::Auto, None, &Members::new(), None);
    let mut all = Members::new();
    for (name, data) in nodes {
        _ = masked(&name);
        let (name, reading): (Arc<str>, Reading) = (Arc::from(name), Ok(Arc::from(data)));
        children.put(&name, &reading);
        all.insert(name, reading);
    }
    let again = Children::read(&Payload::Auto, children.chosen(), &all, None);
    assert_eq!(again.members(), children.members());
    assert_eq!(again.unfit(), children.unfit());
    for name in all.keys() {
        children.remove(name);
    }
    assert!(children.members().is_empty() && children.unfit().is_empty());
});
