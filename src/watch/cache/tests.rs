use super::*;
use crate::model::registry_event::NodeContent;

fn members(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, data)| (Arc::from(*name), Ok(NodeContent::ephemeral(data.as_bytes())))).collect()
}

fn keyed(list: &[(&str, Seen<Members>)]) -> View {
    View::Keyed(Seen::Present(list.iter().map(|(key, seen)| (Arc::from(*key), seen.clone())).collect()))
}

fn member(key: Option<&str>, name: &str) -> MemberId {
    MemberId { key: key.map(Arc::from), name: Arc::from(name) }
}

fn words(diff: Option<Diff>) -> String {
    let Some(diff) = diff else { return "nothing".into() };
    let Diff::Changes(changes) = diff else { return "reset".into() };
    let words = changes.iter().map(|change| match change {
        Change::Put { key, name, .. } => {
            format!("+{}{name}", key.as_ref().map_or(String::new(), |k| format!("{k}>")))
        }
        Change::Removed { key, name } => format!("-{}{name}", key.as_ref().map_or(String::new(), |k| format!("{k}>"))),
        Change::KeyPut { key, .. } => format!("={key}"),
        Change::KeyRemoved { key } => format!("#{key}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_full_read_yields_only_the_changes() {
    let present = |list: &[(&str, &str)]| View::Members(Seen::Present(members(list)));
    let mut cached = CachedView::default();
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
        assert_eq!(words(cached.apply(ViewUpdate::Full(view.clone()))), wanted, "{view:?}");
    }
    let mut cached = CachedView::default();
    let live = |list: &[(&str, &str)]| Seen::Present(members(list));
    let steps = [
        (keyed(&[("k", live(&[("a", "1")])), ("l", Seen::Absent)]), "reset"),
        (keyed(&[("k", live(&[("a", "2")])), ("l", live(&[]))]), "+k>a =l"),
        (keyed(&[("l", live(&[])), ("m", Seen::Absent)]), "#k =m"),
    ];
    for (view, wanted) in steps {
        assert_eq!(words(cached.apply(ViewUpdate::Full(view.clone()))), wanted, "{view:?}");
    }
}

#[test]
fn a_patch_yields_only_the_changes() {
    let mut cached = CachedView::default();
    cached.apply(ViewUpdate::Full(keyed(&[("k", Seen::Present(members(&[("a", "1")])))])));
    let patch = Patch {
        members: vec![
            (member(Some("k"), "a"), Some(Ok(NodeContent::ephemeral(&b"1"[..])))),
            (member(Some("k"), "b"), Some(Err("no".into()))),
            (member(Some("k"), "gone"), None),
        ],
        keys: vec![("l".into(), Some(Seen::Absent)), ("never".into(), None)],
    };
    assert_eq!(words(cached.apply(ViewUpdate::Partial(patch.clone()))), "=l +k>b");
    assert_eq!(words(cached.apply(ViewUpdate::Partial(patch))), "nothing");
}

#[test]
fn an_unsent_view_is_sent_again_as_a_reset() {
    let mut cached = CachedView::default();
    let view = View::Members(Seen::Present(members(&[("a", "1")])));
    cached.apply(ViewUpdate::Full(view.clone()));
    assert_eq!(cached.apply(ViewUpdate::Partial(Patch::default())), None);
    cached.mark_unsent();
    assert_eq!(cached.apply(ViewUpdate::Partial(Patch::default())), Some(Diff::Reset(view.clone())));
    assert_eq!(cached.apply(ViewUpdate::Partial(Patch::default())), None);
    cached.mark_unsent();
    assert_eq!(cached.apply(ViewUpdate::Full(view.clone())), Some(Diff::Reset(view)));
}

#[test]
fn all_lists_covers_every_list_and_reads_unknown_keys_completely() {
    let mut cached = CachedView::default();
    assert_eq!(cached.all_lists(), DirtySet::all());
    cached.apply(ViewUpdate::Full(View::Members(Seen::Present(members(&[])))));
    assert_eq!(cached.all_lists(), DirtySet { lists: ["".into()].into(), ..DirtySet::default() });
    cached.apply(ViewUpdate::Full(keyed(&[("k", Seen::Present(members(&[]))), ("l", Seen::Absent)])));
    let (lists, keys) = (["".into(), "k".into()].into(), ["l".into()].into());
    assert_eq!(cached.all_lists(), DirtySet { lists, keys, ..DirtySet::default() });
}

#[test]
fn a_member_of_an_unknown_key_widens_to_the_key() {
    let mut dirty = DirtySet { members: [member(None, "a")].into(), ..DirtySet::default() };
    let mut cached = CachedView::default();
    cached.apply(ViewUpdate::Full(View::Members(Seen::Absent)));
    cached.widen(&mut dirty);
    assert!(dirty.all);

    let mut cached = CachedView::default();
    cached.apply(ViewUpdate::Full(keyed(&[("k", Seen::Present(members(&[]))), ("l", Seen::Absent)])));
    let mut dirty =
        DirtySet { members: [member(Some("k"), "a"), member(Some("l"), "a")].into(), ..DirtySet::default() };
    cached.widen(&mut dirty);
    assert_eq!(dirty.keys, ["l".into()].into());
    assert_eq!(dirty.members, [member(Some("k"), "a")].into());
}
