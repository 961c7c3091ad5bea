//! Who calls, from the credentials of the bus connection.

use std::os::fd::{AsFd, OwnedFd};

use hello_dbus::BusError;
use hello_words::tr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use zbus::fdo::{ConnectionCredentials, DBusProxy};
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, message};

use super::logind::{Place, session_of, who_sits};
use crate::caller::{Caller, Callers, Looking, Seat, Session};

/// The unique name that sent a message.
pub(super) fn sender(header: &message::Header<'_>) -> Result<OwnedUniqueName, BusError> {
    header.sender().map(|name| name.to_owned().into()).ok_or_else(unidentified)
}

/// Finds out who is behind a unique name, from what the bus has said first. Whatever can't be found out is a refusal.
pub(super) async fn identify(
    connection: &Connection,
    bus: &DBusProxy<'_>,
    name: &OwnedUniqueName,
    credentials: ConnectionCredentials,
) -> Result<Caller, BusError> {
    let uid = uid_of(&credentials)?;
    let pid = credentials.process_id().ok_or_else(unidentified)?;
    let process = pin_down(bus, name, credentials, uid, pid).await?;
    let real_uid = real_uid(pid).ok_or_else(unidentified)?;
    let Place { session, at_seat, is_locked } = session_of(connection, pid).await;
    let seat = match session {
        Session::Outside if uid == 0 => who_sits(connection).await,
        _ => Seat::Nobody,
    };
    // What was read by number belongs to this process only if it still lives.
    if has_exited(&process) {
        return Err(unidentified());
    }
    Ok(Caller { uid, real_uid, session, at_seat, is_locked, seat, bus_name: name.to_string() })
}

/// Finds out once more who is behind a connection that has called.
#[derive(Debug)]
pub struct Connections(pub(super) Connection);

impl Connections {
    async fn look(&self, name: &str) -> Option<Caller> {
        let bus = DBusProxy::new(&self.0).await.ok()?;
        let name = OwnedUniqueName::try_from(name).ok()?;
        let credentials = credentials(&bus, &name).await.ok()?;
        identify(&self.0, &bus, &name, credentials).await.ok()
    }
}

impl Callers for Connections {
    fn again<'a>(&'a self, caller: &'a Caller) -> Looking<'a> {
        Box::pin(self.look(&caller.bus_name))
    }
}

/// A descriptor of the process, which no later process can take the place of. The bus hands one out (`ProcessFD`) from
/// version 1.15.8; before, it is opened by number, and the number asked for again while the connection lives.
async fn pin_down(
    bus: &DBusProxy<'_>,
    name: &OwnedUniqueName,
    credentials: ConnectionCredentials,
    uid: u32,
    pid: u32,
) -> Result<OwnedFd, BusError> {
    if let Some(process) = credentials.into_process_fd() {
        return Ok(process.into());
    }
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(unidentified)?;
    let process = pidfd_open(raw, PidfdFlags::empty()).map_err(|_| unidentified())?;
    let again = self::credentials(bus, name).await?;
    if again.process_id() != Some(pid) || again.unix_user_id() != Some(uid) {
        return Err(unidentified());
    }
    Ok(process)
}

/// What the bus knows of a connection.
pub(super) async fn credentials(
    bus: &DBusProxy<'_>,
    name: &OwnedUniqueName,
) -> Result<ConnectionCredentials, BusError> {
    bus.get_connection_credentials(BusName::from(name.as_ref())).await.map_err(|_| unidentified())
}

/// The uid that a connection had when it was made.
pub(super) fn uid_of(credentials: &ConnectionCredentials) -> Result<u32, BusError> {
    credentials.unix_user_id().ok_or_else(unidentified)
}

/// The real uid of a process: `Uid:` in proc_pid_status(5). For a set-uid program it is that of whoever started it.
fn real_uid(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn has_exited(process: &OwnedFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&at_once)) {
            // Also where nothing is waited for: a TPM child that ends just then, and its SIGCHLD, say nothing of a caller.
            Err(Errno::INTR) => {}
            readable => return readable != Ok(0),
        }
    }
}

fn unidentified() -> BusError {
    BusError::AccessDenied(tr!("it can't be found out who is calling").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_uid_of_this_process_is_found() {
        assert_eq!(real_uid(std::process::id()), Some(rustix::process::getuid().as_raw()));
        assert_eq!(real_uid(u32::MAX), None);
    }

    #[test]
    fn a_process_that_exited_is_noticed() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        assert!(has_exited(&process));
        let me = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        assert!(!has_exited(&me));
    }
}
