//! A stock member on OpenMLS who says that it is somebody else.

use std::sync::Arc;

use openmls::prelude::{
    BasicCredential, CredentialWithKey, LeafNodeParameters, MlsGroup, MlsMessageBodyIn,
    ProtocolVersion,
};
use openmls_traits::{OpenMlsProvider as _, signatures::Signer as _};
use paired_mls::{
    anchor::LeafIndex,
    conformance::{Refused, Sent, Sign, liar::Liar},
};

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
