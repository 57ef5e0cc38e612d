//! `pmls device register`, which is also the end of `pmls device init`.

use std::{fmt, time::Duration};

use clap::Args;
use paired_mls_api::{ProblemKind, RegisterDevice, RequestKey as _};
use serde::Serialize;

use super::{
    recovery::{FirstKeyArgs, RecoveryArgs, RecoveryReport, first, recover},
    show::DeviceReport,
};
use crate::{failure::Failure, output::Output, output::printable, session::Session};

/// How often the service is asked whether the device has been approved.
const INTERVAL: Duration = Duration::from_secs(2);

/// Whether to wait for another device.
#[derive(Args)]
pub(crate) struct RegisterArgs {
    /// Wait until another device of the user has approved this one.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    recovery: RecoveryArgs,
}

/// A device that has to be registered still.
#[derive(Args)]
pub(crate) struct RegisterNowArgs {
    #[command(flatten)]
    register: RegisterArgs,
    #[command(flatten)]
    first_key: FirstKeyArgs,
}

/// A device that the service knows.
#[derive(Serialize)]
pub(crate) struct Registered {
    registered: bool,
    /// How many other devices were revoked by the recovery key, if it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<u64>,
    #[serde(flatten)]
    device: DeviceReport,
}

/// A device that the service knows, and its user's recovery key.
#[derive(Serialize)]
pub(super) struct Made {
    #[serde(flatten)]
    registered: Registered,
    #[serde(flatten)]
    recovery: RecoveryReport,
}

/// A device that waits: one of the lines of `--wait`.
#[derive(Serialize)]
struct Waiting {
    registered: bool,
    waiting_for: String,
}

/// Registers the device, and makes a recovery key for the first one of a user.
pub(super) async fn register_now(
    args: &RegisterNowArgs,
    session: &Session,
    output: Output,
) -> Result<Made, Failure> {
    let registered = register(&args.register, session, "pmls device register", output).await?;
    let recovery = first(&args.first_key, session).await?;
    Ok(Made { registered, recovery })
}

/// Registers the device, by the recovery key if that is asked for. Doing it again changes nothing; `again` is the
/// command that does.
pub(crate) async fn register(
    args: &RegisterArgs,
    session: &Session,
    again: &'static str,
    output: Output,
) -> Result<Registered, Failure> {
    let revoked = recover(&args.recovery, session).await?;
    let profile = session.profile();
    let request = RegisterDevice {
        user: profile.user.clone(),
        scheme: session.key().scheme(),
        signature_key: session.key().public_key().into(),
    };
    let mut told = None;
    loop {
        match session.client()?.register(&request).await {
            Ok(_) => break,
            Err(error) if error.problem() == Some(ProblemKind::NotApproved) => {}
            Err(error) => return Err(error.into()),
        }
        if !args.wait {
            let user = printable(profile.user.as_bytes());
            return Err(Failure::NotApproved { user, device: profile.device.clone(), again });
        }
        if told.is_none() {
            let waiting_for = format!("pmls device approve {}", profile.device);
            told = Some(output.show(&Waiting { registered: false, waiting_for })?);
        }
        tokio::time::sleep(INTERVAL).await;
    }
    session.is_registered()?;
    Ok(Registered { registered: true, revoked, device: DeviceReport::of(session) })
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nThe service knows the device.", self.device)?;
        match self.revoked {
            None => Ok(()),
            Some(0) => f.write_str(" No other one was revoked."),
            Some(1) => f.write_str(" One other one was revoked."),
            Some(more) => write!(f, " {more} others were revoked."),
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.registered, self.recovery)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Run on another device of the user:\n\n    {}\n\nWaiting for it …",
            self.waiting_for
        )
    }
}
