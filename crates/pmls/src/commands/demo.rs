//! `pmls demo`: the demo is a program of its own, with members on other libraries and a thief, beside this one.

use std::{
    env, io::ErrorKind, os::unix::process::CommandExt as _, path::PathBuf, process::Command,
};

use clap::Args;

use crate::{
    failure::Failure,
    output::{Form, Output},
};

/// What the demo can be told.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Where to write the HTML report.
    #[arg(long, value_name = "FILE", default_value = "paired-mls-demo.html")]
    report: PathBuf,
    /// Write no report.
    #[arg(long, conflicts_with = "report")]
    no_report: bool,
}

/// The program, beside this one.
const PROGRAM: &str = "pmls-demo";

/// Becomes the demo: this process is it from here on. Returns why it could not.
pub(super) fn run(args: &DemoArgs, output: Output) -> Failure {
    let program = match env::current_exe() {
        Ok(ours) => ours.with_file_name(PROGRAM),
        Err(source) => return Failure::Demo { program: PROGRAM.into(), source },
    };
    let mut command = Command::new(&program);
    command.arg("play");
    if !args.no_report {
        command.arg("--report").arg(&args.report);
    }
    if output.form() == Form::Json {
        command.arg("--json");
    }
    let source = command.exec();
    match source.kind() {
        ErrorKind::NotFound => Failure::NoDemo { program },
        _ => Failure::Demo { program, source },
    }
}
