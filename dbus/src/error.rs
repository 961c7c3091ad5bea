//! The closed lists of what can go wrong between the two ends.

use hello_words::tr;
use rustix::io::Errno;
use thiserror::Error;
use zbus::DBusError;

/// Every error that hellod answers a call with. What happens inside a conversation is no error but a step of it.
#[derive(Debug, DBusError)]
#[zbus(prefix = "org.hellod.Hello1.Error")]
pub enum BusError {
    /// The bus itself failed.
    #[zbus(error)]
    Bus(zbus::Error),
    /// The caller may not do that.
    AccessDenied(String),
    /// An argument is out of form.
    InvalidArgument(String),
    /// The caller has no conversation of that number.
    NoSuchConversation(String),
    /// The caller, or everybody together, has too much going on.
    Busy(String),
    /// The account has no PIN on this device.
    NotEnrolled(String),
    /// hellod can't do it now.
    Unavailable(String),
}

/// Why hellod can't be spoken to.
#[derive(Debug, Error)]
pub enum Unreachable {
    /// There is no system bus.
    #[error("{}", tr!("the system bus can't be reached"))]
    NoBus(#[source] zbus::Error),
    /// Nobody owns the name and nothing can be started for it.
    #[error("{}", tr!("hellod is not running and can't be started"))]
    NoDaemon,
    /// Somebody owns the name who is neither the hellod account nor root.
    #[error("{}", tr!("the name org.hellod.Hello1 is owned by uid {uid}, which is not hellod", uid))]
    Impostor {
        /// The uid of the owner.
        uid: u32,
    },
    /// hellod, or the bus, did not answer in time.
    #[error("{}", tr!("hellod does not answer"))]
    Hangs,
    /// hellod answered something that the contract does not have.
    #[error("{}", tr!("hellod answered something unexpected"))]
    Malformed,
    /// hellod refused the call.
    #[error("{}", tr!("hellod refused: {0}", _0))]
    Refused(#[source] BusError),
}

impl Unreachable {
    /// Whether a limit of the program's own was in the way, which whoever starts it may have set (setrlimit(2)).
    #[must_use]
    pub fn is_starved(&self) -> bool {
        let Self::NoBus(zbus::Error::InputOutput(error)) = self else { return false };
        let number = error.raw_os_error().map(Errno::from_raw_os_error);
        matches!(number, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::AGAIN))
    }
}
