//! What an adapter to an MLS library shows to the suite.

use super::liar::{Knowing, Liar};
use crate::{
    CipherSuite, DeviceId, EpochSecurity, Event, Freshness, HealPolicy, Pairing, PairingId, Vault,
    anchor::{LeafIndex, Tree},
};

/// Why a member refused: an error with its whole chain of causes.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// How handshake messages are framed (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `PublicMessage`: signed, readable for everybody on the way.
    Public,
    /// `PrivateMessage`: encrypted.
    Private,
}

/// What a commit does, by value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// KeyPackages to add, in this order, each a serialized `MLSMessage`.
    pub adds: Vec<Vec<u8>>,
    /// Leaves to remove.
    pub removes: Vec<LeafIndex>,
}

/// What a commit gives to deliver, each a serialized `MLSMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// For all members.
    pub commit: Vec<u8>,
    /// For those whom the commit adds; it carries the ratchet tree.
    pub welcome: Option<Vec<u8>>,
    /// For the partner whose leaf the commit renews, in place of the Welcome.
    pub refresh: Option<Vec<u8>>,
    /// The GroupInfo of the new epoch, with the ratchet tree, for external commits.
    pub group_info: Option<Vec<u8>>,
    /// For the other devices of a shared leaf.
    pub notify: Option<Vec<u8>>,
}

/// What a member made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An application message, which says this.
    Application(Vec<u8>),
    /// A proposal.
    Proposal,
    /// A commit, which was merged.
    Commit {
        /// What it changed for the pairing; nothing for a stock member.
        events: Vec<Event>,
        /// The commit that heals at once, if the policy says so.
        heal: Option<Sent>,
    },
    /// An alarm: a proposal in the name of a device that the device does not make.
    Impostor {
        /// The alarm, and what it changes.
        events: Vec<Event>,
        /// The commit that heals at once, if the policy says so.
        heal: Option<Sent>,
    },
    /// A Notify: a commit of a shared leaf is still to come.
    Announced,
    /// A device of the same leaf wants to send.
    TokenWanted(DeviceId),
    /// A device of the same leaf sends no more.
    TokenGiven(DeviceId),
    /// A message of its own.
    Own,
}

/// Signs with somebody's signature key (RFC 9420 section 5.1.2).
pub type Sign = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Refused>>;

/// Somebody who follows a group.
pub trait Listener {
    /// The current epoch.
    fn epoch(&self) -> u64;

    /// The epoch authenticator (RFC 9420 section 8.7): equal means the same epoch.
    fn epoch_authenticator(&self) -> Vec<u8>;

    /// Processes a message; merges a commit.
    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused>;
}

/// A member of a group, on any implementation of RFC 9420. It starts outside of any group.
pub trait Member: Listener {
    /// Makes a KeyPackage, a serialized `MLSMessage`.
    fn key_package(&mut self) -> Result<Vec<u8>, Refused>;

    /// Creates a group with this member only.
    fn create(&mut self, group_id: &[u8]) -> Result<(), Refused>;

    /// Joins by a Welcome; a member that was removed from the group before comes back.
    fn join(&mut self, welcome: &[u8]) -> Result<(), Refused>;

    /// Makes a commit with a path, which waits to be confirmed or discarded.
    fn commit(&mut self, content: &Content) -> Result<Sent, Refused>;

    /// The delivery service accepted the commit. Returns what it changed for the pairing.
    fn confirm(&mut self) -> Result<Vec<Event>, Refused>;

    /// The delivery service refused the commit.
    fn discard(&mut self) -> Result<(), Refused>;

    /// Encrypts an application message.
    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Refused>;

    /// Proposes to be removed.
    fn leave(&mut self) -> Result<Vec<u8>, Refused>;

    /// Proposes to add somebody.
    fn propose_add(&mut self, _key_package: &[u8]) -> Result<Vec<u8>, Refused> {
        Err("this member makes no Add proposals".into())
    }

    /// Proposes to remove somebody.
    fn propose_remove(&mut self, _leaf: LeafIndex) -> Result<Vec<u8>, Refused> {
        Err("this member makes no Remove proposals".into())
    }
}

/// A device with the adapter under test.
pub trait PairedMember: Knowing {
    /// The public signature key.
    fn signature_key(&self) -> Vec<u8>;

    /// Signs with its signature key: what a thief of it does.
    fn sign(&self) -> Sign;

    /// The vault.
    fn vault(&self) -> &Vault;

    /// Pairs the device in its group.
    fn pair(&mut self, pairing: &Pairing) -> Result<(), Refused>;

    /// Chooses what happens after a weakening.
    fn set_heal_policy(&mut self, policy: HealPolicy) -> Result<(), Refused>;

    /// Makes the commit that heals, if the policy demands one now.
    fn heal_if_due(&mut self) -> Result<Option<Sent>, Refused>;

    /// Makes a KeyPackage from the tape, for a refresh of its own leaf.
    fn publish(&mut self, pairing: PairingId) -> Result<Vec<u8>, Refused>;

    /// Makes a KeyPackage from the tape like [`PairedMember::publish`], valid from the first time until the
    /// second one, in seconds since 1970.
    fn publish_for(
        &mut self,
        pairing: PairingId,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused>;

    /// The time by the device's clock, in seconds since 1970. It begins with that of the system.
    fn now(&self) -> u64;

    /// The device's clock goes forward, as over the years, or because it is wrong.
    fn wait(&mut self, seconds: u64);

    /// Keeps a KeyPackage of a partner.
    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused>;

    /// Makes a commit that renews a partner's leaf.
    fn refresh(&mut self, key_package: &[u8]) -> Result<Sent, Refused>;

    /// Processes a commit that renews the own leaf, with the Welcome as a partner has sent it.
    fn process_refresh(&mut self, commit: &[u8], refresh: &[u8]) -> Result<Vec<Event>, Refused>;

    /// The devices whose leaves have to be renewed before this time, in seconds since 1970.
    fn expiring(&self, deadline: u64) -> Vec<DeviceId>;

    /// How safe the current epoch is for a device of the pairing.
    fn security(&self, device: DeviceId) -> Option<EpochSecurity>;

    /// The devices of the pairing and their leaves.
    fn devices(&self) -> Vec<(DeviceId, LeafIndex)>;

    /// The ratchet tree of the current epoch.
    fn tree(&self) -> Result<Tree, Refused>;

    /// Comes back by an external commit, which is merged at once.
    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused>;

    /// The process dies and starts again: everything in memory is gone.
    fn crash(&mut self) -> Result<(), Refused>;

    /// The device dies in the middle of the next processing: after the vault was written, before the
    /// MLS state is.
    fn crash_before_storing(&mut self);

    /// Compares the MLS state with the vault.
    fn check_vault(&mut self) -> Result<Freshness, Refused>;
}

/// Somebody with a copy of a device's whole MLS state, storage and memory, but not its vault. He
/// processes what he sees, and tries every byte string of his loot as a key.
pub trait Thief: Listener {
    /// How many pairs of a key from the loot and a ciphertext he has tried.
    fn attempts(&self) -> usize;

    /// How many ciphertexts of commits that he could not follow his keys have opened.
    fn opened(&self) -> usize;
}

/// Whether somebody who acts in a device's name has its signature key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// He has.
    Stolen,
    /// He has not, and signs with another.
    Other,
}

/// Somebody with a copy of a device's whole MLS state, who acts in its name, on a stock implementation. As
/// a [`Member`] he commits, sends and proposes like the device would, but for the tape.
pub trait Impostor: Member {
    /// Makes an Update proposal.
    fn propose_update(&mut self) -> Result<Vec<u8>, Refused>;

    /// Makes a commit that gives the leaf a new signature key, which waits to be confirmed.
    fn commit_with_new_key(&mut self) -> Result<Vec<u8>, Refused>;

    /// Makes a commit that adds somebody and has no path, which waits to be confirmed.
    fn commit_without_path(&mut self, key_package: &[u8]) -> Result<Vec<u8>, Refused>;

    /// Comes in from outside; the commit takes the place of the leaf with his signature key.
    fn enter(&mut self, group_info: &[u8]) -> Result<Vec<u8>, Refused>;

    /// Makes another group of this identifier, and returns a Welcome to it.
    fn invite(&mut self, group_id: &[u8], key_package: &[u8]) -> Result<Vec<u8>, Refused>;
}

/// An adapter, as a maker of members.
pub trait Adapter {
    /// A device.
    type Device: PairedMember;
    /// A thief.
    type Thief: Thief;

    /// The suites that it knows.
    fn suites(&self) -> Vec<CipherSuite>;

    /// A device with a fresh signature key and an empty vault.
    fn device(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Self::Device;

    /// A member on a stock implementation who can lie.
    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar>;

    /// Somebody on a stock implementation whose leaf has ended, in a group of its own with those of these
    /// KeyPackages; and their Welcome.
    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused>;

    /// One member on each stock implementation that knows the suite.
    fn stock(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>>;

    /// A thief of the device's MLS state as it is now.
    fn steal(&self, device: &Self::Device) -> Self::Thief;

    /// A thief who learns the epoch secrets of the device as they are now, and of private keys has only
    /// those of the first theft.
    fn second_leak(&self, first: &Self::Thief, device: &Self::Device) -> Self::Thief;

    /// Somebody who acts in the device's name, with its MLS state as it is now.
    fn impersonate(&self, device: &Self::Device, signs: Signs) -> Box<dyn Impostor>;

    /// The private key of the device's leaf.
    fn leaf_key(&self, device: &Self::Device) -> Vec<u8>;

    /// Whether a byte string is anywhere in the device's MLS state.
    fn holds(&self, device: &Self::Device, string: &[u8]) -> bool;

    /// A second copy of the device, with its vault: who has both follows.
    fn steal_with_vault(&self, device: &Self::Device) -> Self::Device;

    /// Gives a thief with an old copy of a device a copy of that device's vault as it is now; his
    /// MLS state stays as it was.
    fn steal_vault_again(&self, thief: &mut Self::Device, device: &Self::Device);
}
