//! The guard: nothing is signed before the commit was seen to be what the tape and the tree demand.

use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};

use super::sending::Sending;
use crate::device::AnySigner;

/// A signer that looks at each commit in the clear, and refuses to sign one that is not paired.
///
/// A library that one day draws its randomness in another order fails here, loudly, instead of
/// sending an ordinary commit.
pub(super) struct Guard<'a, C, R> {
    pub(super) signer: &'a AnySigner,
    pub(super) sending: &'a Sending<'a, C, R>,
}

impl<C: OpenMlsCrypto, R: OpenMlsRand + Sync> Signer for Guard<'_, C, R> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        if let Err(error) = self.sending.check(payload) {
            self.sending.error.set(error.into());
            return Err(SignerError::SigningError);
        }
        self.signer.sign(payload)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.signer.signature_scheme()
    }
}
