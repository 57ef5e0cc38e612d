//! Who wants a command to be done: this process, or another one, which this one does it for.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{Command, act};
use crate::{
    agent::{Answer, Host, Request},
    cli::Cli,
    engine::Engine,
    failure::{Exit, Failure},
    output::{Output, Printer, Told},
    session::{Holder, SessionError},
    settings::GlobalOptions,
};

/// Who wants a command to be done.
pub(crate) enum Caller {
    /// The person or script that has started this process.
    ThisProcess {
        /// What came from standard input.
        input: Vec<u8>,
    },
    /// Another process of the same user.
    Another {
        /// The folder that its paths are relative to.
        folder: PathBuf,
        /// What came from its standard input.
        input: Vec<u8>,
    },
}

impl Caller {
    /// A file that the caller has named.
    pub(super) fn file<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        match self {
            Self::ThisProcess { .. } => path.into(),
            Self::Another { folder, .. } => folder.join(path).into(),
        }
    }

    /// What stands in the caller's standard input.
    pub(super) fn input(&self) -> &[u8] {
        let (Self::ThisProcess { input } | Self::Another { input, .. }) = self;
        input
    }

    /// Whether the person at the terminal goes on; without a terminal nobody is asked. Another process has
    /// asked before it has called.
    pub(super) fn goes_on(&self) -> Result<bool, Failure> {
        match self {
            Self::ThisProcess { .. } => confirmed(),
            Self::Another { .. } => Ok(true),
        }
    }
}

/// Has a command done by the process that has the home.
pub(super) fn delegate(
    host: Host,
    command: &Command,
    input: &[u8],
    options: &GlobalOptions,
) -> Result<Exit, Failure> {
    let arguments: Result<Vec<String>, _> =
        env::args_os().skip(1).map(|argument| argument.into_string()).collect();
    let arguments = arguments.map_err(|_| Failure::NotForOthers)?;
    let asks = matches!(command, Command::Pair(command) if command.asks());
    if !asks || !io::stdin().is_terminal() {
        return host.call(&arguments, input);
    }
    // It shows what it would do; the person is asked here.
    let with = |flag: &str| {
        let mut arguments = arguments.clone();
        let end = arguments.iter().position(|argument| argument == "--");
        arguments.insert(end.unwrap_or(arguments.len()), flag.to_owned());
        arguments
    };
    let shown = host.call(&with("--dry-run"), input)?;
    if shown != Exit::Done || !confirmed()? {
        return Ok(shown);
    }
    let gone = || SessionError::HomeInUse { home: options.home.clone(), holder: Holder::Unknown };
    Host::find(options)?.ok_or_else(gone)?.call(&with("--yes"), input)
}

/// What a command takes from standard input: all of it, before anybody waits for the command.
pub(super) fn input_of(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    if matches!(command, Command::Group(command) if command.reads_input()) {
        io::stdin().read_to_end(&mut input).map_err(Failure::Input)?;
    }
    Ok(input)
}

/// Does a command for another process.
pub(super) async fn act_for(request: Request, engine: &mut Engine, beside: Output) -> Answer {
    let Request { arguments, folder, timeout, input } = request;
    let told = Told::new(beside);
    let exit = match Cli::parse(&arguments) {
        Ok(cli) => {
            let output = Printer::told(cli.output().form(), &told);
            engine.begin();
            let own_timeout = engine.set_timeout(timeout);
            let caller = Caller::Another { folder, input };
            let done = act(&cli.command, engine, &caller, output).await;
            engine.set_timeout(own_timeout);
            engine.end();
            done.unwrap_or_else(|failure| {
                output.fail(failure.message(), failure.exit());
                failure.exit()
            })
        }
        // A caller of this program has parsed them, too.
        Err(_) => Exit::Usage,
    };
    Answer { lines: told.into_lines(), exit_code: exit as u8 }
}

fn confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    let mut err = io::stderr().lock();
    err.write_all(b"Go on? [y/N] ").and_then(|()| err.flush()).map_err(Failure::Output)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::Input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
