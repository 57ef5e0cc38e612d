//! Several devices behind one leaf.

mod adapter;
pub mod backup;
pub mod calendar;
pub mod claims;
pub mod entering;
pub mod failures;
pub mod following;
pub mod healing;
pub mod impostor;
pub mod lying;
pub mod membership;
pub mod notify;
pub mod token;
mod world;

pub use self::{
    adapter::{Keys, LeafAdapter, LeafMember, Use},
    world::{LeafWorld, OfLeaf},
};
use super::Framing;
use crate::CipherSuite;

const PHONE: usize = 0;
const SENSOR: usize = 1;

/// Whether a commit with nothing but a path can be followed without its Notify.
fn follows_without_notify<A: LeafAdapter>(adapter: &A, framing: Framing) -> bool {
    framing == Framing::Public || adapter.keys() == Keys::Shared
}

/// Runs a property for each suite that an adapter knows, and for both framings.
fn for_each<A: LeafAdapter>(adapter: &A, property: impl Fn(CipherSuite, Framing)) {
    for suite in adapter.suites() {
        for framing in [Framing::Public, Framing::Private] {
            property(suite, framing);
        }
    }
}
