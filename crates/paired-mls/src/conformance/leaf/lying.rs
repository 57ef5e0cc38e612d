//! The lying member, beside a shared leaf.

use super::{LeafAdapter, LeafWorld, for_each};
use crate::{
    CipherSuite,
    conformance::{
        Framing,
        liar::{self, Party},
    },
};

/// Two devices of one leaf, honest Bob and Mallory. Whoever else is in the group sleeps.
pub(super) fn party<A: LeafAdapter>(
    adapter: &A,
    suite: CipherSuite,
    framing: Framing,
) -> Party<'_, A::Device> {
    let LeafWorld { devices, .. } = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
    let liar = move |name: &str| adapter.liar(suite, framing, name);
    Party::gather(devices, Box::new(liar)).unwrap()
}

/// See [`liar::by_a_self_update`].
pub fn a_name_is_not_taken_by_a_self_update<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| liar::by_a_self_update(party(adapter, suite, framing)));
}

/// See [`liar::by_an_update`].
pub fn a_name_is_not_taken_by_an_update<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| liar::by_an_update(party(adapter, suite, framing)));
}

/// See [`liar::by_an_add`].
pub fn a_name_is_not_taken_by_an_add<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| liar::by_an_add(party(adapter, suite, framing)));
}

/// See [`liar::by_an_external_commit`].
pub fn a_name_is_not_taken_by_an_external_commit<A: LeafAdapter>(adapter: &A) {
    for suite in adapter.suites() {
        liar::by_an_external_commit(party(adapter, suite, Framing::Public));
    }
}

/// See [`liar::a_strict_device_refuses`].
pub fn a_strict_device_refuses<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        liar::a_strict_device_refuses(party(adapter, suite, framing))
    });
}

/// See [`liar::a_mark_is_taken_back`].
pub fn a_mark_is_taken_back<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| liar::a_mark_is_taken_back(party(adapter, suite, framing)));
}
