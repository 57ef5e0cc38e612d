//! Subscriptions.
//!
//! A subscriber has a cursor, and the database has the truth: whatever is lost on the way (a
//! notification, an overtaken channel, a connection, a whole replica) is read again from there. A wake
//! says only that it is worth looking.
//!
//! A log is read once for all of its subscribers on a replica, by one task that passes each entry on
//! through a bounded channel. A mailbox has one reader anyway, and reads by itself.
//!
//! What subscribers hold is bounded: each reads a chunk at a time, once there is room for it in what all
//! answers may take. What is long, or finds no room, is not passed on: it is only said that it is there.

mod group;
mod hub;
mod mailbox;
mod ready;
mod subscriber;

pub(crate) use self::{
    group::group_events,
    hub::Hub,
    mailbox::mailbox_events,
    subscriber::{Events, Rendered},
};
