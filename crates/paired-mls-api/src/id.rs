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
    /// An MLS group id, 1 to 255 bytes.
    GroupId, 1..=255
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
