use super::*;

#[test]
fn hosts_are_spread_uniformly_and_constantly() {
    let reload = Reload::Command(crate::config::Command::Shell("systemctl reload x".into()));
    let splay = Duration::from_mins(1);
    let waits: Vec<u64> =
        (0..1000).map(|n| SplayShare::new(&format!("host{n}"), &reload).delay(splay).as_secs()).collect();
    assert!(waits.iter().all(|wait| *wait < 60));
    for sixth in 0..6 {
        let count = waits.iter().filter(|wait| **wait / 10 == sixth).count();
        assert!((110..=225).contains(&count), "{count} of 1000 in the sixth part {sixth}");
    }
    let again = SplayShare::new("host7", &reload).delay(splay).as_secs();
    assert_eq!(again, waits[7]);
    assert_eq!(SplayShare(u64::MAX).delay(Duration::from_secs(10)).as_secs(), 9, "always less than the whole splay");
    assert_eq!(SplayShare(u64::MAX).delay(Duration::ZERO), Duration::ZERO);
}
