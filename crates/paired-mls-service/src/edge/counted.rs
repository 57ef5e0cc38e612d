//! How many of something one device or address has at once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// Counts, for each key, what is held at once. What nobody holds takes no memory.
pub(crate) struct Counted<K> {
    most: AtomicUsize,
    counts: Counts<K>,
}

/// One that is counted, until it is dropped.
pub(crate) struct Place<K: Eq + Hash> {
    key: K,
    counts: Counts<K>,
}

impl<K: Clone + Eq + Hash> Counted<K> {
    /// At most as many for each key.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), counts: Counts::default() }
    }

    /// From now on as many. What is held beyond that stays until it is given back.
    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Counts a further one; `None` if there are as many as may be.
    pub(crate) fn take(&self, key: &K) -> Option<Place<K>> {
        let mut counts = lock(&self.counts);
        let held = counts.get(key).copied().unwrap_or(0);
        if held >= self.most.load(Ordering::Relaxed) {
            return None;
        }
        counts.insert(key.clone(), held + 1);
        Some(Place { key: key.clone(), counts: Arc::clone(&self.counts) })
    }

    /// What is held.
    pub(crate) fn held(&self) -> Vec<K> {
        lock(&self.counts).keys().cloned().collect()
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places() {
        let counted = Counted::new(2);
        let (one, two) = (counted.take(&'a').unwrap(), counted.take(&'a').unwrap());
        assert!(counted.take(&'a').is_none());
        let other = counted.take(&'b').unwrap();
        drop(one);
        let again = counted.take(&'a').unwrap();
        drop((two, other, again));
        assert!(lock(&counted.counts).is_empty());
    }

    #[test]
    fn fewer_places_hold_for_those_who_come_later() {
        let counted = Counted::new(2);
        let places = [counted.take(&()).unwrap(), counted.take(&()).unwrap()];
        counted.set_most(1);
        assert!(counted.take(&()).is_none());
        let [one, two] = places;
        drop(one);
        assert!(counted.take(&()).is_none());
        drop(two);
        let one = counted.take(&()).unwrap();
        assert!(counted.take(&()).is_none());
        counted.set_most(2);
        let two = counted.take(&()).unwrap();
        drop((one, two));
    }
}
