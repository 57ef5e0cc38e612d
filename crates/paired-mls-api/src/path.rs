//! The paths of the service. Those that take an id have a function that fills it in.

use crate::{Base64Url, DeviceId, GroupId, UserId};

/// `POST`: register the device that signs the request.
pub const DEVICES: &str = "/v1/devices";
/// `GET`: what is known of a device. `DELETE`: revoke it.
pub const DEVICE: &str = "/v1/devices/{device}";
/// `POST`: claim a KeyPackage of a device, of the suite in the query: `?suite=1`.
pub const DEVICE_KEY_PACKAGE: &str = "/v1/devices/{device}/key-package";
/// `POST`: put an envelope into a device's mailbox.
pub const DEVICE_MAILBOX: &str = "/v1/devices/{device}/mailbox";
/// `GET`: what is known of a user.
pub const USER: &str = "/v1/users/{user}";
/// `POST`: approve a further device of one's own user. `GET`: the approvals that are not used.
pub const APPROVALS: &str = "/v1/approvals";
/// `DELETE`: take an approval back.
pub const APPROVAL: &str = "/v1/approvals/{device}";
/// `GET`: the recovery key of one's own user. `PUT`: replace it. `DELETE`: take it away.
pub const RECOVERY_KEY: &str = "/v1/recovery-key";
/// `POST`: let a device register for a user, signed by the user's recovery key.
pub const RECOVERY: &str = "/v1/recovery";
/// `POST`: ask for a pairing of standard mode.
pub const PAIRINGS: &str = "/v1/pairings";
/// `GET`: what is known of a pairing of standard mode.
pub const PAIRING: &str = "/v1/pairings/{pairing}";
/// `POST`: upload KeyPackages. `GET`: count them. `DELETE`: withdraw all of them.
pub const KEY_PACKAGES: &str = "/v1/key-packages";
/// `GET`: the items after a cursor. `DELETE`: drop those up to a position: `?through=7`.
pub const MAILBOX: &str = "/v1/mailbox";
/// `GET`: the items after a cursor, and then as they come, by Server-Sent Events.
pub const MAILBOX_EVENTS: &str = "/v1/mailbox/events";
/// `GET`: the same by WebSocket.
pub const MAILBOX_SOCKET: &str = "/v1/mailbox/socket";
/// `POST`: create a group.
pub const GROUPS: &str = "/v1/groups";
/// `GET`: where a group is.
pub const GROUP: &str = "/v1/groups/{group}";
/// `POST`: publish a commit.
pub const GROUP_COMMITS: &str = "/v1/groups/{group}/commits";
/// `POST`: publish a proposal or an application message. `GET`: the log after a cursor.
pub const GROUP_MESSAGES: &str = "/v1/groups/{group}/messages";
/// `GET`: the GroupInfo of the current epoch. `PUT`: publish it, for the others to join by.
pub const GROUP_INFO: &str = "/v1/groups/{group}/group-info";
/// `POST`: put accounts back on the roster that were removed.
pub const GROUP_ROSTER: &str = "/v1/groups/{group}/roster";
/// `GET`: the log after a cursor, and then as it grows, by Server-Sent Events.
pub const GROUP_EVENTS: &str = "/v1/groups/{group}/events";
/// `GET`: the same by WebSocket.
pub const GROUP_SOCKET: &str = "/v1/groups/{group}/socket";
/// `GET`: what the service says of itself: its names and limits. Not signed.
pub const SERVICE: &str = "/v1";
/// `GET`: this interface as an OpenAPI document. Not signed.
pub const OPENAPI: &str = "/v1/openapi.json";
/// `GET`: the process runs. Not signed.
pub const LIVE: &str = "/health/live";
/// `GET`: the database answers, and takes what it is given. Not signed.
pub const READY: &str = "/health/ready";
/// `GET`: the metrics for Prometheus. Not signed; served where the operator says.
pub const METRICS: &str = "/metrics";

fn fill(template: &str, id: &dyn std::fmt::Display) -> String {
    let (before, rest) = template.split_once('{').unwrap_or((template, ""));
    let (_, after) = rest.split_once('}').unwrap_or_default();
    format!("{before}{id}{after}")
}

/// Fills [`DEVICE`], [`DEVICE_KEY_PACKAGE`], [`DEVICE_MAILBOX`] or [`APPROVAL`].
pub fn of_device(template: &str, device: &DeviceId) -> String {
    fill(template, device)
}

/// Fills [`USER`].
pub fn of_user(user: &UserId) -> String {
    fill(USER, user)
}

/// Fills [`PAIRING`].
pub fn of_pairing(pairing: &[u8; 16]) -> String {
    fill(PAIRING, &Base64Url(pairing.to_vec()))
}

/// Fills [`GROUP`], or one of those below it.
pub fn of_group(template: &str, group: &GroupId) -> String {
    fill(template, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_filled_in() {
        let group = GroupId::new(*b"\xff\xfe").unwrap();
        assert_eq!(of_group(GROUP_COMMITS, &group), "/v1/groups/__4/commits");
        assert_eq!(of_pairing(&[0; 16]), "/v1/pairings/AAAAAAAAAAAAAAAAAAAAAA");
    }
}
