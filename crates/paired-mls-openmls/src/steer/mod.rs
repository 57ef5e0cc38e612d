//! How the tape gets into OpenMLS, and the Notify out of it.
//!
//! OpenMLS takes its randomness, its cryptography and its signer from outside, for each call. Here
//! are the wrappers that are handed in:
//!
//! ```text
//! sending    SteeredRand      the first random_vec(Nh) of `build` is the path secret: from the tape
//!            SteeredCrypto    an hpke_seal of a path secret inside the anchor becomes a Notify
//!            Guard            checks the commit in the clear before it is signed
//! receiving  SteeredCrypto    an hpke_open of a path secret tries the Notify first
//!
//! replaying  TapeRandomness   all draws, and all HPKE ephemerals: from the tape
//!            ReplaySigner     repeats the signatures of a partner
//! ```
//!
//! They make no decision of the protocol: those are the core's.

mod crypto;
mod guard;
mod hpke;
mod receiving;
mod replay;
mod sending;
mod signature_keys;

use std::sync::{Mutex, PoisonError};

use self::guard::Guard;
pub(crate) use self::signature_keys::key_len;
pub use self::{
    crypto::{CryptoHook, Encrypting, Exporting, Sealing, SteeredCrypto, Verifying},
    signature_keys::{AnyKey, KeyVectorCrypto},
};
pub(crate) use self::{
    receiving::{Receiving, ReceivingProvider},
    replay::{Recorded, ReplayProvider, ReplaySigner, TapeRandomness},
    sending::build_paired,
};
use crate::Error;

/// The first error behind a call of OpenMLS, which reports only that something failed.
#[derive(Default)]
pub(crate) struct FirstError(Mutex<Option<Error>>);

impl FirstError {
    pub(crate) fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The `EncryptContext` of a path secret begins with this label (RFC 9420 section 7.6).
const UPDATE_PATH_NODE: &[u8] = b"UpdatePathNode";
