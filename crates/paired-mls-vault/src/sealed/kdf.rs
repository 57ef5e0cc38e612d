//! From a passphrase to a key: Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use paired_mls::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::format::KEY_LEN;

/// How much work it is to try one passphrase.
///
/// The default is the second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfParameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Parameters that this software does not use: too weak for Argon2, or more than a file may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "Argon2 parameters out of bounds ({memory_kib} KiB, {passes} passes, {lanes} lanes): \
     allowed are 8 KiB for each lane to 2 GiB, 1 to 16 passes, 1 to 16 lanes"
)]
pub struct ParameterError {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParameters {
    /// The most memory that a file may ask for: the first recommended option of RFC 9106.
    const MAX_MEMORY_KIB: u32 = 2 << 20;
    const MAX_PASSES: u32 = 16;
    const MAX_LANES: u32 = 16;

    /// The least work, done in well under a millisecond.
    ///
    /// # Security
    ///
    /// Only where the passphrase is itself a random key, as from a keyring, and in tests. A
    /// passphrase that a person remembers is found out in minutes.
    pub const RANDOM_KEY: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// Checks parameters: memory in KiB, passes over it, lanes that could run in parallel.
    ///
    /// # Errors
    ///
    /// [`ParameterError`] outside the bounds that it names.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, ParameterError> {
        let fits = (1..=Self::MAX_LANES).contains(&lanes)
            && (1..=Self::MAX_PASSES).contains(&passes)
            && memory_kib >= lanes.saturating_mul(8)
            && memory_kib <= Self::MAX_MEMORY_KIB;
        let parameters = Self { memory_kib, passes, lanes };
        fits.then_some(parameters).ok_or(ParameterError { memory_kib, passes, lanes })
    }

    /// The memory to fill, in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// The passes over the memory.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The lanes, each of which a guesser needs a core for.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Derives a key; `None` if there is not enough memory. What was filled is erased.
    pub(super) fn derive(&self, passphrase: &Secret, salt: &[u8; 32]) -> Option<Secret> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_LEN)).ok()?;
        let mut blocks = Zeroizing::new(Vec::new());
        blocks.try_reserve_exact(params.block_count()).ok()?;
        blocks.resize(params.block_count(), Block::default());
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.expose(), salt, &mut *key, &mut **blocks)
            .ok()?;
        Some(Secret::copy_of(&*key))
    }
}

impl Default for KdfParameters {
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}
