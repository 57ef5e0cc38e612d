//! `pmls group put-back`: a group's roster at the service.

use std::fmt;

use clap::Args;
use paired_mls_api::UserId;
use serde::Serialize;

use super::super::device::user;
use crate::output::printable;

/// Whom to put back.
#[derive(Args)]
pub(crate) struct PutBackArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// Users that were removed [default: the one of this device].
    #[arg(value_parser = user)]
    pub(super) users: Vec<UserId>,
}

/// Who is on the service's list again.
#[derive(Serialize)]
pub(super) struct PutBack {
    group: String,
    put_back: Vec<String>,
}

impl PutBack {
    pub(super) fn new(group: &str, users: &[UserId]) -> Self {
        let put_back = users.iter().map(|user| printable(user.as_bytes())).collect();
        Self { group: group.to_owned(), put_back }
    }
}

impl fmt::Display for PutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "On the service's list of {} again: {}. Leaves have not changed: `pmls sync` goes on where it was",
            self.group,
            self.put_back.join(", ")
        )
    }
}
