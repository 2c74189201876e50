use super::*;
use crate::model::member::Fields;

#[test]
fn the_first_node_by_name_represents_its_address() {
    let member = |name: &str, host: Option<&str>, port| {
        let fields = Fields { name: name.into(), host: host.map(str::to_owned), port, ..Fields::default() };
        (Arc::from(name), Arc::new(Member::new(fields).unwrap()))
    };
    let all = ByName::from([
        member("n_03", Some("a"), Some(80)),
        member("n_01", Some("a"), Some(80)),
        member("n_02", Some("a"), Some(80)),
        member("n_04", Some("a"), Some(81)),
        member("n_05", Some("b"), Some(80)),
        member("n_06", None, Some(80)),
        member("n_07", None, Some(80)),
        member("n_08", Some("a"), None),
        member("n_09", Some("a"), None),
    ]);
    assert_eq!(
        duplicates(&all),
        BTreeMap::from([("n_02".into(), "n_01".into()), ("n_03".into(), Arc::<str>::from("n_01"))])
    );
    let kept = distinct(Cow::Borrowed(&all));
    let kept: Vec<&str> = kept.keys().map(|name| &**name).collect();
    assert_eq!(kept, ["n_01", "n_04", "n_05", "n_06", "n_07", "n_08", "n_09"]);
}
