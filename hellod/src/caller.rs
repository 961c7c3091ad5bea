//! Who speaks to hellod, as the bus, the kernel and logind know it.

use std::pin::Pin;

/// The peer of a call. Made by `bus::caller` from credentials, never from an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The effective uid at the time of connecting.
    pub uid: u32,
    /// The real uid of the process: who started the set-uid program that calls.
    pub real_uid: u32,
    /// The session that the process belongs to.
    pub session: Session,
    /// Whether that session is the one in front at the machine's own screen and keyboard (`seat0`).
    pub at_seat: bool,
    /// Whether its screen is locked, as far as the desktop says so.
    pub is_locked: bool,
    /// Who sits at the machine. Looked up only for programs of root's that belong to no session: a display manager asks
    /// for whoever that is.
    pub seat: Seat,
    /// The unique name on the bus, which polkit is asked about.
    pub bus_name: String,
}

/// Looks once more at who calls. Where they are changes while a prompt stands there.
pub trait Callers {
    /// The same peer as it is now; nothing where it is gone, or can't be found out.
    fn again<'a>(&'a self, caller: &'a Caller) -> Looking<'a>;
}

/// What a look at a caller comes to, soon.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Option<Caller>> + 'a>>;

/// Who sits before the screen of the machine (`seat0` of logind).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// A greeter or a lock screen is shown: somebody who hasn't signed in yet.
    Greeter,
    /// Somebody's session is in front, locked or not.
    Person {
        /// Whose.
        uid: u32,
    },
    /// Nothing is shown that logind knows, or nobody has asked it.
    Nobody,
}

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// At this machine: a seat or a console.
    Local {
        /// Whose session it is.
        uid: u32,
    },
    /// From elsewhere (`Remote` is true), or of a class in which nobody sits at a screen.
    Remote,
    /// The process belongs to no session, as that of a display manager or of getty does.
    Outside,
    /// There is no logind to ask.
    Unknown,
}
