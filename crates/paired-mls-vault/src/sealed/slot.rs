//! The key slot of a passphrase.
//!
//! ```text
//! key_encryption_key = Argon2id(passphrase, salt, parameters)
//! aad                = "PMLS vault key" || vault_id || memory_kib || passes || lanes || salt
//! wrapped_key        = XChaCha20-Poly1305.Seal(key_encryption_key, nonce, aad, data_key)
//! ```

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{Aead as _, Nonce, Payload},
};
use paired_mls::Secret;

use super::{KdfParameters, ParameterError, SealedError};
use crate::format::{FormatError, PassphraseSlot, random};

impl PassphraseSlot {
    /// Wraps the data key under a passphrase.
    pub(super) fn wrap(
        vault_id: &[u8; 16],
        passphrase: &Secret,
        parameters: KdfParameters,
        data_key: &Secret,
    ) -> Result<Self, SealedError> {
        if passphrase.is_empty() {
            return Err(SealedError::EmptyPassphrase);
        }
        let mut slot = Self {
            memory_kib: parameters.memory_kib(),
            passes: parameters.passes(),
            lanes: parameters.lanes(),
            salt: random()?,
            nonce: random()?,
            wrapped_key: [0; 48],
        };
        let aad = slot.aad(vault_id);
        let payload = Payload { msg: data_key.expose(), aad: &aad };
        let nonce = Nonce::<XChaCha20Poly1305>::from(slot.nonce);
        let wrapped = slot.cipher(passphrase)?.encrypt(&nonce, payload);
        slot.wrapped_key = (wrapped.ok())
            .and_then(|wrapped| wrapped.try_into().ok())
            .ok_or(FormatError::TooLarge)?;
        Ok(slot)
    }

    /// Unwraps the data key.
    ///
    /// # Errors
    ///
    /// [`SealedError::WrongPassphrase`] also if somebody changed the slot and the file's checksum.
    pub(super) fn unwrap(
        &self,
        vault_id: &[u8; 16],
        passphrase: &Secret,
    ) -> Result<Secret, SealedError> {
        let payload = Payload { msg: &self.wrapped_key, aad: &self.aad(vault_id) };
        let nonce = Nonce::<XChaCha20Poly1305>::from(self.nonce);
        let key = self.cipher(passphrase)?.decrypt(&nonce, payload);
        key.map(Secret::new).map_err(|_| SealedError::WrongPassphrase)
    }

    /// The parameters, checked: they come from a file that anybody may have written.
    pub(super) fn parameters(&self) -> Result<KdfParameters, ParameterError> {
        KdfParameters::new(self.memory_kib, self.passes, self.lanes)
    }

    fn cipher(&self, passphrase: &Secret) -> Result<XChaCha20Poly1305, SealedError> {
        let parameters = self.parameters()?;
        let key = parameters
            .derive(passphrase, &self.salt)
            .ok_or(SealedError::Memory { kib: parameters.memory_kib() })?;
        Ok(XChaCha20Poly1305::new_from_slice(key.expose()).map_err(|_| FormatError::TooLarge)?)
    }

    fn aad(&self, vault_id: &[u8; 16]) -> Vec<u8> {
        let numbers = [self.memory_kib, self.passes, self.lanes].map(u32::to_be_bytes);
        [&b"PMLS vault key"[..], vault_id, numbers.as_flattened(), &self.salt].concat()
    }
}
