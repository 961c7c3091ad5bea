//! `org.hellod.Hello1.Registration`.

use std::sync::Arc;

use hello_dbus::{BusError, MAX_TEXT, Way, WireStep};
use hello_words::tr;
use tokio::sync::mpsc;
use zbus::{interface, message};

use super::desk::{Desk, Visitor};
use super::outlet::Outlet;
use crate::jobs::Job;
use crate::registration::Wanted;

/// What an administrator does with the registration of this machine.
#[derive(Debug)]
pub(super) struct Registration(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Registration")]
impl Registration {
    async fn join(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        domain: &str,
        way: &str,
    ) -> Result<(u64, WireStep), BusError> {
        let unknown = || BusError::InvalidArgument(tr!("there is no such way to sign in").to_string());
        let way = Way::parse(way).ok_or_else(unknown)?;
        let domain = domain.to_owned();
        if domain.len() > MAX_TEXT {
            return Err(BusError::InvalidArgument(tr!("that is no domain").to_string()));
        }
        let visitor = self.administrator(&header).await?;
        let job = |_, terminal| Job::Join { wanted: Wanted { domain, way }, terminal };
        self.0.converse(visitor, (version, "join"), job).await
    }

    async fn leave(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        forget: bool,
    ) -> Result<(u64, WireStep), BusError> {
        let visitor = self.administrator(&header).await?;
        self.0.converse(visitor, (version, "leave"), |_, terminal| Job::Leave { forget, terminal }).await
    }

    async fn trace(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        pipe: zbus::OwnedFd,
    ) -> Result<(u64, WireStep), BusError> {
        // Before anything is awaited: until then a child that is started meanwhile would have it, too.
        let outlet = Outlet::parse(pipe.into()).ok_or_else(|| {
            BusError::InvalidArgument(tr!("that is not the write end of a pipe").to_string())
        })?;
        let visitor = self.administrator(&header).await?;
        let (lines, told) = mpsc::channel(LINES);
        outlet.pour(told);
        self.0.converse(visitor, (version, "trace"), |_, terminal| Job::Trace { lines, terminal }).await
    }
}

impl Registration {
    /// The bus lets nobody else through, as long as its configuration is ours.
    async fn administrator(&self, header: &message::Header<'_>) -> Result<Visitor<'_>, BusError> {
        let visitor = self.0.receive(header).await?;
        if visitor.caller.uid == 0 {
            return Ok(visitor);
        }
        Err(BusError::AccessDenied(
            tr!("only root has to do with the directory of this computer").to_string(),
        ))
    }
}

/// What is told and not read yet.
const LINES: usize = 32;
