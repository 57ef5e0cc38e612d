//! The one type that holds secret bytes.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// Secret bytes: erased when dropped, redacted in `Debug`, compared in constant time.
///
/// It is deliberately neither `Clone`, `Copy`, `Deref` nor serializable. The bytes are reached by
/// [`Secret::expose`] only, so that a search for that word finds every place that handles them.
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes ownership of `bytes`. The buffer is erased when the secret is dropped.
    ///
    /// # Security
    ///
    /// Copies that the caller made of `bytes` before are the caller's to erase, and a `Vec` that
    /// has spare capacity is reallocated here: build it with the exact capacity.
    pub fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self::copy_of(&bytes)
    }

    /// Copies `bytes` into a new secret. The caller keeps, and erases, the original.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret bytes themselves.
    ///
    /// # Security
    ///
    /// Every call is a place where the secret can leak. Do not print, log or store the result.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes, which is public.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Secret {
    /// Constant time in the content; the length is public.
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_redacted() {
        let secret = Secret::copy_of(b"attack at dawn");
        assert_eq!(format!("{secret:?}"), "<redacted>");
        assert_eq!(format!("{:?}", Some(secret)), "Some(<redacted>)");
    }

    #[test]
    fn equality_looks_at_every_byte_and_the_length() {
        assert_eq!(Secret::copy_of(b"same"), Secret::copy_of(b"same"));
        assert_ne!(Secret::copy_of(b"same"), Secret::copy_of(b"samf"));
        assert_ne!(Secret::copy_of(b"same"), Secret::copy_of(b"sam"));
    }
}
