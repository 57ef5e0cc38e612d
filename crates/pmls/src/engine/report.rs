//! What happened, for people and for scripts.

mod texts;

use std::collections::BTreeMap;

use paired_mls::{
    EpochSecurity, Event, PairingId,
    anchor::LeafIndex,
    group::{Act, NotHealed, Oddity},
    pairing::{Abandon, AbandonReason, Code, Party, StateName},
};
use serde::Serialize;

use super::{Crowded, EngineError, Group, Letter, Said, pairing::short_state};
use crate::output::printable;

/// Why another device has given up a pairing: somebody may be between the devices.
const DIGITS_DIFFER: &str = "digits-differ";

/// What happened while a command ran.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) events: Vec<Happening>,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Happening {
    /// This device is in a group.
    Joined { group: String, id: String },
    /// This device did not come into a group that somebody has put it into: there are too many that its user
    /// knows nothing of.
    GroupRefused {
        id: String,
        /// The user who has done it, if the directory knows the leaf's device.
        by: Option<String>,
        why: Crowded,
    },
    /// Messages that nobody has read were dropped: this sender has sent too many.
    MessagesDropped { group: String, from: String, count: u64 },
    /// Somebody's commit, or this device's own.
    Commit(Followed),
    /// A message.
    Message {
        group: String,
        #[serde(flatten)]
        said: Said,
    },
    /// Alarm: a member says that it is somebody, and the directory says that it is not.
    Impostor { group: String, leaf: u32, says: String, last: Option<String> },
    /// Devices want to pair with this one: their digits are to be compared.
    PairingOffered { by: Vec<String>, digits: String },
    /// Another device has given up a pairing that had not come about, and so does this one.
    PairingRefused { pairing: String, by: String, why: &'static str },
    /// A pairing is in another state.
    Pairing { pairing: String, state: &'static str },
    /// A pairing is used in a group: commits of this device heal partners, all but those that are left out.
    PairedIn {
        group: String,
        pairing: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<u16>,
    },
    /// A pairing is in a group, and as the devices stand in its tree, commits of this device heal nobody.
    PairedApart { group: String, pairing: String },
    /// A pairing is not used in a group, since another one is.
    NotUsedIn { group: String, pairing: String, instead: String },
    /// A partner goes on with a pairing that this device is ending.
    PartnerContinues { group: String, pairing: String, by: u16 },
    /// The feed has another log of a group than the one that was read, from this position on.
    OtherLog { group: String, position: u64 },
    /// A pairing is over, and its tape erased.
    Ended { pairing: String, leaves: bool },
    /// After the end of a pairing: this device has taken out a partner.
    TakenOut { group: String, device: String },
    /// After the end of a pairing: this device is to be added again.
    ReturnAnew { pairing: String },
    /// After the end of a pairing of several devices: those that stay pair again.
    PairAnew { pairing: String },
    /// A partner behind the shared leaf wants to send messages.
    TokenWanted { group: String, by: u16 },
    /// A partner behind the shared leaf sends no more.
    TokenGiven { group: String, by: u16 },
    /// The service was restored from a backup.
    ServiceRestored,
    /// The service has an older copy of the mailbox than the one that was read.
    MailboxRestored,
    /// Something came that somebody may have meant harm by; nothing was done with it.
    Dropped { why: String },
    /// A message cannot be read.
    Unread { group: String, epoch: u64, position: u64 },
    /// This device's message is in the log.
    Sent { group: String, position: u64, bytes: usize },
    /// A message was not sent: this device has left its group in the meantime.
    NotSent { group: String },
    /// This device has asked to be removed; another member has to commit that.
    Leaving { group: String },
    /// This device does not want to leave any more.
    Stays { group: String },
    /// Somebody was not added, since it is in already.
    AlreadyIn { group: String, user: String },
    /// This device is out of a group that nobody else is in.
    Left { group: String },
    /// New KeyPackages are at the service, which had this many left.
    KeyPackages { made: u64, left: u64 },
    /// KeyPackages for each time of the next years are at the service.
    KeyPackagesAhead { made: u64, until: u64 },
    /// What this device had of a group is erased.
    Forgotten { group: String, id: String },
    /// This device is back in a group, from outside.
    Rejoined { group: String, id: String, epoch: u64 },
    /// The service has what others come in by from outside.
    InfoPublished { group: String, epoch: u64 },
    /// A leaf that this device has shared is lost with its vault: a partner, or another member, has to add it.
    LeafLost { group: String, id: String },
    /// A pairing is over, since its tape is lost.
    PairingLost { pairing: String, with: Vec<String> },
    /// Somebody has added this device by a KeyPackage whose private keys are gone.
    WelcomeLost,
    /// This device has sent more than its state knows: that is an older copy.
    OlderCopy { group: String },
    /// The vault is an older copy than this device's state of the group.
    OlderVault { group: String },
    /// The state of the group is an older copy than the vault, and the log does not lead further.
    OlderState { group: String },
    /// KeyPackages from the tape are with whoever is to have them.
    TapePackages { pairing: String, count: usize },
    /// This device will only receive, and has no partner who renews a leaf of its own.
    NobodyRenews,
    /// What renews this device's leaf for years was sent to a partner.
    ChainHandedOver { pairing: String, to: u16, packages: usize, until: u64 },
    /// A partner has handed over what renews its leaf for years.
    Provided { pairing: String, by: u16, packages: usize, until: u64 },
    /// What renews a partner's leaf in a group is at its end in a year, 90 days, or 30.
    ProvisionEnds { group: String, device: u16, until: u64, ahead: &'static str },
    /// What this device has to say in a pairing was sent again.
    Resent { pairing: String, messages: usize },
    /// A pairing that had not come about is given up.
    Abandoned { pairing: String },
    /// This device has asked its partners for the token.
    TokenAsked { group: String },
    /// This device sends nothing more from the shared leaf.
    TokenGivenAway { group: String },
    /// The service has refused something for good.
    Refused { what: String, why: String },
}

/// A commit that was followed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Followed {
    pub(crate) group: String,
    pub(crate) epoch: u64,
    /// How many leaves the group has now; nothing if this device is out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) members: Option<usize>,
    /// What it changed for the pairing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<PairingEvent>,
    /// How safe the epoch is for this device, if it is paired here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security: Option<&'static str>,
    /// The devices of the pairing, for people.
    #[serde(skip)]
    pub(super) names: BTreeMap<u16, String>,
}

/// What a commit changed for a pairing.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum PairingEvent {
    Healed {
        by: u16,
        devices: Vec<u16>,
        position: Option<u64>,
    },
    LeafRenewed {
        by: u16,
        device: u16,
    },
    SecurityChanged {
        device: u16,
        from: &'static str,
        to: &'static str,
    },
    AnchorBlanked,
    AnchorShrunk {
        left_out: Vec<u16>,
    },
    Suspended,
    Restored,
    CommitLost,
    NotSettled,
    HealingFailed,
    DeviceLeft {
        device: u16,
    },
    TokenTaken {
        by: u16,
    },
    Removed,
    Impostor {
        device: u16,
        act: &'static str,
    },
    NotHealed {
        by: u16,
        device: u16,
        why: &'static str,
    },
    /// A commit of this device has healed nobody by this pairing: the group uses another one.
    PairingUnused {
        pairing: String,
    },
    /// Alarm: an external commit has taken out a member, and came in as somebody else.
    TakenOut {
        leaf: u32,
        who: Option<String>,
        by: String,
    },
    /// A member's leaf has a key as no usual client makes it.
    OddLeaf {
        leaf: u32,
        oddity: &'static str,
    },
    /// This device's commit does not do what somebody has proposed, whose leaf is not accepted.
    ProposalLeftOut {
        leaf: Option<u32>,
        says: String,
    },
    Other,
}

impl From<&Event> for PairingEvent {
    fn from(event: &Event) -> Self {
        let numbers =
            |devices: &[paired_mls::DeviceId]| devices.iter().map(|device| device.0).collect();
        match event {
            Event::Healed { by, devices, index } => Self::Healed {
                by: by.0,
                devices: numbers(devices),
                position: index.map(|index| index.position()),
            },
            Event::LeafRenewed { by, device } => Self::LeafRenewed { by: by.0, device: device.0 },
            Event::SecurityChanged { device, from, to } => {
                Self::SecurityChanged { device: device.0, from: from.name(), to: to.name() }
            }
            Event::AnchorBlanked => Self::AnchorBlanked,
            Event::AnchorShrunk { left_out } => Self::AnchorShrunk { left_out: numbers(left_out) },
            Event::Suspended => Self::Suspended,
            Event::Restored => Self::Restored,
            Event::CommitLost { .. } => Self::CommitLost,
            Event::NotSettled => Self::NotSettled,
            Event::HealingFailed => Self::HealingFailed,
            Event::DeviceLeft { device } => Self::DeviceLeft { device: device.0 },
            Event::TokenTaken { by } => Self::TokenTaken { by: by.0 },
            Event::Removed => Self::Removed,
            Event::Impostor { device, act } => {
                Self::Impostor { device: device.0, act: name_of_act(*act) }
            }
            Event::NotHealed { by, device, why } => {
                Self::NotHealed { by: by.0, device: device.0, why: name_of_reason(*why) }
            }
            Event::TakenOut { leaf, identity, by } => Self::TakenOut {
                leaf: leaf.value(),
                who: identity.as_ref().map(|who| printable(who.content())),
                by: printable(by.content()),
            },
            Event::OddLeaf { leaf, oddity } => Self::OddLeaf {
                leaf: leaf.value(),
                oddity: match oddity {
                    Oddity::KeyTwice => "another leaf has the same signature key",
                    Oddity::UnusualForm => "its signature key has an unusual form",
                    Oddity::KeyNotProven => "it lists a signature key whose holder has not agreed",
                },
            },
            Event::ProposalLeftOut { leaf, claims, .. } => Self::ProposalLeftOut {
                leaf: leaf.map(LeafIndex::value),
                says: printable(claims.content()),
            },
            _ => Self::Other,
        }
    }
}

fn name_of_act(act: Act) -> &'static str {
    match act {
        Act::Commit => "commit",
        Act::ExternalCommit => "external-commit",
        Act::UpdateProposed => "update-proposed",
        Act::UpdateCommitted => "update-committed",
        Act::NewKey => "new-key",
        Act::Proposal => "proposal",
        _ => "other",
    }
}

fn name_of_reason(why: NotHealed) -> &'static str {
    match why {
        NotHealed::Placement => "placement",
        NotHealed::Newcomer => "newcomer",
        NotHealed::Impostor => "impostor",
        NotHealed::Ceasing => "ceasing",
        _ => "other",
    }
}

impl Report {
    /// How many groups this device has come into.
    pub(super) fn joined(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Happening::Joined { .. })).count()
    }

    pub(crate) fn add(&mut self, happening: Happening) {
        self.events.push(happening);
    }

    pub(super) fn heard(&mut self, group: &str, letter: Letter) {
        self.add(Happening::Message { group: group.to_owned(), said: letter.into() });
    }

    /// A pairing is in this state. A step that leaves it there is no news.
    pub(super) fn pairing(&mut self, pairing: PairingId, state: StateName) {
        let (now, of) = (short_state(state), pairing.to_string());
        let last = self.events.iter().rev().find_map(|event| match event {
            Happening::Pairing { pairing, state } if *pairing == of => Some(*state),
            _ => None,
        });
        if last != Some(now) {
            self.add(Happening::Pairing { pairing: of, state: now });
        }
    }

    /// Another device has given up a pairing that had not come about.
    pub(super) fn refused(&mut self, by: &Party, abandon: &Abandon) {
        let why = match abandon.reason {
            Code::Known(AbandonReason::DigitsDiffer) => DIGITS_DIFFER,
            Code::Known(AbandonReason::GivenUp) | Code::Unknown(_) => "given-up",
        };
        let (pairing, by) = (abandon.pairing_id.to_string(), printable(&by.identity));
        self.add(Happening::PairingRefused { pairing, by, why });
    }

    /// A message of this sender that nobody has read was dropped.
    pub(super) fn message_dropped(&mut self, of: &str, by: String) {
        for event in &mut self.events {
            match event {
                Happening::MessagesDropped { group, from, count } if group == of && *from == by => {
                    *count = count.saturating_add(1);
                    return;
                }
                _ => {}
            }
        }
        self.add(Happening::MessagesDropped { group: of.to_owned(), from: by, count: 1 });
    }

    pub(super) fn dropped(&mut self, error: &EngineError) {
        self.add(Happening::Dropped { why: with_causes(error) });
    }
}

fn with_causes(error: &EngineError) -> String {
    let mut text = error.to_string();
    if matches!(error, EngineError::Mls(_)) {
        // What a library says is not for people.
        return text;
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    for cause in causes {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// How safe the epoch is for this device.
pub(super) fn security_of(group: &Group) -> Option<&'static str> {
    group.security().map(EpochSecurity::name)
}

#[cfg(test)]
mod tests;
