//! A leaf that several devices share.
//!
//! ```text
//! content      what a commit takes up of the proposals that wait
//! alarm        what somebody does in the name of the leaf
//! difference   in what a delivered commit differs from what the tape gives
//! ```

mod alarm;
mod content;
mod difference;

pub use self::{
    alarm::{act_in_own_name, doubt, security, security_changed},
    content::{TakenUp, strike_off},
    difference::Difference,
};
