use super::*;

mod simulation;

/// Any time: only failed requests depend on it.
const NOW: Moment = Moment::START;

/// The digits of the identifier.
const DIGITS: &str = "00000000000000aa";

/// The name of a node of a session.
fn name(session: i64, number: u32) -> String {
    format!("{session:016x}{DIGITS}{EXCLUSIVE}{number:010}")
}

/// Connects a contender.
fn join(lock: &mut Contender, session: i64) -> String {
    shown(&lock.connected(NOW, session, DIGITS))
}

/// Effects as text: `create`, `list`, `watch 3` for the node with number 3, `delete 3`, and standings.
fn shown(effects: &[LockEffect]) -> String {
    let number = |node: &str| node.rsplit_once("__").unwrap().1.trim_start_matches('0').to_owned();
    let one = |effect: &LockEffect| match effect {
        LockEffect::Send(Request::CreateParents) => "parents".to_owned(),
        LockEffect::Send(Request::Create { .. }) => "create".to_owned(),
        LockEffect::Send(Request::List { synced }) => if *synced { "synced list" } else { "list" }.to_owned(),
        LockEffect::Send(Request::Watch { node, holder: None }) => format!("watch {}", number(node)),
        LockEffect::Send(Request::Watch { node, holder: Some(holder) }) => {
            format!("watch {} of {}", number(node), number(holder))
        }
        LockEffect::Send(Request::Delete { node }) => format!("delete {}", number(node)),
        LockEffect::Changed(Standing::Waiting { ahead, holder }) => {
            format!("behind {ahead} ({})", holder.as_deref().unwrap_or_default())
        }
        LockEffect::Changed(standing) => format!("{standing:?}"),
        LockEffect::Failed(reason, pause) => format!("{reason}, again in {pause:?}"),
    };
    effects.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[String]) -> Reply {
    Reply::Listed(names.to_vec())
}

fn watched(holder: Option<&str>) -> Reply {
    Reply::Watched(holder.map(Arc::from))
}

/// A contender of session 1 whose node has number 5.
fn created() -> Contender {
    let mut lock = Contender::default();
    assert_eq!(join(&mut lock, 1), "create");
    assert_eq!(shown(&lock.done(NOW, Reply::Created(name(1, 5)))), "list");
    lock
}

/// The same, holding the lock.
fn held() -> Contender {
    let mut lock = created();
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5)]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "Held");
    lock
}

#[test]
fn the_lowest_number_holds_the_lock_and_every_other_one_watches_the_next_lower() {
    let mut lock = created();
    // In any order, among children that are no contenders.
    let line = [name(9, 6), name(8, 4), "leader".to_owned(), name(1, 5), name(7, 2)];
    assert_eq!(shown(&lock.done(NOW, listed(&line))), "watch 4 of 2");
    assert_eq!(shown(&lock.done(NOW, watched(Some("web1")))), "behind 2 (web1)");
    assert_eq!(shown(&lock.changed(NOW)), "list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(7, 2), name(1, 5)]))), "watch 2 of 2");
    assert_eq!(shown(&lock.done(NOW, watched(Some("web1")))), "behind 1 (web1)");
    assert_eq!(shown(&lock.changed(NOW)), "list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5), name(9, 6)]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "Held");
    assert_eq!(shown(&lock.release(NOW)), "Absent, delete 5");
    assert_eq!(shown(&lock.done(NOW, Reply::Done)), "Released");
    assert_eq!(shown(&lock.connected(NOW, 2, DIGITS)), "", "it is over");
}

#[test]
fn a_reader_before_it_is_waited_for() {
    let mut lock = created();
    let reader = format!("{:032x}__rlock__0000000003", 4);
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5), reader]))), "watch 3 of 3");
}

#[test]
fn the_parents_are_created_when_they_are_missing() {
    let mut lock = Contender::default();
    join(&mut lock, 1);
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "parents");
    assert_eq!(shown(&lock.done(NOW, Reply::Done)), "create");
}

#[test]
fn a_node_whose_creation_was_lost_is_looked_for_before_another_one_is_created() {
    for (is_there, next) in [(true, "watch 5"), (false, "create")] {
        let mut lock = Contender::default();
        join(&mut lock, 1);
        assert_eq!(shown(&lock.disconnected()), "");
        assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "synced list", "another server may not have it yet");
        let names = if is_there { vec![name(1, 5)] } else { vec![] };
        assert_eq!(shown(&lock.done(NOW, listed(&names))), next);
    }
    // In a new session it cannot be there.
    let mut lock = Contender::default();
    join(&mut lock, 1);
    lock.disconnected();
    assert_eq!(join(&mut lock, 2), "create");
}

#[test]
fn the_node_of_an_earlier_process_in_the_same_session_is_found() {
    let mut lock = Contender::resuming();
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "synced list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(9, 6), name(1, 5)]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "Held");
    // With another identifier, it contends anew: the data of that node is not its own.
    let mut lock = Contender::resuming();
    lock.connected(NOW, 1, "00000000000000bb");
    let reader = format!("{:016x}{DIGITS}__rlock__0000000003", 1);
    assert_eq!(shown(&lock.done(NOW, listed(&[reader, name(9, 6), name(1, 5)]))), "delete 5");
    assert_eq!(shown(&lock.done(NOW, Reply::Done)), "create");
    let mut lock = Contender::resuming();
    lock.connected(NOW, 1, DIGITS);
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "create", "there was none");
    // Also if it is to leave before it is connected.
    let mut lock = Contender::resuming();
    assert_eq!(shown(&lock.release(NOW)), "");
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "synced list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5)]))), "delete 5");
    assert_eq!(shown(&lock.done(NOW, Reply::Done)), "Released");
    // The number of a session may be negative.
    let mut lock = Contender::resuming();
    lock.connected(NOW, -2, DIGITS);
    assert_eq!(shown(&lock.done(NOW, listed(&[name(-2, 5)]))), "watch 5");
}

#[test]
fn a_second_node_of_its_own_is_deleted_and_the_first_one_counts() {
    let mut lock = Contender::default();
    join(&mut lock, 1);
    lock.done(NOW, Reply::Created(name(1, 7)));
    let both = [name(1, 7), name(1, 5), name(3, 6)];
    assert_eq!(shown(&lock.done(NOW, listed(&both))), "delete 7");
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "Held");
}

#[test]
fn nothing_is_held_before_the_own_node_is_watched() {
    let mut lock = created();
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5)]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "list", "it was deleted after the list");
    assert_eq!(shown(&lock.done(NOW, listed(&[]))), "create");
    assert_eq!(lock.standing(), &Standing::Absent);
}

#[test]
fn a_change_during_a_request_is_not_lost() {
    let mut lock = created();
    assert_eq!(shown(&lock.done(NOW, listed(&[name(3, 4), name(1, 5)]))), "watch 4 of 4");
    assert_eq!(shown(&lock.changed(NOW)), "", "the reply comes first");
    assert_eq!(shown(&lock.done(NOW, watched(Some("a")))), "behind 1 (a), list");
}

#[test]
fn a_lock_is_suspended_without_a_connection_and_lost_with_the_session_or_the_node() {
    let mut lock = held();
    assert_eq!(shown(&lock.disconnected()), "Suspended");
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "list", "its watch ended with the connection");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5), name(2, 6)]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "Held");
    lock.disconnected();
    assert_eq!(shown(&lock.expired()), "Lost(SessionExpired)");
    assert_eq!(join(&mut lock, 2), "create", "it contends again");

    let mut lock = held();
    lock.disconnected();
    assert_eq!(shown(&lock.connected(NOW, 2, DIGITS)), "Lost(SessionExpired), create");

    let mut lock = held();
    assert_eq!(shown(&lock.changed(NOW)), "list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(3, 6)]))), "Lost(NodeDeleted), create");

    let mut lock = held();
    lock.changed(NOW);
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "Lost(NodeDeleted), create", "the lock's node was deleted");
}

#[test]
fn a_place_in_the_line_is_known_again_after_a_reconnect() {
    let mut lock = created();
    lock.done(NOW, listed(&[name(3, 4), name(1, 5)]));
    assert_eq!(shown(&lock.done(NOW, watched(Some("a")))), "behind 1 (a)");
    assert_eq!(shown(&lock.disconnected()), "Absent");
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(3, 4), name(1, 5)]))), "watch 4 of 4");
    assert_eq!(shown(&lock.done(NOW, watched(Some("a")))), "behind 1 (a)");
}

#[test]
fn a_change_of_its_data_or_a_node_that_sorts_before_it_does_not_take_a_lock_away() {
    let mut lock = held();
    lock.changed(NOW);
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5), "by hand__lock__0000000001".to_owned()]))), "watch 5");
    assert_eq!(shown(&lock.done(NOW, watched(None))), "", "still held");
}

#[test]
fn a_release_leaves_no_node_whatever_was_under_way() {
    let mut lock = Contender::default();
    assert_eq!(shown(&lock.release(NOW)), "Released", "nothing was sent");

    let mut lock = Contender::default();
    join(&mut lock, 1);
    assert_eq!(shown(&lock.release(NOW)), "", "a create is under way");
    assert_eq!(shown(&lock.done(NOW, Reply::Created(name(1, 5)))), "delete 5");
    assert_eq!(shown(&lock.disconnected()), "");
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "delete 5", "it may be there still");
    assert_eq!(shown(&lock.done(NOW, Reply::NoNode)), "Released");

    let mut lock = Contender::default();
    join(&mut lock, 1);
    lock.disconnected();
    assert_eq!(shown(&lock.release(NOW)), "", "the node may be there");
    assert_eq!(shown(&lock.connected(NOW, 1, DIGITS)), "synced list");
    assert_eq!(shown(&lock.done(NOW, listed(&[name(1, 5)]))), "delete 5");

    let mut lock = held();
    lock.disconnected();
    assert_eq!(shown(&lock.release(NOW)), "Absent");
    assert_eq!(shown(&lock.expired()), "Released");
}

#[test]
fn a_refused_request_is_repeated_after_a_growing_pause() {
    let mut lock = Contender::default();
    join(&mut lock, 1);
    let refused = || Reply::Failed("no".to_owned());
    assert_eq!(shown(&lock.done(NOW, refused())), "no, again in 1s");
    assert_eq!(shown(&lock.tick(NOW)), "");
    let later = NOW + Duration::from_secs(1);
    assert_eq!(lock.next_wake(), Some(later));
    assert_eq!(shown(&lock.tick(later)), "create");
    assert_eq!(shown(&lock.done(later, refused())), "no, again in 2s");
    assert_eq!(shown(&lock.release(later)), "Released", "it does not wait for that");
}

#[test]
fn a_number_that_kazoo_does_not_count_is_refused() {
    let mut lock = Contender::default();
    join(&mut lock, 1);
    let node = format!("{:016x}{DIGITS}{EXCLUSIVE}-000000001", 1);
    let effects = lock.done(NOW, Reply::Created(node.clone()));
    assert!(shown(&effects).contains("the lock needs another path"), "{effects:?}");
    let effects = lock.tick(NOW + Duration::from_secs(1));
    assert_eq!(effects, [LockEffect::Send(Request::Delete { node })]);
}
