//! What was enabled and isn't confirmed: a record of what was there before, and a timer that puts it back.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::failure::of;
use super::stack::Stack;
use super::{PamFailure, programs};
use crate::utc::rfc3339;

/// A probation that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Probation {
    /// When it is undone, in seconds since 1970.
    until: i64,
    /// The boot in which it began.
    boot: String,
    /// When, on the clock of that boot (`CLOCK_MONOTONIC`), in microseconds.
    began: u64,
    /// What was there.
    before: Stack,
    /// What it was to become.
    after: Stack,
}

impl Probation {
    /// The one that runs, if one does.
    pub(super) fn pending() -> Result<Option<Self>, PamFailure> {
        let record = match fs::read(RECORD) {
            Ok(record) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(of(RECORD)(error)),
        };
        serde_json::from_slice(&record).map(Some).map_err(|error| of(RECORD)(error.into()))
    }

    /// Starts the timer and writes down what is there now.
    pub(super) fn begin(before: &Stack, after: &Stack) -> Result<Self, PamFailure> {
        let until = clock_gettime(ClockId::Realtime).tv_sec + LENGTH;
        let (before, after) = (before.clone(), after.clone());
        let probation = Self { until, boot: boot()?, began: uptime(), before, after };
        match probation.start() {
            Ok(()) => Ok(probation),
            Err(failure) => {
                // What has no timer must not begin.
                let _ = probation.end();
                Err(failure)
            }
        }
    }

    fn start(&self) -> Result<(), PamFailure> {
        let record = serde_json::to_vec_pretty(self).map_err(|error| of(RECORD)(error.into()))?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(DIRECTORY);
        made.map_err(of(DIRECTORY))?;
        write_durably(Path::new(RECORD), &record, 0o600)?;
        self.before.lay_aside(Path::new("/"))?;
        write_durably(Path::new(TIMER), timer(self.until).as_bytes(), 0o644)?;
        programs::systemctl(&["daemon-reload"])
            .and_then(|()| programs::systemctl(&["enable", "--now", "--quiet", UNIT]))
            .map_err(|failure| PamFailure::NoTimer(failure.to_string()))
    }

    /// Stops the timer. What is enabled stays.
    pub(super) fn end(&self) -> Result<(), PamFailure> {
        // First the record: without it, a timer that still runs does nothing.
        match fs::remove_file(RECORD) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of(RECORD)(error)),
            _ => {}
        }
        Stack::forget_aside(Path::new("/"));
        // systemd takes its stamp of a persistent timer away with it.
        let _ = programs::systemctl(&["disable", "--now", "--quiet", UNIT]);
        let _ = programs::systemctl(&["clean", "--what=state", UNIT]);
        match fs::remove_file(TIMER) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of(TIMER)(error)),
            _ => {}
        }
        programs::systemctl(&["daemon-reload"])
    }

    /// What was there before it began.
    pub(super) const fn before(&self) -> &Stack {
        &self.before
    }

    /// When it is undone, for people.
    pub(super) fn until(&self) -> String {
        let text = rfc3339(self.until);
        text.get(11..16).map_or(text.clone(), |time| format!("{time} UTC"))
    }

    /// Puts back what was there before it began.
    pub(super) fn put_back(&self) -> Result<(), PamFailure> {
        self.before.put_back(&self.after, Path::new("/"))
    }

    /// Whether it began before `moment`, in microseconds on the clock of this boot.
    pub(super) fn began_before(&self, moment: u64) -> bool {
        boot().is_ok_and(|boot| boot != self.boot) || self.began < moment
    }
}

/// The timer. `OnCalendar=` with `Persistent=` holds over a restart, and fires at once where the time has come meanwhile;
/// `OnActiveSec=` holds where the clock is set back.
fn timer(until: i64) -> String {
    let (date, time) = {
        let text = rfc3339(until);
        (text.get(..10).unwrap_or_default().to_owned(), text.get(11..19).unwrap_or_default().to_owned())
    };
    format!(
        "# Written by 'helloctl pam enable', taken away by 'helloctl pam confirm' and 'helloctl pam disable'.\n\
         [Unit]\n\
         Description=Undo 'helloctl pam enable' unless it is confirmed\n\
         Documentation=man:helloctl(1)\n\
         \n\
         [Timer]\n\
         OnCalendar={date} {time} UTC\n\
         Persistent=yes\n\
         OnActiveSec={LENGTH}s\n\
         AccuracySec=1s\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    )
}

/// Writes a file so that it is there whole, or not, after a power cut.
pub(super) fn write_durably(path: &Path, octets: &[u8], mode: u32) -> Result<(), PamFailure> {
    let new = path.with_extension("hello-new");
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(octets)?;
        // Whatever the umask is: lockers, which run as the user, read the PAM configuration, too.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().map_err(of(path))
}

fn boot() -> Result<String, PamFailure> {
    fs::read_to_string(BOOT).map(|id| id.trim().to_owned()).map_err(of(BOOT))
}

fn uptime() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1000).unwrap_or_default()
}

/// How long it lasts, in seconds.
pub(super) const LENGTH: i64 = 600;
const DIRECTORY: &str = "/var/lib/hello-pam";
const RECORD: &str = "/var/lib/hello-pam/probation.json";
const UNIT: &str = "hello-pam-undo.timer";
const TIMER: &str = "/etc/systemd/system/hello-pam-undo.timer";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_holds_over_a_restart_and_a_clock_that_is_set_back() {
        let timer = timer(1_234_567_890);
        for line in [
            "OnCalendar=2009-02-13 23:31:30 UTC",
            "Persistent=yes",
            "OnActiveSec=600s",
            "WantedBy=timers.target",
        ] {
            assert!(timer.lines().any(|written| written == line), "{line} in {timer}");
        }
    }

    #[test]
    fn a_login_is_fresh_if_it_came_later_or_in_another_boot() {
        let stack = || serde_json::from_str::<Stack>("{}").unwrap();
        let here = Probation { until: 0, boot: boot().unwrap(), began: 500, before: stack(), after: stack() };
        assert!(here.began_before(501) && !here.began_before(500) && !here.began_before(3));
        let earlier = Probation { boot: "another".to_owned(), ..here };
        assert!(earlier.began_before(3));
    }
}
