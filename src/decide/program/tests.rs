use super::*;
use crate::config::Command;

mod properties;

const NOW: Duration = Duration::ZERO;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn config(cmd: &str) -> ExecConfig {
    ExecConfig::new(Command::Shell(cmd.to_owned()))
}

fn signal(name: &str) -> ProgramEffect {
    ProgramEffect::Signal(name.to_owned())
}

fn end(name: &str) -> ProgramEffect {
    ProgramEffect::End(name.to_owned())
}

/// A program with this configuration, running since 0.
fn running(config: &ExecConfig) -> Program {
    let config = Arc::new(config.clone());
    let mut program = Program::default();
    assert_eq!(program.step(at(0), ProgramInput::Configured(Some(Arc::clone(&config)), NOW)), []);
    assert_eq!(*program.state(), State::Waiting);
    assert_eq!(
        program.step(at(0), ProgramInput::Changed(NOW)),
        [ProgramEffect::FilesApplied],
        "a program that is not running yet starts with the new files"
    );
    assert_eq!(program.step(at(0), ProgramInput::FilesReady), [ProgramEffect::Start(config)]);
    assert_eq!(program.step(at(0), ProgramInput::Started(7)), [ProgramEffect::FilesApplied]);
    assert_eq!(program.step(at(0), ProgramInput::FilesReady), [], "it is started once");
    program
}

#[test]
fn a_program_that_exits_is_restarted_with_backoff() {
    let config = config("x");
    let mut program = running(&config);
    let start = ProgramEffect::Start(Arc::new(config));
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..8 {
        assert_eq!(program.step(now, ProgramInput::Ended(End::Exited(3))), []);
        let wake = program.next_wake().unwrap();
        pauses.push(wake.since(now).as_secs());
        assert_eq!(program.step(now, ProgramInput::Tick), [], "not before the backoff has passed");
        now = wake;
        assert_eq!(program.step(now, ProgramInput::Tick), std::slice::from_ref(&start));
        program.step(now, ProgramInput::Started(8));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    now = now + Duration::from_mins(1);
    program.step(now, ProgramInput::Ended(End::Signalled(9)));
    assert_eq!(program.next_wake(), Some(now + Duration::from_secs(1)), "it ran for a minute");
    assert_eq!((program.starts(), program.last()), (9, Some(&(End::Signalled(9), now))));
}

#[test]
fn a_program_that_fails_to_start_is_retried() {
    let config = config("x");
    let mut program = running(&config);
    program.step(at(0), ProgramInput::Ended(End::Exited(0)));
    assert_eq!(program.step(at(1), ProgramInput::Tick), [ProgramEffect::Start(Arc::new(config))]);
    assert_eq!(program.step(at(1), ProgramInput::Ended(End::NotStarted("gone".into()))), []);
    assert_eq!(*program.state(), State::Backoff(at(3)));
}

#[test]
fn on_exit_stop_ends_the_agent_with_its_exit_code() {
    let config = ExecConfig { on_exit: OnExit::Stop, ..config("x") };
    for (end, code) in
        [(End::Exited(0), 0), (End::Exited(3), 3), (End::Signalled(9), 137), (End::NotStarted("gone".into()), 127)]
    {
        let mut program = running(&config);
        assert_eq!(program.step(at(1), ProgramInput::Ended(end)), []);
        assert_eq!(*program.state(), State::Exited(code));
    }
    let mut program = running(&config);
    program.step(at(1), ProgramInput::Changed(NOW));
    program.step(at(2), ProgramInput::Ended(End::Signalled(15)));
    assert_eq!(*program.state(), State::Starting, "that exit was requested");
}

#[test]
fn a_change_signals_or_restarts_the_program() {
    let mut program = running(&ExecConfig { reload_signal: Some("HUP".into()), ..config("x") });
    assert_eq!(program.step(at(1), ProgramInput::Changed(NOW)), [signal("HUP"), ProgramEffect::FilesApplied]);
    assert!(matches!(program.state(), State::Running { change: None, .. }));

    let config = config("x");
    let mut program = running(&config);
    assert_eq!(program.step(at(1), ProgramInput::Changed(NOW)), [end("TERM"), ProgramEffect::FilesApplied]);
    assert_eq!(
        program.step(at(2), ProgramInput::Changed(NOW)),
        [ProgramEffect::FilesApplied],
        "the next start is later"
    );
    assert_eq!(program.step(at(30), ProgramInput::Tick), []);
    assert_eq!(program.step(at(31), ProgramInput::Tick), [ProgramEffect::Kill]);
    assert_eq!(program.step(at(60), ProgramInput::Tick), [], "once");
    let start = ProgramEffect::Start(Arc::new(config));
    assert_eq!(
        program.step(at(61), ProgramInput::Ended(End::Signalled(9))),
        [start],
        "no pause after a requested exit"
    );
}

#[test]
fn a_splay_delays_and_combines_changes() {
    let mut program = running(&config("x"));
    assert_eq!(program.step(at(1), ProgramInput::Changed(Duration::from_secs(9))), []);
    assert_eq!(program.step(at(5), ProgramInput::Changed(Duration::from_secs(9))), []);
    assert_eq!(program.next_wake(), Some(at(10)));
    assert_eq!(program.step(at(10), ProgramInput::Tick), [end("TERM"), ProgramEffect::FilesApplied]);

    let mut program = running(&config("x"));
    program.step(at(1), ProgramInput::Changed(Duration::from_secs(9)));
    assert_eq!(
        program.step(at(2), ProgramInput::Ended(End::Exited(1))),
        [ProgramEffect::FilesApplied],
        "nothing stays in progress forever"
    );
}

#[test]
fn only_a_changed_command_or_environment_restarts_the_program() {
    let splay = Duration::from_secs(9);
    let mut program = running(&config("x"));
    let with = |config: ExecConfig| ProgramInput::Configured(Some(Arc::new(config)), splay);
    let patient = ExecConfig { kill_timeout: Duration::from_secs(99), ..config("x") };
    assert_eq!(program.step(at(1), with(patient)), []);
    assert!(program.next_wake().is_none() && !program.awaits_files());
    assert_eq!(program.step(at(1), with(config("y"))), []);
    assert_eq!(program.step(at(1), ProgramInput::FilesReady), []);
    assert_eq!(program.next_wake(), Some(at(10)));
    assert_eq!(program.step(at(2), with(config("x"))), [], "unchanged again");
    assert!(program.next_wake().is_none() && !program.awaits_files());
    // A signal is not enough, because it would leave the old command running. The old command's own kill signal is
    // used.
    let y = ExecConfig { reload_signal: Some("HUP".into()), kill_signal: "INT".into(), ..config("y") };
    program.step(at(3), with(y.clone()));
    program.step(at(3), ProgramInput::FilesReady);
    assert_eq!(program.step(at(12), ProgramInput::Tick), [end("TERM")]);
    assert_eq!(program.step(at(13), ProgramInput::Ended(End::Exited(0))), [ProgramEffect::Start(Arc::new(y))]);
    program.step(at(13), ProgramInput::Started(8));
    program.step(at(14), ProgramInput::Ended(End::Exited(1)));
    let z = Arc::new(config("z"));
    assert_eq!(program.step(at(14), ProgramInput::Configured(Some(Arc::clone(&z)), splay)), []);
    let start = program.step(at(14), ProgramInput::FilesReady);
    assert_eq!(start, [ProgramEffect::Start(z)], "a new command does not wait for the old one's backoff");
}

#[test]
fn another_command_waits_for_its_files_while_the_old_one_runs() {
    let (x, y) = (config("x"), config("y"));
    let with = |config: &ExecConfig| ProgramInput::Configured(Some(Arc::new(config.clone())), NOW);
    let start = |config: &ExecConfig| [ProgramEffect::Start(Arc::new(config.clone()))];
    let mut program = running(&x);
    assert_eq!(program.step(at(1), with(&y)), []);
    assert!(program.awaits_files() && program.next_wake().is_none());
    // Changes for the old program are not delayed.
    assert_eq!(program.step(at(2), ProgramInput::Changed(NOW)), [end("TERM"), ProgramEffect::FilesApplied]);
    assert_eq!(program.step(at(3), ProgramInput::Ended(End::Exited(0))), start(&x));
    program.step(at(3), ProgramInput::Started(8));
    program.step(at(4), ProgramInput::Ended(End::Exited(1)));
    assert_eq!(program.step(at(5), ProgramInput::Tick), start(&x), "it exited by itself");
    program.step(at(5), ProgramInput::Started(9));
    assert_eq!(program.step(at(6), ProgramInput::FilesReady), [end("TERM")]);
    assert_eq!(program.step(at(7), ProgramInput::Ended(End::Exited(0))), start(&y));
    assert!(!program.awaits_files());

    let mut program = running(&x);
    program.step(at(1), with(&y));
    program.step(at(2), ProgramInput::Changed(NOW));
    assert_eq!(program.step(at(2), ProgramInput::FilesReady), [], "it has exited already");
    assert_eq!(program.step(at(3), ProgramInput::Ended(End::Exited(0))), start(&y));
}

#[test]
fn a_removed_program_is_stopped_and_a_new_one_waits_for_its_files() {
    let none = || ProgramInput::Configured(None, NOW);
    let mut program = running(&config("x"));
    program.step(at(0), ProgramInput::Changed(Duration::from_secs(9)));
    assert_eq!(program.step(at(1), none()), [end("TERM"), ProgramEffect::FilesApplied]);
    program.step(at(2), ProgramInput::Ended(End::Signalled(15)));
    assert_eq!(*program.state(), State::Off);

    let mut program = running(&config("x"));
    program.step(at(1), ProgramInput::Changed(NOW));
    program.step(at(1), none());
    program.step(at(1), ProgramInput::Configured(Some(Arc::new(config("y"))), NOW));
    program.step(at(2), ProgramInput::Ended(End::Signalled(15)));
    assert_eq!(*program.state(), State::Waiting);
}

#[test]
fn the_agent_stops_after_the_program_or_at_once_when_asked_twice() {
    let mut program = running(&config("x"));
    assert_eq!(program.step(at(1), ProgramInput::Stopping), [end("TERM")]);
    assert_eq!(program.step(at(2), ProgramInput::Stopping), [ProgramEffect::Kill]);
    assert_eq!(program.step(at(2), ProgramInput::Ended(End::Signalled(9))), []);
    assert_eq!(*program.state(), State::Exited(0), "its exit code does not matter");

    let mut program = running(&config("x"));
    program.step(at(1), ProgramInput::Changed(NOW));
    assert_eq!(program.step(at(2), ProgramInput::Stopping), [], "it was asked to exit already");
    assert_eq!(program.step(at(31), ProgramInput::Tick), [ProgramEffect::Kill]);
    program.step(at(32), ProgramInput::Tick);
    assert!(matches!(program.state(), State::Stopping { .. }));
    program.step(at(33), ProgramInput::Tick);
    assert_eq!(*program.state(), State::Exited(0), "a program that cannot be killed is abandoned");

    let mut program = running(&config("x"));
    program.step(at(1), ProgramInput::Changed(Duration::from_secs(9)));
    assert_eq!(
        program.step(at(2), ProgramInput::Stopping),
        [end("TERM"), ProgramEffect::FilesApplied],
        "nothing stays pending"
    );

    let mut program = Program::default();
    program.step(at(1), ProgramInput::Stopping);
    assert_eq!(*program.state(), State::Exited(0));
}

#[test]
fn a_program_without_its_lock_is_stopped_and_waits_until_it_may_start() {
    let config = config("x");
    let mut program = running(&config);
    assert_eq!(program.step(at(1), ProgramInput::LockLost), [end("TERM")]);
    assert_eq!(program.step(at(2), ProgramInput::Ended(End::Exited(0))), []);
    assert_eq!((program.state(), program.next_wake()), (&State::Waiting, None));
    let start = ProgramEffect::Start(Arc::new(config.clone()));
    assert_eq!(program.step(at(3), ProgramInput::FilesReady), std::slice::from_ref(&start));
    program.step(at(3), ProgramInput::Started(8));
    // Neither a backoff nor a restart under way starts it again.
    program.step(at(4), ProgramInput::Ended(End::Exited(1)));
    assert_eq!(program.step(at(4), ProgramInput::LockLost), []);
    assert_eq!((program.state(), program.next_wake()), (&State::Waiting, None));
    let mut program = running(&config);
    assert_eq!(program.step(at(1), ProgramInput::Changed(NOW)), [end("TERM"), ProgramEffect::FilesApplied]);
    assert_eq!(program.step(at(1), ProgramInput::LockLost), []);
    assert_eq!(program.step(at(2), ProgramInput::Ended(End::Exited(0))), []);
    assert_eq!(*program.state(), State::Waiting);
}

#[test]
fn without_its_lock_a_program_takes_another_command_at_once() {
    let mut program = running(&config("x"));
    let other = Arc::new(config("y"));
    program.step(at(1), ProgramInput::Configured(Some(Arc::clone(&other)), NOW));
    assert_eq!(program.step(at(1), ProgramInput::LockLost), [end("TERM")]);
    program.step(at(2), ProgramInput::Ended(End::Exited(0)));
    assert_eq!(program.step(at(3), ProgramInput::FilesReady), [ProgramEffect::Start(other)]);
}
