use super::*;

fn process(pid: i32, parent: i32, group: i32, started: u64) -> Process {
    Process { pid, parent, group, started, ended: false }
}

#[test]
fn descendants_are_found_by_group_by_parents_and_by_earlier_scans() {
    let mut run = ProcessTree { leader: 10, started: 100, known: BTreeSet::new() };
    let before = [
        process(1, 0, 1, 1),
        process(10, 5, 10, 100),
        process(11, 10, 10, 101),
        process(12, 11, 12, 102),
        process(13, 12, 12, 103),
        process(14, 1, 10, 104),
        process(15, 1, 15, 105),
    ];
    let pids = |run: &ProcessTree, all: &[Process]| -> Vec<i32> {
        let mut pids: Vec<i32> = run.members(all).iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids
    };
    assert_eq!(pids(&run, &before), [10, 11, 12, 13, 14]);
    run.known = BTreeSet::from([(12, 102), (13, 103), (16, 106)]);
    let after = [
        process(12, 1, 12, 102),
        // Another process has this pid now.
        process(13, 1, 13, 999),
        process(16, 1, 16, 106),
        process(17, 16, 17, 107),
        // This process started before the run.
        process(18, 10, 18, 99),
    ];
    assert_eq!(pids(&run, &after), [12, 16, 17]);
}

#[test]
fn only_a_few_processes_are_named() {
    let many: Vec<Process> = (1..=7).map(|pid| process(pid, 1, pid, 1)).collect();
    let survivors = |count: usize| RemainingProcesses {
        inside: Vec::new(),
        outside: named(&many.iter().take(count).collect::<Vec<_>>(), |_| "x".into()),
    };
    assert_eq!(survivors(0).to_string(), "");
    assert_eq!(survivors(2).to_string(), "; still running outside its process group: x (pid 1), x (pid 2)");
    assert!(survivors(7).to_string().ends_with("x (pid 5), 2 more"));
    let both = RemainingProcesses { inside: vec!["dd (pid 3)".into()], ..survivors(1) };
    let expected = "; still running after KILL: dd (pid 3); still running outside its process group: x (pid 1)";
    assert_eq!(both.to_string(), expected);
}
