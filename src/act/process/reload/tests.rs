use super::*;

#[test]
fn a_pid_is_a_number_of_one_process() {
    let own = std::process::id().to_string();
    let cases: [(&[u8], Result<i32, &str>); 10] = [
        (b"4711\n", Ok(4711)),
        (b" 4711", Ok(4711)),
        (b"4711\n/var/lib/postgresql\n", Ok(4711)),
        (b"", Err("empty")),
        (b"\n", Err("empty")),
        (b"0\n", Err("may be signalled")),
        (b"1\n", Err("may be signalled")),
        (b"-4711\n", Err("may be signalled")),
        (b"99999999999\n", Err("is not a process ID")),
        (own.as_bytes(), Err("the agent's own")),
    ];
    for (bytes, expected) in cases {
        match (parse_pid(bytes), expected) {
            (Ok(pid), Ok(number)) => assert_eq!(pid.as_raw(), number),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (got, expected) => panic!("{got:?} for {expected:?}"),
        }
    }
}

#[test]
fn a_thread_of_the_agent_is_the_agent() {
    let own = std::process::id().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(nix::unistd::gettid()).unwrap();
        let _ = ended.recv();
    });
    let number = told.recv().unwrap().to_string();
    assert_ne!(number, own);
    let parsed = parse_pid(number.as_bytes());
    drop(end);
    thread.join().unwrap();
    assert!(parsed.as_ref().is_err_and(|why| why.contains("the agent's own process or thread ID")), "{parsed:?}");
}

#[test]
fn signals_have_the_names_of_kill() {
    for name in ["HUP", "SIGHUP", "hup", " Hup"] {
        assert_eq!(parse_signal(name), Ok(Signal::SIGHUP), "{name}");
    }
    assert!(parse_signal("RELOAD\u{1b}").is_err_and(|setback| setback.to_string().contains("RELOAD\\u{1b}")));
}
