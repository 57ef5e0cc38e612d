//! How mls-rs asks the engine's [`Steering`]: it takes its cryptography from outside, and each group has a copy of
//! what it was given. So a group has a [`Slot`], which all copies look into, and which is armed for one call.
//!
//! ```text
//! SteeredSuite     random_bytes, kem_generate            draw
//!                  hpke_seal, hpke_open, hpke_setup_s    seal, open, export
//!                  sign, verify                          sign, verify
//! ```

mod context;
mod provider;
mod slot;
mod suite;
#[cfg(test)]
mod tests;
mod witness;

pub use self::{
    context::SteeredContext,
    provider::SteeredProvider,
    slot::{Armed, Slot},
    suite::{SteeredError, SteeredSuite},
};
pub(crate) use self::{
    slot::{COMMIT, EXTERNAL, KEY_PACKAGE, OPENING},
    suite::key_len,
    witness::Witness,
};

use mls_rs::error::MlsError;
use paired_mls_group::{Error, Steering};

/// Why the steering has refused, or else what mls-rs says.
pub(crate) fn blame(steering: &dyn Steering, step: &'static str) -> impl FnOnce(MlsError) -> Error {
    move |error| steering.take_error().unwrap_or_else(|| Error::mls(step)(error))
}
