//! `pmls device register`, which is also the end of `pmls device init`.

use std::{fmt, time::Duration};

use clap::Args;
use paired_mls_api::{ProblemKind, RegisterDevice, RequestKey as _};
use serde::Serialize;

use super::show::DeviceReport;
use crate::{failure::Failure, output::Output, output::printable, session::Session};

/// How often the service is asked whether the device has been approved.
const INTERVAL: Duration = Duration::from_secs(2);

/// Whether to wait for another device.
#[derive(Args)]
pub(crate) struct RegisterArgs {
    /// Wait until another device of the user has approved this one.
    #[arg(long)]
    wait: bool,
}

/// A device that the service knows.
#[derive(Serialize)]
pub(crate) struct Registered {
    registered: bool,
    #[serde(flatten)]
    device: DeviceReport,
}

/// A device that waits: one of the lines of `--wait`.
#[derive(Serialize)]
struct Waiting {
    registered: bool,
    waiting_for: String,
}

/// Registers the device. Doing it again changes nothing.
pub(crate) async fn register(
    args: &RegisterArgs,
    session: &Session,
    output: Output,
) -> Result<Registered, Failure> {
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
            return Err(Failure::NotApproved { user, device: profile.device.clone() });
        }
        if told.is_none() {
            let waiting_for = format!("pmls device approve {}", profile.device);
            told = Some(output.show(&Waiting { registered: false, waiting_for })?);
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(Registered { registered: true, device: DeviceReport::of(session) })
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nThe service knows the device.", self.device)
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
