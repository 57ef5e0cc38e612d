//! `pmls device recovery-key`, and what a registration does with recovery keys.

use std::{fmt, path::PathBuf};

use clap::{Args, ValueEnum};
use paired_mls_api::{OldDevices, Recover, RecoveryKey as PublicKey, RequestKey as _};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    session::{RecoveryKey, Session},
};

/// Whether a device is let in by the recovery key.
#[derive(Args)]
pub(crate) struct RecoveryArgs {
    /// The user has no device left that could approve this one: let it in by the recovery key, which is asked for
    /// at the terminal, or read from standard input.
    #[arg(long, requires = "old_devices")]
    by_recovery_key: bool,
    /// What becomes of the user's other devices.
    #[arg(long, value_enum, value_name = "WHAT", requires = "by_recovery_key")]
    old_devices: Option<Old>,
    /// A file that holds the recovery key, instead of asking for it.
    #[arg(long, value_name = "FILE", requires = "by_recovery_key")]
    recovery_key_file: Option<PathBuf>,
}

/// Whether the first device of a user makes a recovery key.
#[derive(Args)]
pub(crate) struct FirstKeyArgs {
    /// Make no recovery key for the first device of a user.
    #[arg(long)]
    no_recovery_key: bool,
}

/// What becomes of the devices that a user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Old {
    /// They stay.
    Keep,
    /// They are revoked, for ever: they are lost, or somebody else has them.
    Revoke,
}

/// What to do with the recovery key of the user.
#[derive(Args)]
pub(crate) struct RecoveryKeyArgs {
    /// Make a new one and show it once; the one of before is good for nothing then.
    #[arg(long, conflicts_with = "remove")]
    replace: bool,
    /// Take it away: then only the service's operator can help a user without devices.
    #[arg(long)]
    remove: bool,
}

/// A key as it is written on paper.
pub(super) struct Paper(Zeroizing<String>);

impl Serialize for Paper {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The recovery key of the user.
#[derive(Serialize)]
pub(super) struct RecoveryReport {
    recovery: State,
    /// The key itself, when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_key: Option<Paper>,
}

/// Whether there is a recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It was made just now.
    New,
    /// There is one from before.
    Registered,
    /// There is none.
    None,
}

impl RecoveryReport {
    fn of(recovery: State) -> Self {
        Self { recovery, recovery_key: None }
    }
}

/// Lets this device in by the recovery key, if that is asked for; it still has to register. Returns how many others
/// were revoked then.
pub(super) async fn recover(
    args: &RecoveryArgs,
    session: &Session,
) -> Result<Option<u64>, Failure> {
    let (true, Some(old)) = (args.by_recovery_key, args.old_devices) else { return Ok(None) };
    let key = RecoveryKey::ask(args.recovery_key_file.as_deref())?;
    let profile = session.profile();
    let old_devices = match old {
        Old::Keep => OldDevices::Keep,
        Old::Revoke => OldDevices::Revoke,
    };
    let (user, device) = (profile.user.clone(), profile.device.clone());
    let recover = Recover { user, device, old_devices };
    let recovered = session.client_of(key)?.recover(&recover).await?;
    Ok(Some(recovered.revoked))
}

/// Makes a recovery key for a user that has no other device, and none yet.
pub(super) async fn first(
    args: &FirstKeyArgs,
    session: &Session,
) -> Result<RecoveryReport, Failure> {
    let client = session.client()?;
    if client.recovery_key().await?.signature_key.is_some() {
        return Ok(RecoveryReport::of(State::Registered));
    }
    let own = &session.profile().device;
    let devices = client.user(&session.profile().user).await?.devices;
    let others = devices.iter().any(|one| one.device != *own && one.revoked_at.is_none());
    if others || args.no_recovery_key {
        return Ok(RecoveryReport::of(State::None));
    }
    make(session).await
}

/// `pmls device recovery-key`
pub(super) async fn recovery_key(
    args: &RecoveryKeyArgs,
    session: &Session,
) -> Result<RecoveryReport, Failure> {
    if args.replace {
        return make(session).await;
    }
    if args.remove {
        session.client()?.drop_recovery_key().await?;
    }
    let found = session.client()?.recovery_key().await?.signature_key;
    Ok(RecoveryReport::of(if found.is_some() { State::Registered } else { State::None }))
}

async fn make(session: &Session) -> Result<RecoveryReport, Failure> {
    let key = RecoveryKey::generate()?;
    let signature_key = key.public_key().into();
    session.client()?.set_recovery_key(&PublicKey { signature_key }).await?;
    Ok(RecoveryReport { recovery: State::New, recovery_key: Some(Paper(key.paper())) })
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.recovery_key, self.recovery) {
            (Some(Paper(paper)), _) => write!(
                f,
                "Recovery key {}\nWrite it on paper; it is not shown again. When no device is left, `pmls device init \
                 --by-recovery-key` asks for it.",
                **paper
            ),
            (None, State::None) => f.write_str(
                "The user has no recovery key: `pmls device recovery-key --replace` makes one.",
            ),
            (None, _) => f.write_str(
                "The user has a recovery key. If it is not on paper, `pmls device recovery-key --replace` makes \
                 another one.",
            ),
        }
    }
}
