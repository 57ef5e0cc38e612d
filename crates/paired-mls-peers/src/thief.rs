//! Somebody with a copy of a device's MLS state, but not of its vault.

mod loot;
mod spoils;

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicUsize, Ordering},
};

use openmls::prelude::{Ciphersuite, GroupId, MlsGroup, ProcessedMessageContent, ProtocolMessage};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    types::{CryptoError, HpkeCiphertext},
};
use paired_mls::{
    CipherSuite,
    conformance::{Heard, Listener, Refused, Thief},
    wire::{Content, FramedContentTbs},
};
use paired_mls_openmls::{CryptoHook, MemoryProvider, SteeredCrypto};
use tls_codec::{Serialize as _, VLByteSlice};

pub use self::spoils::Spoils;
pub(crate) use self::{
    loot::{Loot, private_key_in, strings_in},
    spoils::cells,
};
use crate::{
    OpenMlsDevice, config,
    device::TestCrypto,
    stock_openmls::{hear, parse},
};

/// A thief with the complete MLS state of a device, on stock OpenMLS.
///
/// He processes what he sees like any member, and whatever his state comes to hold adds to his loot.
/// Where OpenMLS cannot follow, he tries every byte string of the loot that is as long as a key, in
/// three ways, on every ciphertext of the commit; of an encrypted commit, on the one that OpenMLS
/// asks for.
///
/// `P` is what he has stolen: records of a device in memory, or an SQLite file.
pub struct OpenMlsThief<P = MemoryProvider<RustCrypto>> {
    provider: P,
    ciphersuite: Ciphersuite,
    group: MlsGroup,
    loot: Loot,
    attempts: AtomicUsize,
    opened: usize,
}

impl<C: TestCrypto> OpenMlsThief<MemoryProvider<C>> {
    /// Steals from a device that is in a group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn new(device: &OpenMlsDevice<C>) -> Result<Self, Refused> {
        let group_id = device.group_id().ok_or("this device is in no group")?;
        Self::of(device.records(), device.ciphersuite(), group_id)
    }

    /// The same thief with the epoch secrets that a device has now: a second leak. Of HPKE private keys
    /// he has only those of before.
    pub(crate) fn with_epoch_of(&self, device: &OpenMlsDevice<C>) -> Result<Self, Refused> {
        let group_id = device.group_id().ok_or("this device is in no group")?;
        self.with_epoch_in(device.records(), group_id)
    }

    /// The same, of these records.
    pub(crate) fn with_epoch_in(
        &self,
        mut records: HashMap<Vec<u8>, Vec<u8>>,
        group_id: &[u8],
    ) -> Result<Self, Refused> {
        for record in records.values_mut() {
            self.loot.scrub(record);
        }
        let mut thief = Self::of(records, self.ciphersuite, group_id)?;
        thief.loot.take(&self.loot);
        Ok(thief)
    }

    /// A thief of these records.
    pub(crate) fn of(
        records: HashMap<Vec<u8>, Vec<u8>>,
        ciphersuite: Ciphersuite,
        group_id: &[u8],
    ) -> Result<Self, Refused> {
        Self::load(MemoryProvider::with_records(C::fresh()?, records), ciphersuite, group_id)
    }
}

impl<P: Spoils> OpenMlsThief<P> {
    /// A thief of this state, who lives off one group in it.
    ///
    /// # Errors
    ///
    /// A state without the group.
    pub fn with_spoils(spoils: P, suite: CipherSuite, group_id: &[u8]) -> Result<Self, Refused> {
        Self::load(spoils, config::ciphersuite(suite)?, group_id)
    }

    fn load(provider: P, ciphersuite: Ciphersuite, group_id: &[u8]) -> Result<Self, Refused> {
        let id = GroupId::from_slice(group_id);
        let group = MlsGroup::load(provider.storage(), &id)?.ok_or("the group is not stored")?;
        let attempts = AtomicUsize::new(0);
        let loot = Loot::default();
        let mut thief = Self { provider, ciphersuite, group, loot, attempts, opened: 0 };
        thief.search()?;
        Ok(thief)
    }

    /// The HPKE private keys that the loot gives: each byte string as it is, as the input of
    /// `DeriveKeyPair`, and as a path secret.
    pub fn keys(&self) -> usize {
        self.loot.keys().len()
    }

    /// The public keys of the tree's nodes whose private keys the thief has now.
    ///
    /// # Errors
    ///
    /// A state that cannot be read.
    pub fn known_nodes(&self) -> Result<BTreeSet<Vec<u8>>, Refused> {
        Ok(loot::public_keys_in(&self.provider.cells()?))
    }

    /// Every byte string that the thief's state holds, as a record of its own or inside of one.
    ///
    /// # Errors
    ///
    /// A state that cannot be read.
    pub fn strings(&self) -> Result<BTreeSet<Vec<u8>>, Refused> {
        Ok(strings_in(&self.provider.cells()?))
    }

    /// Adds to the loot whatever his state holds now.
    fn search(&mut self) -> Result<(), Refused> {
        self.loot.search(&self.provider.cells()?, self.provider.crypto(), self.ciphersuite);
        Ok(())
    }

    /// Processes a message with nothing but the loot: no key is asked of OpenMLS.
    fn force(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let hook = BruteForce {
            crypto: self.provider.crypto(),
            ciphersuite: self.ciphersuite,
            keys: self.loot.keys(),
            ciphertexts: ciphertexts(message),
            attempts: &self.attempts,
        };
        let crypto = SteeredCrypto { inner: self.provider.crypto(), hook: &hook };
        let provider = BruteForceProvider { inner: &self.provider, crypto };
        let parsed: ProtocolMessage = parse(message)?.try_into_protocol_message()?;
        let processed = self.group.process_message(&provider, parsed)?;
        hear(&mut self.group, &self.provider, processed.into_content())
    }

    /// Forces his way; and where OpenMLS does not ask him for any key, tries them all the same.
    fn try_hard(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let before = self.attempts();
        let heard = self.force(message);
        if heard.is_err() && self.attempts() == before {
            self.pry(message);
        }
        heard
    }

    /// Tries every key on every ciphertext of a commit that OpenMLS does not even look at: one of the
    /// thief's own leaf. What HPKE authenticates is public, and he computes it.
    fn pry(&mut self, message: &[u8]) {
        let Ok(info) = self.encrypt_context(message) else {
            return;
        };
        for ciphertext in ciphertexts(message) {
            for key in self.loot.keys() {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                let config = self.ciphersuite.hpke_config();
                let opened = self.provider.crypto().hpke_open(config, &ciphertext, key, &info, &[]);
                self.opened += usize::from(opened.is_ok());
            }
        }
    }

    /// `EncryptContext("UpdatePathNode", GroupContext)` of a commit in the clear (RFC 9420
    /// section 12.4.1): the GroupContext has the tree hash of the new epoch and the transcript hash of
    /// the old one.
    fn encrypt_context(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let parsed: ProtocolMessage = parse(message)?.try_into_protocol_message()?;
        let public = self.group.public_group();
        let processed = public.process_message(self.provider.crypto(), parsed)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err("this is no commit".into());
        };
        let after = staged.group_context();
        let (new, old) = (
            after.confirmed_transcript_hash().to_vec(),
            public.group_context().confirmed_transcript_hash().to_vec(),
        );
        let mut context = after.tls_serialize_detached()?;
        let at = context.windows(new.len()).position(|window| window == new);
        let at = at.ok_or("the context has its transcript hash")?;
        context.splice(at..at + new.len(), old);
        let label = VLByteSlice(b"MLS 1.0 UpdatePathNode").tls_serialize_detached()?;
        Ok([label, VLByteSlice(&context).tls_serialize_detached()?].concat())
    }
}

/// Tries every key on every ciphertext.
struct BruteForce<'a, C> {
    crypto: &'a C,
    ciphersuite: Ciphersuite,
    keys: &'a [Vec<u8>],
    ciphertexts: Vec<HpkeCiphertext>,
    attempts: &'a AtomicUsize,
}

impl<C: OpenMlsCrypto> CryptoHook for BruteForce<'_, C> {
    fn open(&self, asked: &HpkeCiphertext, info: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        let others = self.ciphertexts.iter().filter(|other| *other != asked);
        for ciphertext in [asked].into_iter().chain(others) {
            for key in self.keys {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                let config = self.ciphersuite.hpke_config();
                let opened = self.crypto.hpke_open(config, ciphertext, key, info, &[]);
                if let Ok(plaintext) = opened {
                    return Some(Ok(plaintext));
                }
            }
        }
        Some(Err(CryptoError::HpkeDecryptionError))
    }
}

/// The thief's provider, with brute force in its cryptography.
struct BruteForceProvider<'a, P: OpenMlsProvider> {
    inner: &'a P,
    crypto: SteeredCrypto<&'a P::CryptoProvider, &'a BruteForce<'a, P::CryptoProvider>>,
}

impl<'a, P: Spoils> OpenMlsProvider for BruteForceProvider<'a, P> {
    type CryptoProvider =
        SteeredCrypto<&'a P::CryptoProvider, &'a BruteForce<'a, P::CryptoProvider>>;
    type RandProvider = P::RandProvider;
    type StorageProvider = P::StorageProvider;

    fn storage(&self) -> &Self::StorageProvider {
        self.inner.storage()
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &P::RandProvider {
        self.inner.rand()
    }
}

/// The HPKE ciphertexts of a commit in a PublicMessage. Its bytes begin like a FramedContentTBS.
pub(crate) fn ciphertexts(message: &[u8]) -> Vec<HpkeCiphertext> {
    let framed = FramedContentTbs::decode(message).ok();
    let commit = framed.as_ref().and_then(|framed| match framed.content() {
        Content::Commit(commit) => commit.path(),
        _ => None,
    });
    let nodes = commit.map(|path| path.nodes()).unwrap_or_default();
    nodes
        .iter()
        .flat_map(|node| node.encrypted_path_secret())
        .map(|ciphertext| HpkeCiphertext {
            kem_output: ciphertext.kem_output().into(),
            ciphertext: ciphertext.ciphertext().into(),
        })
        .collect()
}

impl<P: Spoils> Listener for OpenMlsThief<P> {
    fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        self.group.epoch_authenticator().as_slice().to_vec()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let parsed: ProtocolMessage = parse(message)?.try_into_protocol_message()?;
        let heard = match self.group.process_message(&self.provider, parsed) {
            Ok(plain) => hear(&mut self.group, &self.provider, plain.into_content()),
            Err(_) => self.try_hard(message),
        };
        self.search()?;
        heard
    }
}

impl<P: Spoils> Thief for OpenMlsThief<P> {
    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    fn opened(&self) -> usize {
        self.opened
    }
}

#[cfg(test)]
mod tests;
