//! Whatever happens to the demo, its processes and files do not outlive it. What runs is seen in `/proc`.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{demo, text};

/// The processes that work in this folder, or have it in their command line, and what they say there.
fn processes_in(folder: &Path) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        // It may have ended since.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let works_in = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if works_in.starts_with(folder) || line.contains(&folder.display().to_string()) {
            found.push((pid, line));
        }
    }
    found
}

/// Neither a process nor a file of the demo.
pub(crate) fn nothing_is_left(folder: &Path) {
    assert_eq!(processes_in(folder), []);
    let left = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != "report.html").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Waits for a process whose command line says this; long, since the machine may be busy.
fn wait_for(folder: &Path, words: &str) -> u32 {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let found = processes_in(folder).into_iter().find(|(_, line)| line.contains(words));
        if let Some((pid, _)) = found {
            return pid;
        }
        sleep(Duration::from_millis(2));
    }
    panic!("there is no process with {words}");
}

fn start(folder: &Path) -> Child {
    let mut demo = demo(folder);
    demo.args(["--no-report"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Kills a process that may have ended already.
fn kill(pid: u32) {
    Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

#[test]
fn after_a_signal() {
    for (name, process) in [("-INT", " member --server"), ("-TERM", " update family")] {
        let folder = tempfile::tempdir().unwrap();
        let demo = start(folder.path());
        wait_for(folder.path(), process);
        signal(name, demo.id());
        let output = demo.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
        nothing_is_left(folder.path());
    }
}

#[test]
fn after_a_failure_which_says_whose_command_it_was() {
    for (victim, blamed) in [
        (" serve ", "`pmls "),
        ("--user bob --library", "Bob has ended"),
        (" update family", "`pmls update family` failed: signal: 9"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = start(folder.path());
        // All are there by then.
        wait_for(folder.path(), " update family");
        // One of many commands may end in the same moment: then it is the next one's turn.
        while demo.try_wait().unwrap().is_none() {
            let found = processes_in(folder.path()).into_iter();
            for (pid, _) in found.filter(|(_, line)| line.contains(victim)) {
                kill(pid);
            }
            sleep(Duration::from_millis(5));
        }
        let output = demo.wait_with_output().unwrap();
        let error = text(&output.stderr);
        assert!(!output.status.success(), "{error}");
        assert!(error.contains("the demo stopped: ") && error.contains(blamed), "{error}");
        nothing_is_left(folder.path());
    }
}

/// Nobody can tidy up after that; but the processes end by themselves.
#[test]
fn after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = start(folder.path());
    wait_for(folder.path(), " update family");
    demo.kill().unwrap();
    demo.wait().unwrap();
    let started = Instant::now();
    while !processes_in(folder.path()).is_empty() && started.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(10));
    }
    assert_eq!(processes_in(folder.path()), []);
}
