//! Who a member is: what its leaf says, and whom the application knows it to be.
//!
//! MLS signs a credential and leaves it to the application to say whether the signature key is one of
//! whoever the credential names (RFC 9420 section 5.3.1). A member could otherwise call itself by
//! another's name with its next commit. A [`CredentialPolicy`] answers that question, and every call
//! that can change what a leaf says asks it.

use std::sync::Arc;

use crate::{anchor::LeafIndex, vault::StorageError, wire::Credential};

/// How a leaf came to say what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It was in the tree when this device came into the group, or is asked about once more.
    Present,
    /// An Add, also one that is only proposed or about to be.
    Added,
    /// An Update proposal.
    Updated,
    /// The path of a commit of the member.
    Path,
    /// An external commit.
    External,
}

/// What a leaf says, and what is known about it.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The group.
    pub group_id: &'a [u8],
    /// The leaf; `None` for a newcomer that has none yet.
    pub leaf: Option<LeafIndex>,
    /// What happened.
    pub cause: Cause,
    /// Who the leaf says that it is.
    pub claims: &'a Credential,
    /// The leaf's signature keys: one, or those of all devices that share the leaf. All of them have to
    /// belong to whom it says that it is.
    pub signature_keys: &'a [Vec<u8>],
    /// Whom the leaf was last accepted as; for an external commit, the leaf whose place it takes.
    pub last: Option<&'a Credential>,
}

/// What a policy knows of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The signature keys belong to whom the leaf says that it is.
    Accepted,
    /// They are not known to.
    NotKnown,
    /// It cannot be told now, for instance since a directory does not answer. The same claim is asked
    /// about again when the caller says so.
    Unavailable,
}

/// What becomes of a commit that was received and leads to a leaf which is not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// It is merged, so that the device stays in step, and the leaf is marked: it keeps its last
    /// accepted identity. Right for a device that only receives, which is lost once it refuses.
    #[default]
    Mark,
    /// It is refused. The device can follow the group no more unless it accepts the same commit later.
    Refuse,
}

/// Says which signature keys belong to which identity.
///
/// # Obligations
///
/// - `judge` has no side effects: it is also asked about what never comes to be, such as a proposal of a
///   stranger.
/// - It answers from what it has at hand. A policy that has to ask over a network answers
///   [`Verdict::Unavailable`], and asks; the caller has the group asked again afterwards.
pub trait CredentialPolicy: Send + Sync {
    /// Whether the signature keys belong to whom the leaf says that it is.
    fn judge(&self, claim: &Claim<'_>) -> Verdict;

    /// A claim that was accepted is now part of a group: a policy that learns, learns here.
    ///
    /// # Errors
    ///
    /// Whatever keeps the policy from it; the leaf then counts as not accepted.
    fn accepted(&self, _claim: &Claim<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    /// What becomes of a commit that is received all the same.
    fn strictness(&self) -> Strictness {
        Strictness::default()
    }
}

impl<T: CredentialPolicy + ?Sized> CredentialPolicy for Arc<T> {
    fn judge(&self, claim: &Claim<'_>) -> Verdict {
        (**self).judge(claim)
    }

    fn accepted(&self, claim: &Claim<'_>) -> Result<(), StorageError> {
        (**self).accepted(claim)
    }

    fn strictness(&self) -> Strictness {
        (**self).strictness()
    }
}

impl<T: CredentialPolicy + ?Sized> CredentialPolicy for Box<T> {
    fn judge(&self, claim: &Claim<'_>) -> Verdict {
        (**self).judge(claim)
    }

    fn accepted(&self, claim: &Claim<'_>) -> Result<(), StorageError> {
        (**self).accepted(claim)
    }

    fn strictness(&self) -> Strictness {
        (**self).strictness()
    }
}

/// Accepts whatever a leaf says.
///
/// # Security
///
/// Any member can call itself by another's name then. It is for examples, for tests, and for groups
/// whose application compares credentials itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptAnyIdentity;

impl CredentialPolicy for AcceptAnyIdentity {
    fn judge(&self, _: &Claim<'_>) -> Verdict {
        Verdict::Accepted
    }
}

/// Who a member is, for whoever shows, addresses or counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The credential policy has accepted it.
    Verified(Credential),
    /// It has not: the member is never to be taken for whom it says that it is.
    Unverified {
        /// Whom it was last accepted as; `None` for a member that never was.
        last: Option<Credential>,
        /// Who it says that it is.
        claims: Credential,
    },
}

impl Identity {
    /// The accepted identity; `None` for a member that is not verified.
    pub fn verified(&self) -> Option<&Credential> {
        match self {
            Self::Verified(credential) => Some(credential),
            Self::Unverified { .. } => None,
        }
    }

    /// Whom the member was last accepted as: what to show it as. `None` if it never was.
    pub fn last_accepted(&self) -> Option<&Credential> {
        match self {
            Self::Verified(credential) => Some(credential),
            Self::Unverified { last, .. } => last.as_ref(),
        }
    }

    /// Who the member says that it is.
    pub fn claims(&self) -> &Credential {
        match self {
            Self::Verified(credential) | Self::Unverified { claims: credential, .. } => credential,
        }
    }
}
