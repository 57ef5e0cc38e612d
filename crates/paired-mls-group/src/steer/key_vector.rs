//! Verification against leaves with several signature keys.

use alloc::vec::Vec;

use paired_mls::{leaf::SignatureKeys, wire::SignContent};
use spin::Mutex;

use crate::{Refused, Steering, Verifying};

/// Accepts a signature of any key of a leaf, and remembers whose it was.
#[derive(Debug, Default)]
pub struct AnyKey {
    signed: Mutex<Option<Vec<u8>>>,
}

impl AnyKey {
    /// The signature key that has signed the last message which was verified, whichever of its leaf's
    /// keys that is: it tells which device has sent it.
    pub fn signed_by(&self) -> Option<Vec<u8>> {
        self.signed.lock().clone()
    }
}

impl Steering for AnyKey {
    fn verify(&self, asked: &Verifying<'_>) -> Option<Result<(), Refused>> {
        // What is neither one key nor several is left to the library, which refuses it.
        let keys = SignatureKeys::decode(asked.signature_key, asked.key_len).ok()?;
        let Some(key) = keys.keys().iter().find(|key| (asked.is_of)(key)) else {
            return Some(Err(Refused));
        };
        let content = SignContent::decode(asked.payload);
        if content.is_ok_and(|content| content.label() == Ok(SignContent::FRAMED_CONTENT_TBS)) {
            *self.signed.lock() = Some(key.clone());
        }
        Some(Ok(()))
    }
}
