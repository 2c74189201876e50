//! The invariants of a program hold for any order of inputs.

use proptest::prelude::*;

use crate::config::Command;
use crate::decide::program::*;

/// Longer than any timeout in this test.
const LONG: Duration = Duration::from_mins(5);

/// One operation.
#[derive(Debug, Clone)]
enum Act {
    /// From now on the files are up to date, or not.
    Files(bool),
    /// A file is replaced, with a splay of this many milliseconds.
    Change(u64),
    /// A new configuration, with a splay of this many milliseconds.
    Configure(Option<Arc<ExecConfig>>, u64),
    /// The process exits by itself, or because it was asked to.
    End(End),
    /// From now on no process can be started, or every one.
    Refuse(bool),
    Stop,
    /// The agent does not hold the lock of the program any more.
    LoseLock,
    /// This many milliseconds pass.
    Pass(u64),
}

fn configs() -> impl Strategy<Value = Option<Arc<ExecConfig>>> {
    let signal = prop_oneof![Just(None), Just(Some("HUP".to_owned()))];
    let on_exit = prop_oneof![3 => Just(OnExit::Restart), 1 => Just(OnExit::Stop)];
    let config = ("[ab]", signal, on_exit, 0..5000_u64).prop_map(|(cmd, reload_signal, on_exit, kill)| {
        let kill_timeout = Duration::from_millis(kill);
        // The signal shows which configuration it was asked to exit by.
        let kill_signal = if cmd == "a" { "TERM" } else { "INT" }.to_owned();
        let plain = ExecConfig::new(Command::Shell(cmd));
        Arc::new(ExecConfig { reload_signal, kill_signal, kill_timeout, on_exit, ..plain })
    });
    prop_oneof![1 => Just(None), 5 => config.prop_map(Some)]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let splay = || prop_oneof![Just(0), 0..4000_u64];
    let end = prop_oneof![(0..256_i32).prop_map(End::Exited), (1..32_i32).prop_map(End::Signalled)];
    let act = prop_oneof![
        4 => any::<bool>().prop_map(Act::Files),
        6 => splay().prop_map(Act::Change),
        3 => (configs(), splay()).prop_map(|(config, splay)| Act::Configure(config, splay)),
        6 => end.prop_map(Act::End),
        1 => any::<bool>().prop_map(Act::Refuse),
        1 => Just(Act::Stop),
        1 => Just(Act::LoseLock),
        6 => prop_oneof![0..3000_u64, 0..90_000_u64].prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 1..60)
}

/// A process of the program.
#[derive(Debug)]
struct Process {
    config: Arc<ExecConfig>,
    /// The file changes that it has applied.
    has: u32,
    /// When it was asked to exit.
    asked: Option<Moment>,
    is_killed: bool,
}

/// The program's environment, as its supervisor models it.
#[derive(Debug, Default)]
struct World {
    program: Program,
    now: Option<Moment>,
    process: Option<Process>,
    pids: u32,
    refuses: bool,
    in_step: bool,
    /// The last configuration, and whether every file has been up to date since it set the current command.
    configured: Option<Arc<ExecConfig>>,
    is_ready: bool,
    /// The last one started, unless no program was configured since.
    started: Option<Arc<ExecConfig>>,
    /// How often files were replaced, and how many replacements are reported as applied.
    files: u32,
    taken_up: u32,
    /// The last unexpected exit of the configured program, and the minimum pause that follows.
    ended: Option<(Moment, Duration)>,
    stops: u32,
}

impl World {
    fn now(&self) -> Moment {
        self.now.unwrap_or(Moment::START)
    }

    fn is_pending(&self) -> bool {
        self.taken_up < self.files
    }

    /// Applies an effect as the supervisor does.
    fn happen(&mut self, input: ProgramInput) {
        let mut all = std::collections::VecDeque::from([input]);
        while let Some(input) = all.pop_front() {
            for deed in self.program.step(self.now(), input) {
                all.extend(self.perform(deed));
            }
        }
        if self.in_step && self.program.awaits_files() {
            self.is_ready = true;
            self.happen(ProgramInput::FilesReady);
        }
        // One tick may cause another.
        let mut ticked = self.program.clone();
        (0..3).for_each(|_| _ = ticked.step(self.now(), ProgramInput::Tick));
        assert!(ticked.next_wake().is_none_or(|wake| wake > self.now()), "it is never woken without need: {self:?}");
    }

    fn perform(&mut self, deed: ProgramEffect) -> Option<ProgramInput> {
        match deed {
            ProgramEffect::Start(config) => {
                assert!(self.process.is_none(), "never two processes: {self:?}");
                assert_eq!(self.stops, 0, "no start after the agent stops");
                let wanted = self.configured.as_ref().expect("a program is configured");
                assert!(self.is_ready || !config.is_same_program(wanted), "never without its files: {self:?}");
                if let Some((at, pause)) = self.ended.take().filter(|_| config.is_same_program(wanted)) {
                    let took = self.now().since(at);
                    assert!(took >= pause && took <= backoff::RETRY.pause(u32::MAX), "{took:?} of {pause:?}");
                }
                self.started = Some(Arc::clone(&config));
                if self.refuses {
                    self.ends_by_itself(&config);
                    return Some(ProgramInput::Ended(End::NotStarted("refused".into())));
                }
                self.pids += 1;
                self.process = Some(Process { config, has: self.files, asked: None, is_killed: false });
                return Some(ProgramInput::Started(self.pids));
            }
            ProgramEffect::Signal(name) => {
                let process = self.process.as_mut().expect("a process runs");
                assert!(process.asked.is_none() && name == "HUP");
                process.has = self.files;
            }
            ProgramEffect::End(name) => {
                let now = self.now();
                let process = self.process.as_mut().expect("a process runs");
                assert_eq!(name, process.config.kill_signal, "the signal of the running program's configuration");
                assert_eq!(process.asked.replace(now), None, "it is asked to exit once");
            }
            ProgramEffect::Kill => {
                let (now, is_hurried) = (self.now(), self.stops > 1);
                let process = self.process.as_mut().expect("a process runs");
                assert!(!std::mem::replace(&mut process.is_killed, true), "it is killed once");
                let is_late = |asked: Moment| asked + process.config.kill_timeout <= now;
                assert!(process.asked.is_some_and(|asked| is_hurried || is_late(asked)), "it is killed too soon");
            }
            ProgramEffect::FilesApplied => {
                let has_all = |process: &Process| process.asked.is_some() || process.has == self.files;
                assert!(self.process.as_ref().is_none_or(has_all), "not all changes were applied: {self:?}");
                self.taken_up = self.files;
            }
        }
        None
    }

    /// A process with this command exited or did not start. For a command that is no longer configured, nothing is
    /// expected.
    fn ends_by_itself(&mut self, config: &ExecConfig) {
        if self.configured.as_ref().is_some_and(|wanted| wanted.is_same_program(config)) {
            self.ended = Some((self.now(), Duration::from_secs(1)));
        }
    }

    /// The process exits.
    fn end(&mut self, end: End) {
        let Some(process) = self.process.take() else { return };
        if process.asked.is_none() {
            self.ends_by_itself(&process.config);
        }
        self.happen(ProgramInput::Ended(end));
    }

    /// Time passes, and every wake is delivered.
    fn pass(&mut self, time: Duration) {
        let until = self.now() + time;
        while let Some(wake) = self.program.next_wake().filter(|wake| *wake <= until) {
            self.now = Some(wake.max(self.now()));
            self.happen(ProgramInput::Tick);
        }
        self.now = Some(until);
    }

    /// As [`World::pass`]. A process that was asked to exit does so soon.
    fn settle(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            self.pass(Duration::from_millis(500));
            if self.process.as_ref().is_some_and(|process| process.asked.is_some()) {
                self.end(End::Exited(0));
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Files(in_step) => {
                self.in_step = in_step;
                // The engine's caller does this after every step.
                self.happen(ProgramInput::Tick);
            }
            Act::Change(splay) => {
                self.files += 1;
                self.happen(ProgramInput::Changed(Duration::from_millis(splay)));
            }
            Act::Configure(config, splay) => {
                let same = |old: &Arc<ExecConfig>| config.as_ref().is_some_and(|new| new.is_same_program(old));
                if config.is_none() {
                    self.started = None;
                }
                // Files that were up to date for the same command still are.
                let was_ready = self.is_ready && self.configured.as_ref().is_some_and(same);
                self.is_ready = was_ready || self.started.as_ref().is_some_and(same);
                self.ended = None;
                if let (Some(process), Some(config)) = (&mut self.process, &config)
                    && process.asked.is_none()
                    && config.is_same_program(&process.config)
                {
                    // The other settings take effect while it runs.
                    process.config = Arc::clone(config);
                }
                self.configured.clone_from(&config);
                self.happen(ProgramInput::Configured(config, Duration::from_millis(splay)));
            }
            Act::End(end) => self.end(end),
            Act::Refuse(refuses) => self.refuses = refuses,
            Act::Stop => {
                self.stops += 1;
                self.happen(ProgramInput::Stopping);
            }
            Act::LoseLock => {
                // There is no backoff for a program that waits for its lock.
                self.ended = None;
                self.happen(ProgramInput::LockLost);
            }
            Act::Pass(time) => self.pass(Duration::from_millis(time)),
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(256, 20_000))]

    #[test]
    fn any_order_of_inputs_keeps_the_invariants(acts in acts()) {
        let mut world = World::default();
        let mut over = None;
        for act in acts {
            let own_end = match (&act, &world.process) {
                (Act::End(end), Some(process)) if process.asked.is_none() => Some(end.code()),
                _ => None,
            };
            world.act(act);
            match (world.program.state(), over) {
                (State::Exited(code), None) => {
                    let is_its_own = own_end == Some(*code) || (world.refuses && *code == 127);
                    prop_assert!(if world.stops > 0 { *code == 0 } else { is_its_own }, "{}", code);
                    prop_assert!(!world.is_pending(), "a later start of the agent needs no reload");
                    over = Some(*code);
                }
                (state, Some(code)) => prop_assert_eq!(state, &State::Exited(code), "an exited state is final"),
                _ => {}
            }
        }
        // From here on nothing fails.
        world.refuses = false;
        world.act(Act::Files(true));
        world.settle(LONG);
        let running = world.process.as_ref();
        match world.program.state() {
            State::Running { pid, change, .. } => {
                let wanted = world.configured.as_ref().unwrap();
                prop_assert!(running.is_some_and(|it| it.config.is_same_program(wanted) && it.has == world.files));
                prop_assert_eq!((*pid, *change, world.is_pending()), (world.pids, None, false));
            }
            State::Off => prop_assert!(running.is_none() && world.configured.is_none() && !world.is_pending()),
            State::Exited(_) => prop_assert!(running.is_none() || world.stops > 0),
            state => prop_assert!(false, "it does not become idle: {:?}", state),
        }
        // A program that was asked to exit is done in time, even if it cannot be killed.
        let limit = world.program.config().map_or(Duration::ZERO, |config| config.kill_timeout + KILL_GRACE);
        world.act(Act::Stop);
        world.pass(limit);
        prop_assert!(matches!(world.program.state(), State::Exited(_)));
        prop_assert!(over.is_some() || !world.is_pending());
    }
}
