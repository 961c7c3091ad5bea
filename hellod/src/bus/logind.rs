//! Which session a process belongs to, as logind knows it (org.freedesktop.login1(5)).

use std::time::Duration;

use zbus::{Connection, OwnedObjectPath, proxy};

use crate::caller::Session;

/// The session of the process `pid`.
///
/// A program that a user's own service manager started, as desktops start terminals and lockers, is in no session
/// itself; it then counts as being in the one that logind calls the user's display.
pub(super) async fn session_of(connection: &Connection, pid: u32) -> Session {
    tokio::time::timeout(PATIENCE, ask(connection, pid)).await.unwrap_or(Session::Unknown)
}

async fn ask(connection: &Connection, pid: u32) -> Session {
    let Ok(manager) = ManagerProxy::new(connection).await else { return Session::Unknown };
    let path = match manager.get_session_by_pid(pid).await {
        Ok(path) => path,
        Err(error) if is(&error, "org.freedesktop.login1.NoSessionForPID") => {
            match display_of(connection, &manager, pid).await {
                Some(path) => path,
                None => return Session::Outside,
            }
        }
        Err(_) => return Session::Unknown,
    };
    describe(connection, path).await.unwrap_or(Session::Unknown)
}

async fn display_of(
    connection: &Connection,
    manager: &ManagerProxy<'_>,
    pid: u32,
) -> Option<OwnedObjectPath> {
    let path = manager.get_user_by_pid(pid).await.ok()?;
    let user = UserProxy::builder(connection).path(path).build().await.ok()?;
    let (id, path) = user.display().await.ok()?;
    (!id.is_empty()).then_some(path)
}

async fn describe(connection: &Connection, path: OwnedObjectPath) -> zbus::Result<Session> {
    let session = SessionProxy::builder(connection).path(path).build().await?;
    let (uid, _) = session.user().await?;
    let at_a_screen =
        matches!(session.class().await?.as_str(), "user" | "user-early" | "greeter" | "lock-screen");
    if session.remote().await? || !at_a_screen {
        return Ok(Session::Remote);
    }
    Ok(Session::Local { uid })
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
    #[zbus(name = "GetSessionByPID")]
    fn get_session_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
    #[zbus(name = "GetUserByPID")]
    fn get_user_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.login1.Session", default_service = "org.freedesktop.login1")]
trait Session {
    #[zbus(property)]
    fn user(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
    #[zbus(property)]
    fn remote(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn class(&self) -> zbus::Result<String>;
}

#[proxy(interface = "org.freedesktop.login1.User", default_service = "org.freedesktop.login1")]
trait User {
    #[zbus(property)]
    fn display(&self) -> zbus::Result<(String, OwnedObjectPath)>;
}

/// logind answers from memory; one that does not answer is as good as none.
const PATIENCE: Duration = Duration::from_millis(800);
