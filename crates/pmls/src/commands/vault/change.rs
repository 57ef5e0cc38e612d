//! `pmls vault passphrase`, `pmls vault upgrade` and `pmls vault forget-counter`

use std::{fmt, path::PathBuf, sync::Arc};

use clap::Args;
use paired_mls_vault::{KdfParameters, SealedFile};
use serde::Serialize;

use super::status::Argon2id;
use crate::{
    failure::Failure,
    session::{OpenVault, Session, Wanted, ask},
    settings::GlobalOptions,
};

/// The new passphrase.
#[derive(Args)]
pub(crate) struct PassphraseArgs {
    /// A file that holds the new passphrase, instead of asking for it.
    #[arg(long, value_name = "FILE", env = "PMLS_NEW_PASSPHRASE_FILE", hide_env_values = true)]
    new_passphrase_file: Option<PathBuf>,
}

/// The parameters of Argon2id; those that are left out stay at their default.
#[derive(Args)]
pub(crate) struct UpgradeArgs {
    /// The memory that each try takes [default: 65536].
    #[arg(long, value_name = "KIB")]
    memory_kib: Option<u32>,
    /// The passes over it [default: 3].
    #[arg(long, value_name = "N")]
    passes: Option<u32>,
    /// How much of it can be done side by side [default: 4].
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
}

/// What was changed.
#[derive(Serialize)]
pub(super) struct Changed {
    changed: &'static str,
    generation: u64,
    argon2id: Argon2id,
}

pub(super) fn passphrase(
    args: &PassphraseArgs,
    options: &GlobalOptions,
) -> Result<Changed, Failure> {
    let session = Session::open(options)?;
    let vault = sealed(&session)?;
    let new = ask(Wanted::NewPassphrase, args.new_passphrase_file.as_deref())?;
    vault.change_passphrase(&new, vault.parameters()?)?;
    session.remember_passphrase(&new)?;
    Changed::of("passphrase", vault)
}

pub(super) fn upgrade(args: &UpgradeArgs, options: &GlobalOptions) -> Result<Changed, Failure> {
    let usual = KdfParameters::default();
    let parameters = KdfParameters::new(
        args.memory_kib.unwrap_or(usual.memory_kib()),
        args.passes.unwrap_or(usual.passes()),
        args.lanes.unwrap_or(usual.lanes()),
    )?;
    let session = Session::open(options)?;
    let vault = sealed(&session)?;
    let passphrase = session.passphrase(options)?;
    vault.upgrade(&passphrase, parameters)?;
    Changed::of("parameters", vault)
}

pub(super) fn forget_counter(options: &GlobalOptions) -> Result<Changed, Failure> {
    Changed::of("counter", Session::renew_counter(options)?.as_ref())
}

fn sealed(session: &Session) -> Result<&Arc<SealedFile>, Failure> {
    match session.open_vault() {
        OpenVault::Sealed(vault) => Ok(vault),
        OpenVault::Plain(_) => Err(Failure::NoPassphraseKind { kind: "plain" }),
        OpenVault::Token(..) => Err(Failure::NoPassphraseKind { kind: "pkcs11" }),
    }
}

impl Changed {
    fn of(changed: &'static str, vault: &SealedFile) -> Result<Self, Failure> {
        let argon2id = vault.parameters()?.into();
        Ok(Self { changed, generation: vault.generation(), argon2id })
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, generation, argon2id } = self;
        write!(f, "New {changed} (generation {generation}, Argon2id with {argon2id})")
    }
}
