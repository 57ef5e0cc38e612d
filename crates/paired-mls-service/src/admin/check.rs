//! Whether the database is as this software keeps it.

use paired_mls_api::SignatureScheme;

use super::{Admin, Checked, Finding};
use crate::{
    StoreError,
    store::{
        Bounds, Broken, Database, EndedKeys, Facts, KeyFault, Keys, Orphans, Pages, RecoveryKeys,
        Strays, Stretch, Walk, Walked,
    },
};

/// What a key is that would not be taken today.
const WEAK: &str = "that is none of its scheme, or one for which anybody can sign";

/// How many findings are told: whatever is wrong with more has one cause.
const MOST: usize = 100;

/// What is done about damage that no single command mends.
const RESTORE: &str = "restore the last backup: `pmls admin restore`";

impl Admin {
    /// Looks at everything: the pages of the file and its references (SQLite), positions, hashes and epochs of all
    /// logs, rosters, readers, devices. A service may run meanwhile. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or has rows that cannot even be read.
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        if let Database::Sqlite { .. } = self.store.database() {
            for what in self.store.run(&Pages).await? {
                checked.found(format!("SQLite says: {what}"), RESTORE);
            }
            for (table, rows) in self.store.run(&Orphans).await? {
                let what = format!("{rows} rows of the table {table} refer to what is not there");
                checked.found(what, RESTORE);
            }
        }
        for (what, count) in self.store.run(&Strays).await? {
            let next = match what.starts_with("KeyPackages") {
                true => "revoke the revoked devices again: `pmls admin revoke`".to_owned(),
                false => RESTORE.to_owned(),
            };
            checked.found(format!("{count} {what}"), next);
        }
        self.check_devices(&mut checked).await?;
        self.check_recovery_keys(&mut checked).await?;
        self.check_groups(&mut checked).await?;
        Ok(checked)
    }

    async fn check_devices(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let mut from = Vec::new();
        loop {
            let devices = self.store.run(&Keys(&from)).await?;
            let Some((last, _)) = devices.last() else { return Ok(()) };
            from = last.as_bytes().to_vec();
            checked.devices += devices.len() as u64;
            for (device, fault) in &devices {
                match fault {
                    None => {}
                    Some(KeyFault::Other) => {
                        let next = format!("delete it: `pmls admin delete device {device} --yes`");
                        let what = format!("the device {device} has another key than its id says");
                        checked.found(what, next);
                    }
                    Some(KeyFault::Weak) => {
                        let what = format!("the device {device} has a key {WEAK}");
                        let next = format!(
                            "revoke it: `pmls admin revoke {device}`; its user makes new keys, and registers them as a \
                             further device"
                        );
                        checked.found(what, next);
                    }
                }
            }
        }
    }

    /// Those that were taken before weak ones were refused: nobody is let in by one.
    async fn check_recovery_keys(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let weak = |key: &[u8]| SignatureScheme::Ed25519.check_key(key).is_err();
        let mut from = Vec::new();
        loop {
            let keys = self.store.run(&RecoveryKeys(&from)).await?;
            let Some((last, _)) = keys.last() else { break };
            from = last.as_bytes().to_vec();
            for (user, _) in keys.iter().filter(|(_, key)| weak(key)) {
                let user = String::from_utf8_lossy(user.as_bytes());
                let what = format!("the user {user} has a recovery key {WEAK}");
                let next = "have the user replace it: `pmls device recovery-key --replace`; without a device, \
                            let one in by `pmls admin free`";
                checked.found(what, next);
            }
        }
        let (mut from, mut ended) = (Vec::new(), 0);
        loop {
            let keys = self.store.run(&EndedKeys(&from)).await?;
            let Some((last, _)) = keys.last() else { break };
            from.clone_from(last);
            ended += keys.iter().filter(|(_, key)| weak(key)).count();
        }
        if ended > 0 {
            let what = format!("{ended} users that have ended have a recovery key {WEAK}");
            let next = "nothing now: whoever asks for such a user again is let in by `pmls admin free`, and has the \
                        key replaced: `pmls device recovery-key --replace`";
            checked.found(what, next);
        }
        Ok(())
    }

    async fn check_groups(&self, checked: &mut Checked) -> Result<(), StoreError> {
        let mut from = Vec::new();
        loop {
            let groups = self.store.run(&Bounds(&from)).await?;
            let Some(last) = groups.last() else { return Ok(()) };
            from = last.group.as_bytes().to_vec();
            for facts in &groups {
                checked.groups += 1;
                checked.entries += facts.entries;
                checked.facts(facts);
                self.check_log(checked, facts).await?;
            }
        }
    }

    async fn check_log(&self, checked: &mut Checked, facts: &Facts) -> Result<(), StoreError> {
        let mut walked = Walked::default();
        while walked.state == Walk::Open && walked.broken.is_none() {
            walked = self.store.run(&Stretch { group: &facts.group, walked: &walked }).await?;
        }
        let Some((position, broken)) = walked.broken else { return Ok(()) };
        let group = &facts.group;
        let wrong = match broken {
            Broken::Message => "its hash is not that of its message",
            Broken::Chain => "the hash of the log does not lead to it",
            Broken::Epoch => "it is of an epoch that the group cannot have been in",
            Broken::Gap => "the entry before it is missing",
        };
        let last = match broken {
            Broken::Gap => walked.through,
            _ => position.saturating_sub(1),
        };
        let next = match last < facts.pruned_through || position <= facts.pruned_through {
            true => format!("delete the group: `pmls admin delete group {group} --yes`"),
            false => format!(
                "drop it with all that follows: `pmls admin roll-back {group} {last} --yes`; or {RESTORE}"
            ),
        };
        checked.found(format!("entry {position} of the group {group}: {wrong}"), next);
        Ok(())
    }
}

impl Checked {
    fn found(&mut self, what: impl Into<String>, next: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { what: what.into(), next: next.into() });
        }
    }

    fn facts(&mut self, facts: &Facts) {
        let Facts { group, head, pruned_through, .. } = facts;
        let delete = format!("delete it: `pmls admin delete group {group} --yes`");
        // This drops nothing of the log, and what contradicts it.
        let again =
            format!("run `pmls admin roll-back {group} {head} --yes`, which drops no entry");
        let mut tell =
            |what: String, next: &str| self.found(format!("the group {group} {what}"), next);
        if facts.accounts == 0 {
            tell("has nobody, and never had".to_owned(), &delete);
        }
        if pruned_through > head {
            tell(format!("ends at {head} and begins behind {pruned_through}"), &delete);
        } else {
            let entries = head - pruned_through;
            let (first, last) = match entries {
                0 => (None, None),
                _ => (Some(pruned_through + 1), Some(*head)),
            };
            if facts.entries != entries || facts.first != first || facts.last != last {
                let have = facts.entries;
                let next = match facts.last {
                    Some(last) if last < *head && facts.entries == last - pruned_through => {
                        format!("end it there: `pmls admin roll-back {group} {last} --yes`")
                    }
                    _ => format!("{RESTORE}; without one, {delete}"),
                };
                tell(
                    format!(
                        "has {have} entries, and not all from {} to {head}",
                        pruned_through + 1
                    ),
                    &next,
                );
            }
        }
        if facts.group_info_epoch.is_some_and(|epoch| epoch > facts.epoch) {
            tell("has a GroupInfo of an epoch that it was never in".to_owned(), &again);
        }
        for (count, what) in [
            (facts.late_accounts, "accounts that came or went behind the end of its log"),
            (facts.late_readers, "devices that have read behind the end of its log"),
            (facts.late_days, "days on which its log ended behind its end"),
            (facts.hidden_removals, "removals that it says it has not"),
        ] {
            if count > 0 {
                tell(format!("has {count} {what}"), &again);
            }
        }
    }
}
