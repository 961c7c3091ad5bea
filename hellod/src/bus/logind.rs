//! Which session a process belongs to, as logind knows it (org.freedesktop.login1(5)).

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use zbus::{Connection, OwnedObjectPath, proxy};

use crate::caller::{Seat, Session};

/// A session, and how things stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) session: Session,
    /// Whether it is the one in front at `seat0`.
    pub(super) at_seat: bool,
    pub(super) is_locked: bool,
}

impl From<Session> for Place {
    /// Not at the seat.
    fn from(session: Session) -> Self {
        Self { session, at_seat: false, is_locked: false }
    }
}

/// The session of the process `pid`.
///
/// A program that a user's own service manager started, as desktops start terminals and lockers, is in no session
/// itself; it then counts as being in the one that logind calls the user's display.
pub(super) async fn session_of(connection: &Connection, pid: u32) -> Place {
    tokio::time::timeout(PATIENCE, ask(connection, pid)).await.unwrap_or(Session::Unknown.into())
}

async fn ask(connection: &Connection, pid: u32) -> Place {
    let unknown = Place::from(Session::Unknown);
    let Ok(manager) = ManagerProxy::new(connection).await else { return unknown };
    let path = match manager.get_session_by_pid(pid).await {
        Ok(path) => path,
        Err(error) if is(&error, "org.freedesktop.login1.NoSessionForPID") => {
            return display_of(connection, &manager, pid).await.unwrap_or(Session::Outside.into());
        }
        Err(_) => return unknown,
    };
    describe(connection, path).await.unwrap_or(unknown)
}

/// The session at whose display a process shows its prompt, of a user whose sessions are all at this machine. With one
/// from elsewhere it can't be told who began the process: `ssh` reaches the service manager, too.
async fn display_of(connection: &Connection, manager: &ManagerProxy<'_>, pid: u32) -> Option<Place> {
    let path = manager.get_user_by_pid(pid).await.ok()?;
    let user = UserProxy::builder(connection).path(path).build().await.ok()?;
    for (_, path) in user.sessions().await.ok()? {
        let session = SessionProxy::builder(connection).path(path.clone()).build().await.ok()?;
        let is_somebodys = is_somebodys(&session.class().await.ok()?, session.remote().await.ok()?);
        if is_somebodys && describe(connection, path).await.ok()?.session == Session::Remote {
            return Some(Session::Remote.into());
        }
    }
    let (id, path) = user.display().await.ok()?;
    if id.is_empty() {
        return None;
    }
    describe(connection, path).await.ok()
}

/// Whose session is in front at `seat0`. Where there is a second seat, one display manager serves both and does not say for
/// which it asks: then nobody counts as sitting there.
pub(super) async fn who_sits(connection: &Connection) -> Seat {
    let look = async {
        let manager = ManagerProxy::new(connection).await?;
        if manager.list_seats().await?.len() != 1 {
            return Ok(Seat::Nobody);
        }
        let seat = SeatProxy::builder(connection).path(manager.get_seat("seat0").await?).build().await?;
        let (id, path) = seat.active_session().await?;
        if id.is_empty() {
            return Ok(Seat::Nobody);
        }
        let session = SessionProxy::builder(connection).path(path).build().await?;
        let (uid, _) = session.user().await?;
        zbus::Result::Ok(match session.class().await?.as_str() {
            "greeter" | "lock-screen" => Seat::Greeter,
            "user" | "user-early" => Seat::Person { uid },
            _ => Seat::Nobody,
        })
    };
    tokio::time::timeout(PATIENCE, look).await.ok().and_then(Result::ok).unwrap_or(Seat::Nobody)
}

/// Something after which a finger may be worth no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The machine is about to sleep.
    Sleep,
    /// A session has ended.
    Logout,
}

/// What logind says of that, from now on.
pub(super) async fn leavings(connection: &Connection) -> zbus::Result<impl Stream<Item = Leaving>> {
    let manager = ManagerProxy::new(connection).await?;
    let sleeps = manager
        .receive_prepare_for_sleep()
        .await?
        .filter_map(async |signal| signal.args().ok().filter(|args| args.start).map(|_| Leaving::Sleep));
    let logouts = manager.receive_session_removed().await?.map(|_| Leaving::Logout);
    Ok(futures_util::stream::select(Box::pin(sleeps), Box::pin(logouts)))
}

/// Who has a session with a seat.
pub(super) async fn seated(connection: &Connection) -> zbus::Result<Vec<u32>> {
    let sessions = ManagerProxy::new(connection).await?.list_sessions().await?;
    let seated = sessions.into_iter().filter(|(_, _, _, seat, _)| !seat.is_empty());
    Ok(seated.map(|(_, uid, ..)| uid).collect())
}

/// A session is at this machine if logind does not call it remote, and it has a seat or, as a serial console, a
/// terminal that is no pseudo-terminal.
async fn describe(connection: &Connection, path: OwnedObjectPath) -> zbus::Result<Place> {
    let session = SessionProxy::builder(connection).path(path).build().await?;
    let (uid, _) = session.user().await?;
    let somebody_sits_there =
        matches!(session.class().await?.as_str(), "user" | "user-early" | "greeter" | "lock-screen");
    let (seat, _) = session.seat().await?;
    let at_a_line = session.kind().await? == "tty" && is_a_line(&session.tty().await?);
    if !session.remote().await? && somebody_sits_there && (!seat.is_empty() || at_a_line) {
        return Ok(Place {
            session: Session::Local { uid },
            at_seat: seat == "seat0" && session.active().await?,
            is_locked: session.locked_hint().await?,
        });
    }
    // A session without anybody at it, as that of cron, is of no more use than one from elsewhere.
    Ok(Session::Remote.into())
}

/// Whether somebody came in by a session of that class (org.freedesktop.login1(5)), and not just a program. The service
/// manager of each user has one itself since systemd 256, and a job of cron has one while it runs; but what logind calls
/// remote is somebody's in any case but the first.
fn is_somebodys(class: &str, is_remote: bool) -> bool {
    !class.starts_with("manager") && (is_remote || !class.starts_with("background"))
}

fn is_a_line(tty: &str) -> bool {
    !tty.is_empty() && !tty.starts_with("pts/") && !tty.starts_with("/dev/pts/")
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(found, _, _) if found.as_str() == name)
}

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    // Where logind does not run, a sign-in is no reason to start it.
    #[zbus(name = "GetSessionByPID", no_autostart)]
    fn get_session_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn list_seats(&self) -> zbus::Result<Vec<(String, OwnedObjectPath)>>;
    #[zbus(no_autostart)]
    fn get_seat(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(name = "GetUserByPID", no_autostart)]
    fn get_user_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
    #[zbus(signal)]
    fn session_removed(&self, id: &str, path: OwnedObjectPath) -> zbus::Result<()>;
    #[zbus(no_autostart)]
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
}

#[proxy(interface = "org.freedesktop.login1.Session", default_service = "org.freedesktop.login1")]
trait Session {
    #[zbus(property)]
    fn user(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
    #[zbus(property)]
    fn remote(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn class(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn seat(&self) -> zbus::Result<(String, OwnedObjectPath)>;
    #[zbus(property, name = "Type")]
    fn kind(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn active(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn locked_hint(&self) -> zbus::Result<bool>;
    #[zbus(property, name = "TTY")]
    fn tty(&self) -> zbus::Result<String>;
}

#[proxy(interface = "org.freedesktop.login1.Seat", default_service = "org.freedesktop.login1")]
trait Seat {
    #[zbus(property)]
    fn active_session(&self) -> zbus::Result<(String, OwnedObjectPath)>;
}

#[proxy(interface = "org.freedesktop.login1.User", default_service = "org.freedesktop.login1")]
trait User {
    #[zbus(property)]
    fn display(&self) -> zbus::Result<(String, OwnedObjectPath)>;
    #[zbus(property)]
    fn sessions(&self) -> zbus::Result<Vec<(String, OwnedObjectPath)>>;
}

/// logind answers from memory; one that does not answer is as good as none.
const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_comes_in_by_the_session_of_a_service_manager_or_a_job() {
        for class in ["manager", "manager-early", "background", "background-light"] {
            assert!(!is_somebodys(class, false), "{class}");
        }
        assert!(is_somebodys("background", true), "a service for those elsewhere that gives no terminal");
        for class in ["user", "user-early", "user-light", "greeter", "lock-screen", "whatever comes later"] {
            assert!(is_somebodys(class, false) && is_somebodys(class, true), "{class}");
        }
    }

    #[test]
    fn a_serial_console_is_a_line_and_a_pseudo_terminal_is_none() {
        assert!(is_a_line("ttyS0") && is_a_line("hvc0") && is_a_line("tty1"));
        assert!(!is_a_line("pts/0") && !is_a_line("/dev/pts/3") && !is_a_line(""));
    }
}
