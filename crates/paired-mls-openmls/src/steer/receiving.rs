//! The receiver's side: a Notify first, then ordinary HPKE.

use std::sync::{Mutex, PoisonError};

use openmls_traits::{
    OpenMlsProvider,
    types::{CryptoError, HpkeCiphertext},
};
use paired_mls::{
    EpochContext, Notify, NotifyError, SealedNotify, TapeId, Vault, VaultError, wire::SignContent,
};

use super::{CryptoHook, FirstError, SteeredCrypto, UPDATE_PATH_NODE};
use crate::{Error, PeerError};

/// More levels than a ratchet tree can have (RFC 9420 allows 2³² leaves).
const MAX_LEVELS: u8 = 32;

/// One message that may carry a Notify for this device.
pub(crate) struct Receiving<'a> {
    vault: &'a Vault,
    tape: &'a TapeId,
    context: EpochContext,
    opened: Mutex<Option<Notify>>,
    error: FirstError,
}

impl<'a> Receiving<'a> {
    /// `context` is the epoch that the message, if it is a commit, creates.
    pub(crate) fn new(vault: &'a Vault, tape: &'a TapeId, context: EpochContext) -> Self {
        Self { vault, tape, context, opened: Mutex::default(), error: FirstError::default() }
    }

    /// The Notify that was followed, if the message had one.
    pub(crate) fn opened(&self) -> Option<Notify> {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong behind OpenMLS' back, if anything did.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.error.take()
    }

    /// The path secret that a Notify points to; `None` if the ciphertext is no Notify.
    fn follow(&self, input: &HpkeCiphertext, info: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let sealed = SealedNotify {
            kem_output: input.kem_output.as_slice().to_vec(),
            ciphertext: input.ciphertext.as_slice().to_vec(),
        };
        let notify = match self.vault.open_notify(self.tape, &sealed, info) {
            Ok(notify) => notify,
            // Ordinary HPKE, or a forgery that ordinary HPKE will refuse.
            Err(VaultError::Notify(NotifyError::NotANotify | NotifyError::Length { .. })) => {
                return Ok(None);
            }
            Err(VaultError::Notify(error)) => return Err(PeerError::Notify(error).into()),
            Err(error) => return Err(error.into()),
        };
        if notify.level >= MAX_LEVELS {
            return Err(PeerError::Level(notify.level).into());
        }
        // `info` names the group, the epoch, the new tree and the transcript: this commit only.
        let value =
            self.vault.claim(self.tape, notify.spot, info).map_err(|error| match error {
                VaultError::Tape(error) => Error::from(PeerError::Tape(error)),
                error => error.into(),
            })?;
        let path_secret = value.into_path_secret(&self.context)?.at_level(notify.level)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(notify);
        Ok(Some(path_secret.expose().to_vec()))
    }
}

impl CryptoHook for Receiving<'_> {
    fn open(&self, input: &HpkeCiphertext, info: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        let is_path_node =
            SignContent::decode(info).is_ok_and(|context| context.label() == Ok(UPDATE_PATH_NODE));
        if !is_path_node {
            return None;
        }
        self.follow(input, info)
            .map_err(|error| {
                self.error.set(error);
                CryptoError::HpkeDecryptionError
            })
            .transpose()
    }
}

/// The device's provider, with the receiver's hook in its cryptography.
pub(crate) struct ReceivingProvider<'a, P: OpenMlsProvider> {
    inner: &'a P,
    crypto: SteeredCrypto<&'a P::CryptoProvider, &'a Receiving<'a>>,
}

impl<'a, P: OpenMlsProvider> ReceivingProvider<'a, P> {
    pub(crate) fn new(inner: &'a P, receiving: &'a Receiving<'a>) -> Self {
        Self { inner, crypto: SteeredCrypto { inner: inner.crypto(), hook: receiving } }
    }
}

impl<'a, P: OpenMlsProvider> OpenMlsProvider for ReceivingProvider<'a, P> {
    type CryptoProvider = SteeredCrypto<&'a P::CryptoProvider, &'a Receiving<'a>>;
    type RandProvider = P::RandProvider;
    type StorageProvider = P::StorageProvider;

    fn storage(&self) -> &P::StorageProvider {
        self.inner.storage()
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &P::RandProvider {
        self.inner.rand()
    }
}
