//! Whether somebody has signed in since something happened, as systemd-logind knows it.

use std::fs;

use super::probation::Probation;
use super::{PamFailure, programs};

/// Demands that the session in which this runs began after the probation did: whoever sits in an older one hasn't shown
/// that people still get in.
pub(super) fn demand_fresh(probation: &Probation) -> Result<(), PamFailure> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let session = match place(&groups) {
        Some(Place::Session(id)) => id.to_owned(),
        // Programs of a desktop run beside its session.
        Some(Place::Service(uid)) => {
            programs::loginctl(&["show-user", uid, "--property=Display", "--value"])?
        }
        None => return Err(PamFailure::NoSession),
    };
    let since =
        programs::loginctl(&["show-session", "--property=TimestampMonotonic", "--value", "--", &session])?;
    let since = since.parse().map_err(|_| PamFailure::NoSession)?;
    if probation.began_before(since) { Ok(()) } else { Err(PamFailure::NotFresh) }
}

/// Where a process of somebody who has signed in runs.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// In a session of this number.
    Session(&'a str),
    /// In the service manager of this account.
    Service(&'a str),
}

/// From `/proc/self/cgroup` (cgroups(7)), in whichever hierarchy systemd keeps its own; the names are those of
/// systemd.special(7) and logind.
fn place(groups: &str) -> Option<Place<'_>> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).find_map(|part| {
        let session = part.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".scope"));
        let service = part.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service"));
        session.map(Place::Session).or(service.map(Place::Service))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_the_control_group() {
        for (groups, expected) in [
            ("0::/user.slice/user-1000.slice/session-3.scope\n", Some(Place::Session("3"))),
            ("1:cpu:/\n0::/user.slice/user-0.slice/session-c12.scope\n", Some(Place::Session("c12"))),
            ("1:name=systemd:/user.slice/user-0.slice/session-7.scope\n0::/\n", Some(Place::Session("7"))),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope\n",
                Some(Place::Service("1000")),
            ),
            ("0::/system.slice/cron.service\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(place(groups), expected, "{groups}");
        }
    }
}
