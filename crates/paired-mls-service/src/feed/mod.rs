//! Subscriptions.
//!
//! A subscriber has a cursor, and the database has the truth: whatever is lost on the way (a
//! notification, an overtaken channel, a connection, a whole replica) is read again from there. A wake
//! says only that it is worth looking.
//!
//! A log is read once for all of its subscribers on a replica, by one task that passes each entry on
//! through a bounded channel. A mailbox has one reader anyway, and reads by itself.

mod group;
mod hub;
mod mailbox;
mod subscriber;

pub(crate) use self::{
    group::group_events,
    hub::Hub,
    mailbox::mailbox_events,
    subscriber::{Events, Rendered},
};
