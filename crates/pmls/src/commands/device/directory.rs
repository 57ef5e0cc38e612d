//! `pmls device list`, `approve`, `approvals` and `revoke`: what the directory knows of devices.

use std::fmt;

use clap::Args;
use paired_mls_api::{ApprovalView, DeviceId, DeviceView, ProblemKind, SignatureScheme, UserId};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{escape, printable},
    session::Session,
};

/// Whose devices.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// The user [default: the one of this device].
    #[arg(value_parser = user)]
    user: Option<UserId>,
}

/// Which device.
#[derive(Args)]
pub(crate) struct ApproveArgs {
    /// Its id, as it shows it itself.
    // Ids are base64url, and may begin with a dash.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    device: DeviceId,
}

/// Which approval to take back.
#[derive(Args)]
pub(crate) struct ApprovalsArgs {
    /// Take the approval of this device back.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    withdraw: Option<DeviceId>,
}

/// Which device.
#[derive(Args)]
pub(crate) struct RevokeArgs {
    /// Its id.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    device: DeviceId,
    /// Revoke this device itself: it can do nothing any more.
    #[arg(long)]
    myself: bool,
}

/// A user's name on the command line is text.
pub(crate) fn user(text: &str) -> Result<UserId, String> {
    let parsed = escape::parse(text).filter(|(_, device)| device.is_none());
    let (name, _) = parsed.ok_or("a user, without a device, as it is shown")?;
    UserId::new(name).map_err(|error| error.to_string())
}

/// The devices of a user.
#[derive(Serialize)]
pub(super) struct Devices {
    user: String,
    devices: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    device: DeviceId,
    standing: Standing,
    scheme: SignatureScheme,
    /// In seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<u64>,
}

/// What a device is to this one.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    /// This device.
    Own,
    /// Another one.
    Other,
    /// One that was revoked.
    Revoked,
}

/// A device that may register now.
#[derive(Serialize)]
pub(super) struct Approved {
    approved: DeviceId,
}

/// The devices that may register.
#[derive(Serialize)]
pub(super) struct Approvals {
    approvals: Vec<ApprovalView>,
}

/// A device that can do nothing any more.
#[derive(Serialize)]
pub(super) struct Revoked {
    revoked: DeviceId,
    revoked_at: u64,
}

pub(super) async fn list(args: &ListArgs, session: &Session) -> Result<Devices, Failure> {
    let profile = session.profile();
    let user = args.user.as_ref().unwrap_or(&profile.user);
    let view = session.client()?.user(user).await.map_err(|error| match error.problem() {
        Some(ProblemKind::NotFound) => Failure::NoUser { user: printable(user.as_bytes()) },
        _ => error.into(),
    })?;
    let listed = |view: DeviceView| {
        let standing = match view.revoked_at {
            Some(_) => Standing::Revoked,
            None if view.device == profile.device => Standing::Own,
            None => Standing::Other,
        };
        let DeviceView { device, scheme, revoked_at, .. } = view;
        Listed { device, standing, scheme, revoked_at }
    };
    let devices = view.devices.into_iter().map(listed).collect();
    Ok(Devices { user: printable(user.as_bytes()), devices })
}

pub(super) async fn approve(args: &ApproveArgs, session: &Session) -> Result<Approved, Failure> {
    session.client()?.approve(&args.device).await?;
    Ok(Approved { approved: args.device.clone() })
}

pub(super) async fn approvals(
    args: &ApprovalsArgs,
    session: &Session,
) -> Result<Approvals, Failure> {
    let client = session.client()?;
    if let Some(device) = &args.withdraw {
        client.disapprove(device).await?;
    }
    Ok(Approvals { approvals: client.approvals().await? })
}

pub(super) async fn revoke(args: &RevokeArgs, session: &Session) -> Result<Revoked, Failure> {
    if args.device == session.profile().device && !args.myself {
        return Err(Failure::OwnDevice);
    }
    let revoked_at = session.client()?.revoke(&args.device).await?.revoked_at;
    Ok(Revoked { revoked: args.device.clone(), revoked_at })
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Devices of {}", self.user)?;
        for Listed { device, standing, scheme, .. } in &self.devices {
            let standing = match standing {
                Standing::Own => ", this one",
                Standing::Other => "",
                Standing::Revoked => ", revoked",
            };
            write!(f, "\n  {device}  {}{standing}", scheme.name())?;
        }
        Ok(())
    }
}

impl fmt::Display for Approved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Approved {}: it can run `pmls device register` now", self.approved)
    }
}

impl fmt::Display for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.approvals.is_empty() {
            return f.write_str("No other device may register now.");
        }
        f.write_str("May register, for a day from their approval on:")?;
        for ApprovalView { device, approved_by, .. } in &self.approvals {
            match approved_by {
                Some(other) => write!(f, "\n  {device}  approved by {other}")?,
                None => write!(f, "\n  {device}  approved by the operator of the service")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Revoked {}: the service does nothing for it any more; remove it from the groups that it \
             is in",
            self.revoked
        )
    }
}
