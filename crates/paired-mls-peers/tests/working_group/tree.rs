//! `tree-math`, `tree-operations`, `tree-validation`, `treekem`: our trees have no keys and no hashes, and agree in
//! everything else.

use std::collections::BTreeSet;

use paired_mls::{
    anchor::{Changes, LeafIndex, NodeIndex, Tree, TreeSize, sealed_levels},
    wire::{KeyPackage, RatchetTree, UpdatePath},
};
use serde::Deserialize;

use super::{Hex, or_nothing, vectors};

fn node(position: u32) -> NodeIndex {
    NodeIndex::new(position).unwrap()
}

fn leaf(index: u32) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

fn tree(encoded: &[u8]) -> Tree {
    let decoded = RatchetTree::decode(encoded).unwrap();
    assert_eq!(decoded.encode(), encoded);
    Tree::from(&decoded)
}

#[derive(Deserialize)]
struct Math {
    n_leaves: u32,
    n_nodes: u32,
    root: u32,
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    parent: Vec<Option<u32>>,
    sibling: Vec<Option<u32>>,
}

#[test]
fn positions() {
    let Some(vectors) = vectors::<Math>("tree-math") else { return };
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let size = TreeSize::holding(leaf(vector.n_leaves - 1));
        assert_eq!((size.leaves(), size.root()), (vector.n_leaves, node(vector.root)));
        assert!(size.contains(node(vector.n_nodes - 1)) && !size.contains(node(vector.n_nodes)));
        for (x, position) in (0..vector.n_nodes).map(node).zip(0..) {
            let relatives = [
                (x.left(), &vector.left),
                (x.right(), &vector.right),
                (size.parent(x), &vector.parent),
                (size.sibling(x), &vector.sibling),
            ];
            for (ours, theirs) in relatives {
                assert_eq!(ours.map(NodeIndex::value), theirs[position], "of {x}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Operation {
    proposal: Hex,
    proposal_sender: u32,
    tree_before: Hex,
    tree_after: Hex,
}

#[test]
fn operations() {
    let Some(vectors) = vectors::<Operation>("tree-operations") else { return };
    let mut kinds = BTreeSet::new();
    for Operation { proposal, proposal_sender, tree_before, tree_after } in &vectors {
        let (kind, proposal) = proposal.0.split_at(2);
        kinds.insert(kind);
        let mut changes = Changes::default();
        match kind {
            [0, 1] => {
                KeyPackage::decode(proposal).unwrap();
                changes.adds = 1;
            }
            [0, 2] => changes.updates = vec![leaf(*proposal_sender)],
            [0, 3] => {
                changes.removes = vec![leaf(u32::from_be_bytes(proposal.try_into().unwrap()))];
            }
            other => panic!("a proposal of type {other:?}"),
        }
        let applied = tree(&tree_before.0).after(&changes).unwrap();
        assert_eq!(*applied.tree(), tree(&tree_after.0));
    }
    assert_eq!((vectors.len(), kinds.len()), (5, 3));
}

#[derive(Deserialize)]
struct Validation {
    tree: Hex,
    resolutions: Vec<Vec<u32>>,
}

/// Every node's resolution, in suites 1 to 7.
#[test]
fn resolutions() {
    let Some(vectors) = vectors::<Validation>("tree-validation") else { return };
    assert_eq!(vectors.len(), 98);
    for vector in vectors {
        let tree = tree(&vector.tree.0);
        for (x, theirs) in (0..).map(node).zip(&vector.resolutions) {
            let ours: Vec<_> = tree.resolution(x).into_iter().map(NodeIndex::value).collect();
            assert_eq!(ours, *theirs, "of {x}");
        }
    }
}

#[derive(Deserialize)]
struct TreeKem {
    ratchet_tree: Hex,
    leaves_private: Vec<Private>,
    update_paths: Vec<Path>,
}

#[derive(Deserialize)]
struct Private {
    index: u32,
    path_secrets: Vec<PathSecret>,
}

#[derive(Deserialize)]
struct PathSecret {
    node: u32,
}

#[derive(Deserialize)]
struct Path {
    sender: u32,
    update_path: Hex,
    path_secrets: Vec<OfLeaf>,
}

#[derive(Deserialize)]
struct OfLeaf(#[serde(deserialize_with = "or_nothing")] Option<Vec<u8>>);

/// Who knows which node, at which nodes a commit has new keys, and to how many each path secret is sealed, in
/// suites 1 to 7.
#[test]
fn paths() {
    let Some(vectors) = vectors::<TreeKem>("treekem") else { return };
    assert_eq!(vectors.len(), 77);
    let mut paths = 0;
    for vector in vectors {
        let tree = tree(&vector.ratchet_tree.0);
        for private in vector.leaves_private {
            let own = leaf(private.index);
            let theirs = private.path_secrets.iter().map(|known| node(known.node));
            assert_eq!(tree.known_to(own), theirs.chain([own.node()]).collect());
        }
        for path in vector.update_paths {
            let (sender, encoded) = (leaf(path.sender), path.update_path.0);
            let decoded = UpdatePath::decode(&encoded).unwrap();
            assert_eq!(decoded.encode(), encoded);
            let levels = sealed_levels(&tree, sender, &[], None).unwrap();
            let ours: Vec<_> = levels.iter().map(|level| level.recipients().len()).collect();
            let theirs = decoded.nodes().iter().map(|node| node.encrypted_path_secret().len());
            assert_eq!(ours, theirs.collect::<Vec<_>>());

            // Whoever reads a path secret reads that of the lowest node above both. Those of one node are equal, those
            // of two nodes differ.
            let read: Vec<_> = (0..).map(leaf).zip(&path.path_secrets).collect();
            for (reader, secret) in &read {
                assert_eq!(secret.0.is_some(), tree.is_member(*reader) && *reader != sender);
                for (other, others) in read.iter().filter(|(_, secret)| secret.0.is_some()) {
                    let meet = |x: &LeafIndex| x.node().common_ancestor(sender.node());
                    if secret.0.is_some() {
                        assert_eq!(secret.0 == others.0, meet(reader) == meet(other));
                    }
                }
            }
            paths += 1;
        }
    }
    assert!(paths > 100, "{paths}");
}
