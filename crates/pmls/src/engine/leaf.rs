//! The leaf that the devices of a pairing share: the device as it acts behind it, and its KeyPackages.

use std::collections::BTreeMap;

use paired_mls::{
    DeviceId as Number, PairingId,
    leaf::SignatureKeys,
    pairing::{AnchorKind, Mode, PairingDevice, PairingState, Party, Terms},
};
use paired_mls_api::{Base64Url, DeviceId, KeyPackageUpload, RegisterDevice};
use paired_mls_openmls::{
    Error, Group as MlsPaired, PackageKind, PeerError, VaultKey, gate_capabilities,
    openmls::prelude::{BasicCredential, Capabilities, CredentialWithKey},
};

use super::{Engine, EngineError, Group, Offers, group::lifetime, item::Item};
use crate::{
    output::{printable, short},
    session::{Client, OwnDevice, Session},
};

impl Engine {
    /// The terms of a pairing that has come about; those of one that is ending too.
    pub(super) fn terms(&self, pairing: PairingId) -> Result<Terms, EngineError> {
        let state = self.book().load(pairing)?;
        let terms = terms_of(&state).cloned();
        terms.ok_or_else(|| EngineError::NotPaired { pairing, state: state.name() })
    }

    /// The number of this device in a pairing, if it is of it.
    pub(super) fn own_number(&self, terms: &Terms) -> Option<Number> {
        terms.roster().number_of(&self.party())
    }

    /// The partners in a pairing, with their ids at the service.
    pub(super) fn partners_of(
        &self,
        pairing: PairingId,
    ) -> Result<Vec<(Number, DeviceId)>, EngineError> {
        let own = self.party();
        let scheme = self.scheme()?;
        let terms = self.terms(pairing)?;
        let others = terms.roster().devices().iter().filter(|device| device.party != own);
        Ok(others
            .map(|device| (device.device, DeviceId::of_key(scheme, &device.party.signature_key)))
            .collect())
    }

    /// The devices of the pairing in a group, for people.
    pub(super) fn names(&self, group: &Group) -> Result<BTreeMap<u16, String>, EngineError> {
        let Some(pairing) = group.any_pairing() else { return Ok(BTreeMap::new()) };
        let (own, scheme) = (self.party(), self.scheme()?);
        let terms = self.terms(pairing)?;
        let name = |device: &PairingDevice| {
            let Party { identity: user, signature_key } = &device.party;
            if device.party == own {
                return (device.device.0, "this device".to_owned());
            }
            let id = DeviceId::of_key(scheme, signature_key).to_string();
            (device.device.0, format!("{}/{}", printable(user), short(&id)))
        };
        Ok(terms.roster().devices().iter().map(name).collect())
    }

    /// This device as it acts behind the leaf of a pairing: in hidden mode with the leaf's key, in
    /// standard mode with its own, which the leaf lists.
    pub(super) fn behind_leaf(&self, pairing: PairingId) -> Result<OwnDevice, EngineError> {
        let terms = self.terms(pairing)?;
        let session = &self.session;
        let (key, signature_key) = match terms.mode() {
            Mode::Hidden { anchor_key } => (VaultKey::Anchor(pairing), anchor_key.clone()),
            Mode::Standard(_) => {
                let devices = terms.roster().devices();
                let keys = devices.iter().map(|device| device.party.signature_key.clone());
                let keys = SignatureKeys::new(keys.collect(), self.scheme()?.key_len())
                    .map_err(PeerError::SignatureKeys)
                    .map_err(Error::from)?;
                (VaultKey::Own, keys.encode())
            }
        };
        let credential = CredentialWithKey {
            credential: BasicCredential::new(session.profile().user.as_bytes().to_vec()).into(),
            signature_key: signature_key.into(),
        };
        let device = session.device_with(key, credential)?.with_shared_leaf(pairing);
        self.with_proofs(pairing, &terms, device)
    }

    /// Makes KeyPackages from the tape of a pairing, and hands them to whoever is to have them: those of
    /// a shared leaf to the service and to the partners, those for a leaf refresh to the partners only.
    ///
    /// Returns how many there are.
    pub(super) fn publish_from_tape(
        &self,
        pairing: PairingId,
        count: usize,
        last_resort: LastResort,
    ) -> Result<usize, EngineError> {
        let terms = self.terms(pairing)?;
        if !self.is_proven(pairing, &terms)? {
            return Err(EngineError::NotProven(pairing));
        }
        let partners = self.partners_of(pairing)?;
        self.device().provider().transaction(|| {
            let mut upload = KeyPackageUpload::default();
            for _ in 0..count {
                upload
                    .key_packages
                    .push(self.make_package(pairing, &terms, PackageKind::Once)?.into());
            }
            if last_resort == LastResort::Included && terms.anchor() == AnchorKind::Leaf {
                let package = self.make_package(pairing, &terms, PackageKind::LastResort)?;
                upload.last_resort.push(package.into());
            }
            let all = upload.key_packages.iter().chain(&upload.last_resort);
            for (package, (_, partner)) in
                all.flat_map(|package| partners.iter().map(move |partner| (package, partner)))
            {
                self.enqueue(&Item::letter(partner.clone(), &package.0)?)?;
            }
            match (terms.anchor(), terms.mode()) {
                (AnchorKind::Node, _) => Ok(()),
                (AnchorKind::Leaf, Mode::Standard(_)) => {
                    self.enqueue(&Item::Packages(upload)).map(drop)
                }
                (AnchorKind::Leaf, Mode::Hidden { .. }) => {
                    self.enqueue(&Item::AnchorPackages { pairing: pairing.0, upload }).map(drop)
                }
            }
        })?;
        Ok(count)
    }

    fn make_package(
        &self,
        pairing: PairingId,
        terms: &Terms,
        kind: PackageKind,
    ) -> Result<Vec<u8>, EngineError> {
        let capabilities = leaf_capabilities(terms);
        let publish = |device: &OwnDevice| {
            MlsPaired::publish(device, pairing, kind, lifetime(), capabilities)
        };
        Ok(match terms.anchor() {
            AnchorKind::Node => publish(self.device())?,
            AnchorKind::Leaf => publish(&self.behind_leaf(pairing)?)?,
        })
    }

    /// A pairing with a shared leaf has come about. Its initiator registers the leaf's key at the
    /// directory, so that KeyPackages of it can be offered, and offers them; each device offers none of
    /// its own any more: from outside there is one client.
    pub(super) fn open_leaf(&self, pairing: PairingId) -> Result<(), EngineError> {
        let terms = self.terms(pairing)?;
        if self.own_number(&terms) == Some(terms.initiator()) {
            if let Mode::Hidden { anchor_key } = terms.mode() {
                let register = RegisterDevice {
                    user: self.session.profile().user.clone(),
                    scheme: self.scheme()?,
                    signature_key: Base64Url(anchor_key.clone()),
                };
                self.enqueue(&Item::Anchor { pairing: pairing.0, register })?;
            }
            self.withdraw_own()?;
            self.offer_leaf(pairing, &terms)?;
        } else {
            self.withdraw_own()?;
        }
        Ok(())
    }

    /// From outside the leaf is one client: the device offers nothing of its own any more.
    fn withdraw_own(&self) -> Result<(), EngineError> {
        self.store().set_offers(Offers::Nothing)?;
        self.enqueue(&Item::Withdraw).map(drop)
    }

    /// The id, at the service, of the key of a hidden leaf.
    pub(super) fn anchor_id(&self, terms: &Terms) -> Result<Option<DeviceId>, EngineError> {
        Ok(match terms.mode() {
            Mode::Hidden { anchor_key } => Some(DeviceId::of_key(self.scheme()?, anchor_key)),
            Mode::Standard(_) => None,
        })
    }
}

/// How many KeyPackages a shared leaf offers at first.
pub(super) const KEY_PACKAGES: usize = 8;

/// Whether a KeyPackage of the last resort is made as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastResort {
    Included,
    Omitted,
}

/// A hidden leaf lists what any client lists, and a leaf with several signature keys that it knows such.
fn leaf_capabilities(terms: &Terms) -> Capabilities {
    match (terms.anchor(), terms.mode()) {
        (AnchorKind::Leaf, Mode::Standard(_)) => gate_capabilities(),
        _ => Capabilities::default(),
    }
}

/// What the devices have agreed on, as far as they have.
pub(super) fn terms_of(state: &PairingState) -> Option<&Terms> {
    match state {
        PairingState::Invited(invited) => Some(invited.terms()),
        PairingState::Paired(paired) => Some(paired.terms()),
        PairingState::Ceasing(ceasing) => Some(ceasing.terms()),
        PairingState::Ceased(ceased) => Some(ceased.terms()),
        _ => None,
    }
}

/// The service as the key of a hidden leaf sees it.
pub(super) fn anchor_client(session: &Session, pairing: [u8; 16]) -> Result<Client, EngineError> {
    let pairing = PairingId(pairing);
    Ok(session.client_with(VaultKey::Anchor(pairing))?)
}
