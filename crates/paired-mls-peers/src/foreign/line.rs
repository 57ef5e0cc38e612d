//! A process that answers a line with a line.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use paired_mls::conformance::Refused;
use serde_json::Value;

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;
/// The longest that an answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Line {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Line {
    pub(super) fn open(mut command: Command) -> Result<Self, Refused> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
        let input = child.stdin.take().ok_or("the process has no input")?;
        let output = child.stdout.take().ok_or("the process has no output")?;
        let (sender, answers) = sync_channel(1);
        // It ends with the process, whose output ends then.
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut answer = String::new();
                let read = output.by_ref().take(MAX_ANSWER).read_line(&mut answer);
                if !matches!(read, Ok(1..)) || sender.send(answer).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, answers })
    }

    pub(super) fn ask(&mut self, request: &Value) -> Result<Value, Refused> {
        writeln!(self.input, "{request}")?;
        let answer = self.answers.recv_timeout(PATIENCE);
        let answer = answer.map_err(|_| "the process has ended, or does not answer")?;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Nothing is lost: it has no state but this member's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
