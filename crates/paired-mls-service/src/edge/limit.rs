//! The limits that hold now.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Limits;

/// Limits that an operator changes while the service runs. A clone sees the same ones.
#[derive(Clone)]
pub(crate) struct LiveLimits(Arc<RwLock<Limits>>);

impl LiveLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(limits)))
    }

    /// Those of now.
    pub(crate) fn now(&self) -> Limits {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, these.
    pub(crate) fn set(&self, limits: Limits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}
