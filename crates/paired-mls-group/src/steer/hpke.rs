//! HPKE with an ephemeral key from outside (RFC 9180), for what two devices have to make alike.
//!
//! ```text
//! skE, pkE      = DeriveKeyPair(seed)
//! shared_secret = ExtractAndExpand(DH(skE, pkR), pkE || pkR)      // then as RFC 9180 sections 4.1, 5.1
//! ```

use alloc::{vec, vec::Vec};
use core::convert::Infallible;

use hpke::{
    Deserializable as _, Kem, OpModeS, Serializable as _,
    aead::{Aead, AeadCtxS, AesGcm128, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::{DhP256HkdfSha256, X25519HkdfSha256},
    rand_core::{TryCryptoRng, TryRng},
    setup_sender_with_rng,
};
use paired_mls::{CipherSuite, Secret};

use crate::{Exporting, Sealed, Sealing};

/// Why nothing is sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HpkeError {
    /// It is none of 1 to 3.
    Suite,
    /// The seed is not as long as a private key.
    Seed,
    /// The recipient's key is none, or what is sealed is too long.
    Failed,
}

/// `SealBase` with the ephemeral key of `seed`.
pub(super) fn seal(
    suite: CipherSuite,
    asked: &Sealing<'_>,
    seed: &Secret,
) -> Result<Sealed, HpkeError> {
    let sender = Sender { recipient: asked.recipient, info: asked.info, seed };
    let task = Task::Seal { aad: asked.aad, plaintext: asked.plaintext };
    sender.run(suite, task).map(|(kem_output, ciphertext)| Sealed { kem_output, ciphertext })
}

/// `SendExportBase` with the ephemeral key of `seed`.
pub(super) fn export(
    suite: CipherSuite,
    asked: &Exporting<'_>,
    seed: &Secret,
) -> Result<(Vec<u8>, Secret), HpkeError> {
    let sender = Sender { recipient: asked.recipient, info: asked.info, seed };
    let task = Task::Export { context: asked.exporter_context, length: asked.length };
    sender.run(suite, task).map(|(kem_output, secret)| (kem_output, Secret::new(secret)))
}

/// What the context of a sender is for.
enum Task<'a> {
    Seal { aad: &'a [u8], plaintext: &'a [u8] },
    Export { context: &'a [u8], length: usize },
}

struct Sender<'a> {
    recipient: &'a [u8],
    info: &'a [u8],
    seed: &'a Secret,
}

impl Sender<'_> {
    /// Returns the KEM output, and what the task gives.
    fn run(&self, suite: CipherSuite, task: Task<'_>) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
        match suite {
            CipherSuite::X25519Aes128 => self.with::<X25519HkdfSha256, AesGcm128>(task),
            CipherSuite::P256Aes128 => self.with::<DhP256HkdfSha256, AesGcm128>(task),
            CipherSuite::X25519ChaCha20 => self.with::<X25519HkdfSha256, ChaCha20Poly1305>(task),
            _ => Err(HpkeError::Suite),
        }
    }

    fn with<K: Kem, A: Aead>(&self, task: Task<'_>) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
        let failed = |_| HpkeError::Failed;
        let recipient = K::PublicKey::from_bytes(self.recipient).map_err(failed)?;
        let mut material = Material { left: self.seed.expose(), overdrawn: false };
        let (kem_output, mut context): (_, AeadCtxS<A, HkdfSha256, K>) =
            setup_sender_with_rng(&OpModeS::Base, &recipient, self.info, &mut material)
                .map_err(failed)?;
        if material.overdrawn || !material.left.is_empty() {
            return Err(HpkeError::Seed);
        }
        let result = match task {
            Task::Seal { aad, plaintext } => context.seal(plaintext, aad).map_err(failed)?,
            Task::Export { context: info, length } => {
                let mut secret = vec![0; length];
                context.export(info, &mut secret).map_err(failed)?;
                secret
            }
        };
        Ok((kem_output.to_bytes().to_vec(), result))
    }
}

/// The key material of one key pair, for a library that asks a generator for it.
struct Material<'a> {
    left: &'a [u8],
    /// More was asked for than there is: what came of it must not be used.
    overdrawn: bool,
}

impl TryRng for Material<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, filled: &mut [u8]) -> Result<(), Infallible> {
        match self.left.split_at_checked(filled.len()) {
            Some((drawn, left)) => {
                filled.copy_from_slice(drawn);
                self.left = left;
            }
            None => {
                filled.fill(0);
                self.overdrawn = true;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Material<'_> {}

#[cfg(test)]
mod tests;
