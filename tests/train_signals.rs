//! Signals end a program as `train::signals` says. A signal handler belongs to a whole process, so each case runs this
//! file's own program again and signals it.

#![cfg(unix)]

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use mimc::train::signals::{Stop, install};

/// Set in the program that is to be signalled.
const CHILD: &str = "MIMC_TEST_SIGNALS_CHILD";

#[test]
fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let stop = Stop::default();
    install(stop.clone()).expect("the first handler of this process");
    println!("\nready");
    while !stop.requested() {
        thread::sleep(Duration::from_millis(5));
    }
    println!("\nstopping");
    // Stands for a micro-batch that takes long.
    let patience = if env::var(CHILD).as_deref() == Ok("slow") {
        60
    } else {
        0
    };
    thread::sleep(Duration::from_secs(patience));
}

#[test]
fn the_first_signal_lets_the_program_end_by_itself() {
    for signal in ["-INT", "-TERM"] {
        let status = signalled("quick", signal, 1);
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn the_second_signal_ends_the_program_at_once() {
    let status = signalled("slow", "-INT", 2);
    assert_eq!(status.code(), Some(130), "{status}");
}

/// Starts the program, sends it signals, each when it is ready for it, and waits for its end.
fn signalled(kind: &str, signal: &str, times: usize) -> ExitStatus {
    let mut child = Command::new(env::current_exe().expect("this program has a path"))
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let output = child.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    for awaited in &["ready", "stopping"][..times] {
        let found = lines
            .by_ref()
            .find(|line| line.as_ref().is_ok_and(|line| line == awaited));
        assert!(found.is_some(), "the program ended before it was {awaited}");
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }
    // Read to the end, or the program could fail to write its last lines.
    lines.for_each(drop);
    child.wait().expect("it was started")
}
