//! A stock member on OpenMLS who says that it is somebody else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use openmls::prelude::{
    BasicCredential, CredentialWithKey, GroupId, LeafNodeParameters, Lifetime, MlsGroup,
    MlsMessageBodyIn, ProtocolVersion,
};
use openmls_traits::{
    OpenMlsProvider as _,
    signatures::Signer as _,
    types::{CryptoError, HpkeCiphertext},
};
use paired_mls::{
    SealedNotify,
    anchor::LeafIndex,
    conformance::{
        Refused, Sent, Sign,
        liar::{ForgeNotify, Liar},
    },
};
use paired_mls_openmls::{Clock as _, CryptoHook, Sealing, SteeredCrypto, SystemClock};

use crate::{StockOpenMls, config, device::TestCrypto, forge, stock_openmls::parse};

impl<C: TestCrypto> StockOpenMls<C> {
    fn credential_as(&self, identity: &str) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(identity.into()).into(),
            signature_key: self.credential.signature_key.clone(),
        }
    }

    fn leaf_as(&self, identity: &str) -> LeafNodeParameters {
        LeafNodeParameters::builder()
            .with_credential_with_key(self.credential_as(identity))
            .with_capabilities(self.door.capabilities())
            .build()
    }
}

impl<C: TestCrypto> StockOpenMls<C> {
    /// A commit of nothing but a path, whose leaf has this content in its field `signature_key`.
    ///
    /// # Errors
    ///
    /// A member outside of any group.
    pub fn commit_listing(&mut self, signature_key: Vec<u8>) -> Result<Vec<u8>, Refused> {
        let before = self.credential.clone();
        self.credential.signature_key = signature_key.into();
        let name = BasicCredential::try_from(before.credential.clone())?.identity().to_vec();
        let sent = self.commit_as(std::str::from_utf8(&name)?);
        self.credential = before;
        Ok(sent?.commit)
    }
}

impl<C: TestCrypto> StockOpenMls<C> {
    /// Creates a group with a leaf of its own whose lifetime has ended, adds those of these KeyPackages without
    /// touching that leaf, and returns their Welcome.
    pub(crate) fn create_ended(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
    ) -> Result<Vec<u8>, Refused> {
        const DAY: u64 = 24 * 60 * 60;
        let now = SystemClock.now();
        let ended = Lifetime::init(now - 80 * DAY, now - DAY);
        let config = config::create_for(self.ciphersuite, self.framing, self.door, ended)?;
        let (id, credential) = (GroupId::from_slice(group_id), self.credential.clone());
        let (provider, signer) = (&self.provider, &*self.signer);
        let mut group = MlsGroup::new_with_group_id(provider, signer, &config, id, credential)?;
        let mut adds = Vec::new();
        for bytes in key_packages {
            let MlsMessageBodyIn::KeyPackage(key_package) = parse(bytes)?.extract() else {
                return Err("this is no KeyPackage".into());
            };
            adds.push(key_package.validate(provider.crypto(), ProtocolVersion::Mls10)?);
        }
        let bundle = group
            .commit_builder()
            .propose_adds(adds)
            .load_psks(provider.storage())?
            .build(provider.rand(), provider.crypto(), signer, |_| true)?
            .stage_commit(provider)?;
        let welcome = bundle.to_welcome_msg().ok_or("a commit that adds has a Welcome")?;
        group.merge_pending_commit(provider)?;
        self.group = Some(group);
        Ok(welcome.to_bytes()?)
    }

    /// A commit of nothing but a path, of which the hook makes what it likes.
    fn commit_by(&mut self, hook: &Forging<'_>) -> Result<Vec<u8>, Refused> {
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let crypto = SteeredCrypto { inner: self.provider.crypto(), hook };
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), &crypto, &*self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        Ok(bundle.commit().to_bytes()?)
    }
}

/// Puts a Notify where a commit would be sealed to one recipient, and notes all recipients.
struct Forging<'a> {
    forge: Option<(&'a [u8], &'a ForgeNotify<'a>)>,
    recipients: Mutex<BTreeSet<Vec<u8>>>,
}

impl CryptoHook for Forging<'_> {
    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<HpkeCiphertext, CryptoError>> {
        let mut recipients = self.recipients.lock().ok()?;
        recipients.insert(asked.recipient.to_vec());
        let (_, forge) = self.forge.filter(|(recipient, _)| *recipient == asked.recipient)?;
        let SealedNotify { kem_output, ciphertext } = forge(asked.info);
        Some(Ok(HpkeCiphertext { kem_output: kem_output.into(), ciphertext: ciphertext.into() }))
    }
}

impl<C: TestCrypto> Liar for StockOpenMls<C> {
    fn commit_as(&mut self, identity: &str) -> Result<Sent, Refused> {
        let leaf = self.leaf_as(identity);
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let bundle = group
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), self.provider.crypto(), &*self.signer, |_| true)?
            .stage_commit(&self.provider)?;
        let commit = bundle.commit().to_bytes()?;
        Ok(Sent { commit, welcome: None, refresh: None, group_info: None, notify: None })
    }

    fn propose_update_as(&mut self, identity: &str) -> Result<Vec<u8>, Refused> {
        let leaf = self.leaf_as(identity);
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        let (proposal, _) = group.propose_self_update(&self.provider, &*self.signer, leaf)?;
        Ok(proposal.to_bytes()?)
    }

    fn forge_welcome(
        &self,
        key_package: &[u8],
        signer: LeafIndex,
        sign: &Sign,
    ) -> Result<Vec<u8>, Refused> {
        let MlsMessageBodyIn::KeyPackage(key_package) = parse(key_package)?.extract() else {
            return Err("this is no KeyPackage".into());
        };
        let crypto = self.provider.crypto();
        let key_package = key_package.validate(crypto, ProtocolVersion::Mls10)?;
        forge::welcome(crypto, self.group()?, &key_package, signer, sign)
    }

    fn recipients(&mut self) -> Result<Vec<Vec<u8>>, Refused> {
        let hook = Forging { forge: None, recipients: Mutex::default() };
        self.commit_by(&hook)?;
        let group = self.group.as_mut().ok_or("this member is in no group")?;
        group.clear_pending_commit(self.provider.storage())?;
        Ok(hook.recipients.into_inner().unwrap_or_default().into_iter().collect())
    }

    fn commit_with_notify(
        &mut self,
        recipient: &[u8],
        forge: &ForgeNotify<'_>,
    ) -> Result<Vec<u8>, Refused> {
        let forge = Some((recipient, forge));
        self.commit_by(&Forging { forge, recipients: Mutex::default() })
    }

    fn own_signature(&self) -> Result<(LeafIndex, Sign), Refused> {
        let own = LeafIndex::new(self.group()?.own_leaf_index().u32()).ok_or("no such leaf")?;
        let signer = Arc::clone(&self.signer);
        let sign =
            move |message: &[u8]| Ok(signer.sign(message).map_err(|_| "OpenMLS did not sign")?);
        Ok((own, Box::new(sign)))
    }

    fn group_info(&self) -> Result<Vec<u8>, Refused> {
        let info = self.group()?.export_group_info(self.provider.crypto(), &*self.signer, true)?;
        Ok(info.to_bytes()?)
    }

    fn rejoin_as(&mut self, identity: &str, group_info: &[u8]) -> Result<Sent, Refused> {
        let MlsMessageBodyIn::GroupInfo(info) = parse(group_info)?.extract() else {
            return Err("this is no GroupInfo".into());
        };
        if let Some(mut left) = self.group.take() {
            left.delete(self.provider.storage())?;
        }
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(config::join(self.framing))
            .build_group(&self.provider, info, self.credential_as(identity))?
            .leaf_node_parameters(self.leaf_as(identity))
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), self.provider.crypto(), &*self.signer, |_| true)?
            .finalize(&self.provider)?;
        self.group = Some(group);
        let commit = bundle.commit().to_bytes()?;
        Ok(Sent { commit, welcome: None, refresh: None, group_info: None, notify: None })
    }
}
