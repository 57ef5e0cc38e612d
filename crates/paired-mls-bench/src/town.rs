//! Groups to measure in: a phone and a sensor that are paired, among members of whom only keys remain.

use clap::ValueEnum;
use openmls::prelude::{Lifetime, MlsGroup};
use paired_mls::{DeviceId, Pairing, PairingId};
use paired_mls_openmls::{Group, LeafGroup, PackageKind, gate_capabilities};

use crate::{
    Failure,
    member::{CIPHERSUITE, GROUP_ID, Member, join_config},
    place::{Memory, Place},
};

/// What the ratchet tree looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tree {
    /// No parent node is blank.
    Full,
    /// Of the parent nodes, only those above the phone are not blank, and of these each names the
    /// other members as unmerged leaves.
    Blank,
}

/// Phone and sensor are neighbours, each in a leaf of its own.
pub(crate) struct NodeTown<S: Place> {
    pub(crate) phone: Member<S>,
    pub(crate) sensor: Member<S>,
}

impl<S: Place> NodeTown<S> {
    pub(crate) fn new(size: usize, tree: Tree) -> Result<Self, Failure> {
        let (phone, sensor) = (Member::<S>::new("phone")?, Member::<S>::new("sensor")?);
        let mut at_phone = phone.stock_create()?;
        let key_package = sensor.device.key_package(CIPHERSUITE)?;
        let (_, welcome) = phone.stock_add(&mut at_phone, &[key_package])?;
        let mut at_sensor = sensor.stock_join(&welcome)?;
        populate(&phone, &mut at_phone, size.saturating_sub(2), tree, |commit| {
            sensor.stock_process(&mut at_sensor, commit)
        })?;

        let pairing = Pairing::new(
            PairingId([1; 16]),
            [phone.device.signature_key(), sensor.device.signature_key()],
        );
        for (member, own) in [(&phone, DeviceId(0)), (&sensor, DeviceId(1))] {
            member.install(&pairing, own)?;
            Group::load(&member.device, GROUP_ID)?.pair(&member.device, &pairing)?;
        }
        Ok(Self { phone, sensor })
    }
}

/// Phone and sensor share the last leaf, in hidden mode.
pub(crate) struct LeafTown<S: Place> {
    pub(crate) phone: Member<S>,
    pub(crate) sensor: Member<S>,
    /// The member in the first leaf, which runs stock OpenMLS.
    pub(crate) other: Member<Memory>,
}

impl<S: Place> LeafTown<S> {
    pub(crate) fn new(size: usize, tree: Tree) -> Result<Self, Failure> {
        let (phone, sensor) = Member::<S>::two("alice")?;
        let pairing = Pairing::new(
            PairingId([1; 16]),
            [phone.device.signature_key(), sensor.device.signature_key()],
        );
        phone.install(&pairing, DeviceId(0))?;
        sensor.install(&pairing, DeviceId(1))?;
        let (phone, sensor) = (phone.behind_leaf(pairing.id), sensor.behind_leaf(pairing.id));
        let (kind, lifetime) = (PackageKind::Once, Lifetime::default());
        let package =
            Group::publish(&phone.device, pairing.id, kind, lifetime, gate_capabilities())?;
        LeafGroup::adopt(&sensor.device, pairing.id, &package)?;

        let other = Member::<Memory>::new("other")?;
        let mut at_other = other.stock_create()?;
        populate(&other, &mut at_other, size.saturating_sub(2), tree, |_| Ok(()))?;
        let (_, welcome) = other.stock_add(&mut at_other, &[package])?;
        let mut at_phone = Group::join(&phone.device, &welcome, &join_config())?;
        let mut at_sensor = Group::join(&sensor.device, &welcome, &join_config())?;
        // Its first commit: from now on the leaf is merged everywhere above it.
        let sent = at_phone.update(&phone.device)?;
        at_phone.confirm(&phone.device)?;
        at_sensor.process(&sensor.device, &sent.commit)?;
        other.stock_process(&mut at_other, &sent.commit)?;
        Ok(Self { phone, sensor, other })
    }
}

/// Adds `count` members, who are gone afterwards; `follow` is told each commit.
fn populate<S: Place>(
    first: &Member<S>,
    at_first: &mut MlsGroup,
    count: usize,
    tree: Tree,
    mut follow: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let newcomer = |n| Member::<Memory>::new(&format!("member {n}"));
    if tree == Tree::Blank {
        let package =
            |n| -> Result<_, Failure> { Ok(newcomer(n)?.device.key_package(CIPHERSUITE)?) };
        let packages = (0..count).map(package).collect::<Result<Vec<_>, _>>()?;
        if !packages.is_empty() {
            let (commit, _) = first.stock_add(at_first, &packages)?;
            follow(&commit)?;
        }
        return Ok(());
    }
    // Two join at a time, and the left one commits: every parent node is on somebody's path.
    for n in (0..count).step_by(2) {
        let (left, right) = (newcomer(n)?, newcomer(n + 1)?);
        let mut packages = vec![left.device.key_package(CIPHERSUITE)?];
        if n + 1 < count {
            packages.push(right.device.key_package(CIPHERSUITE)?);
        }
        let (commit, welcome) = first.stock_add(at_first, &packages)?;
        follow(&commit)?;
        let mut at_left = left.stock_join(&welcome)?;
        let commit = left.stock_commit(&mut at_left)?;
        first.stock_process(at_first, &commit)?;
        follow(&commit)?;
    }
    Ok(())
}
