//! The other processes of this program on the bus, as hellod finds them.

use nix::unistd::User;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName, WellKnownName};

use crate::wire::Line;

/// Why a call did not get through.
pub(super) enum Miss {
    /// Whoever was there is no longer.
    Left,
    /// Another reason.
    For(String),
}

/// Whoever owns a name, which has to be that account; started, if nobody does. They are handed secrets: so that one is called
/// from then on, and not the name.
pub(super) async fn neighbour(
    connection: &Connection,
    name: &'static str,
    account: &str,
) -> Result<OwnedUniqueName, Miss> {
    let bus = DBusProxy::new(connection).await.map_err(|error| no_bus(&error))?;
    let owner = found(&bus, name).await?;
    let uid = bus.get_connection_unix_user(BusName::from(owner.as_ref())).await.map_err(|_| Miss::Left)?;
    if Some(uid) != uid_of(account) {
        return Err(Miss::For(format!("the name {name} is owned by uid {uid}, which is not {account}")));
    }
    Ok(owner)
}

/// Whether anybody owns a name, without starting them.
pub(super) async fn is_there(connection: &Connection, name: &'static str) -> Result<bool, Miss> {
    let bus = DBusProxy::new(connection).await.map_err(|error| no_bus(&error))?;
    let name = BusName::from(WellKnownName::from_static_str_unchecked(name));
    bus.name_has_owner(name).await.map_err(|error| no_bus(&error.into()))
}

async fn found(bus: &DBusProxy<'_>, name: &'static str) -> Result<OwnedUniqueName, Miss> {
    let name = WellKnownName::from_static_str_unchecked(name);
    if let Ok(owner) = bus.get_name_owner(BusName::from(name.as_ref())).await {
        return Ok(owner);
    }
    let started = bus.start_service_by_name(name.as_ref(), 0).await;
    started.map_err(|error| Miss::For(Line::of(&error.to_string()).as_str().to_owned()))?;
    bus.get_name_owner(BusName::from(name)).await.map_err(|_| Miss::Left)
}

pub(super) fn no_bus(error: &zbus::Error) -> Miss {
    Miss::For(Line::of(&error.to_string()).as_str().to_owned())
}

/// The number of a system account.
pub(super) fn uid_of(account: &str) -> Option<u32> {
    User::from_name(account).ok().flatten().map(|user| user.uid.as_raw())
}
