//! Several devices behind one leaf.

mod adapter;
pub mod entering;
pub mod failures;
pub mod following;
pub mod healing;
pub mod notify;
pub mod token;
mod world;

pub use self::{
    adapter::{LeafAdapter, LeafMember, Use},
    world::{LeafWorld, OfLeaf},
};
use super::Framing;
use crate::CipherSuite;

const PHONE: usize = 0;
const SENSOR: usize = 1;

/// Runs a property for each suite that an adapter knows, and for both framings.
fn for_each<A: LeafAdapter>(adapter: &A, property: impl Fn(CipherSuite, Framing)) {
    for suite in adapter.suites() {
        for framing in [Framing::Public, Framing::Private] {
            property(suite, framing);
        }
    }
}
