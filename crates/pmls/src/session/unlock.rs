//! Where a passphrase or PIN comes from. Never from the command line, which every process can read.

use std::{
    env, fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use paired_mls::Secret;
use zeroize::Zeroizing;

use super::SessionError;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The passphrase of a sealed vault.
    Passphrase,
    /// The passphrase that a vault is to have; a person types it twice.
    NewPassphrase,
    /// The PIN of a token.
    Pin,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::NewPassphrase => "new passphrase",
            Self::Pin => "PIN",
        }
    }

    /// The name of the credential that a service manager hands over in a file (systemd's
    /// `LoadCredential=`).
    fn credential(self) -> &'static str {
        match self {
            Self::Passphrase | Self::Pin => "pmls.passphrase",
            Self::NewPassphrase => "pmls.new-passphrase",
        }
    }
}

/// Gets a passphrase or PIN: from this file; else from a credential of the service manager; else from
/// the person at the terminal, without an echo.
pub(crate) fn ask(wanted: Wanted, file: Option<&Path>) -> Result<Secret, SessionError> {
    if let Some(path) = file.map(Path::to_owned).or_else(|| credential(wanted)) {
        let failed = |source| SessionError::PassphraseFile {
            what: wanted.name(),
            path: path.clone(),
            source,
        };
        return from_file(&path).map_err(failed);
    }
    if !io::stdin().is_terminal() {
        return Err(SessionError::NoPassphrase { what: wanted.name() });
    }
    let typed = prompt(&format!("Vault {}: ", wanted.name()))?;
    if wanted == Wanted::NewPassphrase && prompt("The same again: ")? != typed {
        return Err(SessionError::PassphrasesDiffer);
    }
    Ok(typed)
}

fn credential(wanted: Wanted) -> Option<PathBuf> {
    let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
    Some(PathBuf::from(folder).join(wanted.credential())).filter(|path| path.is_file())
}

/// The content of a file, without the newline at its end.
fn from_file(path: &Path) -> io::Result<Secret> {
    let content = Zeroizing::new(fs::read(path)?);
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    Ok(Secret::copy_of(content.strip_suffix(b"\r").unwrap_or(content)))
}

fn prompt(question: &str) -> Result<Secret, SessionError> {
    let typed = rpassword::prompt_password(question).map(Zeroizing::new);
    let failed = |source| SessionError::PassphraseFile {
        what: "passphrase",
        path: "the terminal".into(),
        source,
    };
    Ok(Secret::copy_of(typed.map_err(failed)?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_not_of_the_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        for (content, passphrase) in [
            ("tape", "tape"),
            ("tape\n", "tape"),
            ("tape\r\n", "tape"),
            ("tape\n\n", "tape\n"),
            (" tape ", " tape "),
        ] {
            fs::write(&path, content).unwrap();
            let read = ask(Wanted::Passphrase, Some(&path)).unwrap();
            assert_eq!(read.expose(), passphrase.as_bytes(), "{content:?}");
        }
    }
}
