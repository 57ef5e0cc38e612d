use super::{EpochSecurity::*, LeafKey::*, *};
use crate::anchor::{Changes, locate};

const PHONE: DeviceId = DeviceId(0);
const SENSOR: DeviceId = DeviceId(1);
const WATCH: DeviceId = DeviceId(2);
const LOCK: DeviceId = DeviceId(3);
const ALL: [DeviceId; 4] = [PHONE, SENSOR, WATCH, LOCK];

fn leaf(index: u32) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

/// Device *n* is at leaf *n*.
fn leaf_of(device: DeviceId) -> Option<LeafIndex> {
    Some(leaf(u32::from(device.0)))
}

/// Eight members, everybody of whom has committed; the first four are the devices.
fn tree() -> Tree {
    let mut tree = Tree::of_leaves((0..8).map(leaf));
    for parent in [1, 3, 5, 7, 9, 11, 13] {
        tree = tree.with_parent(parent, &[]);
    }
    tree
}

struct Group {
    tree: Tree,
    table: SecurityTable,
}

impl Group {
    fn new() -> Self {
        Self { tree: tree(), table: SecurityTable::exposed(ALL) }
    }

    fn apply(&mut self, facts: CommitFacts) -> Vec<Changed> {
        let (at, tree) = (facts.path, self.tree.clone());
        let seat = |device| leaf_of(device).filter(|leaf| tree.is_member(*leaf));
        let changes = self.table.apply(&facts, &self.tree, seat).unwrap();
        if let Some(at) = at {
            self.tree = self.tree.after_path(at).unwrap();
        }
        changes
    }

    fn propose(&mut self, removes: &[u32]) {
        let removes = removes.iter().map(|index| leaf(*index)).collect();
        let changes = Changes { removes, ..Changes::default() };
        self.tree = self.tree.after(&changes).unwrap().into_parts().0;
    }

    /// A paired commit of a device.
    fn paired(&mut self, by: DeviceId, authorship: Authorship) -> Vec<Changed> {
        let committer = leaf_of(by).unwrap();
        let seats: Vec<_> =
            ALL.into_iter().filter_map(leaf_of).filter(|at| self.tree.is_member(*at)).collect();
        let anchorage = locate(&self.tree, committer, &seats, &[]).unwrap();
        let anchor = anchorage.anchor().filter(|_| authorship == Authorship::Proven).cloned();
        let covered = anchor.as_ref().map(Anchor::covered).unwrap_or_default();
        let healed = ALL.into_iter().filter(|device| covered.contains(&leaf_of(*device).unwrap()));
        self.apply(CommitFacts {
            committer: Some((by, authorship)),
            healed: healed.collect(),
            path: Some(committer),
            notified: anchor,
            ..CommitFacts::default()
        })
    }

    /// A commit of a stranger.
    fn stranger(&mut self, at: u32) -> Vec<Changed> {
        self.apply(CommitFacts { path: Some(leaf(at)), ..CommitFacts::default() })
    }

    fn known(&self, device: DeviceId) -> Vec<u32> {
        self.table.known(device).map(NodeIndex::value).collect()
    }
}

#[test]
fn a_commit_of_others_heals_nobody() {
    let mut group = Group::new();
    assert_eq!(group.stranger(4), []);
    assert_eq!(group.table.of(SENSOR), Some(Exposed));
}

#[test]
fn a_paired_commit_heals_all_below_the_anchor_and_renews_one_leaf() {
    let mut group = Group::new();
    let changes = group.paired(PHONE, Authorship::Proven);
    let healed = |device| (device, Exposed, Secure(Stale));
    let own = (PHONE, Exposed, Secure(Fresh));
    assert_eq!(changes, [own, healed(SENSOR), healed(WATCH), healed(LOCK)]);
    assert_eq!(group.known(PHONE), [0_u32; 0]);
    assert_eq!(group.known(SENSOR), [2]);
    assert_eq!(group.known(WATCH), [4, 5], "the parent below the anchor is as old as the leaf");
    assert_eq!(group.known(LOCK), [5, 6]);
}

/// A Remove beside the phone blanks the anchor; what lies above the other two is sealed to.
#[test]
fn a_stale_parent_weakens_like_a_leaf() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    group.propose(&[1]);
    let weakened = |device| (device, Secure(Stale), Weakened);
    assert_eq!(group.stranger(4), [weakened(WATCH), weakened(LOCK)]);
    assert_eq!(group.known(WATCH), [4, 5, 7], "he has read the path secret of the root");
    // The committer's path is new, and with it what he has learned, unless he reads that, too.
    group.stranger(4);
    assert_eq!(group.known(WATCH), [4, 5, 7]);
    let changes = group.paired(PHONE, Authorship::Proven);
    assert_eq!(changes, [(WATCH, Weakened, Secure(Stale)), (LOCK, Weakened, Secure(Stale))]);
    assert_eq!(group.known(WATCH), [4, 5]);
}

#[test]
fn what_is_blanked_or_renewed_is_known_no_more() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    group.paired(LOCK, Authorship::Proven);
    assert_eq!(group.known(WATCH), [4], "the parent is on the path of the lock");
    assert_eq!(group.known(SENSOR), [1, 2]);
    assert_eq!(group.known(LOCK), [0_u32; 0]);
    group.propose(&[0]);
    // Nodes 1 and 3 are blank now: the sensor's leaf is sealed to, and node 5, which is fresh.
    let changes = group.stranger(4);
    assert!(changes.contains(&(SENSOR, Secure(Stale), Weakened)), "{changes:?}");
    assert_eq!(group.table.of(WATCH), Some(Secure(Stale)));
    assert_eq!(group.known(SENSOR), [2, 7]);
}

/// A path secret that is sealed to a key he has gives him all nodes from there to the root.
#[test]
fn what_is_sealed_to_a_stale_key_is_known() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    // The watch commits and nobody is notified, as where the pairing is suspended.
    group.apply(CommitFacts {
        committer: Some((WATCH, Authorship::Proven)),
        path: leaf_of(WATCH),
        ..CommitFacts::default()
    });
    assert_eq!(group.table.of(LOCK), Some(Weakened));
    assert_eq!(group.known(LOCK), [3, 5, 6, 7]);
    assert_eq!(
        group.table.of(SENSOR),
        Some(Secure(Stale)),
        "its stale leaf is below a fresh parent"
    );
    assert_eq!(group.known(SENSOR), [2]);
}

#[test]
fn a_device_that_is_added_begins_anew() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    let adds = CommitFacts { joined: vec![SENSOR], ..CommitFacts::default() };
    assert_eq!(group.apply(adds), [(SENSOR, Secure(Stale), Exposed)]);
    let renews = CommitFacts { renewed: vec![SENSOR], ..CommitFacts::default() };
    assert_eq!(group.apply(renews), [(SENSOR, Exposed, Secure(Fresh))]);
}

/// A commit in a device's seat heals the device only if it is known to be from the tape.
#[test]
fn a_commit_that_is_not_from_the_tape_heals_nobody() {
    let mut group = Group::new();
    assert_eq!(group.paired(SENSOR, Authorship::Unproven), []);
    assert_eq!(group.table.of(SENSOR), Some(Exposed), "a thief may have made it");
    assert_eq!(group.paired(SENSOR, Authorship::Forged), []);
    assert_eq!(group.table.occupant(SENSOR), Some(Occupant::Impostor));

    group.paired(PHONE, Authorship::Proven);
    assert_eq!(group.table.of(SENSOR), Some(Secure(Stale)), "he is locked out");
    assert_eq!(group.table.occupant(SENSOR), Some(Occupant::Impostor), "and so is the device");
    group.paired(SENSOR, Authorship::Proven);
    assert_eq!(group.table.occupant(SENSOR), Some(Occupant::Device));
    assert_eq!(group.table.of(SENSOR), Some(Secure(Fresh)));

    let changes = group.paired(SENSOR, Authorship::Forged);
    assert!(changes.contains(&(SENSOR, Secure(Fresh), Exposed)), "{changes:?}");
    assert_eq!(group.known(SENSOR), [0_u32; 0]);
}

/// Of a device that is healed and not weakened no thief is in the group: an unproven commit in its seat is
/// its own, and its leaf is new. Of a weakened one he may be.
#[test]
fn an_unproven_commit_is_believed_of_a_device_that_is_secure() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    group.paired(SENSOR, Authorship::Unproven);
    assert_eq!(group.table.of(SENSOR), Some(Secure(Fresh)));
    assert_eq!(group.table.of(WATCH), Some(Weakened), "it may have been an ordinary commit");
    group.table.0.get_mut(&SENSOR).unwrap().state = State::Weakened;
    let changes = group.paired(SENSOR, Authorship::Unproven);
    assert_eq!(changes, [(SENSOR, Weakened, Exposed)]);
}

#[test]
fn an_update_in_a_devices_seat_is_an_impostors() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    let replaced =
        CommitFacts { replaced: vec![WATCH], path: Some(leaf(4)), ..CommitFacts::default() };
    assert_eq!(group.apply(replaced), [(WATCH, Secure(Stale), Exposed)]);
    assert_eq!(group.table.occupant(WATCH), Some(Occupant::Impostor));
    assert_eq!(group.table.usurp(LOCK), Some((LOCK, Secure(Stale), Exposed)));
    assert_eq!(group.table.usurp(LOCK), None);
    assert_eq!(group.table.usurp(DeviceId(9)), None);
}

/// The record may be one epoch ahead of the MLS state: the same commit is then applied once more.
#[test]
fn a_commit_that_is_applied_twice_is_as_if_once() {
    let mut group = Group::new();
    group.paired(PHONE, Authorship::Proven);
    group.propose(&[1]);
    let facts = CommitFacts { path: Some(leaf(4)), ..CommitFacts::default() };
    let seat = |device| leaf_of(device).filter(|at| *at != leaf(1));
    group.table.apply(&facts, &group.tree, seat).unwrap();
    let once = group.table.clone();
    group.table.apply(&facts, &group.tree, seat).unwrap();
    assert_eq!(group.table, once);
}

#[test]
fn facts_that_do_not_fit_change_nothing() {
    let mut group = Group::new();
    let before = group.table.clone();
    let facts = CommitFacts { path: Some(leaf(20)), ..CommitFacts::default() };
    let refused = group.table.apply(&facts, &group.tree, leaf_of);
    assert_eq!(refused, Err(LocateError::NotAMember(leaf(20))));
    assert_eq!(group.table, before);
}
