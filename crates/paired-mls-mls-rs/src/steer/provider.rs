//! The provider that mls-rs makes its suites from.

use std::{fmt, sync::Arc};

use mls_rs::{CipherSuite, CryptoProvider};

use super::{Slot, SteeredSuite};
use crate::Signer;

/// A crypto provider whose suites ask the steering of the call first, and sign with a [`Signer`].
#[derive(Clone)]
pub struct SteeredProvider<C> {
    inner: C,
    slot: Slot,
    signer: Arc<dyn Signer>,
}

impl<C> SteeredProvider<C> {
    /// Wraps the real provider. Its suites ask whoever is in the slot, and sign with the signer.
    pub fn new(inner: C, slot: Slot, signer: Arc<dyn Signer>) -> Self {
        Self { inner, slot, signer }
    }
}

impl<C: CryptoProvider> CryptoProvider for SteeredProvider<C> {
    type CipherSuiteProvider = SteeredSuite<C::CipherSuiteProvider>;

    fn supported_cipher_suites(&self) -> Vec<CipherSuite> {
        self.inner.supported_cipher_suites()
    }

    fn cipher_suite_provider(&self, suite: CipherSuite) -> Option<Self::CipherSuiteProvider> {
        let inner = self.inner.cipher_suite_provider(suite)?;
        Some(SteeredSuite::new(inner, self.slot.clone(), Arc::clone(&self.signer)))
    }
}

impl<C> fmt::Debug for SteeredProvider<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteeredProvider").field("slot", &self.slot).finish_non_exhaustive()
    }
}
