//! Somebody with a copy of the MLS state of a device on mls-rs, but not of its vault.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mls_rs::{
    MlsMessage,
    crypto::SignatureSecretKey,
    identity::{SigningIdentity, basic::BasicCredential},
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use openmls::prelude::Ciphersuite;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, types::HpkeCiphertext};
use paired_mls::{
    CipherSuite, Secret,
    conformance::{Framing, Heard, Listener, Refused, Thief},
};
use paired_mls_group::{Opening, Refused as NoAnswer, Steering};
use paired_mls_mls_rs::{
    BoxError, MemoryState, Signer, Slot, StateName, StateStorage as _, SteeredProvider,
};

use super::{
    MlsRsDevice,
    loot::{scrub, strings_in},
    stolen::Stolen,
};
use crate::{
    config,
    stock_mls_rs::heard,
    thief::{Loot, ciphertexts},
};

/// A thief with the complete MLS state of a device, on stock mls-rs.
///
/// He processes what he sees like any member, and whatever his state comes to hold adds to his loot. Where mls-rs cannot
/// follow, he tries every byte string of the loot that is as long as a key, in three ways, on every ciphertext of the
/// commit; of an encrypted commit, on the one that mls-rs asks for. Of a commit of his own leaf mls-rs asks for none.
pub struct MlsRsThief {
    stolen: Stolen<SteeredProvider<RustCryptoProvider>>,
    slot: Slot,
    setting: (CipherSuite, Framing),
    ciphersuite: Ciphersuite,
    strings: BTreeSet<Vec<u8>>,
    loot: Loot,
    attempts: Arc<AtomicUsize>,
}

impl MlsRsThief {
    /// Steals from a device that is in a group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn new(device: &MlsRsDevice) -> Result<Self, Refused> {
        let setting = (device.suite(), device.framing());
        let group_id = device.group_id().ok_or("this device is in no group")?;
        Self::of(&device.stolen(), group_id, setting)
    }

    /// The same thief with the epoch secrets that a device has now: a second leak. Of HPKE private keys he has only
    /// those of before.
    pub(super) fn with_epoch_of(&self, device: &MlsRsDevice) -> Result<Self, Refused> {
        let (state, group) = (device.stolen(), device.group()?);
        let tree = device.public_keys()?;
        let name = StateName::Group(group.group_id().to_vec());
        let record = state.load(&name)?.ok_or("the group is not stored")?;
        let mut record = record.expose().to_vec();
        scrub(&mut record, &tree, &self.strings);
        state.apply(vec![(name, Some(Secret::new(record)))])?;
        let mut thief = Self::of(&state, group.group_id(), self.setting)?;
        thief.strings.extend(self.strings.iter().cloned());
        thief.loot.take(&self.loot);
        Ok(thief)
    }

    fn of(
        state: &MemoryState,
        group_id: &[u8],
        setting: (CipherSuite, Framing),
    ) -> Result<Self, Refused> {
        let slot = Slot::default();
        let crypto = RustCryptoProvider::default();
        let crypto = SteeredProvider::new(crypto, slot.clone(), Arc::new(Nobody));
        let credential = BasicCredential::new(b"a thief".to_vec()).into_credential();
        let identity = SigningIdentity::new(credential, Vec::new().into());
        let key = SignatureSecretKey::new_slice(&[]);
        let stolen = Stolen::load(state, group_id, setting, identity, key, crypto)?;
        let ciphersuite = config::ciphersuite(setting.0)?;
        let (strings, loot, attempts) = (BTreeSet::new(), Loot::default(), Arc::default());
        let mut thief = Self { stolen, slot, setting, ciphersuite, strings, loot, attempts };
        thief.search(&state.cells());
        Ok(thief)
    }

    /// Adds to the loot whatever is in these records.
    fn search(&mut self, cells: &[Vec<u8>]) {
        let found = strings_in(cells);
        self.loot.take_strings(found.iter().cloned(), &RustCrypto::default(), self.ciphersuite);
        self.strings.extend(found);
    }

    /// Processes a message with nothing but the loot.
    fn force(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let force = BruteForce {
            crypto: RustCrypto::default(),
            ciphersuite: self.ciphersuite,
            keys: self.loot.keys().to_vec(),
            ciphertexts: ciphertexts(message),
            attempts: Arc::clone(&self.attempts),
        };
        let before = self.stolen.group.clone();
        let slot = self.slot.clone();
        let armed = slot.arm(Arc::new(force), &[]);
        let heard =
            heard(self.stolen.group.process_incoming_message(MlsMessage::from_bytes(message)?));
        drop(armed);
        if heard.is_err() {
            self.stolen.group = before;
        }
        heard
    }
}

impl Listener for MlsRsThief {
    fn epoch(&self) -> u64 {
        self.stolen.group.current_epoch()
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let secret = self.stolen.group.epoch_authenticator().ok();
        secret.map(|secret| secret.as_bytes().to_vec()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let before = self.stolen.group.clone();
        let parsed = MlsMessage::from_bytes(message)?;
        let mut heard = heard(self.stolen.group.process_incoming_message(parsed));
        if heard.is_err() {
            self.stolen.group = before;
            heard = self.force(message);
        }
        let cells = self.stolen.cells()?;
        self.search(&cells);
        heard
    }
}

impl Thief for MlsRsThief {
    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    fn opened(&self) -> usize {
        0
    }
}

/// Tries every key on every ciphertext.
struct BruteForce {
    crypto: RustCrypto,
    ciphersuite: Ciphersuite,
    keys: Vec<Vec<u8>>,
    ciphertexts: Vec<HpkeCiphertext>,
    attempts: Arc<AtomicUsize>,
}

impl Steering for BruteForce {
    fn open(&self, asked: &Opening<'_>) -> Option<Result<Secret, NoAnswer>> {
        let first = HpkeCiphertext {
            kem_output: asked.kem_output.into(),
            ciphertext: asked.ciphertext.into(),
        };
        let others = self.ciphertexts.iter().filter(|other| **other != first);
        for ciphertext in [&first].into_iter().chain(others) {
            for key in &self.keys {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                let config = self.ciphersuite.hpke_config();
                let opened = self.crypto.hpke_open(config, ciphertext, key, asked.info, &[]);
                if let Ok(plaintext) = opened {
                    return Some(Ok(Secret::new(plaintext)));
                }
            }
        }
        Some(Err(NoAnswer))
    }
}

/// A thief who only listens signs nothing.
struct Nobody;

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        Err("a thief who listens signs nothing".into())
    }
}

#[cfg(test)]
mod tests {
    use paired_mls::conformance::{Content, Member as _};

    use super::*;
    use crate::mls_rs::loot::private_key_in;

    /// A phone and a sensor in a group without a pairing, a thief of the sensor, and a commit of the phone.
    fn stolen(suite: CipherSuite, framing: Framing) -> (MlsRsDevice, MlsRsThief, Vec<u8>) {
        let device = |name| MlsRsDevice::new(suite, framing, name).unwrap();
        let (mut phone, mut sensor) = (device("phone"), device("sensor"));
        phone.create(b"group").unwrap();
        let adds = vec![sensor.key_package().unwrap()];
        let sent = phone.commit(&Content { adds, ..Content::default() }).unwrap();
        phone.confirm().unwrap();
        sensor.join(&sent.welcome.unwrap()).unwrap();
        let thief = MlsRsThief::new(&sensor).unwrap();
        let sent = phone.commit(&Content::default()).unwrap();
        phone.confirm().unwrap();
        (phone, thief, sent.commit)
    }

    /// The control of all that he cannot open: with nothing but the byte strings that he has found, he opens a commit
    /// that is sealed to a key which he has.
    #[test]
    fn brute_force_opens_what_the_loot_has_the_key_of() {
        for suite in [CipherSuite::X25519Aes128, CipherSuite::P256Aes128] {
            for framing in [Framing::Public, Framing::Private] {
                let (phone, mut thief, commit) = stolen(suite, framing);
                assert!(matches!(thief.force(&commit), Ok(Heard::Commit { .. })), "{framing:?}");
                assert_eq!(thief.epoch_authenticator(), phone.epoch_authenticator());
                assert!(thief.attempts() > 0);
            }
        }
    }

    /// Without the private keys, which a second leak does not give him, he opens nothing.
    #[test]
    fn a_leak_that_is_scrubbed_has_no_private_keys() {
        for suite in [CipherSuite::X25519Aes128, CipherSuite::P256Aes128] {
            let (phone, mut thief, _) = stolen(suite, Framing::Public);
            thief.strings.clear();
            thief.loot = Loot::default();
            let thief = thief.with_epoch_of(&phone).unwrap();
            let own = phone.own_leaf_key().unwrap();
            assert_eq!(private_key_in(&thief.strings, &own), None);
            let whole = MlsRsThief::new(&phone).unwrap();
            assert!(private_key_in(&whole.strings, &own).is_some(), "the control");
        }
    }
}
