//! The side that asks.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde::Deserialize;

use super::{Answer, Bound, Hello, MAX_ANSWER, MAX_REQUEST, Request, socket};
use crate::{
    failure::{Exit, Failure},
    session::{Holder, SessionError},
    settings::GlobalOptions,
};

/// How long a greeting may take of a process that has nothing else to do.
const GREETING: Duration = Duration::from_millis(500);

/// The process that has the home, ready to do one command.
pub(crate) struct Host {
    stream: BufReader<UnixStream>,
    pid: u32,
    /// How long the service may take for an answer to this caller.
    timeout: Duration,
}

impl Host {
    /// The process that does commands for others; `None` if there is none, and the home can be opened.
    ///
    /// Waits so long as for the home itself where that process is at work.
    pub(crate) fn find(options: &GlobalOptions) -> Result<Option<Self>, Failure> {
        let home = &options.home;
        let stream = match UnixStream::connect(socket(home)) {
            Ok(stream) => stream,
            // Nobody is there, or one that has died; or the folder cannot be entered, which opening it says.
            Err(_) => return Ok(None),
        };
        let wait = options.wait.max(GREETING);
        let mut stream = BufReader::new(stream);
        let hello: io::Result<Hello> =
            (stream.get_ref().set_read_timeout(Some(wait))).and_then(|()| read_line(&mut stream));
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let (home, holder) = (home.clone(), Holder::Unknown);
                return Err(SessionError::HomeInUse { home, holder }.into());
            }
            // It has just ended.
            Err(_) => return Ok(None),
        };
        let Hello { pid, version, home: its, bound } = hello;
        if fs::canonicalize(home).ok() != Some(its) {
            return Ok(None);
        }
        if version != env!("CARGO_PKG_VERSION") {
            return Err(Failure::OtherVersion { pid, version });
        }
        // Where no device is set up, opening the home says so.
        let Some(wanted) = Bound::wanted(options)? else { return Ok(None) };
        if wanted != bound {
            return Err(Failure::OtherSettings { pid });
        }
        stream.get_ref().set_read_timeout(None).map_err(Failure::Input)?;
        Ok(Some(Self { stream, pid, timeout: options.timeout }))
    }

    /// Has a command done, prints what it says, and returns its exit code.
    pub(crate) fn call(self, arguments: &[String], input: &[u8]) -> Result<Exit, Failure> {
        let Self { mut stream, pid, timeout } = self;
        let folder = env::current_dir().map_err(Failure::Input)?;
        let request =
            Request { arguments: arguments.to_vec(), folder, timeout, input: input.to_vec() };
        let mut line =
            serde_json::to_vec(&request).map_err(|error| Failure::Input(error.into()))?;
        line.push(b'\n');
        if u64::try_from(line.len()).is_ok_and(|length| length > MAX_REQUEST) {
            return Err(Failure::TooLargeForOthers { pid });
        }
        let gone = |_| Failure::HostGone { pid };
        stream.get_mut().write_all(&line).map_err(gone)?;
        let answer: Answer = read_line(&mut stream).map_err(gone)?;
        for line in &answer.lines {
            line.print().map_err(Failure::Output)?;
        }
        Exit::of(answer.exit_code).ok_or(Failure::HostGone { pid })
    }
}

/// One line of JSON.
fn read_line<T: for<'a> Deserialize<'a>>(from: &mut impl BufRead) -> io::Result<T> {
    let mut line = Vec::new();
    from.take(MAX_ANSWER).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}
