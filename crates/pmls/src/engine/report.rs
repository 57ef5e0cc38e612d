//! What happened, for people and for scripts.

use std::{collections::BTreeMap, fmt};

use paired_mls::{
    EpochSecurity, Event, PairingId,
    anchor::LeafIndex,
    group::{Act, NotHealed, Oddity},
    pairing::StateName,
};
use serde::Serialize;

use super::{EngineError, Group, Letter, Said, pairing::short_state};
use crate::output::{printable, short};

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
    /// A pairing is over, and its tape erased.
    Ended { pairing: String, leaves: bool },
    /// After the end of a pairing: this device is to be added again.
    ReturnAnew { pairing: String },
    /// After the end of a pairing of several devices: those that stay pair again.
    PairAnew { pairing: String },
    /// A partner behind the shared leaf wants to send messages.
    TokenWanted { group: String, by: u16 },
    /// A partner behind the shared leaf sends no more.
    TokenGiven { group: String, by: u16 },
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
    /// This device is out of a group that nobody else is in.
    Left { group: String },
    /// New KeyPackages are at the service, which had this many left.
    KeyPackages { made: u64, left: u64 },
    /// What this device had of a group is erased.
    Forgotten { group: String, id: String },
    /// This device is back in a group, from outside.
    Rejoined { group: String, id: String, epoch: u64 },
    /// This device has sent more than its state knows: that is an older copy.
    OlderCopy { group: String },
    /// The vault is an older copy than this device's state of the group.
    OlderVault { group: String },
    /// The state of the group is an older copy than the vault, and the log does not lead further.
    OlderState { group: String },
    /// KeyPackages from the tape are with whoever is to have them.
    TapePackages { pairing: String, count: usize },
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

impl PairingEvent {
    /// Whether it belongs before the word that the device is secure: an alarm, or what a commit did not
    /// do.
    fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::Impostor { .. }
                | Self::NotHealed { .. }
                | Self::PairingUnused { .. }
                | Self::HealingFailed
        )
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
    if let Some(shared) = group.shared() {
        return Some(shared.security().name());
    }
    group.paired()?.security(group.own_number()?).map(EpochSecurity::name)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.events.is_empty() {
            return f.write_str("nothing new");
        }
        for (n, event) in self.events.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{event}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { group, .. } => write!(f, "joined {group}"),
            Self::Commit(followed) => write!(f, "{followed}"),
            Self::Message { group, said } => write!(f, "{group}: {}", said.shown),
            Self::Impostor { group, leaf, says, last } => {
                write!(f, "ALARM: {group}: the member at #{leaf} says that it is {says}, and the directory says \
                 that it is not")?;
                if let Some(last) = last {
                    write!(f, "; it was {last}")?;
                }
                write!(f, ". It is never shown as {says}; `pmls group remove {group} '#{leaf}'` takes it out")
            }
            Self::PairingOffered { by, digits } => write!(
                f,
                "{} wants to pair with this device. Compare these digits with those on the other \
                 one, and then run `pmls pair confirm`:\n{digits}",
                by.join(" and ")
            ),
            Self::Pairing { pairing, state } => write!(f, "pairing {}: {state}", short(pairing)),
            Self::PairedIn { group, pairing, left_out } if left_out.is_empty() => {
                write!(f, "{group}: pairing {} is used here", short(pairing))
            }
            Self::PairedIn { group, pairing, left_out } => {
                let devices: Vec<_> = left_out.iter().map(u16::to_string).collect();
                write!(
                    f,
                    "{group}: pairing {} is used here, but not for device {}: others sit between; `pmls group \
                     plan {group} {}` says how they come together",
                    short(pairing),
                    devices.join(" and "),
                    short(pairing)
                )
            }
            Self::PairedApart { group, pairing } => write!(
                f,
                "{group}: pairing {} heals nobody here: others sit between the devices; `pmls group plan {group} \
                 {}` says how they come together",
                short(pairing),
                short(pairing)
            ),
            Self::NotUsedIn { group, pairing, instead } => write!(
                f,
                "{group}: pairing {} is not used here, since this device is paired here by pairing {}: `pmls pair \
                 end {}` ends that one",
                short(pairing),
                short(instead),
                short(instead)
            ),
            Self::PartnerContinues { group, pairing, by } => write!(
                f,
                "{group}: device {by} goes on with pairing {}, which this device is ending",
                short(pairing)
            ),
            Self::Ended { pairing, leaves: true } => write!(
                f,
                "pairing {} is over and its tape erased; this device leaves the groups of it",
                short(pairing)
            ),
            Self::Ended { pairing, leaves: false } => {
                write!(f, "pairing {} is over and its tape erased", short(pairing))
            }
            Self::ReturnAnew { .. } => f.write_str(
                "this device leaves its groups of the pairing: run `pmls device publish`, and let a \
                 member add it again",
            ),
            Self::PairAnew { .. } => {
                f.write_str("the devices that stay may pair again: `pmls pair start`")
            }
            Self::TokenWanted { group, by } => write!(
                f,
                "{group}: device {by} wants to send: `pmls token give {group}` lets it"
            ),
            Self::TokenGiven { group, by } => write!(
                f,
                "{group}: device {by} sends no more: `pmls update {group}` takes the token"
            ),
            Self::MailboxRestored => f.write_str(
                "the service was restored from a backup: the mailbox is read again, what came since that \
                 backup and was not read is lost, and KeyPackages may be given out twice: `pmls device \
                 publish` makes new ones",
            ),
            Self::Dropped { why } => write!(f, "warning, and nothing was done: {why}"),
            Self::Unread { group, epoch, position } => write!(
                f,
                "{group}: message {position}, of epoch {epoch}, cannot be read: it came too late, or its sender \
                 works with an older copy of its state; ask for it once more"
            ),
            Self::Sent { group, .. } => write!(f, "{group}: the message is sent"),
            Self::NotSent { group } => write!(
                f,
                "{group}: a message that waited was not sent, since this device is not in the group any more"
            ),
            Self::Leaving { group } => write!(
                f,
                "{group}: this device asks to be removed, and is in until another member commits; `pmls \
                 sync` shows when that is done"
            ),
            Self::Left { group } => write!(f, "{group}: this device was alone in it, and has left"),
            Self::KeyPackages { made, left } => write!(
                f,
                "the service had {left} KeyPackages of this device left, and has {made} more now"
            ),
            Self::Forgotten { group, .. } => write!(f, "{group}: forgotten, with all messages and keys"),
            Self::Rejoined { group, epoch, .. } => {
                write!(f, "{group}: this device is back, in epoch {epoch}")
            }
            Self::OlderCopy { group } => write!(
                f,
                "{group}: the state of this device is older than what it has sent; it takes new keys, and \
                 sends by those"
            ),
            Self::OlderVault { group } => write!(
                f,
                "{group}: the vault of this device is older than its state, as after a restored backup; \
                 nobody counts as healed here until this device commits: `pmls update {group}`"
            ),
            Self::OlderState { group } => write!(
                f,
                "{group}: the state of this device is older than its vault, as after a restored backup; \
                 `pmls group rejoin {group}` comes back from outside"
            ),
            Self::TapePackages { pairing, count } => write!(
                f,
                "pairing {}: {count} new {} from the tape",
                short(pairing),
                if *count == 1 { "KeyPackage" } else { "KeyPackages" }
            ),
            Self::Resent { pairing, messages: 0 } => {
                write!(f, "pairing {}: this device has nothing to say again", short(pairing))
            }
            Self::Resent { pairing, .. } => {
                write!(f, "pairing {}: what this device has said last is sent again", short(pairing))
            }
            Self::Abandoned { pairing } => {
                write!(f, "pairing {}: given up; `pmls pair start` begins another one", short(pairing))
            }
            Self::TokenAsked { group } => write!(
                f,
                "{group}: the partners are asked for the token; `pmls sync` shows when one gives it"
            ),
            Self::TokenGivenAway { group } => write!(
                f,
                "{group}: the token is given away; this device sends again after `pmls update {group}`"
            ),
            Self::Refused { why, .. } => f.write_str(why),
        }
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: epoch {}", self.group, self.epoch)?;
        if let Some(members) = self.members {
            write!(f, ", {members} {}", if members == 1 { "member" } else { "members" })?;
        }
        let (warnings, others): (Vec<_>, Vec<_>) =
            self.events.iter().partition(|event| event.is_warning());
        for event in &warnings {
            write!(f, "\n    {}", Named(event, &self.names))?;
        }
        if let Some(security) = self.security {
            let start = if warnings.is_empty() { ", " } else { "\n    " };
            write!(f, "{start}this device is {security}")?;
        }
        for event in others {
            write!(f, "\n    {}", Named(event, &self.names))?;
        }
        Ok(())
    }
}

/// What a commit changed, with the names of the devices.
struct Named<'a>(&'a PairingEvent, &'a BTreeMap<u16, String>);

impl Named<'_> {
    fn name(&self, number: u16) -> String {
        self.1.get(&number).cloned().unwrap_or_else(|| format!("device {number}"))
    }

    fn list(&self, numbers: &[u16]) -> String {
        numbers.iter().map(|number| self.name(*number)).collect::<Vec<_>>().join(" and ")
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |number: &u16| self.name(*number);
        match self.0 {
            PairingEvent::Healed { by, devices, position } => {
                let whom =
                    if devices.is_empty() { "the leaf".to_owned() } else { self.list(devices) };
                write!(f, "{} healed {whom}", name(by))?;
                match position {
                    Some(position) => write!(f, ", with tape position {position}"),
                    None => Ok(()),
                }
            }
            PairingEvent::LeafRenewed { by, device } => {
                write!(f, "{} renewed the whole leaf of {}", name(by), name(device))
            }
            PairingEvent::SecurityChanged { device, from, to } => {
                write!(f, "{} was {from} and is {to}", name(device))
            }
            PairingEvent::AnchorBlanked => {
                f.write_str("the anchor is blank until the next paired commit")
            }
            PairingEvent::AnchorShrunk { left_out } => {
                write!(f, "the anchor has shrunk: {} is not healed any more", self.list(left_out))
            }
            PairingEvent::Suspended => f.write_str(
                "strangers sit under every node of the pairing: commits of this device heal nobody \
                 else",
            ),
            PairingEvent::Restored => f.write_str("the anchor stands above all devices again"),
            PairingEvent::CommitLost => {
                f.write_str("this device's own commit has lost the epoch; its tape index is burned")
            }
            PairingEvent::NotSettled => {
                f.write_str("the vault could not erase a used value: see its disk")
            }
            PairingEvent::HealingFailed => {
                f.write_str("the commit that should heal could not be made: run `pmls update`")
            }
            PairingEvent::DeviceLeft { device } => write!(f, "{} left the group", name(device)),
            PairingEvent::TokenTaken { by } => {
                write!(f, "{} sends from the shared leaf now", name(by))
            }
            PairingEvent::TakenOut { leaf, who, by } => {
                let who = who.clone().unwrap_or_else(|| "somebody".to_owned());
                write!(
                    f,
                    "ALARM: {who} at #{leaf} was taken out from outside, by one who says that it is {by}"
                )
            }
            PairingEvent::OddLeaf { leaf, oddity } => {
                write!(f, "the member at #{leaf} is odd, and the group goes on with it: {oddity}")
            }
            PairingEvent::ProposalLeftOut { leaf: Some(leaf), says } => write!(
                f,
                "the proposal of #{leaf} to be {says} is left out: the directory does not say so"
            ),
            PairingEvent::ProposalLeftOut { leaf: None, says } => write!(
                f,
                "the proposal to add somebody as {says} is left out: the directory does not say so"
            ),
            PairingEvent::Removed => f.write_str("this device was removed"),
            PairingEvent::Impostor { device, act } => {
                let did = match *act {
                    "commit" => "a commit was made in its seat that is not from the tape",
                    "external-commit" => "somebody came in from outside with its signature key",
                    "update-proposed" => {
                        "an Update was proposed in its name; it is not committed here"
                    }
                    "update-committed" => "an Update in its name was committed",
                    "new-key" => "its leaf has another signature key",
                    _ => "something was proposed in its name",
                };
                write!(
                    f,
                    "ALARM: {}: {did}. If it still uses the pairing here, somebody has its signature \
                     key: run `pmls update` on a partner, end the pairing, and let the device come \
                     back with another key",
                    name(device)
                )
            }
            PairingEvent::NotHealed { by, device, why } => {
                let because = match *why {
                    "placement" => "members that are not of the pairing sit between them",
                    "newcomer" => "it was added just now; the next update heals it",
                    "impostor" => "somebody else has its leaf, and it has to rejoin",
                    "ceasing" => "the pairing is ending",
                    _ => "see the tree",
                };
                write!(f, "NOT healed by {}: {}: {because}", name(by), name(device))
            }
            PairingEvent::PairingUnused { pairing } => write!(
                f,
                "NOT healed: the other devices of pairing {}, which is not used here, since a group \
                 uses one pairing of a device: pair with all of them at once",
                short(pairing)
            ),
            PairingEvent::Other => f.write_str("something that this version does not know"),
        }
    }
}

#[cfg(test)]
mod tests;
