//! What may happen. Each function is one request, without HTTP.

mod auth;
mod brings;
mod check;
mod directory;
mod failure;
mod group;
mod key_package;
mod mailbox;
mod message;
mod page;
mod pairing;
mod public;
mod recovery;
mod unused;

pub(crate) use self::{
    auth::{
        Forwarded, Head, Introduced, Introduction, admit, complete, fresh, introduced, nonce,
        register,
    },
    directory::{approvals, approve, device, disapprove, revoke, user},
    failure::Failure,
    group::{
        create, group_info, kept_after, log, publish_commit, publish_message, repair,
        set_group_info, view, visible,
    },
    key_package::{claim, count, upload, withdraw},
    mailbox::{ack, items, not_beyond, post},
    page::{Cut, Page, Wanted},
    pairing::{ask, look},
    public::Bases,
    recovery::{drop_recovery_key, recover, recovery_key, set_recovery_key},
    unused::{told_if_ended, use_group},
};
pub(crate) use crate::store::Device as Caller;
