//! What the operating system does to keep a process's memory off the disk.

use std::io;

#[cfg(target_os = "linux")]
use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, capabilities},
};

/// Whether a protection is in place.
#[derive(Debug)]
#[non_exhaustive]
pub enum Protection {
    /// It is, from now on, for the whole process.
    InPlace,
    /// The process is not permitted to lock all of its memory; it may lock this many bytes.
    ///
    /// Raise the limit on locked memory to "unlimited" (`ulimit -l`, `LimitMEMLOCK=infinity` in a
    /// systemd unit), or encrypt the swap space.
    Limited {
        /// The limit on locked memory, in bytes.
        bytes: u64,
    },
    /// The operating system refused.
    Refused(io::Error),
    /// This software knows no way on this platform.
    Unsupported,
}

/// What [`harden_process`] achieved.
#[derive(Debug)]
#[non_exhaustive]
pub struct Hardening {
    /// No core dumps, neither to a file nor to a program that collects them.
    pub core_dumps: Protection,
    /// No other process of the same user reads this one's memory, or attaches a debugger to it.
    pub other_processes: Protection,
    /// No page of this process goes to swap space.
    pub swap: Protection,
}

/// Keeps this process's memory out of core dumps, debuggers and swap space, as far as the platform
/// and the process's rights allow it. Call it before the first secret is in memory.
///
/// It never fails: the report says what was achieved, and a caller that insists looks there.
///
/// All memory is locked or none. Where the limit on locked memory is finite, none is: the limit
/// would turn a later allocation into an abort.
#[cfg(target_os = "linux")]
pub fn harden_process() -> Hardening {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core_files = setrlimit(Resource::Core, nothing);
    // The limit does not hold for core dumps that are piped to a program; this does.
    let not_dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    Hardening {
        core_dumps: outcome(no_core_files.and(not_dumpable)),
        other_processes: outcome(not_dumpable),
        swap: lock_memory(),
    }
}

/// Keeps this process's memory off the disk: nothing that this software can do on this platform.
#[cfg(not(target_os = "linux"))]
pub fn harden_process() -> Hardening {
    Hardening {
        core_dumps: Protection::Unsupported,
        other_processes: Protection::Unsupported,
        swap: Protection::Unsupported,
    }
}

#[cfg(target_os = "linux")]
fn lock_memory() -> Protection {
    let limit = getrlimit(Resource::Memlock);
    // Up to the hard limit no right is needed; if it is refused, the soft limit counts.
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Memlock, raised);
    let exempt =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    match getrlimit(Resource::Memlock).current {
        Some(bytes) if !exempt => Protection::Limited { bytes },
        // Pages are locked when they are first used: the address space is larger than the memory.
        _ => {
            let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
            outcome(mlockall(all))
        }
    }
}

#[cfg(target_os = "linux")]
fn outcome(result: rustix::io::Result<()>) -> Protection {
    result.map_or_else(|error| Protection::Refused(error.into()), |()| Protection::InPlace)
}
