//! The group of a device, with either anchor.

use openmls::prelude::{
    Capabilities, Lifetime, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use paired_mls::{Index, Pairing, PairingId};
use paired_mls_openmls::{
    Error, LeafGroup, Outgoing, PackageKind, PairedGroup, PeerError, UsageError, gate_capabilities,
};

use super::{
    AnchorKind,
    files::{CIPHERSUITE, FileDevice},
};
use crate::Failure;

pub(super) enum Member {
    Node(PairedGroup),
    Leaf(LeafGroup),
}

impl Member {
    /// The group as it lies on the disk; `None` if the device is not in it yet.
    pub(super) fn load(
        anchor: AnchorKind,
        device: &FileDevice,
        group_id: &[u8],
    ) -> Result<Option<Self>, Failure> {
        let loaded = match anchor {
            AnchorKind::Node => PairedGroup::load(device, group_id).map(Self::Node),
            AnchorKind::Leaf => LeafGroup::load(device, group_id).map(Self::Leaf),
        };
        match loaded {
            Ok(member) => Ok(Some(member)),
            Err(Error::Usage(UsageError::NoSuchGroup)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn join(
        anchor: AnchorKind,
        device: &FileDevice,
        pairing: PairingId,
        welcome: &[u8],
    ) -> Result<Self, Failure> {
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        Ok(match anchor {
            AnchorKind::Node => Self::Node(PairedGroup::join(device, welcome, &config)?),
            AnchorKind::Leaf => Self::Leaf(LeafGroup::join(device, pairing, welcome, &config)?),
        })
    }

    /// A leaf that is shared is paired from the start.
    pub(super) fn pair(&mut self, device: &FileDevice, pairing: &Pairing) -> Result<(), Failure> {
        match self {
            Self::Node(group) if !group.is_paired() => {
                group.pair(device, pairing)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn epoch(&self) -> u64 {
        match self {
            Self::Node(group) => group.epoch(),
            Self::Leaf(group) => group.epoch(),
        }
    }

    pub(super) fn authenticator(&self) -> Vec<u8> {
        let mls = match self {
            Self::Node(group) => group.mls(),
            Self::Leaf(group) => group.mls(),
        };
        mls.epoch_authenticator().as_slice().to_vec()
    }

    pub(super) fn pending_index(&self) -> Option<Index> {
        match self {
            Self::Node(group) => group.pending_index(),
            Self::Leaf(group) => group.pending_index(),
        }
    }

    /// A KeyPackage with which the partner can renew this device's leaf.
    pub(super) fn for_a_refresh(
        &self,
        device: &FileDevice,
        pairing: PairingId,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
        match self {
            Self::Node(_) => {
                PairedGroup::publish(device, pairing, lifetime, capabilities).map(Some)
            }
            Self::Leaf(_) => Ok(None),
        }
    }

    /// Commits; where the partner has published a KeyPackage, its leaf is renewed with it.
    pub(super) fn commit(
        &mut self,
        device: &FileDevice,
        published: Option<Vec<u8>>,
    ) -> Result<Outgoing, Error> {
        match (self, published) {
            (Self::Node(group), Some(package)) => group.refresh(device, &package),
            (Self::Node(group), None) => group.update(device),
            (Self::Leaf(group), _) => group.update(device),
        }
    }

    /// Processes a commit; `welcome` is what came with it, if it renews this device's leaf.
    pub(super) fn follow(
        &mut self,
        device: &FileDevice,
        commit: &[u8],
        welcome: Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        match (self.process(device, commit), self) {
            (Err(Error::Peer(PeerError::RefreshNeedsWelcome)), Self::Node(group)) => {
                let welcome = welcome.ok_or("the Welcome of a leaf refresh is lost")?;
                group.process_refresh(device, commit, &welcome)?;
                Ok(())
            }
            (done, _) => Ok(done?),
        }
    }

    pub(super) fn process(&mut self, device: &FileDevice, message: &[u8]) -> Result<(), Error> {
        match self {
            Self::Node(group) => group.process(device, message).map(drop),
            Self::Leaf(group) => group.process(device, message).map(drop),
        }
    }

    pub(super) fn confirm(&mut self, device: &FileDevice) -> Result<(), Error> {
        match self {
            Self::Node(group) => group.confirm(device).map(drop),
            Self::Leaf(group) => group.confirm(device).map(drop),
        }
    }

    pub(super) fn discard(&mut self, device: &FileDevice) -> Result<(), Error> {
        match self {
            Self::Node(group) => group.discard(device),
            Self::Leaf(group) => group.discard(device),
        }
    }
}

/// The KeyPackage that a device enters with: its own, or that of the leaf, which the first device has made
/// and the others adopt from `partner`. `None` if it is still to come.
pub(super) fn key_package(
    anchor: AnchorKind,
    device: &FileDevice,
    pairing: PairingId,
    partner: Partner,
) -> Result<Option<Vec<u8>>, Failure> {
    if anchor == AnchorKind::Node {
        return Ok(Some(device.key_package(CIPHERSUITE)?));
    }
    if let Some(known) = LeafGroup::packages(device, pairing)?.pop() {
        return Ok(Some(known));
    }
    Ok(match partner {
        Partner::IsLater => {
            let (kind, lifetime) = (PackageKind::Once, Lifetime::default());
            Some(LeafGroup::publish(device, pairing, kind, lifetime, gate_capabilities())?)
        }
        Partner::Published(None) => None,
        Partner::Published(Some(package)) => {
            LeafGroup::adopt(device, pairing, &package)?;
            Some(package)
        }
    })
}

/// The partner, when a shared leaf's KeyPackage is made.
pub(super) enum Partner {
    /// It adopts this device's.
    IsLater,
    /// It is the first, and has published one or not.
    Published(Option<Vec<u8>>),
}
