//! Delivery service and directory of Paired MLS.
//!
//! [`app`] is the whole service as an axum `Router`; [`Server`] runs it on sockets, with TLS, until it
//! is told to stop. Any number of processes can serve one PostgreSQL database: none keeps anything that
//! the others would miss.
//!
//! ```text
//! admin/      what an operator does beside a service that runs
//! edge/       connections, their time-outs, and what all requests together may hold
//! routes/     check the media type, parse ids, call, encode
//! logic/      what may happen: signatures, freshness, MLS headers, limits
//! store/      whole transactions, each with a name, run again when the database asks for it
//! feed/       subscriptions: one reader for each log, however many subscribers
//! ```
//!
//! # What the service could learn from traffic
//!
//! It sees which account does what and when, from which address, and which groups an account is in. It
//! keeps less: an entry of a log has neither sender nor time, an item of a mailbox no sender. Which device
//! of an account has committed follows from which one got no envelope. It cannot tell a paired commit
//! from an ordinary one: both are one commit, one envelope for each other device of the account (a
//! Notify, or cover), and the Welcomes there are. That the devices of an account act in turn, or that
//! two of them fetch what one has published, is the same for any user of two devices. A pairing of
//! standard mode is registered, and so known; one of hidden mode is not, and its registration is
//! refused. But the key of its leaf is registered like a further device, and can be told by what it does and
//! does not do: hidden mode hides a pairing from the members of a group, not from the service.

mod admin;
mod clock;
mod config;
mod edge;
mod error;
mod feed;
mod log_format;
mod logic;
mod metrics;
mod openapi;
mod rate;
mod readers;
mod routes;
mod serve;
mod state;
mod store;

pub use self::{
    admin::{
        Admin, ApprovalOf, Backup, Checked, Deleted, DeviceLine, Finding, GroupDetails, GroupLine,
        KeyPackages, MemberLine, OldDevices, OnPaper, OwnGroup, RestoreError, Restored,
        ShutOutAgain, UserDetails, UserLine, restore,
    },
    clock::{Clock, SystemClock},
    config::{Config, LimitError, Limits, TlsFiles},
    error::StartError,
    log_format::{LogFormat, LogLevelError, Logging, check_log_level, init_logging},
    routes::{app, metrics_app},
    serve::{Server, Signals},
    state::AppState,
    store::{Holder, RolledBack, StorageFault, StoreError, Unread, require_file},
};
