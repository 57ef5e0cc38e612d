//! KeyPackages from the tape: whoever steals the MLS state of a device does not have their private keys.
//!
//! A device stores of them what is public. The private keys are derived when a Welcome comes, and its
//! partners can derive them too: that is how a forged KeyPackage is told from a real one.

mod chain;

use alloc::{collections::BTreeMap, string::ToString as _, vec, vec::Vec};

use paired_mls::{
    CipherSuite, Index, PairingId, Secret, Vault,
    leaf::{Held, LeafPackage, LeafPackages, LeafRandomness, LeafUse, MAX_SKIP, PACKAGES_GROUP_ID},
    wire::{KeyPackage, LeafNodeSource, SignContent},
};
use tls_codec::{Serialize as _, VLByteSlice};

pub(crate) use self::chain::covered;
pub use self::chain::{Adopted, OVERLAP, WINDOW, WINDOWS, Window, adopt_chain, chain_for, missing};
use crate::{Error, Library, PeerError, Recorded, Replay, UsageError};

/// How long after the end of a KeyPackage its device can still open a Welcome to it, in seconds: a year.
const LATE_WELCOME: u64 = 366 * 24 * 60 * 60;

/// Reserves the tape value of a new KeyPackage, and [gives up](tidy) those that ended long ago.
///
/// # Errors
///
/// [`Error::Vault`].
pub fn begin(vault: &Vault, pairing: PairingId, now: u64) -> Result<(Index, Replay), Error> {
    tidy(vault, pairing, now)?;
    let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
    let index = vault.reserve(&tape, LeafPackages::context().epoch)?.index;
    Ok((index, replay(vault, pairing, index, Vec::new())?))
}

/// Gives up the kept KeyPackages, whichever device made them, that ended so long ago that they lead nowhere any
/// more.
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn tidy(vault: &Vault, pairing: PairingId, now: u64) -> Result<(), Error> {
    give_up(vault, pairing, |_| true, now.saturating_sub(LATE_WELCOME))
}

/// What makes a kept KeyPackage again, with the signatures that it has.
///
/// # Errors
///
/// [`Error::Vault`]; [`PeerError`] if it cannot be read.
pub fn again(vault: &Vault, pairing: PairingId, package: &LeafPackage) -> Result<Replay, Error> {
    let key_package = read(&package.key_package)?;
    replay(vault, pairing, package.index, signatures(&key_package))
}

fn replay(
    vault: &Vault,
    pairing: PairingId,
    index: Index,
    recorded: Vec<Recorded>,
) -> Result<Replay, Error> {
    let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
    let value = vault.preview(&tape, LeafPackages::spot(index))?;
    Ok(Replay::new(value, LeafUse::KeyPackage, &LeafPackages::context(), recorded)?)
}

/// The signatures of a KeyPackage.
fn signatures(key_package: &KeyPackage) -> Vec<Recorded> {
    let leaf = key_package.leaf_node();
    let public_key = leaf.signature_key().to_vec();
    vec![
        Recorded {
            label: SignContent::LEAF_NODE_TBS,
            public_key: public_key.clone(),
            signature: leaf.signature().to_vec(),
        },
        Recorded {
            label: SignContent::KEY_PACKAGE_TBS,
            public_key,
            signature: key_package.signature().to_vec(),
        },
    ]
}

/// Finds the tape position that a KeyPackage was made with: both of its HPKE keys are from there. Its age is
/// no matter.
///
/// # Errors
///
/// [`PeerError::NotFromTheTape`] if there is none: then it is a forgery.
pub fn authenticate(
    library: &impl Library,
    vault: &Vault,
    pairing: PairingId,
    key_package: &[u8],
) -> Result<Index, Error> {
    let kept = vault.load_leaf_packages(pairing)?.0;
    if let Some(known) = kept.iter().find(|known| known.key_package == key_package) {
        return Ok(known.index);
    }
    let parsed = read(key_package)?;
    let suite = suite_of(&parsed)?;
    let (tape, context) = (vault.open_group(pairing, PACKAGES_GROUP_ID)?, LeafPackages::context());
    let at = |index| {
        let value = vault.preview(&tape, LeafPackages::spot(index)).ok()?;
        let randomness = LeafRandomness::derive(value, LeafUse::KeyPackage, &context).ok()?;
        is_made_with(library, &parsed, &randomness).ok()?.then_some(index)
    };
    let found = vault.recognise(&tape, LeafUse::KeyPackage, &context, |material| {
        is_key(library, suite, material, parsed.init_key())
    })?;
    let beyond = || beyond(&kept).find_map(at);
    let index = found.and_then(|spot| at(spot.index)).or_else(beyond);
    Ok(index.ok_or(PeerError::NotFromTheTape)?)
}

fn is_key(
    library: &impl Library,
    suite: CipherSuite,
    material: &Secret,
    public_key: &[u8],
) -> bool {
    library.derive_public_key(suite, material).is_ok_and(|public| public == public_key)
}

/// Whether both HPKE keys of a KeyPackage are from these values of the tape.
fn is_made_with(
    library: &impl Library,
    key_package: &KeyPackage,
    randomness: &LeafRandomness,
) -> Result<bool, Error> {
    let suite = suite_of(key_package)?;
    let init = randomness.public_draw();
    let leaf = randomness.draw(1, init.len());
    let leaf_key = key_package.leaf_node().encryption_key();
    Ok(is_key(library, suite, init, key_package.init_key())
        && leaf.is_some_and(|leaf| is_key(library, suite, leaf, leaf_key)))
}

/// The positions after the last KeyPackage of each device that is kept, as many as are looked at in any
/// lane: those before it may be outstanding, however many they are.
fn beyond(kept: &[LeafPackage]) -> impl Iterator<Item = Index> {
    let mut last = BTreeMap::new();
    for package in kept {
        let position = last.entry(package.index.device()).or_insert(0);
        *position = package.index.position().max(*position);
    }
    last.into_iter().flat_map(|(device, position)| {
        let following = (1..=MAX_SKIP as u64).map(move |n| position.saturating_add(n));
        following.filter_map(move |position| Index::new(device, position))
    })
}

/// Keeps a KeyPackage for later.
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn keep(vault: &Vault, pairing: PairingId, package: LeafPackage) -> Result<(), Error> {
    let mut packages = vault.load_leaf_packages(pairing)?;
    if !packages.0.contains(&package) {
        packages.0.push(package);
        vault.store_leaf_packages(pairing, &packages)?;
    }
    Ok(())
}

/// Reserves a partner's KeyPackage for a commit of this device in a group: in another one it is not used meanwhile. A
/// commit there that is made again, because another one has won, uses it again.
///
/// # Errors
///
/// [`UsageError::PackageTaken`] if another group has it; [`Error::Vault`], [`Error::LeafRecord`].
pub fn take(
    vault: &Vault,
    pairing: PairingId,
    index: Index,
    key_package: &[u8],
    group_id: &[u8],
) -> Result<(), Error> {
    let mut packages = vault.load_leaf_packages(pairing)?;
    let held = Held::InGroup(group_id.to_vec());
    match packages.0.iter_mut().find(|kept| kept.index == index) {
        Some(kept) if kept.held == held => return Ok(()),
        Some(kept) if !kept.held.is_free_in(group_id) => {
            return Err(UsageError::PackageTaken.into());
        }
        Some(kept) => kept.held = held,
        None => packages.0.push(LeafPackage { index, key_package: key_package.to_vec(), held }),
    }
    Ok(vault.store_leaf_packages(pairing, &packages)?)
}

/// The kept KeyPackage that a Welcome is for, whatever its age: a Welcome may be late. `names` says whether
/// the Welcome names a reference.
///
/// # Errors
///
/// [`UsageError::NoTapeKeyPackage`] if it is for none; [`Error::Vault`], [`Error::Mls`].
pub fn package_for(
    library: &impl Library,
    vault: &Vault,
    pairing: PairingId,
    names: impl Fn(&[u8]) -> bool,
) -> Result<LeafPackage, Error> {
    for package in vault.load_leaf_packages(pairing)?.0 {
        if names(&reference(library, &package.key_package)?) {
            return Ok(package);
        }
    }
    Err(UsageError::NoTapeKeyPackage.into())
}

/// A KeyPackage has been used: it is given up, unless it is one of the last resort.
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn spend(vault: &Vault, pairing: PairingId, index: Index) -> Result<(), Error> {
    let mut packages = vault.load_leaf_packages(pairing)?;
    if let Some(kept) = packages.0.iter().find(|kept| kept.index == index) {
        if read(&kept.key_package)?.is_last_resort() {
            return Ok(());
        }
        packages.0.retain(|kept| kept.index != index);
        vault.store_leaf_packages(pairing, &packages)?;
    }
    let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
    Ok(vault.burn(&tape, LeafPackages::spot(index))?)
}

/// The KeyPackages of partners that a commit in this group can use, now or later: those that have ended are skipped,
/// and burned.
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn usable(
    vault: &Vault,
    pairing: PairingId,
    group_id: &[u8],
    now: u64,
) -> Result<Vec<LeafPackage>, Error> {
    let own = vault.pairing_info(pairing)?.own_device;
    give_up(vault, pairing, |package| package.index.device() != own, now)?;
    let mut usable = vault.load_leaf_packages(pairing)?.0;
    usable.retain(|package| package.index.device() != own && package.held.is_free_in(group_id));
    Ok(usable)
}

/// Burns the kept KeyPackages that have ended before `deadline`, of those that `is_one` says. One of the last
/// resort stays: its value serves again.
fn give_up(
    vault: &Vault,
    pairing: PairingId,
    is_one: impl Fn(&LeafPackage) -> bool,
    deadline: u64,
) -> Result<(), Error> {
    let ended = |package: &LeafPackage| {
        let read = read(&package.key_package).ok().filter(|read| !read.is_last_resort());
        read.and_then(|read| not_after(&read)).is_some_and(|end| end <= deadline)
    };
    let kept = vault.load_leaf_packages(pairing)?.0;
    for package in kept.iter().filter(|package| is_one(package) && ended(package)) {
        spend(vault, pairing, package.index)?;
    }
    Ok(())
}

/// Refuses a KeyPackage out of its time, by name.
///
/// # Errors
///
/// [`PeerError::OutOfTime`].
pub fn require_current(key_package: &KeyPackage, now: u64) -> Result<(), PeerError> {
    let leaf = key_package.leaf_node();
    let LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return Ok(());
    };
    let (not_before, not_after) = (lifetime.not_before(), lifetime.not_after());
    if (not_before..not_after).contains(&now) {
        return Ok(());
    }
    let of = leaf.credential().content().escape_ascii().to_string();
    Err(PeerError::OutOfTime { of, not_before, not_after, now })
}

fn not_after(key_package: &KeyPackage) -> Option<u64> {
    match key_package.leaf_node().source() {
        LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
        _ => None,
    }
}

/// Reads a KeyPackage, whatever its age.
///
/// ```text
/// struct { ProtocolVersion version; WireFormat wire_format; KeyPackage key_package; } MLSMessage
/// ```
///
/// # Errors
///
/// [`PeerError::Kind`] for another message, [`PeerError::Message`] for what cannot be read.
pub fn read(message: &[u8]) -> Result<KeyPackage, PeerError> {
    const HEADER: [u8; 4] = [0, 1, 0, 5];
    let key_package = message.strip_prefix(&HEADER).ok_or(PeerError::Kind("KeyPackage"))?;
    KeyPackage::decode(key_package).map_err(PeerError::message)
}

fn suite_of(key_package: &KeyPackage) -> Result<CipherSuite, UsageError> {
    CipherSuite::try_from(key_package.cipher_suite()).map_err(|_| UsageError::CipherSuite)
}

/// The reference of a KeyPackage (RFC 9420 section 5.2):
///
/// ```text
/// MakeKeyPackageRef(value) = RefHash("MLS 1.0 KeyPackage Reference", value)
/// RefHash(label, value)    = Hash(label<V> || value<V>)
/// ```
///
/// # Errors
///
/// [`PeerError`] if it cannot be read; [`Error::Mls`].
pub fn reference(library: &impl Library, message: &[u8]) -> Result<Vec<u8>, Error> {
    const LABEL: &[u8] = b"MLS 1.0 KeyPackage Reference";
    let suite = suite_of(&read(message)?)?;
    let value = message.get(4..).unwrap_or_default();
    let mut input = Vec::new();
    for part in [LABEL, value] {
        let part = VLByteSlice(part).tls_serialize_detached();
        input.extend(part.map_err(Error::mls("serialize a KeyPackage"))?);
    }
    let hashed = library.hash(suite, &input);
    hashed.map_err(|source| Error::Mls { step: "hash a KeyPackage", source })
}
