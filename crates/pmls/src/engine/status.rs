//! How it is with a device: everything on one screen, from what it has, without a network.

use std::time::Duration;

use paired_mls::{Phase, pairing::StateName};
use paired_mls_openmls::{Footing, Place};
use serde::Serialize;

use super::{
    Engine, EngineError, Group, GroupRow, Membership, PairingView, Waiting,
    pairing::short_state,
    provision::{Sharing, ahead},
    report::security_of,
    store::{from_sql, seconds},
};
use crate::output::printable;

/// How long before its end a leaf or a KeyPackage is spoken of, in seconds.
const SOON: u64 = 14 * 24 * 60 * 60;

/// How long before its end a leaf should have been renewed by itself, in seconds.
const LATE: u64 = 3 * 24 * 60 * 60;

/// How it is with a device.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) device: String,
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) server: String,
    /// The time of this report, in seconds since 1970-01-01T00:00:00Z, like all times in it.
    pub(crate) at: u64,
    /// When everything that the service had was fetched last.
    pub(crate) synced_at: Option<u64>,
    /// When the service said that this device was revoked, if nothing else was heard since.
    pub(crate) revoked_at: Option<u64>,
    /// The item of the mailbox that was read last.
    pub(crate) mailbox_cursor: u64,
    pub(crate) groups: Vec<GroupStatus>,
    pub(crate) pairings: Vec<PairingView>,
    pub(crate) key_packages: PackageStatus,
    pub(crate) outbox: Vec<Waiting>,
    /// What somebody should do something about.
    pub(crate) attention: Vec<Attention>,
}

/// How it is with a group.
#[derive(Debug, Serialize)]
pub(crate) struct GroupStatus {
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) epoch: Option<u64>,
    pub(crate) unread: u64,
    /// The entry of the log that was read last.
    pub(crate) cursor: u64,
    pub(crate) pairing: Option<String>,
    pub(crate) shared_leaf: bool,
    /// The devices of the pairing that are here; one for all that share a leaf.
    pub(crate) devices: Vec<DeviceStatus>,
    /// The devices that the next update of this device heals.
    pub(crate) next_update_heals: Vec<u16>,
    /// Why the group cannot be followed.
    pub(crate) trouble: Option<TroubleView>,
}

/// How safe the epoch of a group is for a device of the pairing.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceStatus {
    /// Nothing for a leaf that the devices share.
    pub(crate) device: Option<u16>,
    pub(crate) name: String,
    pub(crate) security: Option<&'static str>,
    pub(crate) healed_at: Option<u64>,
    pub(crate) healed_in_epoch: Option<u64>,
    /// The end of a leaf that came in by a KeyPackage and was not renewed since.
    pub(crate) leaf_until: Option<u64>,
    /// Until when the leaf can be renewed without this device, if it has handed over what that takes.
    pub(crate) provided_until: Option<u64>,
    /// How near that is: a year, 90 days, or 30.
    pub(crate) provision_ends: Option<&'static str>,
    /// Whether the leaf would come to a place where it can be renewed.
    pub(crate) renewable: Option<bool>,
}

/// Why a group cannot be followed.
#[derive(Debug, Serialize)]
pub(crate) struct TroubleView {
    /// The entry of the log.
    pub(crate) position: Option<u64>,
    pub(crate) why: String,
    pub(crate) since: u64,
}

/// The KeyPackages of this device at the service, as it has said last.
#[derive(Debug, Serialize)]
pub(crate) struct PackageStatus {
    /// Whether this device offers any.
    pub(crate) offered: bool,
    pub(crate) left: Option<u64>,
    pub(crate) last_resort: Option<u64>,
    /// When the service was asked.
    pub(crate) counted_at: Option<u64>,
    /// The end of those that were made last.
    pub(crate) until: Option<u64>,
    /// The end of those that were made ahead, if this device only receives.
    pub(crate) ahead_until: Option<u64>,
}

/// Something that somebody should do something about.
#[derive(Debug, Serialize)]
pub(crate) struct Attention {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    pub(crate) what: String,
    /// The command that helps.
    pub(crate) run: String,
}

impl Engine {
    /// How it is with this device. What was not fetched for longer than `max_age` asks for attention.
    pub(crate) fn status(&self, max_age: Duration) -> Result<Status, EngineError> {
        let profile = self.session.profile();
        let at = from_sql(seconds(self.now()));
        let rows = self.store().groups()?;
        let sharing = self.sharing()?;
        let groups = rows.iter().map(|row| self.group_status(row, &sharing));
        let mut status = Status {
            device: profile.device.to_string(),
            user: printable(profile.user.as_bytes()),
            name: profile.name.clone(),
            server: profile.server.url.to_string(),
            at,
            synced_at: self.store().synced()?,
            revoked_at: self.store().revoked()?,
            mailbox_cursor: self.mailbox_cursor()?,
            groups: groups.collect::<Result<_, _>>()?,
            pairings: self.pairings()?,
            key_packages: self.package_status()?,
            outbox: self.store().waiting()?,
            attention: Vec::new(),
        };
        status.attention = status.judge(max_age.as_secs());
        Ok(status)
    }

    fn group_status(&self, row: &GroupRow, sharing: &Sharing) -> Result<GroupStatus, EngineError> {
        let trouble = self.store().trouble(&row.id)?;
        let mut status = GroupStatus {
            group: row.name.clone(),
            id: row.id.to_string(),
            state: row.state.name(),
            epoch: None,
            unread: self.store().unread(&row.id)?,
            cursor: row.cursor,
            pairing: row.pairing.map(|pairing| pairing.to_string()),
            shared_leaf: row.pairing.is_some(),
            devices: Vec::new(),
            next_update_heals: Vec::new(),
            trouble: trouble.map(|trouble| TroubleView {
                position: trouble.position,
                why: trouble.why,
                since: trouble.since,
            }),
        };
        if row.state.takes_part() {
            let group = self.load(row)?;
            status.epoch = Some(group.epoch());
            status.pairing = group.any_pairing().map(|pairing| pairing.to_string());
            status.devices = self.device_status(&group, sharing)?;
            status.next_update_heals = self.next_update_heals(&group)?;
        }
        Ok(status)
    }

    fn device_status(
        &self,
        group: &Group,
        sharing: &Sharing,
    ) -> Result<Vec<DeviceStatus>, EngineError> {
        let view = |device, name, security, leaf_until| -> Result<DeviceStatus, EngineError> {
            let healing = self.store().healed(&group.row.id, device)?;
            Ok(DeviceStatus {
                device,
                name,
                security,
                healed_at: healing.map(|healing| healing.at),
                healed_in_epoch: healing.map(|healing| healing.epoch),
                leaf_until,
                provided_until: None,
                provision_ends: None,
                renewable: None,
            })
        };
        let Some(paired) = group.paired() else {
            let all = view(None, "the shared leaf".to_owned(), security_of(group), None)?;
            return Ok(vec![all]);
        };
        let names = self.names(group)?;
        let ends = paired.lifetimes();
        let provisions = self.provisions(group, sharing)?;
        let now = from_sql(seconds(self.now()));
        let devices = paired.devices().into_iter().map(|(device, _)| {
            let name = names.get(&device.0).cloned().unwrap_or_else(|| device.to_string());
            let end = ends.iter().find(|(of, _)| *of == device).map(|(_, end)| *end);
            let security = group.security_of(device).map(|security| security.name());
            let mut status = view(Some(device.0), name, security, end)?;
            if let Some(provision) = provisions.iter().find(|of| of.device == device) {
                status.provided_until = Some(provision.until);
                status.provision_ends = ahead(provision.until, now);
                status.renewable = Some(provision.place == Place::UnderTheAnchor);
            }
            Ok(status)
        });
        devices.collect()
    }

    /// Whom a commit of this device heals, as the tree is now.
    fn next_update_heals(&self, group: &Group) -> Result<Vec<u16>, EngineError> {
        let Some(pairing) = group.pairing().filter(|_| group.phase() == Some(Phase::Active)) else {
            return Ok(Vec::new());
        };
        let Some(paired) = group.paired() else {
            let partners = self.partners_of(pairing)?;
            return Ok(partners.into_iter().map(|(number, _)| number.0).collect());
        };
        let own = group.own_number()?;
        let partners = paired.devices().into_iter().map(|(device, _)| device);
        let partners = partners.filter(|device| Some(*device) != own);
        let reached: Vec<_> = match paired.footing()? {
            Footing::Whole => partners.collect(),
            Footing::Shrunk { left_out } => {
                partners.filter(|device| !left_out.contains(device)).collect()
            }
            Footing::Suspended | Footing::Alone => Vec::new(),
        };
        Ok(reached.into_iter().map(|device| device.0).collect())
    }

    fn package_status(&self) -> Result<PackageStatus, EngineError> {
        let counted = self.store().counted()?;
        Ok(PackageStatus {
            offered: self.store().offers()? != super::Offers::Nothing,
            left: counted.map(|counted| counted.once),
            last_resort: counted.map(|counted| counted.last_resort),
            counted_at: counted.map(|counted| counted.at),
            until: counted.map(|counted| counted.until).filter(|until| *until > 0),
            ahead_until: Some(self.store().packages_ahead()?).filter(|until| *until > 0),
        })
    }
}

impl Status {
    fn judge(&self, max_age: u64) -> Vec<Attention> {
        let mut all = Vec::new();
        if self.revoked_at.is_some() {
            let what = "this device was revoked, and comes back with new keys only";
            all.push(Attention::new(None, what, "pmls recover --new-keys"));
        }
        match self.synced_at {
            None => all.push(Attention::new(None, "nothing was fetched yet", "pmls sync")),
            Some(at) if self.at.saturating_sub(at) > max_age => {
                let what = format!("nothing was fetched for {}", span(self.at.saturating_sub(at)));
                all.push(Attention::new(None, &what, "pmls sync"));
            }
            Some(_) => {}
        }
        self.groups.iter().for_each(|group| group.judge(self.at, &mut all));
        for pairing in &self.pairings {
            let state = pairing.state;
            let short = pairing.id.get(..8).unwrap_or_default();
            if pairing.digits.is_some() {
                let run = format!("pmls pair confirm {short}");
                all.push(Attention::new(None, "digits wait to be compared", run.trim_end()));
            } else if state == short_state(StateName::Ceasing) {
                let what = format!("pairing {short} is ending, and a partner has not answered");
                all.push(Attention::new(None, &what, &format!("pmls pair resend {short}")));
            }
        }
        let packages = &self.key_packages;
        if packages.offered && packages.left == Some(0) {
            let what = "the service has no KeyPackage of this device left";
            all.push(Attention::new(None, what, "pmls device publish"));
        } else if packages.offered && packages.end().is_some_and(|end| end < self.at + SOON) {
            let what = "the KeyPackages of this device end within 14 days";
            all.push(Attention::new(None, what, "pmls device publish"));
        } else if packages.offered && packages.last_resort == Some(0) {
            let what = "the service has no KeyPackage of this device for the last resort: once others have used most, \
                        strangers cannot add it";
            all.push(Attention::new(None, what, "pmls device publish --count 0"));
        }
        for waiting in self.outbox.iter().filter(|waiting| waiting.tries > 0) {
            let (what, run) = match waiting.state.as_str() {
                "refused" => ("was refused", "pmls outbox clear"),
                _ => ("waits to be sent", "pmls sync"),
            };
            let why = waiting.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let what = format!("{} {what}{why}", waiting.what);
            all.push(Attention::new(waiting.group.clone(), &what, run));
        }
        all
    }
}

impl GroupStatus {
    fn judge(&self, now: u64, all: &mut Vec<Attention>) {
        let name = &self.group;
        let mut add = |what: &str, run: &str| {
            all.push(Attention::new(Some(name.clone()), what, run));
        };
        if let Some(trouble) = &self.trouble {
            add(&trouble.why, &format!("pmls group rejoin {name}"));
        }
        if self.state == Membership::Rejoining.name() {
            add("this device comes back, and the service has not answered", "pmls sync");
        }
        for device in &self.devices {
            let unsafe_now = device.security.is_some_and(|security| security != "secure");
            if unsafe_now {
                let what =
                    format!("{} is {}", device.name, device.security.unwrap_or("not paired"));
                add(&what, &format!("pmls update {name}"));
            }
            if let Some(until) = device.provided_until {
                device.judge_provision(name, until, now, &mut add);
            } else if device.leaf_until.is_some_and(|end| end < now + SOON) {
                let what = format!(
                    "the leaf of {} ends within 14 days, and then nobody can be added",
                    device.name
                );
                let run = match device.device {
                    Some(number) if device.name != "this device" => {
                        format!("pmls update {name} --refresh {number}")
                    }
                    _ => format!("pmls update {name}"),
                };
                add(&what, &run);
            }
        }
        let reached = self.next_update_heals.len() + 1;
        if self.pairing.is_some() && !self.shared_leaf && reached < self.devices.len() {
            add(
                "an update does not heal all partners: others sit between",
                &format!("pmls group plan {name}"),
            );
        }
    }
}

impl PackageStatus {
    /// The end of the last ones.
    fn end(&self) -> Option<u64> {
        self.until.max(self.ahead_until)
    }
}

impl DeviceStatus {
    /// A partner that is renewed without its help: by this device, with each sync.
    fn judge_provision(&self, group: &str, until: u64, now: u64, add: &mut impl FnMut(&str, &str)) {
        let name = &self.name;
        if self.renewable == Some(false) {
            let what = format!(
                "the leaf of {name} cannot be renewed: the new one would come to a blank place left of the pair"
            );
            add(&what, &format!("pmls group plan {group}"));
        } else if self.leaf_until.is_some_and(|end| end < now + LATE && end < until) {
            let what = format!("the leaf of {name} ends, and was not renewed yet");
            add(&what, "pmls sync");
        }
        if self.provision_ends.is_some() {
            let left = match until > now {
                true => format!("can be renewed for {} only", span(until - now)),
                false => "cannot be renewed any more, and then nobody can be added".to_owned(),
            };
            let what = format!("the leaf of {name} {left}: reach that device, and sync it there");
            add(&what, "pmls sync");
        }
    }
}

impl Attention {
    fn new(group: Option<String>, what: &str, run: &str) -> Self {
        Self { group, what: what.to_owned(), run: run.to_owned() }
    }
}

/// A length of time for people, in its largest unit.
pub(crate) fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}
