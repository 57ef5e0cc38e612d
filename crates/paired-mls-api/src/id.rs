//! Who and what a request is about.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Base64Url, NotBase64Url, SignatureScheme};

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Another alphabet.
    #[error(transparent)]
    Encoding(#[from] NotBase64Url),
    /// Too short or too long.
    #[error("an id of this kind does not have {0} bytes")]
    Length(usize),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $range:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// # Errors
            ///
            /// [`IdError::Length`] if `bytes` is too short or too long.
            pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, IdError> {
                let bytes = bytes.into();
                let known = $range.contains(&bytes.len());
                if known { Ok(Self(bytes)) } else { Err(IdError::Length(bytes.len())) }
            }

            /// The id itself.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Base64Url(self.0.clone()).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text.parse::<Base64Url>()?.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Base64Url::json_schema(generator)
            }
        }
    };
}

id! {
    /// A user: the identity in the MLS credentials of its devices (RFC 9420 section 5.3), 1 to 255
    /// bytes.
    UserId, 1..=255
}

id! {
    /// A device: the SHA-256 of its signature scheme and public signature key, 32 bytes. Nobody can
    /// take the id of another one's key.
    DeviceId, 32..=32
}

id! {
    /// An MLS group id, 1 to 255 bytes. A service creates groups with ids of [`GroupId::of_creator`] only.
    GroupId, 1..=255
}

/// How long each half of the id of a new group is, in bytes.
const HALF: usize = 16;

impl GroupId {
    /// The id of a group that a user creates, by 16 random bytes:
    ///
    /// ```text
    /// group id = nonce || SHA-256("Paired MLS group" || 0 || user || nonce)[..16]
    /// ```
    ///
    /// So only its creator could create a group of the same id, and nobody else learns from a refusal that there is
    /// one.
    pub fn of_creator(user: &UserId, nonce: [u8; HALF]) -> Self {
        let proof = Sha256::new()
            .chain_update(b"Paired MLS group\0")
            .chain_update(user.as_bytes())
            .chain_update(nonce)
            .finalize();
        Self(nonce.into_iter().chain(proof.into_iter().take(HALF)).collect())
    }

    /// Whether a user can have created a group of this id.
    pub fn is_of_creator(&self, user: &UserId) -> bool {
        let nonce = self.0.first_chunk::<HALF>();
        nonce.is_some_and(|nonce| *self == Self::of_creator(user, *nonce))
    }
}

impl DeviceId {
    /// The id of the device that has this public key.
    pub fn of_key(scheme: SignatureScheme, public_key: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"Paired MLS device\0")
            .chain_update(scheme.name())
            .chain_update([0])
            .chain_update(public_key)
            .finalize();
        Self(digest.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the profile.
    #[test]
    fn the_id_of_a_group_says_who_can_create_it() {
        let [alice, alicf] = ["alice", "alicf"].map(|name| UserId::new(name).unwrap());
        let nonce = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let id = GroupId::of_creator(&alice, nonce);
        assert_eq!(id.to_string(), "AAECAwQFBgcICQoLDA0ODyFmwKrRwHBtMXQmFR04Tho");
        assert!(id.is_of_creator(&alice));
        assert!(!id.is_of_creator(&alicf));
        // No byte of it can be another one, and none can be missing or more.
        for at in 0..id.0.len() {
            let mut other = id.clone();
            other.0[at] ^= 1;
            assert!(!other.is_of_creator(&alice), "{at}");
        }
        for length in [1, 15, 16, 31] {
            assert!(!GroupId(id.0[..length].to_vec()).is_of_creator(&alice), "{length}");
        }
        assert!(!GroupId([&id.0[..], &[0]].concat()).is_of_creator(&alice));
        // The name does not run into the nonce.
        let longer = UserId::new([b"alice".as_slice(), &[0]].concat()).unwrap();
        let shifted =
            GroupId::of_creator(&longer, std::array::from_fn(|n| u8::try_from(n + 1).unwrap()));
        assert_ne!(shifted.0[HALF..], id.0[HALF..]);
    }
}
