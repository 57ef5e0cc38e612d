//! Positions on the tape.

use std::fmt;

/// A device of a pairing: the number of its lane on the tape.
///
/// [`DeviceId::GROUPS`] is reserved: on a pairing's tape that lane holds one value for each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u16);

impl DeviceId {
    /// The lane that no device writes in: its values are the roots of the groups' sub-tapes.
    pub const GROUPS: Self = Self(u16::MAX);
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

    /// The index of `position` in the lane of `device`; `None` past [`Index::MAX_POSITION`].
    pub fn new(device: DeviceId, position: u64) -> Option<Self> {
        (position <= Self::MAX_POSITION)
            .then_some(Self(u64::from(device.0) << Self::POSITION_BITS | position))
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
    fn a_lane_ends() {
        assert!(Index::new(DeviceId(7), Index::MAX_POSITION).is_some());
        assert_eq!(Index::new(DeviceId(7), Index::MAX_POSITION + 1), None);
    }
}
