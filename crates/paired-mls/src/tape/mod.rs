//! The shared random tape.
//!
//! The devices of a pairing hold the same tape: a source of randomness that one of them draws from
//! when it updates the group on behalf of the others, who then read the same value. A value is
//! read once: reading punctures the tape, so that neither a replay nor a later thief of the tape
//! can compute it again.
//!
//! ```text
//! root          = KDF.Extract("PMLS 02", seed)
//! notify_secret = ExpandWithLabel(root, "notify", pairing_id, Nh)
//! accept_secret = ExpandWithLabel(root, "accept", pairing_id, Nh)
//! tape_root     = ExpandWithLabel(root, "tape",   pairing_id, Nh)
//! ```
//!
//! `tape_root` is the root of a puncturable pseudorandom function over 64-bit indices. Each value of it
//! opens one device's lane of the **tape of one group**, when that device first commits there: nothing
//! in one group tells about another, and losing one costs only that one.
//!
//! A [`Tape`] lives inside a [`Vault`](crate::Vault), which alone decides when a value leaves it.
//!
//! # The life of a value
//!
//! ```text
//!            draw         own lane, for what is made once
//!   free ─────────────────────────────────────────────────────► spent
//!    │  │    reserve      own lane, for what is made twice        ▲ ▲
//!    │  └──────────────► reserved ───────────── burn ─────────────┘ │
//!    │       claim        a partner's lane, for one message         │
//!    ├─────────────────► in flight ──────────── settle ─────────────┤
//!    │       burn         a partner's lane, of what was made again  │
//!    ├──────────────────────────────────────────────────────────────┤
//!    │       forget       what lies before it is followed, or there is no more room
//!    └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! | arrow | when it is gone from the stored tape | who reads it |
//! |---|---|---|
//! | draw | before it is released | the caller, once |
//! | reserve, burn | by `burn`, once the commit that was made with it is merged | `preview`, before that |
//! | claim, settle | by `claim`; a copy stays beside the tape until `settle` | whoever brings the same message again |
//! | forget | at once | nobody |
//!
//! `preview` reads a value that is free or reserved, and moves nothing. To *open* a lane is to claim or draw a
//! value of the pairing's tape, for the tape of a group.

mod group;
mod index;
mod path;
mod pprf;
mod record;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use pprf::Pprf;
use thiserror::Error;

use self::group::Lanes;
pub(crate) use self::group::PACKAGES_OPENING;
pub use self::{
    group::{FIRST_OPENING, SKIPPED_OPENINGS},
    index::{DeviceId, Index, Spot},
    path::PathSecret,
    pprf::MAX_LANE_NODES,
    record::RecordError,
    value::{EpochContext, TapeValue},
};
use crate::{CipherSuite, DerivationTooLong, Secret};

/// Identifies a pairing: 16 bytes that its devices agree on, not secret, used once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairingId(pub [u8; 16]);

impl fmt::Debug for PairingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairingId({self})")
    }
}

impl fmt::Display for PairingId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The seed of a tape: Nh random bytes from hardware, an offline file or the 1-to-1 channel.
#[derive(Debug)]
pub struct Seed(Secret);

impl Seed {
    /// Parses a seed for `suite`.
    ///
    /// # Errors
    ///
    /// [`TapeError::SeedLength`] if `bytes` is not exactly Nh bytes.
    pub fn new(suite: CipherSuite, bytes: Secret) -> Result<Self, TapeError> {
        let (found, expected) = (bytes.len(), suite.kdf_len());
        (found == expected).then_some(Self(bytes)).ok_or(TapeError::SeedLength { found, expected })
    }
}

/// Why the tape refused. The tape is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TapeError {
    /// The seed does not have the length of the suite's KDF output.
    #[error("the seed has {found} bytes and the cipher suite needs {expected}: draw a new seed")]
    SeedLength {
        /// Length of the given seed, in bytes.
        found: usize,
        /// Nh, in bytes.
        expected: usize,
    },
    /// The pairing has fewer than two devices, one of them twice, or a reserved number.
    #[error("a pairing needs two or more devices with distinct numbers below 65535")]
    Devices,
    /// The own device is not in the list of the pairing's devices.
    #[error("{0} is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// The index lies in the own lane, which only this device writes.
    #[error("index {0} lies in this device's own lane: nobody else may draw it")]
    OwnLane(Index),
    /// The value of this index was taken before, given up, or is in flight for another message.
    #[error("this index of the tape is spent: a message was replayed, or comes too late")]
    Spent,
    /// All 2⁴⁸ positions of the own lane are used.
    #[error("the lane of {0} is used up: pair again")]
    LaneExhausted(DeviceId),
    /// A partner has opened its lane of a group's tape with a value that this device no longer has.
    #[error(
        "the opening {0} of a partner's lane is spent: one of the two vaults is an older copy, or the opening was given up; rejoin the group, so that the partner opens its lane anew"
    )]
    OpeningSpent(Index),
    /// An input does not fit RFC 9420's `KDFLabel`.
    #[error(transparent)]
    Derivation(#[from] DerivationTooLong),
}

/// One device's copy of the shared random tape of a pairing, or of its tape for one group.
///
/// Deliberately not `Clone`: a second copy would give every value a second time.
pub struct Tape {
    suite: CipherSuite,
    own: DeviceId,
    /// In ascending order, without duplicates.
    devices: Vec<DeviceId>,
    /// The first position of the own lane that was never drawn.
    next: u64,
    notify_secret: Secret,
    accept_secret: Secret,
    pprf: Pprf,
    in_flight: Option<InFlight>,
    /// `None` for the tape of the pairing itself.
    lanes: Option<Lanes>,
}

/// A value that was claimed for one message and not yet settled: what lets a device that died
/// between reading the tape and storing the new epoch process the same message again.
struct InFlight {
    index: Index,
    binding: Vec<u8>,
    value: Secret,
}

/// A value whose index is punctured in memory, and which is not released before the punctured
/// tape is stored.
///
/// This makes one mistake impossible: to use a value while the stored tape can still give it
/// again. Only the vault holds a [`Stored`] receipt.
#[must_use = "store the tape, then release the value"]
pub(crate) struct Staged {
    spot: Spot,
    value: Secret,
}

/// The receipt for a stored tape; only [`Vault`](crate::Vault) makes one.
pub(crate) struct Stored(());

impl Stored {
    pub(crate) fn after_write() -> Self {
        Self(())
    }
}

impl Tape {
    /// Derives the tape of a pairing and erases `seed` and `root`.
    ///
    /// # Errors
    ///
    /// [`TapeError::Devices`] if `devices` is not a list of two or more distinct devices,
    /// [`TapeError::ForeignDevice`] if `own` is not among them, [`TapeError::SeedLength`] if the
    /// seed was parsed for a suite with another Nh.
    pub fn new(
        suite: CipherSuite,
        seed: Seed,
        pairing: &PairingId,
        devices: &[DeviceId],
        own: DeviceId,
    ) -> Result<Self, TapeError> {
        let Seed(seed) = Seed::new(suite, seed.0)?;
        let root = suite.extract(&seed);
        let mut devices = devices.to_vec();
        devices.sort_unstable();
        let distinct = devices.is_sorted_by(|a, b| a < b);
        if devices.len() < 2 || !distinct || devices.contains(&DeviceId::RESERVED) {
            return Err(TapeError::Devices);
        }
        if !devices.contains(&own) {
            return Err(TapeError::ForeignDevice(own));
        }
        let derive = |label| suite.expand_with_label(&root, label, &pairing.0, suite.kdf_len());
        Ok(Self {
            suite,
            own,
            devices,
            next: 0,
            notify_secret: derive("notify")?,
            accept_secret: derive("accept")?,
            pprf: Pprf::new(suite, derive("tape")?),
            in_flight: None,
            lanes: None,
        })
    }

    /// The cipher suite of the pairing.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// The device that holds this copy.
    pub fn own_device(&self) -> DeviceId {
        self.own
    }

    /// All devices of the pairing, in ascending order.
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices
    }

    /// The number of stored nodes: a measure of the holes, at most [`MAX_LANE_NODES`] in each lane.
    pub fn stored_nodes(&self) -> usize {
        self.pprf.nodes().len()
    }

    /// Whether the value of `index` can still be read.
    pub fn holds(&self, index: Index) -> bool {
        self.pprf.holds(index.bits())
    }

    pub(crate) fn notify_secret(&self) -> &Secret {
        &self.notify_secret
    }

    pub(crate) fn accept_secret(&self) -> &Secret {
        &self.accept_secret
    }

    /// Draws the next value of the own lane, from position `from` on.
    pub(crate) fn draw(&mut self, from: u64) -> Result<Staged, TapeError> {
        let index = self.upcoming(from)?;
        let staged = self.take(index)?;
        self.next = index.position() + 1;
        Ok(staged)
    }

    /// Sets the next position of the own lane aside: it is never drawn again, and its value stays on
    /// the tape until it is [burned](Tape::burn). For what this device has to make twice.
    pub(crate) fn reserve(&mut self, from: u64) -> Result<Spot, TapeError> {
        let index = self.upcoming(from)?;
        self.next = index.position() + 1;
        Ok(self.spot(index))
    }

    fn upcoming(&self, from: u64) -> Result<Index, TapeError> {
        let next = Index::new(self.own, self.next.max(from));
        next.and_then(|next| self.next_held(next)).ok_or(TapeError::LaneExhausted(self.own))
    }

    /// Erases the value at `index`, if it is still there. Returns whether it was.
    pub(crate) fn burn(&mut self, index: Index) -> Result<bool, TapeError> {
        match self.take(index) {
            Ok(_) => Ok(true),
            Err(TapeError::Spent) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the value that another device has drawn, for one message, which `binding` names.
    ///
    /// The value stays in flight until it is [settled](Tape::settle): if the process dies before it has
    /// stored what the message led to, the same index is given again, for the same binding only.
    pub(crate) fn claim(&mut self, index: Index, binding: &[u8]) -> Result<Staged, TapeError> {
        if !self.devices.contains(&index.device()) {
            return Err(TapeError::ForeignDevice(index.device()));
        }
        if index.device() == self.own {
            return Err(TapeError::OwnLane(index));
        }
        if let Some(flight) = &self.in_flight
            && flight.index == index
            && flight.binding == binding
        {
            let value = Secret::copy_of(flight.value.expose());
            return Ok(Staged { spot: self.spot(index), value });
        }
        let staged = self.take(index)?;
        self.in_flight = Some(InFlight {
            index,
            binding: binding.to_vec(),
            value: Secret::copy_of(staged.value.expose()),
        });
        Ok(staged)
    }

    /// Erases the value in flight, if any: what it led to is stored. Returns whether there was one.
    pub(crate) fn settle(&mut self) -> bool {
        self.in_flight.take().is_some()
    }

    /// Gives up every value of a device's lane before `index`, and with them the holes there.
    pub(crate) fn forget_before(&mut self, index: Index) -> Result<(), TapeError> {
        if !self.devices.contains(&index.device()) {
            return Err(TapeError::ForeignDevice(index.device()));
        }
        let lane = index.bits() & !Index::MAX_POSITION;
        self.pprf.forget(lane, index.bits())
    }

    /// Reads the value at `index`, which stays on the tape.
    pub(crate) fn preview(&self, index: Index) -> Result<TapeValue, TapeError> {
        if !self.devices.contains(&index.device()) {
            return Err(TapeError::ForeignDevice(index.device()));
        }
        Ok(TapeValue::new(self.suite, self.spot(index), self.pprf.evaluate(index.bits())?.value))
    }

    /// The first index from `index` on, in the same lane, whose value can still be read.
    pub(crate) fn next_held(&self, index: Index) -> Option<Index> {
        let next = self.pprf.first_held(index.bits())?;
        Some(Index::from_bytes(next.to_be_bytes())).filter(|next| next.device() == index.device())
    }

    fn take(&mut self, index: Index) -> Result<Staged, TapeError> {
        let evaluation = self.pprf.evaluate(index.bits())?;
        let value = self.pprf.puncture(evaluation);
        self.trim(index.device());
        Ok(Staged { spot: self.spot(index), value })
    }
}

impl Staged {
    /// Releases the value: the tape that no longer gives it is stored.
    pub(crate) fn release(self, suite: CipherSuite, _: &Stored) -> TapeValue {
        TapeValue::new(suite, self.spot, self.value)
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("suite", &self.suite)
            .field("own", &self.own)
            .field("devices", &self.devices)
            .field("next", &self.next)
            .field("stored_nodes", &self.stored_nodes())
            .finish_non_exhaustive()
    }
}
