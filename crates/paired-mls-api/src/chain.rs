//! The hash chain of a group's log.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::{Base64Url, EntryKind, GroupId};

/// The hash of a group's log up to a position: of all its entries, in their order.
///
/// ```text
/// chain[0] = SHA-256("Paired MLS log" || 0 || group id)
/// chain[n] = SHA-256("Paired MLS log entry" || 0 || chain[n-1] || uint64 n || uint64 epoch
///                    || kind || 0 || SHA-256(message))
/// ```
///
/// Who keeps the hash of what it has read notices a log that is not the same any more: one that was restored
/// from an older copy and has gone on in another way, or one that somebody has rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogChain([u8; 32]);

impl LogChain {
    /// Before the first entry.
    pub fn start(group: &GroupId) -> Self {
        let digest = Sha256::new()
            .chain_update(b"Paired MLS log\0")
            .chain_update(group.as_bytes())
            .finalize();
        Self(digest.into())
    }

    /// After one more entry, of a message with this SHA-256.
    #[must_use]
    pub fn and(self, position: u64, epoch: u64, kind: EntryKind, message: &[u8; 32]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"Paired MLS log entry\0")
            .chain_update(self.0)
            .chain_update(position.to_be_bytes())
            .chain_update(epoch.to_be_bytes())
            .chain_update(kind.name())
            .chain_update([0])
            .chain_update(message)
            .finalize();
        Self(digest.into())
    }

    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of these bytes, as it was stored; nothing if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for LogChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Url(self.0.to_vec()).fmt(f)
    }
}

impl fmt::Debug for LogChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogChain({self})")
    }
}

impl Serialize for LogChain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogChain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Base64Url::deserialize(deserializer)?;
        Self::from_bytes(&bytes.0).ok_or_else(|| de::Error::custom("a hash has 32 bytes"))
    }
}

impl JsonSchema for LogChain {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LogChain".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Base64Url::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogEntry;

    fn entry(position: u64, epoch: u64, kind: EntryKind, message: &[u8]) -> LogEntry {
        let chain = LogChain([0; 32]);
        LogEntry { position, epoch, kind, message: message.to_vec().into(), chain }
    }

    #[test]
    fn everything_of_an_entry_is_in_it() {
        let start = LogChain::start(&GroupId::new(*b"g").unwrap());
        let all = [
            start,
            LogChain::start(&GroupId::new(*b"h").unwrap()),
            start.and_entry(&entry(1, 1, EntryKind::Commit, b"m")),
            start.and_entry(&entry(2, 1, EntryKind::Commit, b"m")),
            start.and_entry(&entry(1, 2, EntryKind::Commit, b"m")),
            start.and_entry(&entry(1, 1, EntryKind::Proposal, b"m")),
            start.and_entry(&entry(1, 1, EntryKind::Commit, b"n")),
            all_of(start, &[b"m", b"n"]),
            all_of(start, &[b"n", b"m"]),
        ];
        for (n, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(n));
        }
    }

    fn all_of(start: LogChain, messages: &[&[u8]]) -> LogChain {
        let one = |chain: LogChain, message: &&[u8]| {
            chain.and_entry(&entry(1, 1, EntryKind::Commit, message))
        };
        messages.iter().fold(start, one)
    }

    /// The values of the profile.
    #[test]
    fn it_is_what_the_profile_says() {
        let start = LogChain::start(&GroupId::new(*b"group").unwrap());
        assert_eq!(start.to_string(), "IJJ0Rrtebw-vMWUaDk3QCVTe2pZ0Y1nCXLBTNccjdyw");
        let next = start.and_entry(&entry(1, 0, EntryKind::Commit, b"commit"));
        assert_eq!(next.to_string(), "Q1nvHs8vFbOIpvEd0CF5R2BuklSc-L6tV-EL_R44IWk");
    }
}
