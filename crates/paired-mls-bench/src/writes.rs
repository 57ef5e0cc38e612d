//! What each operation writes and makes durable, as the system calls say it.
//!
//! The benchmark runs itself under `strace`, with a mark before and after each operation.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// System calls of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Writes {
    /// Calls of `fsync` and `fdatasync`.
    pub(crate) fsyncs: u64,
    /// Bytes that were written to files, whether or not they stay there.
    pub(crate) bytes: u64,
}

const MARK: &str = "paired-mls-bench mark ";

/// Marks in the trace that what follows belongs to `name`; the empty name ends it.
pub(crate) fn mark(name: &str) -> Result<(), Failure> {
    let mut out = std::io::stderr();
    // In one call of `write`: the trace shows it in one line.
    out.write_all(format!("{MARK}{name}\n").as_bytes())?;
    Ok(out.flush()?)
}

/// Runs this program with `arguments` under `strace`; `None` if there is no `strace`.
pub(crate) fn trace(arguments: &[String]) -> Result<Option<BTreeMap<String, Writes>>, Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-s", "80", "-e"])
        .arg("trace=fsync,fdatasync,sync_file_range,write,writev,pwrite64,pwritev,pwritev2")
        .arg("-o")
        .arg(&file)
        .arg(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let output = match traced {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rfind(|line| !line.starts_with(MARK)).unwrap_or("nothing");
        return Err(format!("strace ended with {}: {said}", output.status).into());
    }
    Ok(Some(count(&read(&file)?)))
}

fn read(file: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&std::fs::read(file)?).into_owned())
}

/// Counts the calls between the marks of each name. Where a name comes several times, the last counts.
fn count(trace: &str) -> BTreeMap<String, Writes> {
    let mut counted = BTreeMap::new();
    let mut current: Option<(String, Writes)> = None;
    for line in trace.lines() {
        // `1234 pwrite64(7, "..."..., 4096, 0) = 4096`
        let call = line.split_once(' ').map_or(line, |(_, call)| call).trim_start();
        if let Some((_, rest)) = call.split_once(MARK) {
            if let Some((name, writes)) = current.take() {
                counted.insert(name, writes);
            }
            let name = rest.split("\\n").next().unwrap_or_default();
            current = (!name.is_empty()).then(|| (name.to_owned(), Writes::default()));
            continue;
        }
        let Some((_, writes)) = &mut current else { continue };
        let result =
            call.rsplit_once("= ").and_then(|(_, result)| result.trim().parse::<u64>().ok());
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            writes.fsyncs += 1;
        } else if let Some(bytes) = result {
            writes.bytes += bytes;
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"10 write(2, "paired-mls-bench mark ordinary commit\n", 38) = 38
10 pwrite64(5, "x"..., 4096, 0) = 4096
10 fdatasync(5) = 0
11 write(7, "abc", 3) = 3
11 write(7, "abc", 3) = -1 ENOSPC (No space left on device)
10 fsync(9) = 0
10 write(2, "paired-mls-bench mark \n", 23) = 23
10 fsync(9) = 0
10 write(2, "paired-mls-bench mark paired commit\n", 36) = 36
10 write(2, "paired-mls-bench mark \n", 23) = 23
"#;

    #[test]
    fn calls_between_the_marks_are_counted() {
        let counted = count(TRACE);
        let ordinary = Writes { fsyncs: 2, bytes: 4099 };
        assert_eq!(counted.get("ordinary commit"), Some(&ordinary));
        assert_eq!(counted.get("paired commit"), Some(&Writes::default()));
        assert_eq!(counted.len(), 2);
    }

    #[test]
    fn an_unfinished_call_is_counted_once() {
        let trace = "1 write(2, \"paired-mls-bench mark a\\n\", 24) = 24\n\
                     1 fsync(9 <unfinished ...>\n2 write(7, \"abc\", 3) = 3\n\
                     1 <... fsync resumed>) = 0\n\
                     1 write(2, \"paired-mls-bench mark \\n\", 23) = 23\n";
        assert_eq!(count(trace).get("a"), Some(&Writes { fsyncs: 1, bytes: 3 }));
    }
}
