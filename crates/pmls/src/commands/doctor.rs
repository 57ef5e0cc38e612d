//! `pmls doctor`: what is wrong, and the command that helps; `pmls recover`: the way back.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{device::register, told};
use crate::{
    engine::{Engine, EngineError, Finding, FindingKind, Report},
    failure::{Exit, Failure},
    output::Output,
    session::{Keys, Session, SessionError, is_counter_lost, is_loss},
    settings::GlobalOptions,
};

/// How a device is brought back.
#[derive(Args)]
pub(crate) struct RecoverArgs {
    /// Make new keys although none are lost: after a theft, or when this device was shut out.
    #[arg(long)]
    new_keys: bool,
    #[command(flatten)]
    register: register::RegisterArgs,
}

/// What is wrong.
#[derive(Debug, Serialize)]
struct Diagnosis {
    findings: Vec<Finding>,
}

pub(super) async fn doctor(options: &GlobalOptions, output: Output) -> Result<Exit, Failure> {
    let findings = match Engine::open(options) {
        Ok(mut engine) => engine.examine().await?,
        Err(EngineError::Session(error)) => vec![of_home(error)?],
        Err(error) => return Err(error.into()),
    };
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Attention };
    output.show(&Diagnosis { findings })?;
    Ok(exit)
}

/// What is wrong with a home that cannot be opened; what no recovery helps with is an error.
fn of_home(error: SessionError) -> Result<Finding, Failure> {
    let kind = match &error {
        SessionError::NoState { .. }
        | SessionError::DamagedState { .. }
        | SessionError::StateOfAnother { .. } => FindingKind::StateLost,
        SessionError::Recovering { .. } => FindingKind::RecoveryBegun,
        lost if is_counter_lost(lost) => FindingKind::CounterLost,
        lost if is_loss(lost) => FindingKind::VaultLost,
        _ => return Err(error.into()),
    };
    let what = Failure::from(error).message().to_string();
    Ok(match kind {
        FindingKind::CounterLost => {
            let what = format!(
                "{what}. If the vault is no older copy, this gives it a new counter; if it may be one, `pmls \
                 recover` brings the device back with new keys"
            );
            Finding::new(kind, what, "pmls vault forget-counter")
        }
        _ => Finding::new(kind, what, "pmls recover"),
    })
}

pub(super) async fn recover(
    args: &RecoverArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let keys = if args.new_keys { Keys::MakeNew } else { Keys::KeepThem };
    let (session, recovery) = Session::recover(options, keys)?;
    register::register(&args.register, &session, "pmls recover", output).await?;
    let mut engine = Engine::of(session)?;
    let mut report = Report::default();
    let done = engine.recover(&recovery, &mut report).await;
    told(engine.outcome(done), &report, output)
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            return f.write_str("nothing is wrong");
        }
        for (n, Finding { group, what, run, .. }) in self.findings.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            if let Some(group) = group.as_ref().filter(|group| !what.contains(*group)) {
                write!(f, "{group}: ")?;
            }
            write!(f, "{what}\n    {run}")?;
        }
        Ok(())
    }
}
