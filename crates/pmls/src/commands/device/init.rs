//! `pmls device init`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use paired_mls::CipherSuite;

use super::{
    super::visible,
    register::{Made, RegisterNowArgs, register_now},
};
use crate::{
    failure::Failure,
    output::Output,
    session::{KeyPlace, NewDevice, ServerPlace, Session, SessionError, Transport, VaultPlace},
    settings::GlobalOptions,
};

/// The device to make.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// Whose device it is: the identity that others see.
    #[arg(long, value_name = "NAME", value_parser = visible())]
    user: Option<String>,
    /// What you call the device.
    #[arg(long, value_name = "NAME", default_value = "device", value_parser = visible())]
    name: String,
    /// The MLS cipher suite: 1, 2 or 3.
    #[arg(long, value_name = "N", default_value = "1", value_parser = suite)]
    suite: CipherSuite,
    /// How the vault protects what it holds.
    #[arg(long, value_enum, default_value_t = VaultKind::Sealed)]
    vault: VaultKind,
    /// The file of the counter that tells an older copy of a sealed vault [default: beside the home].
    #[arg(long, value_name = "FILE")]
    vault_counter: Option<PathBuf>,
    /// The PKCS #11 library of the token.
    #[arg(long, value_name = "FILE", required_if_eq("vault", "pkcs11"))]
    pkcs11_module: Option<PathBuf>,
    /// The label of the token.
    #[arg(long, value_name = "LABEL", required_if_eq("vault", "pkcs11"))]
    token_label: Option<String>,
    /// Where the signature key is: in the vault, or in the token, which it cannot leave.
    #[arg(long, value_enum, default_value_t = KeyKind::Vault)]
    signature_key: KeyKind,
    #[command(flatten)]
    register: RegisterNowArgs,
}

/// Where a signature key can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyKind {
    /// A record in the vault.
    Vault,
    /// A key of the token.
    Token,
}

/// The kinds of vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VaultKind {
    /// Files in the clear: only where the folder lies on something sealed.
    Plain,
    /// A file that is sealed under a passphrase.
    Sealed,
    /// The same, and the system's keyring remembers the passphrase until the next restart.
    #[value(name = "sealed+keyring")]
    SealedKeyring,
    /// A file that is sealed under a PKCS #11 token.
    Pkcs11,
}

fn suite(text: &str) -> Result<CipherSuite, String> {
    match text {
        "1" => Ok(CipherSuite::X25519Aes128),
        "2" => Ok(CipherSuite::P256Aes128),
        "3" => Ok(CipherSuite::X25519ChaCha20),
        _ => Err("choose 1, 2 or 3".to_owned()),
    }
}

pub(super) async fn init(
    args: &InitArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<Made, Failure> {
    let session = Session::set_up(options, args.wanted(options)?)?;
    register_now(&args.register, &session, output).await
}

impl InitArgs {
    /// The device that is asked for; `None` if none is named.
    fn wanted(&self, options: &GlobalOptions) -> Result<Option<NewDevice>, Failure> {
        let Some(user) = self.user.clone() else {
            return Ok(None);
        };
        let url = options.server.clone().ok_or(SessionError::WhoseDevice)?;
        let server =
            ServerPlace { url, root: None, transport: Transport::default() }.with(options)?;
        let (name, suite) = (self.name.clone(), self.suite);
        let key = match (self.signature_key, self.vault) {
            (KeyKind::Vault, _) => KeyPlace::Vault,
            // One user has one device of a name; others have another token.
            (KeyKind::Token, VaultKind::Pkcs11) => {
                KeyPlace::Token { label: format!("paired-mls {user} {name}") }
            }
            (KeyKind::Token, _) => return Err(Failure::NoTokenForKey),
        };
        let vault = self.vault_place(options)?;
        Ok(Some(NewDevice { user, name, suite, server, vault, key }))
    }

    fn vault_place(&self, options: &GlobalOptions) -> Result<VaultPlace, Failure> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(Failure::file("find", path.clone()));
        let path = options.vault_path.as_ref().map(absolute).transpose()?;
        let path = path.unwrap_or_else(|| PathBuf::from("vault"));
        let beside = || VaultPlace::counter_beside(&options.home);
        let counter = absolute(&self.vault_counter.clone().unwrap_or_else(beside))?;
        let missing = || SessionError::WhoseDevice;
        Ok(match self.vault {
            VaultKind::Plain => VaultPlace::Plain { path },
            VaultKind::Sealed => VaultPlace::Sealed { path, counter },
            VaultKind::SealedKeyring => VaultPlace::SealedKeyring { path, counter },
            VaultKind::Pkcs11 => VaultPlace::Pkcs11 {
                path,
                module: absolute(self.pkcs11_module.as_ref().ok_or_else(missing)?)?,
                token: self.token_label.clone().ok_or_else(missing)?,
            },
        })
    }
}
