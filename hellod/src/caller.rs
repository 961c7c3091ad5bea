//! Who speaks to hellod, as the bus, the kernel and logind know it.

/// The peer of a call. Made by `bus::caller` from credentials, never from an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The effective uid at the time of connecting.
    pub uid: u32,
    /// The real uid of the process: who started the set-uid program that calls.
    pub real_uid: u32,
    /// The session that the process belongs to.
    pub session: Session,
    /// The unique name on the bus, which polkit is asked about.
    pub bus_name: String,
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
