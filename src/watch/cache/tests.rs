use super::*;

fn members(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, data)| (Arc::from(*name), Ok(Arc::from(data.as_bytes())))).collect()
}

fn keyed(list: &[(&str, Seen<Members>)]) -> View {
    View::Keyed(Seen::Present(list.iter().map(|(key, seen)| (Arc::from(*key), seen.clone())).collect()))
}

fn at(key: Option<&str>, name: &str) -> Place {
    Place { key: key.map(Arc::from), name: Arc::from(name) }
}

fn words(told: Option<Told>) -> String {
    let Some(told) = told else { return "nothing".into() };
    let Told::Update(changes) = told else { return "reset".into() };
    let words = changes.iter().map(|change| match change {
        Change::Put { key, name, .. } => {
            format!("+{}{name}", key.as_ref().map_or(String::new(), |k| format!("{k}>")))
        }
        Change::Left { key, name } => format!("-{}{name}", key.as_ref().map_or(String::new(), |k| format!("{k}>"))),
        Change::Key { key, .. } => format!("={key}"),
        Change::KeyLeft { key } => format!("#{key}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_whole_reading_says_only_what_is_new() {
    let present = |list: &[(&str, &str)]| View::Members(Seen::Present(members(list)));
    let mut known = Known::default();
    let steps = [
        (View::Members(Seen::Absent), "reset"),
        (View::Members(Seen::Absent), "nothing"),
        (present(&[("a", "1")]), "reset"),
        (present(&[("a", "1")]), "nothing"),
        (present(&[("b", "1"), ("a", "2")]), "+a +b"),
        (present(&[("b", "1")]), "-a"),
        (View::Members(Seen::Unreadable("no".into())), "reset"),
        (View::Members(Seen::Unreadable("no".into())), "nothing"),
        (present(&[]), "reset"),
    ];
    for (view, wanted) in steps {
        assert_eq!(words(known.take(Reread::Content(view.clone()))), wanted, "{view:?}");
    }
    let mut known = Known::default();
    let live = |list: &[(&str, &str)]| Seen::Present(members(list));
    let steps = [
        (keyed(&[("k", live(&[("a", "1")])), ("l", Seen::Absent)]), "reset"),
        (keyed(&[("k", live(&[("a", "2")])), ("l", live(&[]))]), "+k>a =l"),
        (keyed(&[("l", live(&[])), ("m", Seen::Absent)]), "#k =m"),
    ];
    for (view, wanted) in steps {
        assert_eq!(words(known.take(Reread::Content(view.clone()))), wanted, "{view:?}");
    }
}

#[test]
fn a_patch_says_only_what_is_new() {
    let mut known = Known::default();
    known.take(Reread::Content(keyed(&[("k", Seen::Present(members(&[("a", "1")])))])));
    let patch = Patch {
        members: vec![
            (at(Some("k"), "a"), Some(Ok(Arc::from(&b"1"[..])))),
            (at(Some("k"), "b"), Some(Err("no".into()))),
            (at(Some("k"), "gone"), None),
        ],
        keys: vec![("l".into(), Some(Seen::Absent)), ("never".into(), None)],
    };
    assert_eq!(words(known.take(Reread::Some(patch.clone()))), "=l +k>b");
    assert_eq!(words(known.take(Reread::Some(patch))), "nothing");
}

#[test]
fn what_is_not_believed_any_more_is_said_again() {
    let mut known = Known::default();
    let view = View::Members(Seen::Present(members(&[("a", "1")])));
    known.take(Reread::Content(view.clone()));
    assert_eq!(known.take(Reread::Some(Patch::default())), None);
    known.unsay();
    assert_eq!(known.take(Reread::Some(Patch::default())), Some(Told::Reset(view.clone())));
    assert_eq!(known.take(Reread::Some(Patch::default())), None);
    known.unsay();
    assert_eq!(known.take(Reread::Content(view.clone())), Some(Told::Reset(view)));
}

#[test]
fn every_list_is_read_again_and_what_is_not_there_as_a_whole() {
    let mut known = Known::default();
    assert_eq!(known.lists(), Dirty::whole());
    known.take(Reread::Content(View::Members(Seen::Present(members(&[])))));
    assert_eq!(known.lists(), Dirty { lists: ["".into()].into(), ..Dirty::default() });
    known.take(Reread::Content(keyed(&[("k", Seen::Present(members(&[]))), ("l", Seen::Absent)])));
    let (lists, keys) = (["".into(), "k".into()].into(), ["l".into()].into());
    assert_eq!(known.lists(), Dirty { lists, keys, ..Dirty::default() });
}

#[test]
fn a_place_within_the_unknown_asks_for_more() {
    let mut dirty = Dirty { members: [at(None, "a")].into(), ..Dirty::default() };
    let mut known = Known::default();
    known.take(Reread::Content(View::Members(Seen::Absent)));
    known.widen(&mut dirty);
    assert!(dirty.whole);

    let mut known = Known::default();
    known.take(Reread::Content(keyed(&[("k", Seen::Present(members(&[]))), ("l", Seen::Absent)])));
    let mut dirty = Dirty { members: [at(Some("k"), "a"), at(Some("l"), "a")].into(), ..Dirty::default() };
    known.widen(&mut dirty);
    assert_eq!(dirty.keys, ["l".into()].into());
    assert_eq!(dirty.members, [at(Some("k"), "a")].into());
}
