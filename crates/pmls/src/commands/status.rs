//! `pmls status`: how it is with this device, on one screen.

use std::{fmt, time::Duration};

use clap::Args;

use crate::{
    engine::{Attention, DeviceStatus, Engine, GroupStatus, PackageStatus, Status, span},
    failure::{Exit, Failure},
    output::{Printer, short},
};

/// What is asked.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// For monitoring: end with exit code 8 if anything needs attention.
    #[arg(long)]
    check: bool,
    /// How old the last complete sync may be before it needs attention.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    max_age: u64,
}

pub(super) fn run(
    args: &StatusArgs,
    engine: &Engine,
    output: Printer<'_>,
) -> Result<Exit, Failure> {
    let status = engine.status(Duration::from_secs(args.max_age))?;
    output.show(&status)?;
    Ok(match args.check && !status.attention.is_empty() {
        true => Exit::Attention,
        false => Exit::Done,
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Device       {} ({}'s {})", short(&self.device), self.user, self.name)?;
        write!(f, "Service      {}", self.server)?;
        match self.synced_at {
            Some(at) => {
                let ago = span(self.at.saturating_sub(at));
                writeln!(f, ", fetched {ago} ago, mailbox at {}", self.mailbox_cursor)?;
            }
            None => writeln!(f, ", nothing fetched yet")?,
        }
        writeln!(f, "KeyPackages  {}", Packages(&self.key_packages, self.at))?;
        let refused = self.outbox.iter().filter(|waiting| waiting.state == "refused").count();
        let waiting = self.outbox.len() - refused;
        write!(f, "Outbox       {waiting} waiting, {refused} refused")?;
        for group in &self.groups {
            write!(f, "\n\n{}", Shown(group, self.at))?;
        }
        for pairing in &self.pairings {
            write!(f, "\n\nPairing {pairing}")?;
        }
        match self.attention.is_empty() {
            true => write!(f, "\n\nAll is well.")?,
            false => write!(f, "\n\nNeeds attention:")?,
        }
        self.attention.iter().try_for_each(|attention| write!(f, "\n{attention}"))
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  ")?;
        // What is wrong with a group often names it.
        if let Some(group) = self.group.as_ref().filter(|group| !self.what.contains(*group)) {
            write!(f, "{group}: ")?;
        }
        write!(f, "{}\n    {}", self.what, self.run)
    }
}

struct Packages<'a>(&'a PackageStatus, u64);

impl fmt::Display for Packages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(packages, now) = self;
        if !packages.offered {
            return f.write_str("none offered: nobody can add this device");
        }
        match packages.left {
            Some(left) => {
                write!(f, "{left} left, {} for the last resort", packages.last_resort.unwrap_or(0))?
            }
            None => f.write_str("offered, not counted yet")?,
        }
        match packages.until {
            Some(until) if until > *now => write!(f, "; the newest end in {}", span(until - now))?,
            Some(_) => f.write_str("; they have ended")?,
            None => {}
        }
        match packages.ahead_until {
            Some(until) if until > *now => {
                write!(f, "; with those made ahead it can be added for {}", span(until - now))
            }
            _ => Ok(()),
        }
    }
}

struct Shown<'a, T>(&'a T, u64);

impl fmt::Display for Shown<'_, GroupStatus> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(group, now) = self;
        write!(f, "Group {}: {}", group.group, group.state)?;
        group.epoch.iter().try_for_each(|epoch| write!(f, ", epoch {epoch}"))?;
        write!(f, ", log read to {}", group.cursor)?;
        if group.unread > 0 {
            write!(f, ", {} unread", group.unread)?;
        }
        for device in &group.devices {
            write!(f, "\n    {}", Shown(device, *now))?;
        }
        if group.pairing.is_some() {
            let heals = group.next_update_heals.iter().map(|number| {
                let of = |device: &&DeviceStatus| device.device == Some(*number);
                let known = group.devices.iter().find(of);
                known.map_or_else(|| format!("device {number}"), |device| device.name.clone())
            });
            let heals: Vec<_> = heals.collect();
            let whom = if heals.is_empty() { "nobody else".to_owned() } else { heals.join(", ") };
            write!(f, "\n    the next update heals {whom}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_, DeviceStatus> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(device, now) = self;
        write!(f, "{}: {}", device.name, device.security.unwrap_or("not known"))?;
        match (device.healed_at, device.healed_in_epoch) {
            (Some(at), Some(epoch)) => {
                write!(f, ", healed {} ago in epoch {epoch}", span(now.saturating_sub(at)))?;
            }
            _ => f.write_str(", never healed here")?,
        }
        match device.provided_until {
            Some(until) if until > *now => {
                write!(f, "; its leaf is renewed without it for {}", span(until - now))
            }
            Some(_) => f.write_str("; its leaf cannot be renewed without it any more"),
            None => Ok(()),
        }
    }
}
