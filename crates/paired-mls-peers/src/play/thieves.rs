//! What thieves of the devices can do, against what the devices claim.
//!
//! A thief has all keys of a device from before its last healing; with every step he learns the epoch secrets again,
//! and what he opens adds to his loot. Where any device claims that the epoch is secure for another, he must not
//! follow; where the device itself says that it has just been weakened, he must. A claim is about a thief from before the
//! last healing that the claimant knows of: where strangers sit between devices, it need not know of the last one.

use std::collections::BTreeMap;

use paired_mls::{
    DeviceId, EpochSecurity, Event,
    anchor::LeafIndex,
    conformance::{Listener as _, Refused, Thief as _},
};

use super::table::{By, Table, Told};
use crate::OpenMlsThief;

/// A device before a step, and two thieves of it.
struct Before {
    device: usize,
    security: EpochSecurity,
    /// With everything that the device has now.
    full: OpenMlsThief,
    /// With the old keys, and the epoch secrets of now.
    leaked: Option<OpenMlsThief>,
}

pub(super) struct Watched {
    devices: Vec<Before>,
    /// The public key of each leaf.
    keys: BTreeMap<LeafIndex, Vec<u8>>,
}

impl Watched {
    pub(super) fn before(table: &Table) -> Result<Self, Refused> {
        let mut watched = Vec::new();
        for (device, victim) in table.devices.iter().enumerate().filter(|(_, v)| v.in_group) {
            let leak = |first: &OpenMlsThief| first.with_epoch_of(&victim.device);
            watched.push(Before {
                device,
                security: table.security(device, device)?,
                full: OpenMlsThief::new(&victim.device)?,
                leaked: victim.thief.as_ref().map(leak).transpose()?,
            });
        }
        Ok(Self { devices: watched, keys: table.leaf_keys()? })
    }

    /// # Errors
    ///
    /// A claim that does not hold.
    pub(super) fn after(
        self,
        table: &mut Table,
        (by, committer): (By, LeafIndex),
        told: &Told,
        commit: &[u8],
    ) -> Result<(), Refused> {
        table.number += 1;
        for ((view, of), number) in healings(by, told).into_iter().map(|pair| (pair, table.number))
        {
            table.healings.insert((view, of), number);
        }
        // ts-mls adds without a path: that renews nothing, and whoever has the secrets of an epoch has those of the next.
        let keys = table.leaf_keys()?;
        let has_path = self.keys.get(&committer) != keys.get(&committer);
        table.tally.without_path += usize::from(!has_path);
        let expected = table.authenticator()?;
        let follows = |thief: &mut OpenMlsThief| {
            thief.process(commit).is_ok() && thief.epoch_authenticator() == expected
        };
        for Before { device, security, mut full, leaked } in self.devices {
            if !table.devices.get(device).is_some_and(|victim| victim.in_group) {
                continue;
            }
            let healing = table.healings.get(&(device, device)).copied();
            if healing == Some(table.number) {
                if follows(&mut full) {
                    return Err(format!("device {device} was healed, and its thief follows").into());
                }
                table.tally.attempts += full.attempts();
                table.tally.healed += 1;
                keep(table, device, full);
                continue;
            }
            let Some(mut leaked) = leaked else { continue };
            let followed = follows(&mut leaked);
            table.tally.attempts += leaked.attempts();
            if !has_path {
                if !followed {
                    return Err(format!("no path, and the thief of device {device} is out").into());
                }
                continue;
            }
            for view in 0..table.devices.len() {
                if !table.devices.get(view).is_some_and(|victim| victim.in_group) {
                    continue;
                }
                if table.healings.get(&(view, device)).copied() != healing {
                    table.tally.unaware += 1;
                } else if matches!(table.security(view, device)?, EpochSecurity::Secure(_)) {
                    if followed {
                        let claim = format!("device {view} says that device {device} is secure");
                        return Err(format!("{claim}, and its thief follows").into());
                    }
                    table.tally.kept_out += 1;
                }
            }
            let now = table.security(device, device)?;
            if matches!(security, EpochSecurity::Secure(_)) && now == EpochSecurity::Weakened {
                if !followed {
                    return Err(format!("device {device} is weakened, and its thief is out").into());
                }
                table.tally.weakened += 1;
            }
            if followed {
                keep(table, device, leaked);
            }
        }
        Ok(())
    }
}

/// The healings that a commit was, each by who knows of it and whom it has healed.
fn healings(by: By, told: &Told) -> Vec<(usize, usize)> {
    let mut healings = Vec::new();
    let own = |n: &usize| u16::try_from(*n).map(DeviceId).ok();
    for (view, events) in told {
        if by == By::Device(*view) {
            healings.push((*view, *view));
        }
        for event in events {
            let Event::Healed { by, devices, .. } = event else { continue };
            healings.extend(devices.iter().map(|device| (*view, usize::from(device.0))));
            // Its own leaf is new as well, and whoever was sent a Notify knows that it was the device.
            if own(view).is_some_and(|own| devices.contains(&own)) {
                healings.push((*view, usize::from(by.0)));
            }
        }
    }
    healings
}

fn keep(table: &mut Table, device: usize, thief: OpenMlsThief) {
    if let Some(victim) = table.devices.get_mut(device) {
        victim.thief = Some(thief);
    }
}
