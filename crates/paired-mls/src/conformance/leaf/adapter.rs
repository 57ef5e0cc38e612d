//! What an adapter with the leaf anchor shows to the suite.

use crate::{
    CipherSuite, DeviceId, EpochSecurity, Freshness, PairingId, Vault,
    anchor::LeafIndex,
    conformance::{
        Framing, Impostor, Member, Refused, Sent, Signs, Thief,
        liar::{Knowing, Liar},
    },
};

/// How often a KeyPackage may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// For one group.
    Once,
    /// For any number of groups.
    LastResort,
}

/// Whose signature keys the devices of a leaf use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All the same one: each can sign what another has signed.
    Shared,
    /// Each its own: an encrypted commit cannot be made again without its Notify.
    Own,
}

/// A device that shares a leaf. As a [`Member`] it makes KeyPackages from the tape and joins by them;
/// it creates no group.
pub trait LeafMember: Knowing {
    /// The vault.
    fn vault(&self) -> &Vault;

    /// The device shares its leaf with the others of this pairing.
    fn share(&mut self, pairing: PairingId);

    /// Makes a KeyPackage from the tape.
    fn publish(&mut self, usage: Use) -> Result<Vec<u8>, Refused>;

    /// The same, valid from the first time until the second one, in seconds since 1970.
    fn publish_for(
        &mut self,
        usage: Use,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Refused>;

    /// The KeyPackages that are kept until a Welcome uses them.
    fn packages(&self) -> Result<Vec<Vec<u8>>, Refused>;

    /// The time by the device's clock, in seconds since 1970. It begins with that of the system.
    fn now(&self) -> u64;

    /// The device's clock goes forward, as over the years, or because it is wrong.
    fn wait(&mut self, seconds: u64);

    /// Takes over a KeyPackage of another device.
    fn adopt(&mut self, key_package: &[u8]) -> Result<(), Refused>;

    /// The leaf, in the group.
    fn own_leaf(&self) -> Result<LeafIndex, Refused>;

    /// The device that may send.
    fn token(&self) -> Option<DeviceId>;

    /// Asks the partners for the token: a message for them.
    fn ask_token(&self) -> Result<Vec<u8>, Refused>;

    /// Gives the token away: a message for the partners.
    fn give_token(&mut self) -> Result<Vec<u8>, Refused>;

    /// How safe the current epoch is.
    fn security(&self) -> Option<EpochSecurity>;

    /// The members that are still to be removed.
    fn removals(&self) -> Vec<LeafIndex>;

    /// The GroupInfo of the current epoch, with the ratchet tree.
    fn group_info(&self) -> Result<Vec<u8>, Refused>;

    /// Makes an external commit, which waits to be confirmed.
    fn rejoin(&mut self, group_info: &[u8]) -> Result<Sent, Refused>;

    /// The delivery service has accepted the external commit.
    fn confirm_rejoin(&mut self) -> Result<(), Refused>;

    /// Makes the external commit of another device again, from the GroupInfo before it.
    fn enter(&mut self, group_info: &[u8], commit: &[u8]) -> Result<(), Refused>;

    /// All MLS state is lost, that in storage too; the vault is not.
    fn lose_state(&mut self) -> Result<(), Refused>;

    /// The process dies and starts again: everything in memory is gone.
    fn crash(&mut self) -> Result<(), Refused>;

    /// The device dies in the middle of the next processing: after the vault was written, before the
    /// MLS state is. Where that takes several transactions, it dies in this one; 1 is the first.
    fn crash_before_storing(&mut self, transaction: usize);

    /// Compares the MLS state with the vault.
    fn check_vault(&mut self) -> Result<Freshness, Refused>;

    /// Everything that lies in the MLS storage, for comparison.
    fn stored(&self) -> Vec<u8>;
}

/// An adapter with the leaf anchor, as a maker of members.
pub trait LeafAdapter {
    /// A device.
    type Device: LeafMember;
    /// A thief.
    type Thief: Thief;

    /// The suites that it knows.
    fn suites(&self) -> Vec<CipherSuite>;

    /// Whose signature keys the devices use.
    fn keys(&self) -> Keys;

    /// The devices of one leaf, with empty vaults.
    fn devices(&self, suite: CipherSuite, framing: Framing, count: usize) -> Vec<Self::Device>;

    /// The other members: at least two. The first creates the group.
    fn others(&self, suite: CipherSuite, framing: Framing) -> Vec<Box<dyn Member>>;

    /// A member who can lie.
    fn liar(&self, suite: CipherSuite, framing: Framing, identity: &str) -> Box<dyn Liar>;

    /// Somebody on a stock implementation whose leaf has ended, in a group of its own with those of these
    /// KeyPackages; and their Welcome.
    fn ended(
        &self,
        suite: CipherSuite,
        framing: Framing,
        key_packages: &[Vec<u8>],
    ) -> Result<(Box<dyn Liar>, Vec<u8>), Refused>;

    /// One more member, of a name of its own.
    fn guest(&self, suite: CipherSuite, framing: Framing, name: &str) -> Box<dyn Member>;

    /// A thief of the device's MLS state as it is now.
    fn steal(&self, device: &Self::Device) -> Self::Thief;

    /// A thief who learns the epoch secrets of the device as they are now, and of private keys has only
    /// those of the first theft.
    fn second_leak(&self, first: &Self::Thief, device: &Self::Device) -> Self::Thief;

    /// Somebody who acts in the leaf's name, with the device's MLS state as it is now.
    fn impersonate(&self, device: &Self::Device, signs: Signs) -> Box<dyn Impostor>;

    /// A second copy of the device, with its vault.
    fn steal_with_vault(&self, device: &Self::Device) -> Self::Device;

    /// Gives a thief with an old copy of a device a copy of that device's vault as it is now.
    fn steal_vault_again(&self, thief: &mut Self::Device, device: &Self::Device);

    /// An external commit by somebody who has stolen the device's signature key and nothing else.
    fn rejoin_with_signature_key(
        &self,
        device: &Self::Device,
        group_info: &[u8],
    ) -> Result<(Box<dyn Member>, Sent), Refused>;
}
