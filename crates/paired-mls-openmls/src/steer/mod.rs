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
//! ```
//!
//! They make no decision of the protocol: those are the core's.

mod crypto;
mod guard;
mod receiving;
mod sending;

use std::sync::{Mutex, PoisonError};

pub use self::crypto::{CryptoHook, Exporting, Sealing, SteeredCrypto};
use self::guard::Guard;
pub(crate) use self::{
    receiving::{Receiving, ReceivingProvider},
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
