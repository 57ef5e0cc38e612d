//! How much is read and answered at once.

use std::{sync::Arc, time::Duration};

use super::Failure;
use crate::{AppState, edge::Share, metrics::Refused, store::Size};

/// How much a client wants at most; the service has limits of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) count: Option<u32>,
    pub(crate) bytes: Option<usize>,
}

impl Wanted {
    pub(super) fn count(self, state: &AppState) -> u32 {
        self.count.unwrap_or(u32::MAX).min(state.limits.now().page)
    }

    pub(super) fn bytes(self, state: &AppState) -> usize {
        self.bytes.unwrap_or(usize::MAX).min(state.limits.now().page_bytes)
    }
}

/// What is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The last position of it.
    pub(crate) through: u64,
    pub(crate) bytes: usize,
}

impl Cut {
    /// As many of the first ones as fit, and one in any case: nobody is stuck before it.
    pub(crate) fn of(sizes: &[Size], bytes: usize) -> Option<Self> {
        let (first, rest) = sizes.split_first()?;
        let mut cut = Self { through: first.position, bytes: first.bytes };
        for size in rest {
            let sum = cut.bytes.saturating_add(size.bytes);
            if sum > bytes {
                break;
            }
            cut = Self { through: size.position, bytes: sum };
        }
        Some(cut)
    }

    /// What it takes in memory: the bytes, and their text.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.saturating_mul(3)
    }
}

/// Something to answer with, and the memory that was set aside for it.
pub(crate) struct Page<T> {
    pub(crate) content: T,
    pub(crate) share: Option<Arc<Share>>,
}

/// Sets memory aside for an answer.
pub(super) async fn room(state: &AppState, bytes: usize) -> Result<Option<Arc<Share>>, Failure> {
    let time = Duration::from_secs(state.limits.now().request_seconds) / 2;
    match state.answers.take_within(bytes, time).await {
        Some(share) => Ok(Some(Arc::new(share))),
        None => {
            state.metrics.refused(Refused::Answers);
            Err(Failure::Crowded)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_by_its_bytes_and_is_never_empty() {
        let sizes: Vec<_> = [5, 3, 9, 1]
            .iter()
            .zip(7..)
            .map(|(&bytes, position)| Size { position, bytes })
            .collect();
        let cut = |sizes: &[Size], bytes| Cut::of(sizes, bytes).map(|cut| (cut.through, cut.bytes));
        assert_eq!(cut(&sizes, 8), Some((8, 8)));
        assert_eq!(cut(&sizes, 100), Some((10, 18)));
        assert_eq!(cut(&sizes, 0), Some((7, 5)));
        assert_eq!(cut(&[], 100), None);
    }
}
