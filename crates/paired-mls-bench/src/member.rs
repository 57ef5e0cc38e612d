//! A device of the benchmark, and what stock OpenMLS does on the same state.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProcessedMessageContent, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, group::credential::AcceptAnyIdentity,
};
use paired_mls_openmls::Device;
use tls_codec::DeserializeBytes as _;

use crate::{Failure, place::Place};

pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;
pub(crate) const GROUP_ID: &[u8] = b"bench";

/// Private and public signature key.
type KeyPair = (Vec<u8>, Vec<u8>);

/// A device, and what it takes to copy it.
pub(crate) struct Member<S: Place> {
    identity: String,
    key: KeyPair,
    pub(crate) device: Device<S::Provider>,
    /// Goes last: its files are closed before they are deleted.
    place: S,
}

impl<S: Place> Member<S> {
    pub(crate) fn new(identity: &str) -> Result<Self, Failure> {
        Self::with_key(identity, generate()?)
    }

    /// Two devices of one user with one signature key.
    pub(crate) fn two(identity: &str) -> Result<(Self, Self), Failure> {
        let key = generate()?;
        Ok((Self::with_key(identity, key.clone())?, Self::with_key(identity, key)?))
    }

    fn with_key(identity: &str, key: KeyPair) -> Result<Self, Failure> {
        Self::at(S::empty()?, identity.to_owned(), key)
    }

    fn at(place: S, identity: String, key: KeyPair) -> Result<Self, Failure> {
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.clone().into()).into(),
            signature_key: key.1.clone().into(),
        };
        let (provider, vault) = place.open()?;
        let device = Device::new(provider, vault, signer(&key), credential, AcceptAnyIdentity);
        Ok(Self { identity, key, device, place })
    }

    /// The same, behind the leaf that the devices of a pairing share.
    pub(crate) fn behind_leaf(self, pairing: PairingId) -> Self {
        Self { device: self.device.with_shared_leaf(pairing), ..self }
    }

    /// The device as it is now, apart from this one.
    pub(crate) fn copy(&self) -> Result<Self, Failure> {
        let place = self.place.copy(self.device.provider())?;
        Self::at(place, self.identity.clone(), self.key.clone())
    }

    /// Its part of the pairing's tape.
    pub(crate) fn install(&self, pairing: &Pairing, own: DeviceId) -> Result<(), Failure> {
        let seed = Seed::new(SUITE, Secret::new(vec![2; SUITE.kdf_len()]))?;
        Ok(pairing.install(self.device.vault(), SUITE, seed, own)?)
    }

    /// The group as stock OpenMLS loads it.
    pub(crate) fn stock(&self) -> Result<MlsGroup, Failure> {
        let storage = self.device.provider().storage();
        let group = MlsGroup::load(storage, &GroupId::from_slice(GROUP_ID));
        Ok(group.map_err(|error| error.to_string())?.ok_or("the group is stored")?)
    }

    /// The commit that stock OpenMLS makes, with nothing but a path.
    pub(crate) fn stock_commit(&self, group: &mut MlsGroup) -> Result<Vec<u8>, Failure> {
        let provider = self.device.provider();
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(provider.storage())?
            .build(provider.rand(), provider.crypto(), &signer(&self.key), |_| true)?
            .stage_commit(provider)
            .map_err(|error| error.to_string())?;
        Ok(bundle.into_commit().to_bytes()?)
    }

    pub(crate) fn stock_merge(&self, group: &mut MlsGroup) -> Result<(), Failure> {
        Ok(group.merge_pending_commit(self.device.provider()).map_err(|e| e.to_string())?)
    }

    /// What a stock OpenMLS member does with a commit.
    pub(crate) fn stock_process(&self, group: &mut MlsGroup, commit: &[u8]) -> Result<(), Failure> {
        let provider = self.device.provider();
        let message = MlsMessageIn::tls_deserialize_exact_bytes(commit)?;
        let message = message.try_into_protocol_message()?;
        let processed =
            group.process_message(provider, message).map_err(|error| error.to_string())?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err("a commit is a commit".into());
        };
        Ok(group.merge_staged_commit(provider, *staged).map_err(|error| error.to_string())?)
    }

    /// A group with this member alone, made by stock OpenMLS.
    pub(crate) fn stock_create(&self) -> Result<MlsGroup, Failure> {
        let group = MlsGroup::new_with_group_id(
            self.device.provider(),
            &signer(&self.key),
            &create_config(),
            GroupId::from_slice(GROUP_ID),
            self.device.credential().clone(),
        );
        Ok(group.map_err(|error| error.to_string())?)
    }

    /// Adds members by stock OpenMLS; returns the commit, which is merged, and the Welcome.
    pub(crate) fn stock_add(
        &self,
        group: &mut MlsGroup,
        key_packages: &[Vec<u8>],
    ) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let provider = self.device.provider();
        let parse = |bytes: &Vec<u8>| -> Result<_, Failure> {
            let MlsMessageBodyIn::KeyPackage(package) =
                MlsMessageIn::tls_deserialize_exact_bytes(bytes)?.extract()
            else {
                return Err("a KeyPackage is a KeyPackage".into());
            };
            Ok(package.validate(provider.crypto(), ProtocolVersion::Mls10)?)
        };
        let packages = key_packages.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let (commit, welcome, _) = group
            .add_members(provider, &signer(&self.key), &packages)
            .map_err(|error| error.to_string())?;
        self.stock_merge(group)?;
        Ok((commit.to_bytes()?, welcome.to_bytes()?))
    }

    /// Joins by stock OpenMLS.
    pub(crate) fn stock_join(&self, welcome: &[u8]) -> Result<MlsGroup, Failure> {
        let MlsMessageBodyIn::Welcome(welcome) =
            MlsMessageIn::tls_deserialize_exact_bytes(welcome)?.extract()
        else {
            return Err("a Welcome is a Welcome".into());
        };
        let provider = self.device.provider();
        let staged = StagedWelcome::new_from_welcome(provider, &join_config(), welcome, None);
        let staged = staged.map_err(|error| error.to_string())?;
        Ok(staged.into_group(provider).map_err(|error| error.to_string())?)
    }
}

fn generate() -> Result<KeyPair, Failure> {
    Ok(RustCrypto::default().signature_key_gen(CIPHERSUITE.signature_algorithm())?)
}

fn signer((private, public): &KeyPair) -> SignatureKeyPair {
    let scheme = CIPHERSUITE.signature_algorithm();
    SignatureKeyPair::from_raw(scheme, private.clone(), public.clone())
}

fn create_config() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build()
}

pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build()
}
