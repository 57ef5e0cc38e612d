//! The recovery key: kept on paper, for the day on which a user has no device left.
//!
//! ```text
//! secret      = 16 random bytes
//! signing key = Ed25519 key of the seed SHA-256("Paired MLS recovery key" || 0 || secret)
//! paper       = Bech32m(secret), human-readable part "pmlsr", in groups of four
//! ```

use std::{
    convert::Infallible,
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use bech32::{Bech32m, Hrp, primitives::decode::CheckedHrpstring};
use ed25519_dalek::{Signer as _, SigningKey};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use paired_mls::Secret;
use paired_mls_api::{DeviceId, RequestKey, SignatureScheme};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Session, SessionError};

/// The length of the secret, in bytes.
const LENGTH: usize = 16;

/// The longest text that is taken for a key, in bytes: with spaces and line ends of any kind.
const LONGEST: u64 = 256;

/// What is before the secret on paper.
fn prefix() -> Hrp {
    Hrp::parse_unchecked("pmlsr")
}

/// A recovery key.
pub(crate) struct RecoveryKey {
    secret: Secret,
    key: SigningKey,
}

impl RecoveryKey {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, SessionError> {
        let secret = RustCrypto::default().random_array::<LENGTH>().map(Zeroizing::new);
        secret.map(|secret| Self::of(&*secret)).map_err(|_| SessionError::Randomness)
    }

    fn of(secret: &[u8]) -> Self {
        let seed = Sha256::new().chain_update(b"Paired MLS recovery key\0").chain_update(secret);
        let seed = Zeroizing::new(<[u8; 32]>::from(seed.finalize()));
        Self { secret: Secret::copy_of(secret), key: SigningKey::from_bytes(&seed) }
    }

    /// What is written on paper.
    pub(crate) fn paper(&self) -> Zeroizing<String> {
        let text = bech32::encode::<Bech32m>(prefix(), self.secret.expose());
        let text = Zeroizing::new(text.expect("a text of 40 characters is none too long"));
        let mut grouped = Zeroizing::new(String::with_capacity(2 * text.len()));
        for (at, character) in text.chars().enumerate() {
            if at >= 6 && (at - 6) % 4 == 0 {
                grouped.push('-');
            }
            grouped.push(character);
        }
        grouped
    }

    /// Reads what was written on paper, however it is grouped, and in capitals as well.
    fn parse(text: &str) -> Result<Self, SessionError> {
        let joined = text.chars().filter(|one| !one.is_whitespace() && *one != '-');
        let joined = Zeroizing::new(joined.collect::<String>());
        let read = CheckedHrpstring::new::<Bech32m>(&joined);
        let read = read.ok().filter(|read| read.hrp() == prefix());
        let read = read.ok_or(SessionError::NoRecoveryKey)?;
        let secret = Zeroizing::new(read.byte_iter().collect::<Vec<u8>>());
        match secret.len() {
            LENGTH => Ok(Self::of(&secret)),
            _ => Err(SessionError::NoRecoveryKey),
        }
    }

    /// Gets one: from this file, or from the person at the terminal, or from standard input.
    pub(crate) fn ask(file: Option<&Path>) -> Result<Self, SessionError> {
        let failed = |source| SessionError::RecoveryKeyInput { source };
        let text = match file {
            Some(path) => bounded(File::open(path).map_err(failed)?),
            None if io::stdin().is_terminal() => {
                rpassword::prompt_password("Recovery key: ").map(Zeroizing::new)
            }
            None => bounded(io::stdin().lock()),
        };
        Self::parse(&text.map_err(failed)?)
    }
}

fn bounded(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

impl RequestKey for RecoveryKey {
    type Error = Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_bytes().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = DeviceId::of_key(self.scheme(), &self.public_key());
        write!(f, "RecoveryKey({id})")
    }
}

impl Session {
    /// The service as the holder of the recovery key sees it.
    pub(crate) fn client_of(
        &self,
        key: RecoveryKey,
    ) -> Result<paired_mls_client::Client<RecoveryKey>, SessionError> {
        let client = paired_mls_client::Client::new(self.profile().server.server()?, key)?;
        Ok(client.with_timeout(self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = RecoveryKey::generate().unwrap();
        let paper = key.paper();
        assert!(paper.starts_with("pmlsr1-") && paper.len() < 64, "{}", paper.len());
        for text in [
            paper.to_string(),
            paper.to_uppercase(),
            paper.replace('-', " "),
            format!(" {}\r\n", paper.replace('-', "")),
        ] {
            assert_eq!(RecoveryKey::parse(&text).unwrap().public_key(), key.public_key());
        }
        assert_eq!(format!("{key:?}").find(paper.get(7..11).unwrap()), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_noticed() {
        let paper = RecoveryKey::of(&[7; LENGTH]).paper();
        for at in 7..paper.len() {
            let old = paper.get(at..=at).unwrap();
            let mut slipped = paper.to_string();
            slipped.replace_range(at..=at, if old == "q" { "p" } else { "q" });
            if old != "-" {
                assert!(RecoveryKey::parse(&slipped).is_err(), "{slipped}");
            }
        }
        let other = bech32::encode::<Bech32m>(Hrp::parse_unchecked("other"), &[7; 16]).unwrap();
        let short = bech32::encode::<Bech32m>(prefix(), &[7; 15]).unwrap();
        for text in ["", "pmlsr1", &other, &short, &"q".repeat(300)] {
            assert!(RecoveryKey::parse(text).is_err(), "{text}");
        }
    }

    /// The paper of today is read for ever.
    #[test]
    fn the_form_does_not_change() {
        let key = RecoveryKey::of(&[7; LENGTH]);
        let seed: [u8; 32] =
            hex::decode("d0c5501b2d151127360e8d02ccbf9e4feffd3cfd6884f762bf3d2c55b180ca26")
                .unwrap()
                .try_into()
                .unwrap();
        assert_eq!(*key.paper(), "pmlsr1-qurs-wpc8-qurs-wpc8-qurs-wpc8-qumm-gt2t");
        assert_eq!(key.public_key(), SigningKey::from_bytes(&seed).verifying_key().to_bytes());
    }
}
