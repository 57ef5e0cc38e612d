//! The puncturable pseudorandom function behind the tape.
//!
//! A Goldreich–Goldwasser–Micali tree of depth 64: the root gives two children, each child two
//! more, and a leaf is the value of one index.
//!
//! ```text
//! child_b = ExpandWithLabel(node, "tree", b, Nh)        b = 0x00 (left) or 0x01 (right)
//! ```
//!
//! To puncture an index, the nodes on its path are replaced by the siblings along it (its
//! *copath*): every other value can still be computed, this one never again. The stored nodes are
//! always the roots of disjoint subtrees, so an index that none of them covers was punctured.

use std::collections::BTreeMap;

use super::TapeError;
use crate::{CipherSuite, Secret};

const DEPTH: u8 = 64;

/// The depth at which a subtree is the lane of one device.
const LANE_DEPTH: u8 = 16;

/// The most nodes that a tape stores of one lane. Past it the oldest holes are given up: what was passed
/// over longest ago can no longer be read.
///
/// Values that are taken in order cost at most 48 nodes in a lane, so that this is room for some
/// 970 indices, isolated from each other, that were passed over. 1,024 nodes are about 43 KiB.
pub const MAX_LANE_NODES: usize = 1024;

/// The root of a subtree: its first index and its depth below the root of the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId {
    pub(super) first: u64,
    pub(super) depth: u8,
}

impl NodeId {
    const ROOT: Self = Self { first: 0, depth: 0 };

    /// The node of this depth above `index`.
    fn above(index: u64, depth: u8) -> Self {
        let below = u32::from(DEPTH - depth);
        let first = index.checked_shr(below).unwrap_or(0).checked_shl(below).unwrap_or(0);
        Self { first, depth }
    }

    /// The last index below this node.
    fn last(self) -> u64 {
        self.first | u64::MAX.checked_shr(u32::from(self.depth)).unwrap_or(0)
    }

    /// The two halves of this node, which must not be a leaf: a leaf lies inside or outside of any
    /// range and is never split.
    fn children(self) -> [Self; 2] {
        let depth = self.depth + 1;
        let half = 1_u64.checked_shl(u32::from(DEPTH - depth)).unwrap_or(0);
        [Self { first: self.first, depth }, Self { first: self.first | half, depth }]
    }

    /// Whether this subtree lies in the lane of one device.
    pub(super) fn is_in_a_lane(self) -> bool {
        self.depth >= LANE_DEPTH
    }

    fn is_well_formed(self) -> bool {
        self.depth <= DEPTH && Self::above(self.first, self.depth) == self
    }
}

/// The part of the tree that has not been punctured.
pub(super) struct Pprf {
    suite: CipherSuite,
    nodes: BTreeMap<NodeId, Secret>,
}

/// What one evaluation will change, and its result. Nothing has changed yet.
pub(super) struct Evaluation {
    covering: NodeId,
    copath: Vec<(NodeId, Secret)>,
    pub(super) value: Secret,
}

impl Pprf {
    pub(super) fn empty(suite: CipherSuite) -> Self {
        Self { suite, nodes: BTreeMap::new() }
    }

    pub(super) fn new(suite: CipherSuite, root: Secret) -> Self {
        Self { suite, nodes: BTreeMap::from([(NodeId::ROOT, root)]) }
    }

    /// Rebuilds a tree from stored nodes; `None` if they overlap, are malformed or too many for this
    /// number of lanes in use.
    pub(super) fn from_nodes(
        suite: CipherSuite,
        lanes: usize,
        stored: Vec<(NodeId, Secret)>,
    ) -> Option<Self> {
        let mut next_free = Some(0);
        for (id, secret) in &stored {
            let in_order = next_free.is_some_and(|free| id.first >= free);
            if !id.is_well_formed() || !in_order || secret.len() != suite.kdf_len() {
                return None;
            }
            next_free = id.last().checked_add(1);
        }
        // Between the lanes, each that is in use splits off at most one node on each level.
        let bound = lanes * (MAX_LANE_NODES + usize::from(LANE_DEPTH));
        (stored.len() <= bound).then(|| Self { suite, nodes: stored.into_iter().collect() })
    }

    /// The stored nodes, from the first index to the last.
    pub(super) fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Secret)> {
        self.nodes.iter().map(|(id, secret)| (*id, secret))
    }

    /// Whether the value of `index` can still be computed.
    pub(super) fn holds(&self, index: u64) -> bool {
        self.covering(index).is_some()
    }

    /// The first index from `index` on whose value can still be computed.
    pub(super) fn first_held(&self, index: u64) -> Option<u64> {
        if self.holds(index) {
            return Some(index);
        }
        let after = NodeId { first: index, depth: 0 };
        self.nodes.range(after..).next().map(|(id, _)| id.first)
    }

    /// Computes the value of `index` and the copath that will replace its path.
    pub(super) fn evaluate(&self, index: u64) -> Result<Evaluation, TapeError> {
        let (covering, node) = self.covering(index).ok_or(TapeError::Spent)?;
        let mut current = Secret::copy_of(node.expose());
        let mut copath = Vec::with_capacity(usize::from(DEPTH - covering.depth));
        for depth in covering.depth + 1..=DEPTH {
            let [left, right] = [self.child(&current, 0)?, self.child(&current, 1)?];
            let [left_id, right_id] = NodeId::above(index, depth - 1).children();
            if index < right_id.first {
                copath.push((right_id, right));
                current = left;
            } else {
                copath.push((left_id, left));
                current = right;
            }
        }
        Ok(Evaluation { covering, copath, value: current })
    }

    /// Replaces the path of an evaluated index by its copath and returns the value.
    pub(super) fn puncture(&mut self, evaluation: Evaluation) -> Secret {
        self.nodes.remove(&evaluation.covering);
        self.nodes.extend(evaluation.copath);
        evaluation.value
    }

    /// Gives up every index from `first` up to, and without, `end`.
    ///
    /// Derives first: on an error nothing has changed.
    pub(super) fn forget(&mut self, first: u64, end: u64) -> Result<(), TapeError> {
        if first >= end {
            return Ok(());
        }
        let touches = |id: &NodeId| id.first < end && id.last() >= first;
        let inside = |id: &NodeId| id.first >= first && id.last() < end;

        let mut kept = Vec::new();
        let mut parts: Vec<_> = (self.nodes.iter())
            .filter(|(id, _)| touches(id) && !inside(id))
            .map(|(id, secret)| (*id, Secret::copy_of(secret.expose())))
            .collect();
        while let Some((id, secret)) = parts.pop() {
            if !touches(&id) {
                kept.push((id, secret));
            } else if !inside(&id) {
                let [left, right] = id.children();
                parts.push((left, self.child(&secret, 0)?));
                parts.push((right, self.child(&secret, 1)?));
            }
        }
        self.nodes.retain(|id, _| !touches(id));
        self.nodes.extend(kept);
        Ok(())
    }

    /// Puts a fresh lane, the one of `index`, in place of what there was of it.
    pub(super) fn plant(&mut self, index: u64, root: Secret) {
        self.uproot(index);
        self.nodes.insert(NodeId::above(index, LANE_DEPTH), root);
    }

    /// Gives up the whole lane of `index`; of a tree that has nothing above its lanes.
    pub(super) fn uproot(&mut self, index: u64) {
        let lane = NodeId::above(index, LANE_DEPTH);
        self.nodes.retain(|id, _| id.first < lane.first || id.first > lane.last());
    }

    /// Where the part of `first..=last` begins that is whole to the end; `None` if the last index is gone.
    pub(super) fn tail(&self, first: u64, last: u64) -> Option<u64> {
        let mut begin = None;
        for (id, _) in self.nodes.range(..=NodeId { first: last, depth: DEPTH }).rev() {
            let reaches = match begin {
                None => id.last() >= last,
                Some(begin) => id.last().checked_add(1) == Some(begin),
            };
            if !reaches {
                break;
            }
            begin = Some(id.first);
            if id.first <= first {
                return Some(first);
            }
        }
        begin
    }

    /// Gives up the first nodes of the lane `first..=last` until it has no more than it may have. The one
    /// that covers `kept` stays.
    pub(super) fn trim(&mut self, first: u64, last: u64, kept: Option<u64>) {
        let lane = NodeId { first, depth: LANE_DEPTH }..=NodeId { first: last, depth: DEPTH };
        let surplus = self.nodes.range(lane.clone()).count().saturating_sub(MAX_LANE_NODES);
        let covers = |id: &NodeId| kept.is_some_and(|kept| id.first <= kept && kept <= id.last());
        let oldest: Vec<_> = (self.nodes.range(lane).map(|(id, _)| *id))
            .filter(|id| !covers(id))
            .take(surplus)
            .collect();
        for id in oldest {
            self.nodes.remove(&id);
        }
    }

    fn covering(&self, index: u64) -> Option<(NodeId, &Secret)> {
        let last_possible = NodeId { first: index, depth: DEPTH };
        let (id, secret) = self.nodes.range(..=last_possible).next_back()?;
        (id.last() >= index).then_some((*id, secret))
    }

    fn child(&self, node: &Secret, bit: u8) -> Result<Secret, TapeError> {
        Ok(self.suite.expand_with_label(node, "tree", &[bit], self.suite.kdf_len())?)
    }
}
