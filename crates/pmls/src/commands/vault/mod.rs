//! `pmls vault …`: the vault of this device.

mod change;
mod status;

use clap::Subcommand;
use paired_mls_vault::Hardening;

use crate::{failure::Failure, output::Output, settings::GlobalOptions};

/// What is to be done with the vault.
#[derive(Subcommand)]
pub(crate) enum VaultCommand {
    /// Show of which kind it is, how it is protected, and what it holds; never the contents.
    Status,
    /// Change the passphrase of a sealed vault.
    Passphrase(change::PassphraseArgs),
    /// Make guessing the passphrase of a sealed vault harder, or easier.
    Upgrade(change::UpgradeArgs),
    /// Give a sealed vault a new counter, in the place of one that is lost or damaged.
    ///
    /// Only if the vault's file is the newest one, and no copy from a backup: nothing can check that any more. An older copy draws from its
    /// tapes a second time; `pmls recover` is for that.
    ForgetCounter,
}

pub(super) fn run(
    command: &VaultCommand,
    options: &GlobalOptions,
    hardening: &Hardening,
    output: Output,
) -> Result<(), Failure> {
    match command {
        VaultCommand::Status => output.show(&status::status(options, hardening)?),
        VaultCommand::Passphrase(args) => output.show(&change::passphrase(args, options)?),
        VaultCommand::Upgrade(args) => output.show(&change::upgrade(args, options)?),
        VaultCommand::ForgetCounter => output.show(&change::forget_counter(options)?),
    }
}
