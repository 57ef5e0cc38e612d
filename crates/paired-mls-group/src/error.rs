//! Errors, split by who is to blame.

use alloc::{borrow::ToOwned as _, boxed::Box, format, string::String, vec::Vec};

use paired_mls::{
    DerivationTooLong, DeviceId, NotifyError, VaultError,
    anchor::{LeafIndex, LocateError, TreeError},
    group::credential::Verdict,
    leaf::{KeyProofsError, LeafNotifyError, LeafRecordError, LeafVaultError, SignatureKeysError},
    pairing::SignalError,
    wire::Credential,
    wire::WireError,
};
use thiserror::Error;

use crate::Difference;

/// Why a call failed. Unless its documentation says otherwise, the group is as it was before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A peer sent something that cannot be accepted.
    #[error("the message was refused: {0}")]
    Peer(#[from] PeerError),
    /// The call does not fit the state of the group.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The vault failed or refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What the vault holds about a shared leaf cannot be read or written.
    #[error(transparent)]
    LeafRecord(#[from] LeafRecordError),
    /// The guard refused to sign what the MLS library made: an own commit, and never a received one.
    #[error("the commit was not signed, and its tape index is burned: {0}")]
    Guard(#[from] GuardError),
    /// The devices of the pairing are not where this device takes them to be. Nothing was signed.
    #[error(
        "the devices of the pairing are not where this device takes them to be in the ratchet tree \
         ({0}): load the group again, and rejoin it if that does not help"
    )]
    Locate(#[from] LocateError),
    /// The MLS library failed.
    #[error("the MLS library failed to {step}")]
    Mls {
        /// What it was asked to do.
        step: &'static str,
        /// What it says.
        source: BoxError,
    },
    /// The storage of the MLS state failed.
    #[error("the storage of the MLS state failed to {step}")]
    Storage {
        /// What it was asked to do.
        step: &'static str,
        /// What it says.
        source: BoxError,
    },
}

/// The cause of a failure in a library below.
pub type BoxError = Box<dyn core::error::Error + Send + Sync>;

/// A message that this device refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A Notify of a partner is not acceptable.
    #[error(transparent)]
    Notify(NotifyError),
    /// The tape refuses the index that a Notify names.
    #[error(transparent)]
    Tape(paired_mls::TapeError),
    /// A Notify of a shared leaf is not acceptable.
    #[error(transparent)]
    LeafNotify(LeafNotifyError),
    /// A commit of the own leaf is not the one that the tape gives.
    #[error(
        "it is a commit of this device's leaf, but {0} is not what the tape gives: process the \
         partner's Notify and then the commit again, or rejoin"
    )]
    Differs(Difference),
    /// Somebody changes the 1-to-1 channel.
    #[error("the message would change the 1-to-1 channel, which nobody does: open another one")]
    ChannelChanged,
    /// Something of the own leaf was not made from the tape.
    #[error(
        "it is of this device's leaf, but was not made from the tape: rejoin, and find out who has the leaf's state"
    )]
    NotFromTheTape,
    /// A commit in this device's own name that it has not made.
    #[error(
        "it is a commit in this device's name that this device has not made: if the delivery service has \
         accepted it, somebody acts with this device's signature key, and the group has gone on \
         without it: rejoin, and then leave and come back with another signature key"
    )]
    InOwnName,
    /// There is no room for a proposal: too many wait, of its sender or of all.
    #[error(
        "too many proposals wait for a commit, so that this one is not kept: whoever commits ends their epoch; if \
         the commit carries this one out, process them together, by `follow_with`"
    )]
    TooManyProposals,
    /// A commit renews this device's leaf, and came without the Welcome.
    #[error(
        "the commit takes this device's leaf out and puts a new one in: process it together with \
         its Welcome, by `process_refresh`"
    )]
    RefreshNeedsWelcome,
    /// The Welcome of a leaf refresh is none of a partner.
    #[error(transparent)]
    Refresh(paired_mls::group::RefreshError),
    /// A refresh chain is none of a partner, or its windows are wrong.
    #[error(transparent)]
    Chain(paired_mls::leaf::ChainError),
    /// A commit and a Welcome do not belong together, or are not a leaf refresh.
    #[error(
        "this is no leaf refresh of a partner: {0}; if the commit takes this device out of the group, \
         process it alone, and join by the Welcome"
    )]
    NoRefresh(&'static str),
    /// What was received was made from the tape, and this device cannot make it again.
    #[error(
        "what was made from the tape cannot be made again here ({0}): rejoin, and run the same version \
         on all devices of the pairing"
    )]
    Unrepeatable(GuardError),
    /// The group has an identifier that no group may have.
    #[error(
        "its group has the identifier {}, which is reserved: nobody creates such a group in good \
         faith, so drop it", .0.escape_ascii()
    )]
    ReservedGroup(Vec<u8>),
    /// A leaf has a field `signature_key` that is none.
    #[error(transparent)]
    SignatureKeys(SignatureKeysError),
    /// A leaf lists a signature key that its holder has not proven.
    #[error("the leaf to be added lists a signature key whose holder has not agreed: {0}")]
    KeyProofs(KeyProofsError),
    /// A signature key occurs twice in the tree.
    #[error("a signature key occurs in two leaves of the group")]
    SignatureKeyTwice,
    /// A leaf has several signature keys, and the group does not require that everybody knows such.
    #[error(
        "a leaf has several signature keys, and the group does not require `paired_mls` of its \
         members: add the gate to the group's extensions first"
    )]
    Ungated,
    /// A commit of the own leaf has a proposal that is not known here.
    #[error("the partner's commit refers to a proposal that was not received: process it first")]
    MissingProposal,
    /// A commit of the own leaf has a proposal by value that partners do not make.
    #[error("the partner's commit has a proposal by value of type {0}, which no device makes")]
    Proposal(u16),
    /// The credential policy does not accept who a leaf says that it is.
    #[error(
        "a leaf says that it is {}, and {}", name(.claims), match .verdict {
            Verdict::Unavailable => "whether its signature key is one of theirs cannot be told now: \
                try again",
            _ => "its signature key is not known to be one of theirs: find out who it is, and let the \
                credential policy know the key if it is right",
        }
    )]
    Identity {
        /// Who it says that it is.
        claims: Credential,
        /// What the policy answered.
        verdict: Verdict,
    },
    /// An external commit takes out a member of another identity than its own.
    #[error(
        "an external commit takes out a member and comes in as somebody else: remove whoever did it"
    )]
    TakenOut,
    /// A Notify names a level that no path has.
    #[error("a Notify names level {0}, above any ratchet tree")]
    Level(u8),
    /// A KeyPackage is not valid now.
    #[error(
        "the KeyPackage of {of} is valid from {not_before} until {not_after}, and by this device's clock it \
         is {now} (in seconds since 1970): ask for a new one, if the clock is right"
    )]
    OutOfTime {
        /// The identity that it says.
        of: String,
        /// The first second, since 1970.
        not_before: u64,
        /// The end, in seconds since 1970.
        not_after: u64,
        /// The time by this device's clock.
        now: u64,
    },
    /// The MLS library does not accept the message.
    #[error("the MLS library does not accept it")]
    Message(#[source] BoxError),
    /// It is a message of another kind.
    #[error("it is no {0}")]
    Kind(&'static str),
    /// The application's own check turned the commit down.
    #[error("the application's policy turned the commit down")]
    Policy,
}

/// A call that does not fit the state of the group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UsageError {
    /// An own commit still waits for the delivery service's answer.
    #[error("a commit of this device waits: merge it, or discard it, first")]
    CommitPending,
    /// There is no own commit to merge.
    #[error("no commit of this device waits")]
    NoCommitPending,
    /// What was kept of a rejoin is of another commit, or damaged.
    #[error(
        "what was kept of the rejoin does not belong to this commit: rejoin again, with the GroupInfo of the epoch that \
         the group is in now"
    )]
    OtherRejoin,
    /// This device is paired in this group already.
    #[error("this device is paired in this group already: end that pairing first")]
    AlreadyPaired,
    /// A call that needs a pairing, in a group without one.
    #[error("this device is not paired in this group: call `pair` first")]
    NotPaired,
    /// A device of the pairing is not a member.
    #[error("{0} of the pairing is not a member of this group: add it first")]
    DeviceNotInGroup(DeviceId),
    /// The pairing's tape was made for another cipher suite.
    #[error("the tape of the pairing is for another cipher suite than the group's")]
    CipherSuite,
    /// The signature key of this device is not the one that the pairing names for it.
    #[error("the pairing names another signature key for this device")]
    SignatureKey,
    /// A client that does not know leaves with several signature keys, and a group that requires it.
    #[error(
        "the KeyPackage is of a client that does not know leaves with several signature keys, as \
         this group requires: it has to list `paired_mls` among its capabilities"
    )]
    NotAtTheGate,
    /// A member does not know leaves with several signature keys, which the group is to require.
    #[error(
        "the member at leaf {} does not know leaves with several signature keys: upgrade it, or \
         remove it, before the group requires `paired_mls`", .0.value()
    )]
    GateWouldStrand(LeafIndex),
    /// A device behind a leaf that it shares creates no group.
    #[error(
        "a leaf that several devices share joins groups and creates none: create the group with another device, and \
         let it add the leaf"
    )]
    SharedLeaf,
    /// This device cannot sign for the leaf that it shares.
    #[error(
        "the leaf does not list this device's signature key: another device has to add it, by \
         `update_leaf`"
    )]
    NotListed,
    /// The device's signer made no signature.
    #[error("the device's signer did not sign: is its vault open, and its key there?")]
    Signer,
    /// The own leaf would list a signature key that its holder has not proven.
    #[error(
        "every device of a leaf proves its signature key: {0}; collect what each of them says by \
         `Device::prove_key`, and give it to `Device::with_key_proofs`"
    )]
    KeyProofs(KeyProofsError),
    /// A commit from a shared leaf, or a leaf refresh, while the pairing is ending.
    #[error("the pairing is ending, and this device draws nothing more from its tape")]
    Ceasing,
    /// The state of a leaf that is still in the group is not erased.
    #[error("the leaf is still in the group: leave it, and wait for the commit of another member")]
    StillThere,
    /// This device was removed from the group.
    #[error("this device was removed from the group: ask to be added again, or rejoin")]
    Removed,
    /// An application message, from a leaf whose token is elsewhere.
    #[error("{}: take it with `update`", match .0 {
        Some(holder) => format!("{holder} has the token of this leaf"),
        None => "no device has the token of this leaf yet".to_owned(),
    })]
    TokenElsewhere(Option<DeviceId>),
    /// An application message, from a device that has given the token away.
    #[error("this device has given the token of this leaf away: take it again with `update`")]
    TokenGiven,
    /// An application message, from a device whose MLS state is an older copy than its vault: the ratchets
    /// of that epoch may have been used already.
    #[error(
        "the MLS state of this device is older than its vault, as after a restored backup: process what the delivery service has of this group, or rejoin it"
    )]
    StateIsOlder,
    /// A proposal of a shared leaf that its other devices could not read.
    #[error("in a group with encrypted handshake messages, ask another member to remove this leaf")]
    EncryptedProposal,
    /// A leaf that is to be removed is blank, or the own one.
    #[error("leaf {} is no other member's of this group", .0.value())]
    NoSuchMember(LeafIndex),
    /// A KeyPackage for a leaf refresh is of somebody else.
    #[error("the KeyPackage is of no partner in this group")]
    NotAPartner,
    /// The devices of a leaf, or a leaf and what is to take its place, are of different users.
    #[error("the credential is another one than that of the partner: a leaf has one user")]
    OtherCredential,
    /// The new leaf of a refresh would not be under the anchor.
    #[error(
        "the partner's new leaf would not be under the anchor, since another blank leaf lies left of \
         it: fill that one, or move the devices with `relocate`, first"
    )]
    RefreshPlace,
    /// A KeyPackage for a leaf refresh is in use.
    #[error(
        "the KeyPackage is used for a commit in another group, and each is used once: take another one"
    )]
    PackageTaken,
    /// A 1-to-1 channel with nobody.
    #[error("a 1-to-1 channel needs the KeyPackage of every partner, and none was given")]
    EmptyChannel,
    /// A pairing that is not announced.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// A pairing message that does not go over the 1-to-1 channel.
    #[error("this pairing message is for the directory: it does not go over the 1-to-1 channel")]
    NotForTheChannel,
    /// A Welcome for a KeyPackage that is not from the tape.
    #[error(
        "the Welcome is for none of the KeyPackages from this pairing's tape: adopt the partner's KeyPackage first"
    )]
    NoTapeKeyPackage,
    /// A Welcome into a group that this device is a member of, by all that it has processed.
    #[error(
        "this device is in the group already, as far as it has followed: process the group's commits \
         up to the one that removes it, and then this Welcome again; or give the old state up by \
         `forget`"
    )]
    StillMember,
    /// There is no group of that identifier in the storage.
    #[error("the storage holds no group of that identifier")]
    NoSuchGroup,
    /// A group identifier that is used for something else.
    #[error(
        "the group identifier {} is reserved, since identifiers that begin with `PMLS 02 ` are: choose \
         another one", .0.escape_ascii()
    )]
    ReservedGroup(Vec<u8>),
}

/// What the guard found in a commit before it was signed. It means that the MLS library does not
/// do what this adapter was written for: a defect, or an upgrade that was not tested.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The commit has no path, so that it would heal nobody.
    #[error("the MLS library made a commit without a path")]
    NoPath,
    /// A node below the anchor does not have the key that the tape gives.
    #[error("level {level} of the path does not have the key that the tape gives")]
    NodeKey {
        /// The level, from 0.
        level: usize,
    },
    /// The path has fewer levels than the anchor.
    #[error("the path has {found} levels and the anchor {expected}")]
    PathLength {
        /// Levels of the path.
        found: usize,
        /// Levels up to the anchor.
        expected: usize,
    },
    /// A level does not carry a Notify for each partner below it, and nothing else.
    #[error("level {level} carries {found} Notifies and the tree demands {expected}")]
    Notifies {
        /// The level, from 0.
        level: usize,
        /// Notifies found.
        found: usize,
        /// Recipients that the tree demands.
        expected: usize,
    },
    /// A level carries a ciphertext that is no Notify.
    #[error("level {level} carries a path secret sealed to a partner's key")]
    Sealed {
        /// The level, from 0.
        level: usize,
    },
    /// The commit cannot be parsed.
    #[error("the commit cannot be parsed: {0}")]
    Wire(WireError),
    /// The MLS library drew randomness that the tape does not provide for.
    #[error("the MLS library drew {0} bytes of randomness that the tape does not provide for")]
    Draw(usize),
    /// A key could not be derived.
    #[error("the cryptography of the MLS library could not derive a key")]
    Crypto,
}

/// A credential, for people.
fn name(credential: &Credential) -> String {
    let identity = credential.identity().map(String::from_utf8_lossy);
    match identity {
        Some(identity) => format!("{:?}", identity.chars().take(64).collect::<String>()),
        None => format!("somebody by a credential of type {}", credential.credential_type().0),
    }
}

impl PeerError {
    /// A leaf says that it is somebody, and the credential policy does not accept it.
    pub fn identity(claims: Credential, verdict: Verdict) -> Self {
        Self::Identity { claims, verdict }
    }

    /// The MLS library does not accept a message.
    pub fn message<E>(source: E) -> Self
    where
        E: core::error::Error + Send + Sync + 'static,
    {
        Self::Message(Box::new(source))
    }
}

impl Error {
    /// The error about something that was received. What goes wrong when it is made again from the tape is
    /// none of signing, and burns no index.
    pub fn received(self) -> Self {
        match self {
            Self::Guard(error) => PeerError::Unrepeatable(error).into(),
            other => other,
        }
    }

    /// The MLS library failed in this step.
    pub fn mls<E>(step: &'static str) -> impl FnOnce(E) -> Self
    where
        E: core::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Mls { step, source: Box::new(source) }
    }

    /// The storage of the MLS state failed in this step.
    pub fn storage<E>(step: &'static str) -> impl FnOnce(E) -> Self
    where
        E: core::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Storage { step, source: Box::new(source) }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::mls("export a structure that parses")(error)
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        Self::mls("keep the ratchet tree consistent")(error)
    }
}

impl From<DerivationTooLong> for Error {
    fn from(error: DerivationTooLong) -> Self {
        Self::Vault(error.into())
    }
}

impl From<LeafVaultError> for Error {
    fn from(error: LeafVaultError) -> Self {
        match error {
            LeafVaultError::Vault(error) => error.into(),
            LeafVaultError::Notify(error) => PeerError::LeafNotify(error).into(),
            LeafVaultError::Record(error) => error.into(),
            other => Self::mls("use the vault")(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn an_error_about_what_was_received_speaks_of_no_signature() {
        for guard in [GuardError::Draw(3), GuardError::NoPath, GuardError::Crypto] {
            let sent = Error::from(guard.clone());
            assert!(sent.to_string().contains("was not signed"));
            let received = Error::from(guard).received();
            assert!(matches!(received, Error::Peer(PeerError::Unrepeatable(_))));
            assert!(!received.to_string().contains("signed"), "{received}");
        }
        let other = Error::from(UsageError::NotPaired).received();
        assert!(matches!(other, Error::Usage(UsageError::NotPaired)));
    }
}
