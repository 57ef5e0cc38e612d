//! HPKE with an ephemeral key from outside (RFC 9180), for what two devices have to make alike.
//!
//! ```text
//! skE, pkE      = DeriveKeyPair(seed)
//! shared_secret = ExtractAndExpand(DH(skE, pkR), pkE || pkR)      // then as RFC 9180 sections 4.1, 5.1
//! ```

use std::convert::Infallible;

use hpke::{
    Deserializable as _, Kem, OpModeS, Serializable as _,
    aead::{Aead, AeadCtxS, AesGcm128, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::{DhP256HkdfSha256, X25519HkdfSha256},
    rand_core::{TryCryptoRng, TryRng},
    setup_sender_with_rng,
};
use openmls_traits::types::{
    CryptoError, ExporterSecret, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKemType, KemOutput,
};
use paired_mls::Secret;

use super::{Exporting, Sealing};

/// `hpke_seal` with the ephemeral key of `seed`.
pub(super) fn seal(asked: &Sealing<'_>, seed: &Secret) -> Result<HpkeCiphertext, CryptoError> {
    let sender = Sender { recipient: asked.recipient, info: asked.info, seed };
    sender.run(asked.config, Task::Seal { aad: asked.aad, plaintext: asked.plaintext }).map(
        |(kem_output, ciphertext)| HpkeCiphertext {
            kem_output: kem_output.into(),
            ciphertext: ciphertext.into(),
        },
    )
}

/// `hpke_setup_sender_and_export` with the ephemeral key of `seed`.
pub(super) fn export(
    asked: &Exporting<'_>,
    seed: &Secret,
) -> Result<(KemOutput, ExporterSecret), CryptoError> {
    let sender = Sender { recipient: asked.recipient, info: asked.info, seed };
    let task = Task::Export { context: asked.exporter_context, length: asked.length };
    sender.run(asked.config, task).map(|(kem_output, secret)| (kem_output, secret.into()))
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
    fn run(&self, config: &HpkeConfig, task: Task<'_>) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        match (config.0, config.2) {
            (HpkeKemType::DhKem25519, HpkeAeadType::AesGcm128) => {
                self.with::<X25519HkdfSha256, AesGcm128>(task)
            }
            (HpkeKemType::DhKem25519, HpkeAeadType::ChaCha20Poly1305) => {
                self.with::<X25519HkdfSha256, ChaCha20Poly1305>(task)
            }
            (HpkeKemType::DhKemP256, HpkeAeadType::AesGcm128) => {
                self.with::<DhP256HkdfSha256, AesGcm128>(task)
            }
            _ => Err(CryptoError::UnsupportedCiphersuite),
        }
    }

    fn with<K: Kem, A: Aead>(&self, task: Task<'_>) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        let failed = |_| CryptoError::HpkeEncryptionError;
        let recipient = K::PublicKey::from_bytes(self.recipient).map_err(failed)?;
        let mut material = Material { left: self.seed.expose(), overdrawn: false };
        let (kem_output, mut context): (_, AeadCtxS<A, HkdfSha256, K>) =
            setup_sender_with_rng(&OpModeS::Base, &recipient, self.info, &mut material)
                .map_err(failed)?;
        if material.overdrawn || !material.left.is_empty() {
            return Err(CryptoError::InsufficientRandomness);
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
