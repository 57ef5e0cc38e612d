//! What is public of a group: its last GroupInfo, and commits and proposals in the clear.
//!
//! The service is no member and decrypts nothing. Of what travels in the clear it checks what any member
//! would check: that the sender is who it says, and that the commit does what the request says it does.
//! The confirmation tag and what is encrypted to members it cannot check.

mod base;
mod change;
mod commit;
mod leaf;
mod signed;

pub(crate) use self::base::Bases;
pub(super) use self::{
    base::Base,
    change::{Change, Leads, judge},
    commit::{PublicParts, parts},
    leaf::{devices, is_own, known_newcomer, own_leaf, owners},
};
