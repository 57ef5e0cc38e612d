//! What may happen. Each function is one request, without HTTP.

mod auth;
mod brings;
mod directory;
mod failure;
mod group;
mod key_package;
mod mailbox;
mod message;
mod pairing;

pub(crate) use self::{
    auth::{Forwarded, Head, admit, fresh, once, register},
    directory::{approve, device, revoke, user},
    failure::Failure,
    group::{create, group_info, log, publish_commit, publish_message, view, visible},
    key_package::{claim, count, upload, withdraw},
    mailbox::{ack, items, not_beyond, post},
    pairing::{ask, look},
};
pub(crate) use crate::store::Device as Caller;
