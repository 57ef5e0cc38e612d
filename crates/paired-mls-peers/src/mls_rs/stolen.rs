//! A stock client on mls-rs with the MLS state of somebody else.

use mls_rs::{
    Client, CryptoProvider, Group, GroupStateStorage as _,
    client_builder::{BaseConfig, WithCryptoProvider, WithIdentityProvider, WithMlsRules},
    crypto::SignatureSecretKey,
    identity::SigningIdentity,
    mls_rs_codec::MlsEncode as _,
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
    storage_provider::in_memory::InMemoryGroupStateStorage,
};
use mls_rs_core::group::GroupState;
use paired_mls::{
    CipherSuite,
    conformance::{Framing, Refused},
};
use paired_mls_mls_rs::{
    Anybody, MemoryState, SIGNATURE_KEY_PLACEHOLDER, StateName, StateStorage as _,
};
use tls_codec::{DeserializeBytes as _, VLBytes};

use crate::stock_mls_rs::LIFETIME;

pub(super) type StolenConfig<C> =
    WithMlsRules<DefaultMlsRules, WithCryptoProvider<C, WithIdentityProvider<Anybody, BaseConfig>>>;

/// A client, and the group that it has.
pub(super) struct Stolen<C: CryptoProvider + Clone> {
    pub(super) client: Client<StolenConfig<C>>,
    pub(super) group: Group<StolenConfig<C>>,
}

impl<C: CryptoProvider + Clone> Stolen<C> {
    /// Loads the group from a copy of a device's MLS state, for whoever signs with `key`.
    pub(super) fn load(
        state: &MemoryState,
        group_id: &[u8],
        (suite, framing): (CipherSuite, Framing),
        identity: SigningIdentity,
        key: SignatureSecretKey,
        crypto: C,
    ) -> Result<Self, Refused> {
        let record = state.load(&StateName::Group(group_id.to_vec()))?;
        let record = record.ok_or("the group is not stored")?;
        // Version and membership, and then what mls-rs has written; the epochs before are not needed.
        let rest = record.expose().get(2..).ok_or("a record has two bytes")?;
        let (snapshot, _) = VLBytes::tls_deserialize_bytes(rest)?;
        let mut storage = InMemoryGroupStateStorage::new();
        // Where mls-rs would have the signature key, at the end, the adapter has a placeholder.
        let placeholder =
            [&[SIGNATURE_KEY_PLACEHOLDER.len() as u8], SIGNATURE_KEY_PLACEHOLDER].concat();
        let without = snapshot.as_slice().strip_suffix(&*placeholder);
        let without = without.ok_or("the signature key is in the state")?;
        let data = [without, &key.mls_encode_to_vec()?].concat().into();
        storage.write(GroupState { id: group_id.to_vec(), data }, Vec::new(), Vec::new())?;

        let encrypts = framing == Framing::Private;
        let options = CommitOptions::new()
            .with_ratchet_tree_extension(true)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true);
        let rules = DefaultMlsRules::new()
            .with_commit_options(options)
            .with_encryption_options(EncryptionOptions::new(encrypts, Default::default()));
        let suite = mls_rs::CipherSuite::new(suite.code_point());
        let client = Client::builder()
            .group_state_storage(storage)
            .identity_provider(Anybody)
            .crypto_provider(crypto)
            .mls_rules(rules)
            .key_package_lifetime(LIFETIME)
            .signing_identity(identity, key, suite)
            .build();
        let group = client.load_group(group_id)?;
        Ok(Self { client, group })
    }

    /// What the client has stored of the group by now: the epoch that it is in, and those before.
    pub(super) fn cells(&mut self) -> Result<Vec<Vec<u8>>, Refused> {
        self.group.write_to_storage()?;
        let (storage, id) = (self.client.group_state_storage(), self.group.group_id());
        let mut cells: Vec<_> = storage.state(id)?.into_iter().collect();
        let last = storage.max_epoch_id(id)?.unwrap_or_default();
        for epoch in last.saturating_sub(3)..=last {
            cells.extend(storage.epoch(id, epoch)?);
        }
        Ok(cells.into_iter().map(|cell| cell.to_vec()).collect())
    }
}
