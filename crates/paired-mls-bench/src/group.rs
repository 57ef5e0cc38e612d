//! A phone and a sensor in a group with a populated tree; of the others only their keys remain.

use std::collections::HashMap;

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, Vault,
    group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_openmls::{Device, MemoryProvider, PairedGroup};

use crate::Failure;

pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const GROUP_ID: &[u8] = b"bench";

pub(crate) type BenchDevice = Device<MemoryProvider<RustCrypto>>;

/// A device whose keys and vault can be copied.
pub(crate) struct Member {
    key: (Vec<u8>, Vec<u8>),
    vault: MemoryStorage,
    device: BenchDevice,
}

impl Member {
    fn new(identity: &str) -> Result<Self, Failure> {
        let scheme = CIPHERSUITE.signature_algorithm();
        let key = RustCrypto::default().signature_key_gen(scheme)?;
        let vault = MemoryStorage::new();
        let device = device(identity, &key, &vault, HashMap::new());
        Ok(Self { key, vault, device })
    }

    /// The device as it is now, apart from this one.
    pub(crate) fn copy(&self) -> BenchDevice {
        device("copy", &self.key, &self.vault.steal(), self.device.provider().records())
    }

    /// Its signer, for stock OpenMLS.
    pub(crate) fn signer(&self) -> SignatureKeyPair {
        signer(&self.key)
    }
}

fn signer((private, public): &(Vec<u8>, Vec<u8>)) -> SignatureKeyPair {
    let scheme = CIPHERSUITE.signature_algorithm();
    SignatureKeyPair::from_raw(scheme, private.clone(), public.clone())
}

fn device(
    identity: &str,
    key: &(Vec<u8>, Vec<u8>),
    vault: &MemoryStorage,
    records: HashMap<Vec<u8>, Vec<u8>>,
) -> BenchDevice {
    let credential = CredentialWithKey {
        credential: BasicCredential::new(identity.into()).into(),
        signature_key: key.1.clone().into(),
    };
    let provider = MemoryProvider::with_records(RustCrypto::default(), records);
    Device::new(provider, Vault::new(vault.clone()), signer(key), credential, AcceptAnyIdentity)
}

/// The group as stock OpenMLS sees it on this device.
pub(crate) fn stock(device: &BenchDevice) -> Result<MlsGroup, Failure> {
    let group = MlsGroup::load(device.provider().storage(), &GroupId::from_slice(GROUP_ID))?;
    Ok(group.ok_or("the group is stored")?)
}

/// The group as Paired MLS sees it on this device.
pub(crate) fn paired(device: &BenchDevice) -> Result<PairedGroup, Failure> {
    Ok(PairedGroup::load(device, GROUP_ID)?)
}

/// A phone and a sensor, paired, in a group of `size` members in which no parent node is blank.
pub(crate) fn populated(size: usize) -> Result<(Member, Member), Failure> {
    let (phone, sensor) = (Member::new("phone")?, Member::new("sensor")?);
    let create = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();
    let join = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();

    let mut at_phone = PairedGroup::create(&phone.device, GROUP_ID, &create)?;
    let sent = at_phone.add(&phone.device, &[sensor.device.key_package(CIPHERSUITE)?])?;
    at_phone.confirm(&phone.device)?;
    let mut at_sensor =
        PairedGroup::join(&sensor.device, &sent.welcome.ok_or("a Welcome")?, &join)?;

    // Two join at a time, and the left one commits: every parent node is on somebody's path.
    for n in (2..size).step_by(2) {
        let (left, right) = (Member::new(&format!("{n}"))?, Member::new(&format!("{}", n + 1))?);
        let key_packages =
            [left.device.key_package(CIPHERSUITE)?, right.device.key_package(CIPHERSUITE)?];
        let sent = at_phone.add(&phone.device, &key_packages)?;
        at_phone.confirm(&phone.device)?;
        at_sensor.process(&sensor.device, &sent.commit)?;
        let mut at_left =
            PairedGroup::join(&left.device, &sent.welcome.ok_or("a Welcome")?, &join)?;
        let sent = at_left.update(&left.device)?;
        at_phone.process(&phone.device, &sent.commit)?;
        at_sensor.process(&sensor.device, &sent.commit)?;
    }

    let pairing = Pairing::new(
        PairingId([1; 16]),
        [phone.device.signature_key(), sensor.device.signature_key()],
    );
    let both = [(&phone, &mut at_phone, DeviceId(0)), (&sensor, &mut at_sensor, DeviceId(1))];
    for (member, group, own) in both {
        let seed = Seed::new(SUITE, Secret::new(vec![2; SUITE.kdf_len()]))?;
        pairing.install(member.device.vault(), SUITE, seed, own)?;
        group.pair(&member.device, &pairing)?;
    }
    Ok((phone, sensor))
}
