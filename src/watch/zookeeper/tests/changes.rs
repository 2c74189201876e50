//! What changes, what is asked for it, and what is too much.

use super::*;
use crate::model::version::Zxid;
use fake::{CHILDREN, EXISTS, Fake, MULTI_READ, SYNC};

#[tokio::test]
async fn one_change_among_a_thousand_is_one_request() {
    let fake = Fake::start().await;
    for number in 0..1000 {
        fake.put(&format!("/s/m{number:03}"), "x");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("reset").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid);
    sleep(Duration::from_millis(50)).await;
    for round in 0..3 {
        fake.state().asked.clear();
        match round {
            0 => fake.put("/s/m500", "y"),
            1 => fake.put("/s/new", "1"),
            _ => fake.remove("/s/new"),
        }
        let heard = listener.words.len();
        listener.hear().await;
        assert_eq!(listener.words[heard..], ["update /s"]);
        sleep(Duration::from_millis(50)).await;
        // The node above, whose number of children and pzxid say that nothing was missed, and the one that changed.
        assert_eq!(fake.state().asked, [(MULTI_READ, "2".to_owned())]);
    }
    let zxid = fake.state().zxid;
    assert_eq!(listener.stamp("/s"), zxid, "as late as the last change of the names");
    fake.put("/s/m500", "z");
    listener.hear().await;
    assert_eq!(listener.stamp("/s"), zxid, "data changes it not");
    // A heavy node above is not read for it.
    fake.put("/s", &"x".repeat(5000));
    fake.put("/s/m500", "1");
    listener.hear().await;
    sleep(Duration::from_millis(50)).await;
    fake.state().asked.clear();
    fake.put("/s/m500", "2");
    listener.hear().await;
    let mut asked = fake.state().asked.clone();
    asked.sort();
    assert_eq!(asked, [(EXISTS, "/s".to_owned()), (MULTI_READ, "1".to_owned())]);
}

#[tokio::test]
async fn one_path_whose_sync_is_refused_does_not_end_the_connection() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    fake.put("/t/a", "1");
    // Throttled, once.
    fake.state().refuses.insert((SYNC, "/".into()), (-127, 1));
    listener.also("/t");
    listener.until("unreadable").await;
    assert!(listener.words.last().is_some_and(|word| word.contains("too much to do")), "{:?}", listener.words);
    listener.becomes("/t", "a=1").await;
    assert_eq!(fake.state().connections, 1, "{:?}", listener.words);
}

#[tokio::test]
async fn a_number_of_children_that_does_not_fit_leads_to_a_new_listing() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/s/b", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1 b=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.put_unheard("/s/hidden", "1");
    let before = listener.stamp("/s");
    fake.put("/s/a", "2");
    listener.becomes("/s", "a=2 b=1").await;
    assert_eq!(listener.stamp("/s"), before, "it is not as late as what was not seen");
    listener.becomes("/s", "a=2 b=1 hidden=1").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid - 1);
    fake.remove_unheard("/s/b");
    fake.put("/s/a", "3");
    listener.becomes("/s", "a=3 hidden=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.state().asked.clear();
    fake.put("/s/a", "4");
    settles(&fake, MULTI_READ, 1).await;
    assert_eq!(fake.count(CHILDREN), 0);
}

#[tokio::test]
async fn what_no_event_tells_of_is_found_in_time_and_costs_a_request_a_path() {
    let fake = Fake::start().await;
    for number in 0..300 {
        fake.put(&format!("/s/m{number:03}"), "1");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |registry| registry.reconcile = Duration::from_millis(300));
    listener.until("reset").await;
    sleep(Duration::from_millis(400)).await;
    fake.state().asked.clear();
    sleep(Duration::from_secs(1)).await;
    let asked = fake.state().asked.clone();
    assert!(
        (2..=5).contains(&asked.len()) && asked.iter().all(|asked| *asked == (MULTI_READ, "301".to_owned())),
        "{asked:?}"
    );
    assert_eq!(listener.words, ["reset /s"]);
    fake.put_unheard("/s/m007", "2");
    listener.until("update").await;
    assert!(listener.line("/s").contains("m007=2"));
    fake.remove_unheard("/s/m007");
    fake.put_unheard("/s/new", "1");
    while !listener.line("/s").ends_with("new=1") || listener.line("/s").contains("m007") {
        listener.hear().await;
    }
    fake.remove_unheard("/s");
    listener.until("absent").await;
}

#[tokio::test]
async fn a_storm_is_read_by_place_and_not_by_event() {
    let fake = Fake::start().await;
    for number in 0..10 {
        fake.put(&format!("/s/m{number}"), "0");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("reset").await;
    fake.state().asked.clear();
    let began = Instant::now();
    for change in 1..=10_000 {
        fake.put(&format!("/s/m{}", change % 10), &change.to_string());
        if change % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let wanted: Vec<String> = (0..10).map(|n| format!("m{n}={}", if n == 0 { 10_000 } else { 9990 + n })).collect();
    listener.becomes("/s", &wanted.join(" ")).await;
    // A reading may take two requests, and comes every 10 ms at most.
    let most = 2 * usize::try_from(began.elapsed().as_millis() / 10).unwrap() + 4;
    assert!(fake.count(MULTI_READ) <= most, "{} in {:?}", fake.count(MULTI_READ), began.elapsed());
}

#[tokio::test]
async fn what_is_too_large_is_not_listed() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/t/a", "1");
    fake.state().claims.insert("/s".into(), 100_001);
    let mut listener = Listener::follow(&fake, &["/s", "/t"], |_| {});
    listener.until("unreadable: too large: more than 100000 nodes").await;
    listener.becomes("/t", "a=1").await;
    assert!(!fake.state().asked.contains(&(CHILDREN, "/s".to_owned())), "{:?}", fake.state().asked);
    assert_eq!(fake.state().connections, 1);
}

#[tokio::test]
async fn a_stamp_never_falls() {
    let mut random = crate::support::random::rng();
    let fake = Fake::start().await;
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("absent").await;
    let mut last = listener.stamp("/s");
    assert_eq!(last, fake.state().zxid);
    for round in 0..200 {
        let name = format!("/s/m{}", random.u8(..5));
        if random.bool() {
            fake.put(&name, &round.to_string());
        } else if round % 50 == 0 {
            fake.cut(|_| {});
        } else if fake.state().has(&name) {
            fake.remove(if random.u8(..10) == 0 { "/s" } else { &name });
        }
        if random.u8(..4) == 0 {
            let _ = timeout(Duration::from_millis(20), listener.hear()).await;
            let now = listener.stamp("/s");
            assert!(Zxid(now) >= Zxid(last), "{now} after {last}: {:?}", listener.words);
            last = now;
        }
    }
}
