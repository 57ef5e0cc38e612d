//! Stops between two steps of a write, in this crate's own tests only.

use std::io;

#[cfg(not(test))]
pub(crate) fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use self::armed::*;

#[cfg(test)]
mod armed {
    use std::cell::Cell;

    use super::io;

    /// What happens at the step that the test chose.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// The system call fails.
        Error,
        /// The process stops there: nothing cleans up.
        Kill,
    }

    thread_local! {
        static ARMED: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
    }

    pub(crate) fn step() -> io::Result<()> {
        let Some((steps_left, fault)) = ARMED.get() else {
            return Ok(());
        };
        if steps_left > 0 {
            ARMED.set(Some((steps_left.saturating_sub(1), fault)));
            return Ok(());
        }
        ARMED.set(None);
        match fault {
            Fault::Error => Err(io::Error::other("injected")),
            Fault::Kill => std::panic::resume_unwind(Box::new("killed")),
        }
    }

    /// Runs `action` with a fault at its n-th step. Returns whether it got that far.
    pub(crate) fn with_fault(steps: u32, fault: Fault, action: impl FnOnce()) -> bool {
        ARMED.set(Some((steps, fault)));
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action));
        assert!(run.is_ok() || fault == Fault::Kill, "only a kill unwinds");
        ARMED.take().is_none()
    }
}
