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
    /// Those that were not off it.
    there: Vec<String>,
}

impl PutBack {
    pub(super) fn new(group: &str, (users, back): &(Vec<UserId>, Vec<UserId>)) -> Self {
        let (back, there): (Vec<_>, Vec<_>) = users.iter().partition(|user| back.contains(user));
        let shown = |users: Vec<&UserId>| {
            users.into_iter().map(|user| printable(user.as_bytes())).collect()
        };
        Self { group: group.to_owned(), put_back: shown(back), there: shown(there) }
    }
}

impl fmt::Display for PutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, put_back, there } = self;
        if !put_back.is_empty() {
            write!(
                f,
                "On the service's list of {group} again: {}. Leaves have not changed: `pmls sync` goes on where it was",
                put_back.join(", ")
            )?;
        }
        if !put_back.is_empty() && !there.is_empty() {
            writeln!(f)?;
        }
        if !there.is_empty() {
            write!(f, "Not off the service's list of {group}: {}", there.join(", "))?;
        }
        Ok(())
    }
}
