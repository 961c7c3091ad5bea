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
    let properties =
        ["Class", "Remote", "Service", "TimestampMonotonic"].map(|name| format!("--property={name}"));
    let mut arguments = vec!["show-session"];
    arguments.extend(properties.iter().map(String::as_str));
    arguments.extend(["--", &session]);
    let said = programs::loginctl(&arguments)?;
    let login = Login::from(&said).ok_or(PamFailure::NoSession)?;
    if !login.has_asked {
        return Err(PamFailure::NotAsked);
    }
    if probation.began_before(login.since) { Ok(()) } else { Err(PamFailure::NotFresh) }
}

/// How a session began.
#[derive(Debug, PartialEq, Eq)]
struct Login {
    /// When, in microseconds on the clock of this boot.
    since: u64,
    /// Whether a person at this machine was asked who they are: sshd may have taken a key, and an automatic login asks
    /// nothing.
    has_asked: bool,
}

impl Login {
    /// From what loginctl(1) prints, a property in a line.
    fn from(said: &str) -> Option<Self> {
        let property = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let service = property("Service")?;
        let by_itself = service == "sshd" || service.contains("autologin");
        let has_asked =
            property("Class")?.starts_with("user") && property("Remote") == Some("no") && !by_itself;
        Some(Self { since: property("TimestampMonotonic")?.parse().ok()?, has_asked })
    }
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
    fn a_login_counts_only_where_somebody_at_the_machine_was_asked() {
        let login = |class: &str, remote: &str, service: &str| {
            let said = format!("Class={class}\nRemote={remote}\nService={service}\nTimestampMonotonic=42\n");
            Login::from(&said)
        };
        let counts = |has_asked| Some(Login { since: 42, has_asked });
        assert_eq!(login("user", "no", "login"), counts(true));
        assert_eq!(login("user-early", "no", "gdm-password"), counts(true));
        for (class, remote, service) in [
            ("user", "no", "sshd"),
            ("user", "yes", "login"),
            ("user", "no", "gdm-autologin"),
            ("background", "no", "cron"),
            ("greeter", "no", "gdm-launch-environment"),
        ] {
            assert_eq!(login(class, remote, service), counts(false), "{class} {remote} {service}");
        }
        assert_eq!(Login::from("Class=user\nRemote=no\nService=login\n"), None);
    }

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
