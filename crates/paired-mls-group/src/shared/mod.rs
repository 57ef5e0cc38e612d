//! A leaf that several devices share.
//!
//! ```text
//! content      what a commit takes up of the proposals that wait
//! hear         what a delivered message is
//! follow       what a delivered commit of the leaf can be, and what it means
//! alarm        what somebody does in the name of the leaf
//! difference   in what a delivered commit differs from what the tape gives
//! token        who may send application messages
//! kept         what stays of the leaf's record in a new state, or of an older copy
//! ```

mod alarm;
mod content;
mod difference;
mod follow;
mod hear;
mod kept;
mod token;

pub use self::{
    alarm::{act_in_own_name, doubt, security, security_changed},
    content::{TakenUp, strike_off},
    difference::Difference,
    follow::{
        BLIND_POSITIONS, Delivered, candidates, follow, healed, leaf_of, next_epoch,
        recognise_external,
    },
    hear::{Said, Whose, alarms, is_private_commit, said},
    kept::{Kept, current, outdated},
    token::{give_token, require_speech, token},
};
