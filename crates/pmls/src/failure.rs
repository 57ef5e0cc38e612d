//! Everything that a command can fail with, and the exit code that a script sees.

use std::{error::Error as StdError, fmt, io, path::PathBuf, process::ExitCode};

use paired_mls::{VaultError, pairing::BookError};
use paired_mls_api::{DeviceId, ProblemKind};
use paired_mls_client::ClientError;
use paired_mls_openmls::UsageError;
use paired_mls_service::{LogLevelError, RestoreError, StartError, StoreError};
use paired_mls_vault::{
    CounterError, DiskError, ParameterError, SealedError,
    pkcs11::{TokenError, TokenVaultError},
};
use thiserror::Error;

use crate::{
    commands::BeaconError, engine::EngineError, session::SessionError, settings::SettingsError,
};

/// Why a command failed, with what to do next.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The home, the vault, or the key in it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The vault is of a kind that has no passphrase.
    #[error(
        "a vault of kind {kind} has no passphrase: {}",
        if *kind == "pkcs11" {
            "change the PIN of the token with its own tool"
        } else {
            "set up a device with `--vault sealed` to have one"
        }
    )]
    NoPassphraseKind {
        /// The kind.
        kind: &'static str,
    },
    /// A file that is no part of a home.
    #[error("cannot {action} {path}: {source}; check the path and its permissions")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The process that has the home is of another version.
    #[error(
        "process {pid} has the home, and is pmls {version}: stop it, and start it again with this version"
    )]
    OtherVersion {
        /// The process.
        pid: u32,
        /// Its version.
        version: String,
    },
    /// The process that has the home was started with other settings.
    #[error(
        "process {pid} has the home, with another service or vault: give the --server, --server-root, --allow-http and \
         --vault-path that it was started with, or stop it first"
    )]
    OtherSettings {
        /// The process.
        pid: u32,
    },
    /// The process that has the home ended before it had answered.
    #[error(
        "process {pid}, which has the home, ended before it had answered: what was asked may be done or not; \
         `pmls status` and `pmls group read` show it"
    )]
    HostGone {
        /// The process.
        pid: u32,
    },
    /// More than is handed to another process.
    #[error("this is too large to be handed to process {pid}, which has the home: stop it first")]
    TooLargeForOthers {
        /// The process.
        pid: u32,
    },
    /// A command that no other process does.
    #[error("this command needs the home for itself: stop the process that has it first")]
    NotForOthers,
    /// What was printed could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The operating system gives no async runtime.
    #[error("cannot start: {0}; free some memory or file descriptors")]
    Runtime(#[source] io::Error),
    /// Standard input.
    #[error("cannot read the message from standard input: {0}")]
    Input(#[source] io::Error),
    /// Nothing to heal.
    #[error(
        "this device is paired in no group: name one, or pair with another device by `pmls pair start`"
    )]
    NothingToUpdate,
    /// Hidden mode without a leaf.
    #[error("hidden mode shares the key of one leaf: add `--anchor leaf`")]
    HiddenAtNode,
    /// Groups, pairings and the service.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The service.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A beacon.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// Where a feed is sent to or heard from.
    #[error("cannot use the place of the feed: {0}; check that it is there, and its permissions")]
    Feed(#[source] io::Error),
    /// Nobody's feed can be listened to.
    #[error(
        "this device has no partner whose feed it could hear: pair it with the device of the beacon; `pmls pair \
         status` shows its pairings"
    )]
    NoBeacon,
    /// Another device of the user has to approve this one.
    #[error(
        "{user} has other devices, and one of them has to approve this one: run there\n\n    \
         pmls device approve {device}\n\nand then here `{again}`. If none of them is left, the recovery key lets \
         this one in: `{again} --by-recovery-key --old-devices revoke`"
    )]
    NotApproved {
        /// The user.
        user: String,
        /// This device.
        device: DeviceId,
        /// What to run then.
        again: &'static str,
    },
    /// Nobody of that name has registered a device.
    #[error(
        "the service knows no user {user}: check the name, or wait until a device is registered"
    )]
    NoUser {
        /// The name.
        user: String,
    },
    /// A signature key in a token, and no token.
    #[error("only a vault of kind pkcs11 has a token for the signature key: add --vault pkcs11")]
    NoTokenForKey,
    /// The device is about to shut itself out.
    #[error(
        "this is the device itself, which could do nothing any more: add --myself if you mean it"
    )]
    OwnDevice,
    /// The settings, from file, environment or flags.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Paired MLS on OpenMLS.
    #[error(transparent)]
    Mls(#[from] paired_mls_openmls::Error),
    /// The pairing protocol.
    #[error(transparent)]
    Pairing(#[from] BookError),
    /// The database of the service, for its operator.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] RestoreError),
    /// An operator's command names what is not there.
    #[error("the database has no {what} {name}: `pmls admin list` shows what there is")]
    NoSuch {
        /// What it should be.
        what: &'static str,
        /// How it was named.
        name: String,
    },
    /// A name that is none.
    #[error("--after names nothing: {0}; give the last one of the page before")]
    Name(String),
    /// A log that does not reach that far.
    #[error("the log of the group has no such place: give a position from {from} to {to}")]
    NoPosition {
        /// The first that can be given.
        from: u64,
        /// The last.
        to: u64,
    },
    /// What cannot be undone was not done.
    #[error("nothing was changed: add --yes to do it")]
    NeedsYes,
    /// The database is not as it should be.
    #[error("the database is not as it should be: {findings} findings, each with what to do")]
    Findings {
        /// How many.
        findings: usize,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: try again")]
    Randomness,
    /// The service does not start.
    #[error(transparent)]
    Serve(#[from] StartError),
    /// How much is to be logged.
    #[error(transparent)]
    LogLevel(#[from] LogLevelError),
    /// The demo is not installed.
    #[error(
        "the demo is a program of its own, and there is no {program}: in the source of Paired MLS, \
         `cargo run --release -- demo` builds and plays it"
    )]
    NoDemo {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// The demo does not start.
    #[error(
        "cannot start {program}: {source}; in the source of Paired MLS, `cargo run --release -- demo` plays it"
    )]
    Demo {
        /// The program of the demo.
        program: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What a script can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Done = 0,
    /// Something that was claimed does not hold.
    Refuted = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Anything else.
    Failed = 3,
    /// The service does not answer.
    Unreachable = 4,
    /// Another process works with the home or the vault.
    InUse = 5,
    /// The passphrase or PIN is wrong or missing.
    Locked = 6,
    /// Another device has to act first.
    Waiting = 7,
    /// `status --check` or `doctor` has found something.
    Attention = 8,
}

impl Exit {
    /// All codes, with what they say to a reader of the manual.
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Done, "all is well"),
        (Self::Refuted, "something that was claimed does not hold"),
        (Self::Usage, "the command line or the configuration is wrong"),
        (Self::Failed, "something failed, and the message says what to do"),
        (Self::Unreachable, "the service does not answer: try again later"),
        (Self::InUse, "another process works with the home or the vault"),
        (Self::Locked, "the passphrase or PIN is wrong, or there is none"),
        (Self::Waiting, "another device has to act first, and the message says which command"),
        (Self::Attention, "`status --check` or `doctor` has found something that needs attention"),
    ];

    /// The exit of a code.
    pub(crate) fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(exit, _)| exit).find(|exit| *exit as u8 == code)
    }

    /// The paragraph of `--help` and of the manual.
    pub(crate) fn help() -> String {
        let lines =
            Self::ALL.iter().map(|(exit, meaning)| format!("\n  {}  {meaning}", *exit as u8));
        lines.fold("Exit codes:".to_owned(), |text, line| text + &line)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// The exit code of the process.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::LogLevel(_)
            | Self::HiddenAtNode
            | Self::NoTokenForKey
            | Self::OwnDevice
            | Self::NeedsYes
            | Self::Name(_) => Exit::Usage,
            Self::Findings { .. } => Exit::Refuted,
            Self::Backup(RestoreError::InUse(_))
            | Self::OtherVersion { .. }
            | Self::OtherSettings { .. }
            | Self::TooLargeForOthers { .. }
            | Self::NotForOthers => Exit::InUse,
            Self::NotApproved { .. } => Exit::Waiting,
            Self::Session(error) | Self::Engine(EngineError::Session(error)) => {
                exit_of_session(error)
            }
            Self::Client(error)
            | Self::Engine(
                EngineError::Client(error) | EngineError::Waiting { source: error, .. },
            ) => exit_of_service(error),
            _ => Exit::Failed,
        }
    }

    /// What to do about what a library says that people do not know; `None` for what says so itself.
    fn of_a_library(&self) -> Option<&'static str> {
        use paired_mls_openmls::{Error, PeerError};
        if let Self::Client(error)
        | Self::Engine(EngineError::Client(error))
        | Self::Session(SessionError::Client(error)) = self
        {
            return error.is_revoked().then_some(": `pmls recover --new-keys` does both");
        }
        let (Self::Engine(EngineError::Mls(error)) | Self::Mls(error)) = self else { return None };
        match error {
            Error::Storage { .. } => {
                Some(": is the disk full? Free some space, and do the same again; nothing is lost")
            }
            Error::Mls { .. } => Some(
                ": nothing has changed. Run `pmls sync`, and do the same again; if it fails again, `pmls group \
                 rejoin` takes the group up anew",
            ),
            Error::Peer(PeerError::Message(_)) => Some(
                ": it is not valid, or not for this device; nothing has changed. `pmls sync` goes on with what \
                 comes next",
            ),
            _ => None,
        }
    }

    /// The message: this error and its causes. A cause that its effect has quoted is not repeated.
    pub(crate) fn message(&self) -> Message<'_> {
        Message(self)
    }
}

fn exit_of_session(error: &SessionError) -> Exit {
    match error {
        SessionError::WhoseDevice | SessionError::Parameters(_) | SessionError::Server { .. } => {
            Exit::Usage
        }
        SessionError::Client(error) => exit_of_service(error),
        SessionError::HomeInUse { .. }
        | SessionError::Disk(DiskError::InUse { .. })
        | SessionError::Sealed(SealedError::Disk(DiskError::InUse { .. }))
        | SessionError::TokenVault(TokenVaultError::Disk(DiskError::InUse { .. }))
        | SessionError::Counter(CounterError::Disk(DiskError::InUse { .. })) => Exit::InUse,
        SessionError::NoPassphrase { .. }
        | SessionError::PassphraseFile { .. }
        | SessionError::PassphrasesDiffer
        | SessionError::Sealed(SealedError::WrongPassphrase | SealedError::EmptyPassphrase)
        | SessionError::Token(TokenError::WrongPin | TokenError::PinLocked) => Exit::Locked,
        _ => Exit::Failed,
    }
}

/// Too many requests are an answer.
fn exit_of_service(error: &ClientError) -> Exit {
    match error.is_transient() && error.problem() != Some(ProblemKind::TooFast) {
        true => Exit::Unreachable,
        false => Exit::Failed,
    }
}

/// What a session says, from what it comes from.
macro_rules! of_the_session {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Session(error.into())
            }
        })+
    };
}

of_the_session!(VaultError, DiskError, ParameterError, SealedError, TokenVaultError, UsageError);

/// What a person reads of an error: what to do, and its causes.
pub(crate) struct Message<'a>(&'a Failure);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.of_a_library() {
            Some(hint) => write!(f, "{}{hint}", self.0),
            None => WithCauses(self.0).fmt(f),
        }
    }
}

/// An error with its causes, on one line. A cause that its effect has quoted is not repeated.
pub struct WithCauses<'a>(pub &'a dyn StdError);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                told = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}
