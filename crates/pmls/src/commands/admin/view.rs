//! What `pmls admin` prints.

use std::fmt;

use paired_mls_api::Base64Url;
use paired_mls_service::{
    ApprovalOf, Checked, Deleted, DeviceLine, GroupDetails, GroupLine, OnPaper, Restored,
    UserDetails, UserLine,
};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Map, Value};

use crate::output::printable;

/// Something that was done, to what, and how much of it.
pub(super) struct Done(Map<String, Value>);

impl Done {
    pub(super) fn new(what: &str, to: impl fmt::Display) -> Self {
        Self(Map::from_iter([(what.to_owned(), to.to_string().into())]))
    }

    pub(super) fn with(mut self, what: &str, count: u64) -> Self {
        self.0.insert(what.to_owned(), count.into());
        self
    }

    pub(super) fn deleted(what: impl fmt::Display, deleted: Deleted) -> Self {
        let done = Self::new("deleted", what).with("devices", deleted.devices);
        done.with("groups", deleted.groups).with("entries", deleted.entries)
    }
}

impl Serialize for Done {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (what, value)) in self.0.iter().enumerate() {
            let what = what.replace('_', " ");
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write!(f, "{}{what}: {value}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// What would be done.
#[derive(Serialize)]
pub(super) struct Plan {
    pub(super) would: String,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.would)
    }
}

/// One thing. Users are named as commands take them.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Serialize> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        named(value).serialize(serializer)
    }
}

/// A page of a list.
pub(super) struct Listed<T> {
    lines: Vec<T>,
    /// Whether it is as long as it may be.
    full: Full,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Yes,
    No,
}

impl<T> Listed<T> {
    pub(super) fn new(lines: Vec<T>, limit: u32) -> Self {
        let full = if lines.len() >= limit as usize { Full::Yes } else { Full::No };
        Self { lines, full }
    }
}

impl<T: Serialize> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = named(serde_json::to_value(&self.lines).map_err(S::Error::custom)?);
        let more = Value::from(self.full == Full::Yes);
        Map::from_iter([("list".to_owned(), list), ("more".to_owned(), more)]).serialize(serializer)
    }
}

impl<T: Line> fmt::Display for Listed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(Line::line).collect();
        match lines.is_empty() {
            true => f.write_str("none")?,
            false => f.write_str(&lines.join("\n"))?,
        }
        if self.full == Full::Yes {
            f.write_str("\nThere may be more: go on with --after and the last of these.")?;
        }
        Ok(())
    }
}

/// Users as commands take them, in place of their base64url.
fn named(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(named).collect(),
        Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| match (key.as_str(), &value) {
                ("user", Value::String(id)) => {
                    let name = id.parse::<Base64Url>().map(|name| printable(&name.0));
                    (key, name.map_or(value, Value::from))
                }
                _ => (key, named(value)),
            });
            Value::Object(map.collect())
        }
        other => other,
    }
}

/// What is one line of a list.
pub(super) trait Line {
    fn line(&self) -> String;
}

impl Line for UserLine {
    fn line(&self) -> String {
        let Self { user, devices, revoked, recovery_key, banned_at } = self;
        let banned = banned_at.map_or(String::new(), |at| format!(", banned at {at}"));
        let key = match recovery_key {
            OnPaper::Yes => "a recovery key",
            OnPaper::No => "no recovery key",
        };
        let user = printable(user.as_bytes());
        format!("{user}  {devices} devices, {revoked} revoked, {key}{banned}")
    }
}

impl Line for DeviceLine {
    fn line(&self) -> String {
        let Self { device, user, scheme, revoked_at, items, key_packages } = self;
        let revoked = revoked_at.map_or(String::new(), |at| format!(", revoked at {at}"));
        let user = printable(user.as_bytes());
        format!("{device}  {user}, {scheme}, {items} items, {key_packages} KeyPackages{revoked}")
    }
}

impl Line for GroupLine {
    fn line(&self) -> String {
        let Self { group, epoch, head, pruned_through, access, group_info_epoch, members, removed } =
            self;
        let info = match group_info_epoch {
            Some(of) if of == epoch => "GroupInfo",
            Some(_) => "an old GroupInfo",
            None => "no GroupInfo",
        };
        format!(
            "{group}  epoch {epoch}, entries {} to {head}, {members} members, {removed} removed, open to \
             {access}, {info}",
            pruned_through + 1,
        )
    }
}

impl Line for ApprovalOf {
    fn line(&self) -> String {
        let by = self.approval.approved_by.as_ref();
        let by = by.map_or("the operator".to_owned(), ToString::to_string);
        let (user, device) = (printable(self.user.as_bytes()), &self.approval.device);
        format!("{device}  {user}, approved by {by}, until {}", self.approval.expires_at)
    }
}

impl fmt::Display for Shown<DeviceLine> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.line())
    }
}

impl fmt::Display for Shown<UserDetails> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UserDetails { line, list, groups, approvals } = &self.0;
        f.write_str(&line.line())?;
        for device in list {
            write!(f, "\n  device {}", device.line())?;
        }
        for group in groups {
            let standing = group.removed_at.map(|at| format!("  removed at {at}"));
            write!(f, "\n  group {}{}", group.group, standing.unwrap_or_default())?;
        }
        approvals.iter().try_for_each(|one| write!(f, "\n  may register {}", one.line()))
    }
}

impl fmt::Display for Shown<GroupDetails> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.line.line())?;
        for member in &self.0.roster {
            let user = printable(member.user.as_bytes());
            write!(f, "\n  {user}  joined at {}", member.joined_at)?;
            member.removed_at.iter().try_for_each(|at| write!(f, ", removed at {at}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<Restored> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restored { key_packages, approvals, shut_out } = &self.0;
        writeln!(
            f,
            "A new history has begun; {key_packages} KeyPackages and {approvals} approvals were dropped."
        )?;
        match shut_out {
            Some(again) => write!(
                f,
                "Revoked again: {} devices; banned again: {} users.",
                again.devices, again.users
            ),
            None => f.write_str(
                "Devices that were revoked and users that were banned after the backup are not any more: do \
                 it again. Recovery keys are those of the backup: users who have replaced theirs since \
                 replace them again, or the old ones let devices in.",
            ),
        }
    }
}

impl fmt::Display for Shown<Checked> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { groups, entries, devices, findings } = &self.0;
        write!(f, "Looked at {groups} groups, {entries} entries, {devices} devices: ")?;
        match findings.len() {
            0 => f.write_str("all is well"),
            count => write!(f, "{count} findings"),
        }?;
        findings.iter().try_for_each(|one| write!(f, "\n- {}\n  {}", one.what, one.next))
    }
}
