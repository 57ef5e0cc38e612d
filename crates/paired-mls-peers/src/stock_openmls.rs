//! A member on OpenMLS, with nothing of Paired MLS.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, GroupId, KeyPackage, KeyPackageIn,
    LeafNodeIndex, MlsGroup, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    ProcessedMessageContent, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    CipherSuite, Event,
    conformance::{Content, Framing, Heard, Listener, Member, Refused, Sent},
};
use tls_codec::DeserializeBytes as _;

use crate::config;

/// A member on stock OpenMLS.
pub struct StockOpenMls {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
    ciphersuite: Ciphersuite,
    framing: Framing,
    group: Option<MlsGroup>,
}

impl StockOpenMls {
    /// A member outside of any group.
    ///
    /// # Errors
    ///
    /// An OpenMLS that does not know the suite.
    pub fn new(suite: CipherSuite, framing: Framing, identity: &str) -> Result<Self, Refused> {
        let ciphersuite = config::ciphersuite(suite)?;
        let signer = SignatureKeyPair::new(ciphersuite.signature_algorithm())?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.into()).into(),
            signature_key: signer.public().into(),
        };
        let provider = OpenMlsRustCrypto::default();
        Ok(Self { provider, signer, credential, ciphersuite, framing, group: None })
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// A member outside of any group.
    pub fn group(&self) -> Result<&MlsGroup, Refused> {
        Ok(self.group.as_ref().ok_or("this member is in no group")?)
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessageIn, Refused> {
    Ok(MlsMessageIn::tls_deserialize_exact_bytes(bytes)?)
}

impl Listener for StockOpenMls {
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

impl Member for StockOpenMls {
    fn key_package(&mut self) -> Result<Vec<u8>, Refused> {
        let bundle = KeyPackage::builder().build(
            self.ciphersuite,
            &self.provider,
            &self.signer,
            self.credential.clone(),
        )?;
        Ok(MlsMessageOut::from(bundle.into_key_package()).to_bytes()?)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        self.group = Some(MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config::create(self.ciphersuite, self.framing),
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
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        Ok(Sent {
            commit: commit.to_bytes()?,
            welcome: welcome.map(|welcome| welcome.to_bytes()).transpose()?,
            group_info: group_info.map(|info| info.to_bytes()).transpose()?,
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
        Ok(group.create_message(&self.provider, &self.signer, message)?.to_bytes()?)
    }

    fn leave(&mut self) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        Ok(group.leave_group(&self.provider, &self.signer)?.to_bytes()?)
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
