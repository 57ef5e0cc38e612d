//! What the vault does for a shared leaf.
//!
//! A commit of a shared leaf is made twice: by the device that sends it, which has to know the bytes,
//! and again by every device, the sender included, when the delivery service has accepted it. So the
//! value stays on the tape between [`Vault::reserve`] and [`Vault::burn_through`]; what may never
//! happen, that one index serves two commits, is kept from happening by the reservation, which is
//! stored first.

use thiserror::Error;

use super::{
    LeafMessage, LeafNotifyError, LeafPackages, LeafRandomness, LeafRecord, LeafRecordError,
    LeafUse, PACKAGES_GROUP_ID, SALT_LEN,
};
use crate::{
    DeviceId, EpochContext, Index, PairingId, RecordName, Secret, Spot, Tape, TapeId, TapeValue,
    Vault, VaultError,
    vault::{Lane, partners, state_of},
};

/// How many positions of each open lane a follower without a Notify looks at, from the first that is
/// for the epoch and not spent: a bound on the work that a forged commit causes. A partner burns a
/// position with each commit that it gives up.
pub const MAX_SKIP: usize = 64;

/// The same, for each lane that a partner may have opened and this device does not know of.
const TRIED_POSITIONS: usize = 4;

/// Why the vault refused something for a shared leaf. Nothing has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeafVaultError {
    /// The vault itself failed or refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A Notify could not be written, or was refused.
    #[error(transparent)]
    Notify(#[from] LeafNotifyError),
    /// A stored leaf record cannot be read or written.
    #[error(transparent)]
    Record(#[from] LeafRecordError),
}

impl Vault {
    /// Finds the value that something was made with, by the key that stands in the open: of the next
    /// [`MAX_SKIP`] positions of each open lane, and of some in lanes that a device may have opened
    /// since. Nothing is spent.
    ///
    /// `is_it` is given the key material and says whether its public key is the one.
    ///
    /// Returns `None` if no index fits.
    ///
    /// # Security
    ///
    /// What `is_it` is given is a secret of an epoch that does not exist yet, and is erased after the
    /// call: it must not be kept.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn recognise(
        &self,
        tape: &TapeId,
        usage: LeafUse,
        context: &EpochContext,
        is_it: impl Fn(&Secret) -> bool,
    ) -> Result<Option<Spot>, VaultError> {
        let search = Search::begin(self, tape, context.epoch)?;
        let fits = |value: &TapeValue| {
            Ok::<_, VaultError>(is_it(&LeafRandomness::public_key_material(value, usage, context)?))
        };
        for spot in search.devices().flat_map(|device| search.in_open_lane(device, MAX_SKIP)) {
            if let Ok(value) = search.group.preview(spot.index)
                && fits(&value)?
            {
                return Ok(Some(spot));
            }
        }
        for spot in search.devices().flat_map(|device| search.in_other_lanes(device)) {
            let value =
                search.parent.as_ref().map(|parent| parent.preview_through(&tape.group_id, spot));
            if let Some(Ok(value)) = value
                && fits(&value)?
            {
                return Ok(Some(spot));
            }
        }
        Ok(None)
    }

    /// The next `count` positions of each partner's lane for a commit that creates `epoch`; if the lane is
    /// not open, those of the likeliest opening, and the first one of as many others.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn upcoming(
        &self,
        tape: &TapeId,
        epoch: u64,
        count: usize,
    ) -> Result<Vec<Spot>, VaultError> {
        let search = Search::begin(self, tape, epoch)?;
        let of_each = |device| {
            let open = search.in_open_lane(device, count);
            let unopened = search.group.opening(device).is_none();
            let others = search.in_other_lanes(device);
            let likeliest = others.iter().take(TRIED_POSITIONS.min(count)).copied();
            let further = others.iter().step_by(TRIED_POSITIONS).skip(1).take(count).copied();
            let closed: Vec<_> = likeliest.chain(further).filter(|_| unopened).collect();
            open.into_iter().chain(closed)
        };
        Ok(partners(&search.group).flat_map(of_each).collect())
    }

    /// Writes a message for the other devices of the leaf, in `epoch` of the tape's group; returns its
    /// `MLSMessage`. `salt` is 28 fresh random bytes.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`LeafNotifyError::TooLarge`].
    pub fn seal_leaf_message(
        &self,
        tape: &TapeId,
        message: &LeafMessage,
        epoch: u64,
        salt: [u8; SALT_LEN],
    ) -> Result<Vec<u8>, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(message.seal(&tape, group_id, epoch, salt)?)
    }

    /// Opens a message of another device of the leaf, for `epoch` of the tape's group.
    ///
    /// # Errors
    ///
    /// [`LeafNotifyError::NotANotify`] where the message is another one, to be processed as ordinary
    /// MLS; every other [`LeafNotifyError`] refuses it. [`VaultError::Missing`] for an unknown tape.
    pub fn open_leaf_message(
        &self,
        tape: &TapeId,
        epoch: u64,
        message: &[u8],
    ) -> Result<LeafMessage, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(LeafMessage::open(&tape, group_id, epoch, message)?)
    }

    /// Reads what this device knows of a leaf that it shares; `None` if it shares none in that group.
    ///
    /// # Errors
    ///
    /// [`LeafVaultError::Record`] for a damaged record, [`VaultError::Storage`].
    pub fn load_leaf(&self, group_id: &[u8]) -> Result<Option<LeafRecord>, LeafVaultError> {
        let record = self.shelf().load(&RecordName::Leaf(group_id.to_vec()))?;
        record.map(|record| Ok(LeafRecord::from_record(&record)?)).transpose()
    }

    /// Stores what this device knows of a leaf that it shares.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_leaf(&self, record: &LeafRecord) -> Result<(), LeafVaultError> {
        let name = RecordName::Leaf(record.tape.group_id.clone());
        Ok(self.shelf().store(&name, &record.to_record()?)?)
    }

    /// Reads the KeyPackages of a shared leaf that no Welcome has used yet.
    ///
    /// # Errors
    ///
    /// [`LeafVaultError::Record`] for a damaged record, [`VaultError::Storage`].
    pub fn load_leaf_packages(&self, pairing: PairingId) -> Result<LeafPackages, LeafVaultError> {
        let record = self.shelf().load(&RecordName::LeafPackages(pairing))?;
        let packages = record.map(|record| LeafPackages::from_record(&record)).transpose()?;
        Ok(packages.unwrap_or_default())
    }

    /// Stores the KeyPackages of a shared leaf.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_leaf_packages(
        &self,
        pairing: PairingId,
        packages: &LeafPackages,
    ) -> Result<(), LeafVaultError> {
        let name = RecordName::LeafPackages(pairing);
        Ok(self.shelf().store(&name, &packages.to_record()?)?)
    }
}

/// Where a commit may come from whose Notify is not there.
struct Search {
    group: Tape,
    /// Without it, no lane can be opened.
    parent: Option<Tape>,
    epoch: u64,
    /// KeyPackages: all lanes are open, and positions are for no epoch.
    packages: bool,
}

impl Search {
    fn begin(vault: &Vault, tape: &TapeId, epoch: u64) -> Result<Self, VaultError> {
        let shelf = vault.shelf();
        let group = shelf.load_tape(&RecordName::SubTape(tape.clone()))?;
        let parent = shelf.load(&RecordName::Pairing(tape.pairing))?;
        let parent = parent.map(|record| Tape::from_record(&record)).transpose();
        let parent = parent.map_err(VaultError::from)?;
        Ok(Self { group, parent, epoch, packages: tape.group_id == PACKAGES_GROUP_ID })
    }

    fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.group.devices().to_vec().into_iter()
    }

    /// The first index that is for the epoch.
    fn first(&self, device: DeviceId) -> Option<Index> {
        Index::first_for(device, if self.packages { 0 } else { self.epoch })
    }

    fn in_open_lane(&self, device: DeviceId, count: usize) -> Vec<Spot> {
        let Some(opening) = self.group.opening(device) else { return Vec::new() };
        let first = self.first(device).and_then(|first| self.group.next_held(first));
        let next = |index: &Index| {
            let next = Index::new(index.device(), index.position() + 1)?;
            self.group.next_held(next)
        };
        let indices = std::iter::successors(first, next).take(count);
        indices.map(|index| Spot { opening, index }).collect()
    }

    /// The first positions of lanes that a device may have opened.
    fn in_other_lanes(&self, device: DeviceId) -> Vec<Spot> {
        let first = self.first(device).filter(|_| !self.packages);
        let (Some(first), Some(parent)) = (first, &self.parent) else {
            return Vec::new();
        };
        let mut openings = parent.likely_openings(device);
        openings.retain(|opening| {
            matches!(
                state_of(&self.group, Spot { opening: *opening, index: first }),
                Ok(Lane::ToOpen)
            )
        });
        let positions = (0..).take(TRIED_POSITIONS);
        let spots = openings.into_iter().flat_map(|opening| {
            let indices =
                positions.clone().map_while(|n: u64| Index::new(device, first.position() + n));
            indices.map(move |index| Spot { opening, index }).collect::<Vec<_>>()
        });
        spots.collect()
    }
}
