//! What people read of what happened.

use std::{collections::BTreeMap, fmt};

use super::{DIGITS_DIFFER, Followed, Happening, PairingEvent, Report};
use crate::output::short;

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
            Self::GroupRefused { id, by, why } => write!(
                f,
                "{} has put this device into the group {id}, and it did not come in: {why}, none of which anybody \
                 here has named in a command. `pmls group list` shows them; `pmls group show` one that you know, \
                 `pmls group leave` the others, and ask to be removed from {id} and added again",
                by.as_deref().unwrap_or("somebody whom the directory does not know"),
            ),
            Self::MessagesDropped { group, from, count } => write!(
                f,
                "{group}: {count} {} of {from} dropped unread, since there were too many: `pmls group read {group}`",
                if *count == 1 { "message was" } else { "messages were" }
            ),
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
            Self::PairingRefused { pairing, by, why } if *why == DIGITS_DIFFER => write!(
                f,
                "ALARM: pairing {}: {by} says that the digits differ, so somebody may be between the devices. \
                 The pairing is given up; begin again over another network",
                short(pairing)
            ),
            Self::PairingRefused { pairing, by, .. } => write!(
                f,
                "pairing {}: {by} has given it up, and so does this device",
                short(pairing)
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
            Self::OtherLog { group, position } => write!(
                f,
                "{group}: the feed has another log than this device has read, from entry {position} on; nothing \
                 of it was taken. It is a beacon with an older database, or a service that was restored: see \
                 to that, and the feed goes on"
            ),
            Self::Ended { pairing, leaves: true } => write!(
                f,
                "pairing {} is over and its tape erased; this device leaves the groups of it",
                short(pairing)
            ),
            Self::Ended { pairing, leaves: false } => {
                write!(f, "pairing {} is over and its tape erased", short(pairing))
            }
            Self::TakenOut { group, device } => write!(
                f,
                "{group}: nobody else is there, so that this device stays and takes {device} out"
            ),
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
            Self::ServiceRestored => f.write_str(
                "the service was restored from a backup: each group stands still until `pmls group rejoin` of it",
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
            Self::Stays { group } => write!(f, "{group}: this device stays"),
            Self::AlreadyIn { group, user } => {
                write!(f, "{group}: {user} is in it already, and is not added again")
            }
            Self::Left { group } => write!(f, "{group}: this device was alone in it, and has left"),
            Self::KeyPackages { made, left } => write!(
                f,
                "the service had {left} KeyPackages of this device left, and has {made} more now"
            ),
            Self::KeyPackagesAhead { made, .. } => write!(
                f,
                "the service has {made} KeyPackages more of this device, each for its time: `pmls status` says until when \
                 others can add it"
            ),
            Self::Forgotten { group, .. } => write!(f, "{group}: forgotten, with all messages and keys"),
            Self::Rejoined { group, epoch, .. } => {
                write!(f, "{group}: this device is back, in epoch {epoch}")
            }
            Self::InfoPublished { group, epoch } => write!(
                f,
                "{group}: the service has the GroupInfo of epoch {epoch}; whoever may come in from outside can now"
            ),
            Self::LeafLost { group, .. } => write!(
                f,
                "{group}: this device has shared its leaf here, and the leaf's keys are lost: pair anew, or ask a \
                 member to add this device"
            ),
            Self::PairingLost { pairing, with } => write!(
                f,
                "pairing {} is over, since its tape is lost: run `pmls pair end {} --force` on the device of {}, and \
                 pair again",
                short(pairing),
                short(pairing),
                with.join(" and ")
            ),
            Self::WelcomeLost => f.write_str(
                "somebody has added this device to a group by a KeyPackage whose private keys are gone, as after a \
                 restored backup: `pmls recover` withdraws such, and then this device can be added again",
            ),
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
            Self::NobodyRenews => f.write_str(
                "no partner renews this device's own leaf, which ends within 84 days: pair it first (`pmls pair start`), \
                 and run `pmls device provision` once more; a leaf that devices share needs no renewal",
            ),
            Self::ChainHandedOver { pairing, to, packages, .. } => write!(
                f,
                "pairing {}: device {to} was sent what renews this device's leaf without it, {packages} KeyPackages; once it \
                 has synced, its `pmls status` says until when; if that is lost there, `pmls device provision` sends it again",
                short(pairing)
            ),
            Self::Provided { pairing, by, packages, .. } => write!(
                f,
                "pairing {}: device {by} can be renewed for longer now, by {packages} new KeyPackages; `pmls status` says \
                 until when",
                short(pairing)
            ),
            Self::ProvisionEnds { group, device, ahead, .. } => write!(
                f,
                "{group}: the leaf of device {device} can be renewed for {} only: reach that device, and run `pmls \
                 sync` on it before",
                match *ahead {
                    "30-days" => "30 days",
                    "90-days" => "90 days",
                    _ => "a year",
                }
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
