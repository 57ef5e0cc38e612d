//! Problem documents (RFC 9457).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DeviceId;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $slug:literal, $title:literal;)*) => {
        /// The kinds of problem that the service answers with. To blame is the client for a status of
        /// 400 to 499, the service for any other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $name,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The member `type`, a URI.
            pub fn uri(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:paired-mls:problem:", $slug),)* }
            }

            /// The member `title`.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problems! {
    /// A header, path, query or body that cannot be read.
    Malformed = 400, "malformed", "The request cannot be read";
    /// The body did not come in time.
    TooSlow = 408, "too-slow", "The body did not come in time";
    /// The body is not of the media type that this path takes.
    MediaType = 415, "media-type", "The body has a media type that is not taken here";
    /// The body is too long.
    TooLarge = 413, "too-large", "The body is too long";
    /// There is no signature, or it does not verify.
    Unsigned = 401, "unsigned", "The request has no valid signature";
    /// The signature is too old, or from the future.
    NotFresh = 401, "not-fresh", "The signature of the request is not fresh";
    /// The nonce was used before.
    Replayed = 401, "replayed", "The request has been made before";
    /// The key of the signature belongs to no registered device, or the device was revoked: then the member
    /// `revoked_at` says when.
    UnknownDevice = 401, "unknown-device", "No such device may make requests";
    /// The account may not do this.
    Forbidden = 403, "forbidden", "The account may not do this";
    /// The operator has shut the account out.
    Banned = 403, "banned", "The account is shut out";
    /// A further device of a user has to be approved by one that the user has.
    NotApproved = 403, "not-approved", "The device has not been approved by another one of its user";
    /// The request is not signed by a recovery key of the account, or the account has none.
    NotRecoverable = 403, "not-recoverable", "The account has no such recovery key";
    /// There is no such thing, or not for this account.
    NotFound = 404, "not-found", "There is no such thing";
    /// The path does not take this method.
    Method = 405, "method", "The path does not take this method";
    /// The group exists, or the key is registered for another user.
    Exists = 409, "exists", "It exists already";
    /// The message is of another epoch than the group. The member `current_epoch` says which it is in.
    WrongEpoch = 409, "wrong-epoch", "The group is in another epoch";
    /// A cursor is beyond the end of a log or mailbox. The member `head` says where that is.
    Beyond = 409, "beyond-head", "The position is beyond the end";
    /// The service was restored from a backup since the client has read there.
    OtherIncarnation = 409, "other-incarnation", "The service was restored from a backup";
    /// A commit from outside cannot be verified: a member has to publish the GroupInfo of the epoch first.
    NoGroupInfo = 409, "no-group-info", "Nobody can join the group from outside now";
    /// What the cursor stands before is gone. The member `pruned_through` says up to where.
    Pruned = 410, "pruned", "A part of the log was not kept";
    /// Nobody has used it for longer than the service keeps what is unused.
    Ended = 410, "ended", "It has ended, because nobody used it";
    /// The request contradicts an earlier one.
    Conflict = 409, "conflict", "The request contradicts an earlier one";
    /// Bytes are not the MLS message that they were said to be, or are not valid.
    InvalidMessage = 422, "invalid-message", "The message is not valid";
    /// An envelope is not padded, or too long.
    InvalidEnvelope = 422, "invalid-envelope", "The envelope is not valid";
    /// A recipient is no device, or revoked. The member `device` says which.
    UnknownRecipient = 422, "unknown-recipient", "A recipient is no registered device";
    /// A limit on what is stored. The member `device` says whose, if it is a mailbox.
    Full = 429, "full", "There is no room for more of these";
    /// The messages of a group's log are as long as they may be together.
    LogFull = 429, "log-full", "The log of the group has no room";
    /// As many proposals wait in the group's epoch as may, of the account or in all: a commit ends them.
    TooManyProposals = 429, "too-many-proposals", "Too many proposals wait in the group";
    /// There are KeyPackages, and they are kept for others.
    Reserved = 429, "reserved", "What is left is kept for others";
    /// Too many requests of one device.
    TooFast = 429, "too-fast", "Requests come too fast";
    /// The service cannot answer now.
    Unavailable = 503, "unavailable", "The service cannot answer now";
    /// What the service stores things on is full, read-only or broken. Its operator has to act.
    Storage = 507, "storage", "The service can store nothing now";
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// An error, as the service answers it. No member ever has a part of a message in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This case of it, for people, and what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The epoch that the group is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_epoch: Option<u64>,
    /// The position of the last entry that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// The last position whose entry is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_through: Option<u64>,
    /// The device that the problem is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// When the device was revoked that has made the request, in seconds since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// The number of the request in the log of the service, for its operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// After how many seconds to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of this kind, without details.
    pub fn new(kind: ProblemKind) -> Self {
        Self {
            kind: kind.uri().to_owned(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: None,
            current_epoch: None,
            head: None,
            pruned_through: None,
            device: None,
            revoked_at: None,
            request: None,
            retry_after: None,
        }
    }

    /// Its kind, or `None` for one of a later version.
    pub fn known_kind(&self) -> Option<ProblemKind> {
        ProblemKind::ALL.iter().copied().find(|kind| kind.uri() == self.kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_uri() {
        for kind in ProblemKind::ALL {
            assert_eq!(Problem::new(*kind).known_kind(), Some(*kind));
        }
        let mut later = Problem::new(ProblemKind::Malformed);
        later.kind = "urn:paired-mls:problem:of-tomorrow".to_owned();
        assert_eq!(later.known_kind(), None);
    }

    #[test]
    fn a_problem_is_a_document_of_rfc_9457() {
        let mut problem = Problem::new(ProblemKind::WrongEpoch);
        problem.current_epoch = Some(7);
        let json = serde_json::to_value(&problem).unwrap();
        let expected = serde_json::json!({
            "type": "urn:paired-mls:problem:wrong-epoch",
            "title": "The group is in another epoch",
            "status": 409,
            "current_epoch": 7,
        });
        assert_eq!(json, expected);
    }
}
