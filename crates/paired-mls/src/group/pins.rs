//! A credential policy without a directory: what was seen first stays.
//!
//! ```text
//! struct { uint8 version = 1; Pin pins<V>; } PinRecord;
//! struct { uint16 credential_type; opaque content<V>; opaque signature_key<V>; } Pin;
//! ```

use std::collections::BTreeSet;

use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::{
    IdentityRecordError,
    credential::{Claim, CredentialPolicy, Strictness, Verdict},
};
use crate::{RecordName, Secret, Vault, VaultError, vault::StorageError, wire::Credential};

const VERSION: u8 = 1;

/// How many signature keys are pinned.
pub const MAX_PINS: usize = 4_096;

/// How many bytes of identities and keys are pinned.
const MAX_BYTES: usize = 1 << 20;

/// Accepts the first signature keys that it sees for an identity, and no others until
/// [`PinFirstSeen::approve`] lets them in; a key stays with the identity that it was first seen with, and
/// a member with its identity.
///
/// The pins lie in the vault, and are those of the device, in all of its groups. At [`MAX_PINS`] keys, or
/// a mebibyte, no further identity is accepted: if old pins made way for new ones, whoever brings enough
/// new ones could take an old one over. [`PinFirstSeen::forget`] makes room.
#[derive(Clone, Debug)]
pub struct PinFirstSeen {
    vault: Vault,
    strictness: Strictness,
}

#[derive(Debug, Default, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    pins: Vec<Pin>,
}

#[derive(Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct Pin {
    credential_type: u16,
    content: VLBytes,
    signature_key: VLBytes,
}

impl Pin {
    fn new(identity: &Credential, signature_key: &[u8]) -> Self {
        Self {
            credential_type: identity.credential_type().0,
            content: identity.content().into(),
            signature_key: signature_key.into(),
        }
    }

    fn is_of(&self, identity: &Credential) -> bool {
        (self.credential_type, self.content.as_slice())
            == (identity.credential_type().0, identity.content())
    }

    fn len(&self) -> usize {
        self.content.as_slice().len() + self.signature_key.as_slice().len()
    }
}

/// Why an identity was not pinned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is no room.
    #[error("{MAX_PINS} signature keys, or a mebibyte of them, are pinned: forget some first")]
    Full,
    /// The key is pinned to somebody else.
    #[error("the signature key is pinned to another identity: forget that one first")]
    OfAnother,
}

impl PinFirstSeen {
    /// A policy whose pins lie in this vault.
    pub fn new(vault: Vault, strictness: Strictness) -> Self {
        Self { vault, strictness }
    }

    /// A further signature key of an identity is accepted from now on: somebody has compared it.
    ///
    /// # Errors
    ///
    /// [`PinError`].
    pub fn approve(&self, identity: &Credential, signature_key: &[u8]) -> Result<(), PinError> {
        self.pin(identity, &[signature_key.to_vec()])
    }

    /// Forgets an identity and its keys: whoever is seen first with it is accepted again.
    ///
    /// # Errors
    ///
    /// [`VaultError`].
    pub fn forget(&self, identity: &Credential) -> Result<(), VaultError> {
        let mut pins = self.load()?;
        pins.retain(|pin| !pin.is_of(identity));
        self.store(pins)
    }

    fn pin(&self, identity: &Credential, signature_keys: &[Vec<u8>]) -> Result<(), PinError> {
        let mut pins = self.load()?;
        let before = pins.len();
        for key in signature_keys {
            match pins.iter().find(|pin| pin.signature_key.as_slice() == key) {
                Some(pin) if pin.is_of(identity) => {}
                Some(_) => return Err(PinError::OfAnother),
                None => pins.push(Pin::new(identity, key)),
            }
        }
        if pins.len() > MAX_PINS || pins.iter().map(Pin::len).sum::<usize>() > MAX_BYTES {
            return Err(PinError::Full);
        }
        if pins.len() > before { Ok(self.store(pins)?) } else { Ok(()) }
    }

    fn load(&self) -> Result<Vec<Pin>, VaultError> {
        Ok(self.vault.shelf().read(&RecordName::Pins, read)?.unwrap_or_default())
    }

    fn store(&self, pins: Vec<Pin>) -> Result<(), VaultError> {
        let wire = Wire { version: VERSION, pins };
        let bytes = wire.tls_serialize_detached();
        let record = bytes.map(Secret::new).map_err(|_| IdentityRecordError::TooLarge);
        self.vault.shelf().write(&RecordName::Pins, record)
    }
}

fn read(record: &Secret) -> Result<Vec<Pin>, IdentityRecordError> {
    match record.expose().first() {
        Some(&VERSION) => {}
        Some(&other) => return Err(IdentityRecordError::Version(other)),
        None => return Err(IdentityRecordError::Malformed),
    }
    let wire = Wire::tls_deserialize_exact(record.expose());
    Ok(wire.map_err(|_| IdentityRecordError::Malformed)?.pins)
}

impl CredentialPolicy for PinFirstSeen {
    fn judge(&self, claim: &Claim<'_>) -> Verdict {
        let Ok(pins) = self.load() else {
            return Verdict::Unavailable;
        };
        let keys: BTreeSet<&[u8]> = claim.signature_keys.iter().map(Vec::as_slice).collect();
        let pinned = |pin: &&Pin| keys.contains(pin.signature_key.as_slice());
        let own = pins.iter().filter(|pin| pin.is_of(claim.claims)).collect::<Vec<_>>();
        let of_another = pins.iter().filter(pinned).any(|pin| !pin.is_of(claim.claims));
        let changed = claim.last.is_some_and(|last| last != claim.claims);
        let known = own.iter().copied().filter(pinned).count() == keys.len();
        match own.is_empty() {
            _ if of_another || keys.is_empty() => Verdict::NotKnown,
            false if known => Verdict::Accepted,
            true if !changed => Verdict::Accepted,
            _ => Verdict::NotKnown,
        }
    }

    fn accepted(&self, claim: &Claim<'_>) -> Result<(), StorageError> {
        Ok(self.pin(claim.claims, claim.signature_keys)?)
    }

    fn strictness(&self) -> Strictness {
        self.strictness
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{group::credential::Cause, vault::MemoryStorage};

    fn policy() -> PinFirstSeen {
        PinFirstSeen::new(Vault::new(MemoryStorage::new()), Strictness::Mark)
    }

    fn claim<'a>(
        claims: &'a Credential,
        keys: &'a [Vec<u8>],
        last: Option<&'a Credential>,
    ) -> Claim<'a> {
        let cause = Cause::Path;
        Claim { group_id: b"group", leaf: None, cause, claims, signature_keys: keys, last }
    }

    #[test]
    fn what_was_seen_first_stays() {
        let policy = policy();
        let (bob, mallory) = (Credential::basic("bob"), Credential::basic("mallory"));
        let (first, other) = (vec![vec![1; 32]], vec![vec![2; 32]]);
        assert_eq!(policy.judge(&claim(&bob, &first, None)), Verdict::Accepted);
        assert_eq!(
            policy.judge(&claim(&bob, &other, None)),
            Verdict::Accepted,
            "asking pins nothing"
        );
        policy.accepted(&claim(&bob, &first, None)).unwrap();
        policy.accepted(&claim(&mallory, &other, None)).unwrap();
        assert_eq!(policy.judge(&claim(&bob, &first, None)), Verdict::Accepted);
        for (name, keys, last) in [
            (&bob, &other, Some(&mallory)),
            (&bob, &other, None),
            (&mallory, &first, None),
            (&bob, &vec![vec![1; 32], vec![3; 32]], Some(&bob)),
            (&Credential::basic("eve"), &vec![vec![4; 32]], Some(&mallory)),
            (&bob, &vec![], None),
        ] {
            assert_eq!(policy.judge(&claim(name, keys, last)), Verdict::NotKnown, "{name:?}");
        }
        policy.approve(&bob, &[3; 32]).unwrap();
        let both = vec![vec![1; 32], vec![3; 32]];
        assert_eq!(policy.judge(&claim(&bob, &both, Some(&bob))), Verdict::Accepted);
        assert!(matches!(policy.approve(&bob, &[2; 32]), Err(PinError::OfAnother)));
        policy.forget(&mallory).unwrap();
        policy.approve(&bob, &[2; 32]).unwrap();
    }

    /// Whoever brings enough new names keeps further ones out, and takes nobody's place.
    #[test]
    fn a_flood_drops_nobody() {
        let policy = policy();
        let bob = Credential::basic("bob");
        policy.approve(&bob, &[1; 32]).unwrap();
        let crowd = (1..u32::try_from(MAX_PINS).unwrap()).map(|n| {
            let (identity, key) = (Credential::basic(n.to_be_bytes()), n.to_be_bytes());
            Pin::new(&identity, &key)
        });
        let mut pins = policy.load().unwrap();
        pins.extend(crowd);
        policy.store(pins).unwrap();
        let (late, key) = (Credential::basic("late"), vec![vec![9; 32]]);
        assert!(policy.accepted(&claim(&late, &key, None)).is_err());
        assert_eq!(policy.judge(&claim(&bob, &[vec![1; 32]], None)), Verdict::Accepted);
        assert_eq!(policy.judge(&claim(&bob, &[vec![7; 32]], None)), Verdict::NotKnown);
        policy.forget(&Credential::basic(1_u32.to_be_bytes())).unwrap();
        policy.accepted(&claim(&late, &key, None)).unwrap();

        let long = Credential::basic(vec![0; MAX_BYTES]);
        assert!(matches!(policy.approve(&long, &[8; 32]), Err(PinError::Full)));
    }
}
