//! The limits of a server.

use clap::{ArgMatches, Args};
use paired_mls_service::Limits;
use serde::{Deserialize, Serialize};

use super::{ConfigFile, Effective, Layers, SettingsError};

/// What a server takes and keeps, in one layer: flags of `pmls serve`, and the table `[limits]` of the
/// configuration file.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitSettings {
    /// The longest body.
    #[arg(long = "max-body", value_name = "BYTES", env = "PMLS_LIMIT_BODY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<usize>,
    /// Requests of one device in one second.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_REQUESTS_PER_SECOND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<u32>,
    /// Requests of one device at once.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_REQUEST_BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_burst: Option<u32>,
    /// How old the signature of a request may be.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_SIGNATURE_WINDOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_window: Option<u64>,
    /// Of how many past epochs application messages are taken.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_PAST_EPOCHS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    past_epochs: Option<u64>,
    /// Items in one mailbox.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_MAILBOX_ITEMS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox_items: Option<u64>,
    /// After which time an item is dropped that nobody has fetched.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_MAILBOX_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox_seconds: Option<u64>,
    /// How long the items of one mailbox are together.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_MAILBOX_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox_bytes: Option<u64>,
    /// For how many days an entry of a log is kept that everybody has read.
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_LOG_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_days: Option<u64>,
    /// How long the messages of a log are that are kept although everybody has read them.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_LOG_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_bytes: Option<u64>,
    /// Proposals that wait in one epoch of a group.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_PROPOSALS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    proposals: Option<u64>,
    /// How long they are together.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_PROPOSAL_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal_bytes: Option<u64>,
    /// Proposals of one account that wait in one epoch of a group.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_PROPOSALS_EACH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    proposals_each: Option<u64>,
    /// How long those of one account are together.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_PROPOSAL_BYTES_EACH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal_bytes_each: Option<u64>,
    /// After how many days an entry of a log goes that somebody has not read [default: never].
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_LOG_UNREAD_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_unread_days: Option<u64>,
    /// After how many days a group ends that nobody uses, and in which nobody has missed anything.
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_GROUP_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group_days: Option<u64>,
    /// After how many days a group ends that nobody uses, though somebody has not read it [default: never].
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_GROUP_UNREAD_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group_unread_days: Option<u64>,
    /// After how many days a user ends that is not seen, and that nothing needs.
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_USER_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_days: Option<u64>,
    /// After how many days a pairing ends that has not come about, or has lost its devices.
    #[arg(long, value_name = "DAYS", env = "PMLS_LIMIT_PAIRING_DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pairing_days: Option<u64>,
    /// How long the KeyPackages of one device are together.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_KEY_PACKAGE_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key_package_bytes: Option<u64>,
    /// KeyPackages of one device.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_KEY_PACKAGES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key_packages: Option<u64>,
    /// KeyPackages of one device that one account can claim in a day.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_CLAIMS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<u64>,
    /// Devices of one user, revoked ones included.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_DEVICES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<u64>,
    /// Recipients of one commit.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_RECIPIENTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<usize>,
    /// What one request may write, with all copies in mailboxes.
    #[arg(long = "max-written", value_name = "BYTES", env = "PMLS_LIMIT_WRITTEN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<usize>,
    /// Entries on one page of a log or mailbox.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_PAGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    /// The messages or envelopes of one page; one that is longer comes alone.
    #[arg(long, value_name = "BYTES", env = "PMLS_LIMIT_PAGE_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    page_bytes: Option<usize>,
    /// Subscriptions at once.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_SUBSCRIPTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<usize>,
    /// Subscriptions of one device at once.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_DEVICE_SUBSCRIPTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device_subscriptions: Option<usize>,
    /// Requests of one device that are served at once.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_DEVICE_REQUESTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device_requests: Option<usize>,
    /// Connections of one device at once; see --proxy.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_DEVICE_CONNECTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device_connections: Option<usize>,
    /// Connections of clients at once; fewer if not as many files can be open.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_CLIENT_CONNECTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_connections: Option<usize>,
    /// Connections from one address at once; see --proxy.
    #[arg(long, value_name = "N", env = "PMLS_LIMIT_CONNECTIONS_PER_ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_per_address: Option<usize>,
    /// How long a new connection may take to send the head of a request.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_HEAD_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    head_seconds: Option<u64>,
    /// How long a connection stays with nothing to do.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_IDLE_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_seconds: Option<u64>,
    /// How long a body may take to come.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_BODY_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    body_seconds: Option<u64>,
    /// How long a request may take to be served.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_REQUEST_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_seconds: Option<u64>,
    /// How long a client may take for a part of an answer.
    #[arg(long, value_name = "SECONDS", env = "PMLS_LIMIT_ANSWER_SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_seconds: Option<u64>,
    /// Bodies of requests that are held at once.
    #[arg(long = "max-bodies", value_name = "BYTES", env = "PMLS_LIMIT_BODIES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bodies: Option<usize>,
    /// Entries and items that are held at once to be answered with.
    #[arg(long = "max-answers", value_name = "BYTES", env = "PMLS_LIMIT_ANSWERS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<usize>,
}

impl LimitSettings {
    /// The effective values, with where each comes from.
    pub(crate) fn effective(
        &self,
        file: &ConfigFile,
        matches: &ArgMatches,
    ) -> Result<Effective<Self>, SettingsError> {
        let defaults = Self::from(Limits::default());
        Layers { defaults: &defaults, file: &file.limits, path: file.path.as_deref(), given: self }
            .effective(matches)
    }
}

impl From<Limits> for LimitSettings {
    fn from(limits: Limits) -> Self {
        Self {
            body: Some(limits.body),
            requests_per_second: Some(limits.requests_per_second),
            request_burst: Some(limits.request_burst),
            signature_window: Some(limits.signature_window),
            past_epochs: Some(limits.past_epochs),
            mailbox_items: Some(limits.mailbox_items),
            mailbox_seconds: Some(limits.mailbox_seconds),
            mailbox_bytes: Some(limits.mailbox_bytes),
            log_days: limits.log_days,
            log_bytes: limits.log_bytes,
            proposals: Some(limits.proposals),
            proposal_bytes: Some(limits.proposal_bytes),
            proposals_each: Some(limits.proposals_each),
            proposal_bytes_each: Some(limits.proposal_bytes_each),
            log_unread_days: limits.log_unread_days,
            group_days: limits.group_days,
            group_unread_days: limits.group_unread_days,
            user_days: limits.user_days,
            pairing_days: limits.pairing_days,
            key_package_bytes: Some(limits.key_package_bytes),
            key_packages: Some(limits.key_packages),
            claims: Some(limits.claims),
            devices: Some(limits.devices),
            recipients: Some(limits.recipients),
            written: Some(limits.written),
            page: Some(limits.page),
            subscriptions: Some(limits.subscriptions),
            device_subscriptions: Some(limits.device_subscriptions),
            device_requests: Some(limits.device_requests),
            device_connections: Some(limits.device_connections),
            client_connections: Some(limits.client_connections),
            connections_per_address: Some(limits.connections_per_address),
            head_seconds: Some(limits.head_seconds),
            idle_seconds: Some(limits.idle_seconds),
            body_seconds: Some(limits.body_seconds),
            request_seconds: Some(limits.request_seconds),
            answer_seconds: Some(limits.answer_seconds),
            bodies: Some(limits.bodies),
            answers: Some(limits.answers),
            page_bytes: Some(limits.page_bytes),
        }
    }
}

impl From<LimitSettings> for Limits {
    fn from(settings: LimitSettings) -> Self {
        let usual = Self::default();
        Self {
            body: settings.body.unwrap_or(usual.body),
            requests_per_second: settings.requests_per_second.unwrap_or(usual.requests_per_second),
            request_burst: settings.request_burst.unwrap_or(usual.request_burst),
            signature_window: settings.signature_window.unwrap_or(usual.signature_window),
            past_epochs: settings.past_epochs.unwrap_or(usual.past_epochs),
            mailbox_items: settings.mailbox_items.unwrap_or(usual.mailbox_items),
            mailbox_seconds: settings.mailbox_seconds.unwrap_or(usual.mailbox_seconds),
            mailbox_bytes: settings.mailbox_bytes.unwrap_or(usual.mailbox_bytes),
            log_days: settings.log_days.or(usual.log_days),
            log_bytes: settings.log_bytes.or(usual.log_bytes),
            proposals: settings.proposals.unwrap_or(usual.proposals),
            proposal_bytes: settings.proposal_bytes.unwrap_or(usual.proposal_bytes),
            proposals_each: settings.proposals_each.unwrap_or(usual.proposals_each),
            proposal_bytes_each: settings.proposal_bytes_each.unwrap_or(usual.proposal_bytes_each),
            log_unread_days: settings.log_unread_days.or(usual.log_unread_days),
            group_days: settings.group_days.or(usual.group_days),
            group_unread_days: settings.group_unread_days.or(usual.group_unread_days),
            user_days: settings.user_days.or(usual.user_days),
            pairing_days: settings.pairing_days.or(usual.pairing_days),
            key_package_bytes: settings.key_package_bytes.unwrap_or(usual.key_package_bytes),
            key_packages: settings.key_packages.unwrap_or(usual.key_packages),
            claims: settings.claims.unwrap_or(usual.claims),
            devices: settings.devices.unwrap_or(usual.devices),
            recipients: settings.recipients.unwrap_or(usual.recipients),
            written: settings.written.unwrap_or(usual.written),
            page: settings.page.unwrap_or(usual.page),
            subscriptions: settings.subscriptions.unwrap_or(usual.subscriptions),
            device_subscriptions: settings
                .device_subscriptions
                .unwrap_or(usual.device_subscriptions),
            device_requests: settings.device_requests.unwrap_or(usual.device_requests),
            device_connections: settings.device_connections.unwrap_or(usual.device_connections),
            client_connections: settings.client_connections.unwrap_or(usual.client_connections),
            connections_per_address: settings
                .connections_per_address
                .unwrap_or(usual.connections_per_address),
            head_seconds: settings.head_seconds.unwrap_or(usual.head_seconds),
            idle_seconds: settings.idle_seconds.unwrap_or(usual.idle_seconds),
            body_seconds: settings.body_seconds.unwrap_or(usual.body_seconds),
            request_seconds: settings.request_seconds.unwrap_or(usual.request_seconds),
            answer_seconds: settings.answer_seconds.unwrap_or(usual.answer_seconds),
            bodies: settings.bodies.unwrap_or(usual.bodies),
            answers: settings.answers.unwrap_or(usual.answers),
            page_bytes: settings.page_bytes.unwrap_or(usual.page_bytes),
        }
    }
}
