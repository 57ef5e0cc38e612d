//! Positions on the tape.

use std::fmt;

/// A device of a pairing: the number of its lane on the tape.
///
/// [`DeviceId::RESERVED`] is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u16);

impl DeviceId {
    /// The number that no device may have.
    pub const RESERVED: Self = Self(u16::MAX);
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {}", self.0)
    }
}

/// One position of the tape, `device:u16 || position:u48`, 8 bytes on the wire.
///
/// Each device of the pairing writes in a lane of its own, so that two devices that act at once
/// never use the same index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index(u64);

impl Index {
    /// The number of bits of a position within a lane.
    const POSITION_BITS: u32 = 48;

    /// The last position of a lane.
    pub const MAX_POSITION: u64 = (1 << Self::POSITION_BITS) - 1;

    /// The number of bits that count the attempts at one epoch.
    const ATTEMPT_BITS: u32 = 16;

    /// The index of `position` in the lane of `device`; `None` past [`Index::MAX_POSITION`].
    pub fn new(device: DeviceId, position: u64) -> Option<Self> {
        (position <= Self::MAX_POSITION)
            .then_some(Self(u64::from(device.0) << Self::POSITION_BITS | position))
    }

    /// The first index of a lane that a commit which creates `epoch` is made with:
    /// `position = epoch:u32 || attempt:u16`. `None` from epoch 2³² on.
    ///
    /// So a lane goes on behind everything that was ever followed in it, whatever the device that
    /// draws remembers: what a partner has followed has led to an epoch before this one.
    pub fn first_for(device: DeviceId, epoch: u64) -> Option<Self> {
        let position = epoch.checked_mul(1 << Self::ATTEMPT_BITS)?;
        Self::new(device, position)
    }

    /// The first index for the epoch that this one is for.
    pub(crate) fn first_of_its_epoch(self) -> Self {
        Self(self.0 & !((1 << Self::ATTEMPT_BITS) - 1))
    }

    /// The lane.
    pub fn device(self) -> DeviceId {
        let [hi, lo, ..] = self.0.to_be_bytes();
        DeviceId(u16::from_be_bytes([hi, lo]))
    }

    /// The position within the lane, from 0 to [`Index::MAX_POSITION`].
    pub fn position(self) -> u64 {
        self.0 & Self::MAX_POSITION
    }

    /// The 8 bytes `device:u16 || position:u48`, in network byte order.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`Index::to_bytes`]: every 8 bytes are an index.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// Where on the tape of a group a value lies.
///
/// The devices of a pairing open the lanes of a group's tape one by one, so that an index says
/// nothing without the opening of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    /// The position of the pairing's tape, in the lane of the same device, that the lane was
    /// opened with: below 2⁴⁸.
    pub opening: u64,
    /// The index on the tape of the group.
    pub index: Index,
}

impl Spot {
    /// Where the lane lies on the tape of the pairing.
    pub(crate) fn opened_at(self) -> Option<Index> {
        Index::new(self.index.device(), self.opening)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device().0, self.position())
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_its_lane_and_its_position() {
        let index = Index::new(DeviceId(0x0102), 0x0304_0506_0708).expect("48 bits");
        assert_eq!(index.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Index::from_bytes(index.to_bytes()), index);
        assert_eq!(index.device(), DeviceId(0x0102));
        assert_eq!(index.position(), 0x0304_0506_0708);
    }

    #[test]
    fn a_lane_has_room_for_many_attempts_at_each_epoch() {
        let first = |epoch| Index::first_for(DeviceId(7), epoch);
        assert_eq!(first(0), Index::new(DeviceId(7), 0));
        assert_eq!(first(3), Index::new(DeviceId(7), 3 << 16));
        assert!(first((1 << 32) - 1).is_some());
        assert_eq!([first(1 << 32), first(u64::MAX)], [None; 2]);
        let attempt = Index::new(DeviceId(7), 3 << 16 | 0xFFFF).expect("48 bits");
        assert_eq!(Some(attempt.first_of_its_epoch()), first(3));
    }

    #[test]
    fn a_lane_ends() {
        assert!(Index::new(DeviceId(7), Index::MAX_POSITION).is_some());
        assert_eq!(Index::new(DeviceId(7), Index::MAX_POSITION + 1), None);
    }
}
