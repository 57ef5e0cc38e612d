//! Whom the cryptography of a group asks.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use paired_mls_group::{Draw, Steering};

/// The keys that mls-rs makes while it makes a commit, in this order.
pub(crate) const COMMIT: &[Draw] = &[Draw::LeafKey];

/// The keys that mls-rs makes while it makes an external commit: it begins with a leaf that it then replaces.
pub(crate) const EXTERNAL: &[Draw] = &[Draw::Other, Draw::LeafKey];

/// The keys that mls-rs makes while it makes a KeyPackage, in this order.
pub(crate) const KEY_PACKAGE: &[Draw] = &[Draw::InitKey, Draw::LeafKey];

/// While mls-rs opens a message, no key is of any account.
pub(crate) const OPENING: &[Draw] = &[];

/// Whom the cryptography of one group asks first, if anybody. Copies are of the same slot.
///
/// # Concurrency
///
/// Whoever arms it has the group to itself: the calls that do so take the group by `&mut`. mls-rs asks from several
/// threads during one call.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Arc<Asked>>>>);

/// Whoever is asked during one call.
pub(super) struct Asked {
    pub(super) steering: Arc<dyn Steering>,
    keys: &'static [Draw],
    made: AtomicUsize,
}

impl Asked {
    /// What the key is for that mls-rs makes now.
    pub(super) fn next_key(&self) -> Draw {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        self.keys.get(n).copied().unwrap_or(Draw::Other)
    }
}

impl Slot {
    /// Asks `steering` from now on, until what is returned is dropped. `keys` is what mls-rs makes keys for, one after
    /// another.
    #[must_use = "dropping it disarms the slot"]
    pub fn arm(&self, steering: Arc<dyn Steering>, keys: &'static [Draw]) -> Armed<'_> {
        self.put(Some(Arc::new(Asked { steering, keys, made: AtomicUsize::new(0) })));
        Armed(self)
    }

    /// Whom to ask now; `None` if nobody.
    pub(super) fn asked(&self) -> Option<Arc<Asked>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, asked: Option<Arc<Asked>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.asked().is_some() { "Slot(armed)" } else { "Slot(empty)" })
    }
}

/// A slot that is armed, until this is dropped.
#[derive(Debug)]
pub struct Armed<'a>(&'a Slot);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.put(None);
    }
}
