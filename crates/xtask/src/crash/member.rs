//! The group of a device, with either anchor.

use openmls::prelude::{Lifetime, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY};
use paired_mls::PairingId;
use paired_mls_openmls::{
    Error, Group, LeafGroup, Outgoing, PackageKind, PeerError, UsageError, gate_capabilities,
};

use super::{
    AnchorKind,
    files::{CIPHERSUITE, FileDevice},
};
use crate::Failure;

/// The group as it lies on the disk; `None` if the device is not in it yet.
pub(super) fn load(device: &FileDevice, group_id: &[u8]) -> Result<Option<Group>, Failure> {
    match Group::load(device, group_id) {
        Ok(group) => Ok(Some(group)),
        Err(Error::Usage(UsageError::NoSuchGroup)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn join(device: &FileDevice, welcome: &[u8]) -> Result<Group, Failure> {
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();
    Ok(Group::join(device, welcome, &config)?)
}

/// Commits; where the partner has published a KeyPackage, its leaf is renewed with it.
pub(super) fn commit(
    group: &mut Group,
    device: &FileDevice,
    published: Option<Vec<u8>>,
) -> Result<Outgoing, Error> {
    match (group.node_mut(), published) {
        (Some(group), Some(package)) => group.refresh(device, &package),
        _ => group.update(device),
    }
}

/// Processes a commit; `welcome` is what came with it, if it renews this device's leaf.
pub(super) fn follow(
    group: &mut Group,
    device: &FileDevice,
    commit: &[u8],
    welcome: Option<Vec<u8>>,
) -> Result<(), Failure> {
    match (group.process(device, commit), group.node_mut()) {
        (Err(Error::Peer(PeerError::RefreshNeedsWelcome)), Some(group)) => {
            let welcome = welcome.ok_or("the Welcome of a leaf refresh is lost")?;
            group.process_refresh(device, commit, &welcome)?;
            Ok(())
        }
        (done, _) => Ok(done.map(drop)?),
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
            Some(Group::publish(device, pairing, kind, lifetime, gate_capabilities())?)
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
