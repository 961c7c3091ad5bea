//! Time, as a value that is handed in.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Where the time comes from: the machine's clocks, or a test's.
pub trait Clock {
    /// What time it is now.
    fn now(&self) -> Stamp;
}

/// A moment, told by two clocks, because neither serves alone: the wall clock can be set back, and the other starts
/// again with the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Seconds since 1970-01-01 UTC.
    pub wall: i64,
    /// Milliseconds since this boot, time asleep included (`CLOCK_BOOTTIME`).
    pub uptime: u64,
    /// Which boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

impl Stamp {
    /// Whether it lies behind `earlier`, by the clocks that [`Stamp::since`] goes by.
    #[must_use]
    pub fn is_after(&self, earlier: &Self) -> bool {
        !self.since(earlier).is_zero()
    }

    /// How much time has passed since `earlier`; nothing where the clocks say that it lies ahead, so that a wall clock
    /// set back over a reboot can make a delay longer and never shorter.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        if self.boot == earlier.boot {
            return Duration::from_millis(self.uptime.saturating_sub(earlier.uptime));
        }
        let seconds = u64::try_from(self.wall.saturating_sub(earlier.wall)).unwrap_or(0);
        Duration::from_secs(seconds)
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: String,
}

impl SystemClock {
    /// Reads which boot this is; on a kernel that doesn't say, every start counts as a boot of its own.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| format!("process-{}", std::process::id()));
        Self { boot: boot.trim().to_owned() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let uptime = clock_gettime(ClockId::Boottime);
        let milliseconds = uptime.tv_sec.saturating_mul(1000).saturating_add(uptime.tv_nsec / 1_000_000);
        Stamp {
            wall: clock_gettime(ClockId::Realtime).tv_sec,
            uptime: u64::try_from(milliseconds).unwrap_or(0),
            boot: self.boot.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: &str, uptime: u64, wall: i64) -> Stamp {
        Stamp { wall, uptime, boot: boot.into() }
    }

    #[test]
    fn within_a_boot_the_wall_clock_has_no_say() {
        let earlier = stamp("a", 1_000, 500_000);
        assert_eq!(stamp("a", 31_000, 0).since(&earlier), Duration::from_secs(30));
        assert_eq!(stamp("a", 31_000, i64::MAX).since(&earlier), Duration::from_secs(30));
    }

    #[test]
    fn over_a_reboot_a_clock_set_back_lets_no_time_pass() {
        let earlier = stamp("a", 1_000, 500_000);
        assert_eq!(stamp("b", 5_000, 500_060).since(&earlier), Duration::from_secs(60));
        assert_eq!(stamp("b", 5_000, 500_000 - 86_400).since(&earlier), Duration::ZERO);
    }

    #[test]
    fn the_machine_has_clocks_that_move() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(first.wall > 1_700_000_000);
        assert_eq!(clock.now().boot, first.boot);
    }
}
