//! KeyPackages of those who are to be added: whoever is in is passed over, and what was claimed and not used
//! is kept for the next time.

use std::collections::BTreeSet;

use paired_mls_api::{DeviceId, DeviceView, ProblemKind, UserView};
use rusqlite::{OptionalExtension as _, params};

use super::{
    Engine, EngineError, Group, Happening, Newcomer, Report, Store, identity::check_key_package,
    store::seconds,
};
use crate::output::printable;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS pmls_claimed (
    device  TEXT PRIMARY KEY,
    package BLOB NOT NULL,      -- claimed of that device, and not used yet
    since   INTEGER NOT NULL
) STRICT;
";

/// For how long they are kept, and how many.
const SECONDS: i64 = 7 * 24 * 60 * 60;
const MAX: u32 = 1_000;

/// A device that is to be added, the devices that get its Welcome, and its KeyPackage.
pub(super) type Claimed = (DeviceId, Vec<DeviceId>, Vec<u8>);

/// Whom a newcomer means: the devices of a user that are not in yet.
struct Wanted {
    name: String,
    view: UserView,
    devices: Vec<DeviceView>,
    /// Whether another device of the user is in.
    present: bool,
}

impl Engine {
    /// Claims KeyPackages: of each device that is named, or of all devices of a user that have one.
    /// With each come the devices that are to get the Welcome: all of the user, of which those that it
    /// is not for drop it. So nobody learns who shares a leaf.
    ///
    /// Nothing is claimed before the directory knows everybody.
    pub(super) async fn claim(
        &self,
        group: &Group,
        newcomers: &[Newcomer],
        report: &mut Report,
    ) -> Result<Vec<Claimed>, EngineError> {
        let mut wanted = Vec::new();
        for newcomer in newcomers {
            wanted.push(self.wanted(group, newcomer).await?);
        }
        let mut claimed: Vec<Claimed> = Vec::new();
        for Wanted { name, view, devices, present } in wanted {
            let active = view.devices.iter().filter(|device| device.revoked_at.is_none());
            let ids: Vec<_> = active.map(|device| device.device.clone()).collect();
            let mut found = 0;
            let mut reserved = None;
            for device in devices {
                if claimed.iter().any(|(known, ..)| *known == device.device) {
                    found += 1;
                    continue;
                }
                match self.claim_of(group, &device, &view).await {
                    Ok(Some(package)) => {
                        claimed.push((device.device, ids.clone(), package));
                        found += 1;
                    }
                    Ok(None) => {}
                    // Another device of the user may have one.
                    Err(EngineError::Client(error))
                        if error.problem() == Some(ProblemKind::Reserved) =>
                    {
                        reserved = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            match (found, present, reserved) {
                (0, true, _) => {
                    let group = group.row.name.clone();
                    report.add(Happening::AlreadyIn { group, user: name });
                }
                (0, false, Some(error)) => return Err(error.into()),
                (0, false, None) => {
                    let suite = self.session.profile().suite.code_point();
                    return Err(EngineError::NoKeyPackage(name, suite));
                }
                _ => {}
            }
        }
        Ok(claimed)
    }

    async fn wanted(&self, group: &Group, newcomer: &Newcomer) -> Result<Wanted, EngineError> {
        let name = printable(newcomer.user.as_bytes());
        let view = self.user_view(&newcomer.user).await?;
        let members = group.members().into_iter();
        let inside: BTreeSet<_> = members.flat_map(|(_, who)| who.devices).collect();
        let named = newcomer.device.as_deref().unwrap_or_default();
        let own = &self.session.profile().device;
        let meant = view.devices.iter().filter(|device| {
            device.revoked_at.is_none() && device.device.to_string().starts_with(named)
        });
        let meant: Vec<_> = meant.cloned().collect();
        if meant.is_empty() && !named.is_empty() {
            return Err(EngineError::NoDevice(name));
        }
        let is_in = |device: &DeviceView| inside.contains(&device.device.to_string());
        let present = meant.iter().any(is_in);
        let out = meant.into_iter().filter(|device| !is_in(device) && device.device != *own);
        Ok(Wanted { name, devices: out.collect(), view, present })
    }

    /// A KeyPackage of a device, by which it can be added; `None` if it has none.
    async fn claim_of(
        &self,
        group: &Group,
        device: &DeviceView,
        of_user: &UserView,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let suite = self.session.profile().suite.code_point();
        let kept = self.store().claimed(&device.device, seconds(self.now()))?;
        let package = match kept {
            Some(package) => package,
            None => {
                let Some(package) = self.client()?.claim(&device.device, suite).await? else {
                    return Ok(None);
                };
                check_key_package(&package, device, of_user, suite)?;
                self.store().keep_claimed(&device.device, &package, seconds(self.now()))?;
                package
            }
        };
        match paired_mls_openmls::check_key_package(group.mls(), self.device(), &package) {
            Ok(()) => Ok(Some(package)),
            Err(error) => {
                let user = printable(device.user.as_bytes());
                let error = EngineError::from(error);
                if error.is_local() {
                    return Err(error);
                }
                self.store().used_claimed(&device.device)?;
                let (device, why) = (device.device.clone(), Box::new(error));
                Err(EngineError::BadKeyPackage { user, device, why })
            }
        }
    }
}

impl Store<'_> {
    fn claimed(&self, device: &DeviceId, now: i64) -> Result<Option<Vec<u8>>, EngineError> {
        let old = now.saturating_sub(SECONDS);
        self.0.execute("DELETE FROM pmls_claimed WHERE since < ?1", [old])?;
        let sql = "SELECT package FROM pmls_claimed WHERE device = ?1";
        let mut statement = self.0.prepare(sql)?;
        Ok(statement.query_row([device.to_string()], |row| row.get(0)).optional()?)
    }

    fn keep_claimed(&self, device: &DeviceId, package: &[u8], now: i64) -> Result<(), EngineError> {
        let sql = "INSERT OR REPLACE INTO pmls_claimed VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![device.to_string(), package, now])?;
        let sql = "DELETE FROM pmls_claimed WHERE device NOT IN
                   (SELECT device FROM pmls_claimed ORDER BY since DESC LIMIT ?1)";
        self.0.execute(sql, [MAX])?;
        Ok(())
    }

    /// A KeyPackage was used.
    pub(super) fn used_claimed(&self, device: &DeviceId) -> Result<(), EngineError> {
        let sql = "DELETE FROM pmls_claimed WHERE device = ?1";
        self.0.execute(sql, [device.to_string()])?;
        Ok(())
    }
}
