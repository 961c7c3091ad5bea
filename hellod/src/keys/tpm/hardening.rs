//! What a process does that is about to read a PIN.

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{
        DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    },
};

/// Makes sure that this process leaves no core, can't be traced by its own user, doesn't outlive hellod, and isn't
/// swapped out where its limits allow that.
///
/// # Errors
/// Those of the system, for all but the last.
pub(crate) fn harden() -> rustix::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // With a tight limit, locking future pages would make the memory for stretching fail to arrive.
    if getrlimit(Resource::Memlock).current.is_none_or(|limit| limit >= ENOUGH) {
        // Best effort: without it, the rest still holds. As they are touched: pages that never are hold nothing, and locking
        // them ahead would fill them one by one before malloc(3) can ask for large ones.
        let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
    Ok(())
}

/// The dearest stretching takes 256 MiB.
const ENOUGH: u64 = 384 << 20;
