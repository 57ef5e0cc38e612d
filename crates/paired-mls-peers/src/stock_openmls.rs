//! A member on OpenMLS, with nothing of Paired MLS.

use std::{collections::HashMap, sync::Arc};

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, KeyPackage, KeyPackageIn,
    LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    NewSignerBundle, ProcessedMessageContent, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, signatures::Signer as _};
use paired_mls::{
    CipherSuite, Event,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Impostor, Listener, Member, Refused, Sent},
};
use paired_mls_openmls::MemoryProvider;
use tls_codec::{DeserializeBytes as _, Serialize as _};

use crate::{Door, OpenMlsLeafDevice, SignFn, Stock, config, device::TestCrypto};

/// A member on stock OpenMLS, with a crypto provider `C`.
pub struct StockOpenMls<C = RustCrypto> {
    pub(crate) provider: MemoryProvider<C>,
    pub(crate) signer: Arc<SignatureKeyPair>,
    pub(crate) credential: CredentialWithKey,
    pub(crate) ciphersuite: Ciphersuite,
    pub(crate) framing: Framing,
    pub(crate) door: Door,
    pub(crate) group: Option<MlsGroup>,
}

impl StockOpenMls {
    /// A member outside of any group.
    ///
    /// # Errors
    ///
    /// An OpenMLS that does not know the suite.
    pub fn new(suite: CipherSuite, framing: Framing, identity: &str) -> Result<Self, Refused> {
        Self::behind(Door::Open, suite, framing, identity)
    }
}

impl<C: TestCrypto> StockOpenMls<C> {
    /// A member of groups with this door.
    ///
    /// # Errors
    ///
    /// As [`StockOpenMls::new`].
    pub fn behind(
        door: Door,
        suite: CipherSuite,
        framing: Framing,
        identity: &str,
    ) -> Result<Self, Refused> {
        let ciphersuite = config::ciphersuite(suite)?;
        let signer = Arc::new(SignatureKeyPair::new(ciphersuite.signature_algorithm())?);
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.into()).into(),
            signature_key: signer.public().into(),
        };
        let provider = MemoryProvider::new(C::fresh()?);
        Ok(Self { provider, signer, credential, ciphersuite, framing, door, group: None })
    }

    /// Somebody with the signature key of a shared leaf and nothing else, who comes into its group from
    /// outside.
    ///
    /// # Errors
    ///
    /// A GroupInfo that does not let him in.
    pub fn outside(
        device: &OpenMlsLeafDevice<C>,
        group_info: &[u8],
    ) -> Result<(Self, Sent), Refused> {
        let (private, public) = device.signature_key_pair();
        let ciphersuite = device.ciphersuite();
        let scheme = ciphersuite.signature_algorithm();
        let (framing, door) = (device.framing(), device.door());
        let mut member = Self {
            provider: MemoryProvider::new(C::fresh()?),
            signer: Arc::new(SignatureKeyPair::from_raw(scheme, private, public)),
            credential: device.credential(),
            ciphersuite,
            framing,
            door,
            group: None,
        };
        let sent = member.enter(group_info)?;
        Ok((member, sent))
    }

    /// Comes into a group from outside, and takes the place of the leaf with its signature key.
    fn enter(&mut self, group_info: &[u8]) -> Result<Sent, Refused> {
        let MlsMessageBodyIn::GroupInfo(info) = parse(group_info)?.extract() else {
            return Err("this is no GroupInfo".into());
        };
        let leaf = LeafNodeParameters::builder().with_capabilities(self.door.capabilities());
        let provider = &self.provider;
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(config::join(self.framing))
            .build_group(provider, info, self.credential.clone())?
            .leaf_node_parameters(leaf.build())
            .load_psks(provider.storage())?
            .build(provider.rand(), provider.crypto(), &*self.signer, |_| true)?
            .finalize(provider)?;
        self.group = Some(group);
        let commit = bundle.commit().to_bytes()?;
        Ok(Sent { commit, welcome: None, refresh: None, group_info: None, notify: None })
    }

    /// Somebody with a copy of a device's MLS records, who signs with this key pair, private and public,
    /// and goes on from there on stock OpenMLS.
    pub(crate) fn with_state(
        records: HashMap<Vec<u8>, Vec<u8>>,
        group_id: &[u8],
        (private, public): (Vec<u8>, Vec<u8>),
        credential: CredentialWithKey,
        (ciphersuite, framing, door): (Ciphersuite, Framing, Door),
    ) -> Result<Self, Refused> {
        let provider = MemoryProvider::with_records(C::fresh()?, records);
        let scheme = ciphersuite.signature_algorithm();
        let signer = Arc::new(SignatureKeyPair::from_raw(scheme, private, public));
        let group = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))?;
        let group = Some(group.ok_or("the group is not stored")?);
        Ok(Self { provider, signer, credential, ciphersuite, framing, door, group })
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// A member outside of any group.
    pub fn group(&self) -> Result<&MlsGroup, Refused> {
        Ok(self.group.as_ref().ok_or("this member is in no group")?)
    }

    /// The group, and what OpenMLS is called with.
    ///
    /// # Errors
    ///
    /// A member outside of any group.
    pub fn parts(
        &mut self,
    ) -> Result<(&mut MlsGroup, &MemoryProvider<C>, &SignatureKeyPair), Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        Ok((group, &self.provider, &self.signer))
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessageIn, Refused> {
    Ok(MlsMessageIn::tls_deserialize_exact_bytes(bytes)?)
}

impl<C: TestCrypto> Listener for StockOpenMls<C> {
    fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, |group| group.epoch().as_u64())
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        let group = self.group.as_ref();
        group.map(|group| group.epoch_authenticator().as_slice().to_vec()).unwrap_or_default()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let message = parse(message)?.try_into_protocol_message()?;
        let processed = group.process_message(&self.provider, message)?;
        hear(group, &self.provider, processed.into_content())
    }
}

impl<C: TestCrypto> Member for StockOpenMls<C> {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        let builder = KeyPackage::builder().leaf_node_capabilities(self.door.capabilities());
        let bundle = builder.build(
            self.ciphersuite,
            &self.provider,
            &*self.signer,
            self.credential.clone(),
        )?;
        Ok(MlsMessageOut::from(bundle.into_key_package()).to_bytes()?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        self.group = Some(MlsGroup::new_with_group_id(
            &self.provider,
            &*self.signer,
            &config::create(self.ciphersuite, self.framing, self.door)?,
            GroupId::from_slice(group_id),
            self.credential.clone(),
        )?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err("this is no Welcome".into());
        };
        // OpenMLS does not join a group whose remains it still has.
        if let Some(mut left) = self.group.take_if(|group| !group.is_active()) {
            left.delete(self.provider.storage())?;
        }
        let config = config::join(self.framing);
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)?;
        self.group = Some(staged.into_group(&self.provider)?);
        Ok(())
    }

    fn commit(&mut self, content: &Content) -> Result<Sent, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let mut adds = Vec::new();
        for bytes in &content.adds {
            let MlsMessageBodyIn::KeyPackage(key_package) = parse(bytes)?.extract() else {
                return Err("this is no KeyPackage".into());
            };
            let crypto = self.provider.crypto();
            adds.push(KeyPackageIn::validate(key_package, crypto, ProtocolVersion::Mls10)?);
        }
        let removes = content.removes.iter().map(|leaf| LeafNodeIndex::new(leaf.value()));
        let bundle = group
            .commit_builder()
            .propose_adds(adds)
            .propose_removals(removes)
            .force_self_update(true)
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), self.provider.crypto(), &*self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        Ok(Sent {
            commit: commit.to_bytes()?,
            welcome: welcome.map(|welcome| welcome.to_bytes()).transpose()?,
            refresh: None,
            group_info: group_info.map(|info| info.to_bytes()).transpose()?,
            notify: None,
        })
    }

    fn confirm(&mut self) -> Result<Vec<Event>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        group.merge_pending_commit(&self.provider)?;
        Ok(Vec::new())
    }

    fn discard(&mut self) -> Result<(), Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        Ok(group.clear_pending_commit(self.provider.storage())?)
    }

    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        Ok(group.create_message(&self.provider, &*self.signer, message)?.to_bytes()?)
    }

    fn propose_add(&mut self, key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        let MlsMessageBodyIn::KeyPackage(key_package) = parse(key_package)?.extract() else {
            return Err("this is no KeyPackage".into());
        };
        let crypto = self.provider.crypto();
        let key_package = KeyPackageIn::validate(key_package, crypto, ProtocolVersion::Mls10)?;
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let (proposal, _) =
            group.propose_add_member(&self.provider, &*self.signer, &key_package)?;
        Ok(proposal.to_bytes()?)
    }

    fn propose_remove(&mut self, leaf: LeafIndex) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let removed = LeafNodeIndex::new(leaf.value());
        let (proposal, _) = group.propose_remove_member(&self.provider, &*self.signer, removed)?;
        Ok(proposal.to_bytes()?)
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        Ok(group.leave_group(&self.provider, &*self.signer)?.to_bytes()?)
    }
}

impl<C: TestCrypto> Impostor for StockOpenMls<C> {
    fn propose_update(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let leaf = LeafNodeParameters::default();
        let (proposal, _) = group.propose_self_update(&self.provider, &*self.signer, leaf)?;
        Ok(proposal.to_bytes()?)
    }

    fn commit_with_new_key(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let signer = SignatureKeyPair::new(self.ciphersuite.signature_algorithm())?;
        let credential_with_key = CredentialWithKey {
            credential: self.credential.credential.clone(),
            signature_key: signer.public().into(),
        };
        let new = NewSignerBundle { signer: &signer, credential_with_key };
        let bundle = group
            .commit_builder()
            .load_psks(self.provider.storage())?
            .build_with_new_signer(
                self.provider.rand(),
                self.provider.crypto(),
                &*self.signer,
                new,
                |_| true,
            )?
            .stage_commit(&self.provider)?;
        self.signer = Arc::new(signer);
        Ok(bundle.commit().to_bytes()?)
    }

    fn commit_without_path(&mut self, key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        let MlsMessageBodyIn::KeyPackage(key_package) = parse(key_package)?.extract() else {
            return Err("this is no KeyPackage".into());
        };
        let crypto = self.provider.crypto();
        let key_package = KeyPackageIn::validate(key_package, crypto, ProtocolVersion::Mls10)?;
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let bundle = group
            .commit_builder()
            .propose_adds([key_package])
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), crypto, &*self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        Ok(bundle.commit().to_bytes()?)
    }

    fn enter(&mut self, group_info: &[u8]) -> Result<Vec<u8>, Refused> {
        let group = self.group.take();
        if let Some(mut group) = group {
            group.delete(self.provider.storage())?;
        }
        Ok(Self::enter(self, group_info)?.commit)
    }

    fn invite(&mut self, group_id: &[u8], key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        if let Some(mut group) = self.group.take() {
            group.delete(self.provider.storage())?;
        }
        self.create(group_id)?;
        let adds = vec![key_package.to_vec()];
        let sent = self.commit(&Content { adds, ..Content::default() })?;
        self.confirm()?;
        Ok(sent.welcome.ok_or("the commit that adds has no Welcome")?)
    }
}

impl<C: TestCrypto> Stock for StockOpenMls<C> {
    fn signature_key(&self) -> Vec<u8> {
        self.signer.public().to_vec()
    }

    fn signer(&self) -> SignFn {
        let signer = Arc::clone(&self.signer);
        Box::new(move |message| Ok(signer.sign(message).map_err(|_| "OpenMLS did not sign")?))
    }

    fn ratchet_tree(&self) -> Result<Vec<u8>, Refused> {
        Ok(self.group()?.export_ratchet_tree().tls_serialize_detached()?)
    }
}

/// What a stock member does with a message that it has decrypted.
pub(crate) fn hear<P: openmls::storage::OpenMlsProvider>(
    group: &mut MlsGroup,
    provider: &P,
    content: ProcessedMessageContent,
) -> Result<Heard, Refused>
where
    P::StorageError: Send + Sync + 'static,
{
    match content {
        ProcessedMessageContent::ApplicationMessage(message) => {
            Ok(Heard::Application(message.into_bytes()))
        }
        ProcessedMessageContent::ProposalMessage(proposal)
        | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
            group.store_pending_proposal(provider.storage(), *proposal)?;
            Ok(Heard::Proposal)
        }
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            group.merge_staged_commit(provider, *staged)?;
            Ok(Heard::Commit { events: Vec::new(), heal: None })
        }
        ProcessedMessageContent::OwnPendingCommit => {
            group.merge_pending_commit(provider)?;
            Ok(Heard::Commit { events: Vec::new(), heal: None })
        }
        _ => Ok(Heard::Own),
    }
}
