//! What time it is.

/// Tells the time: for lifetimes of KeyPackages and leaves.
///
/// mls-rs is told it, and reads no clock of its own. OpenMLS has no such thing: where it checks lifetimes itself, of
/// newcomers in a commit that it makes or processes, it reads the clock of the system.
pub trait Clock: Send + Sync {
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn now(&self) -> u64 {
        self()
    }
}
