//! The contract between hellod, which has no network, and hellod-online, which fetches bytes for it.
//!
//! Requests and answers hold passwords, assertions and tokens, so they never pass through the bus, and neither does
//! anything that they could be read from. Whoever monitors the bus receives copies of the descriptors that pass. So each
//! end makes the pipe that it reads from and hands out the *write* end: hellod's goes out with the call, that of
//! hellod-online comes back with the reply.

use zbus::proxy;

use crate::BusError;

/// The well-known name of hellod-online on the system bus.
pub const BUS_NAME: &str = "org.hellod.Online1";

/// The one object that hellod-online serves.
pub const OBJECT_PATH: &str = "/org/hellod/Online1";

/// The system account that owns [`BUS_NAME`], and nothing else.
pub const USER: &str = "hellod-online";

/// Fetching. `org.hellod.Online1.xml` shows it as D-Bus does.
#[proxy(
    interface = "org.hellod.Online1",
    default_service = "org.hellod.Online1",
    default_path = "/org/hellod/Online1"
)]
pub trait Online {
    /// Begins one fetch. `answers` is the write end of a pipe for what comes back; the write end that is returned takes
    /// the request. Both carry the frames of `hellod::online::frame`. hellod alone may call it.
    fn fetch(&self, answers: zbus::Fd<'_>) -> Result<zbus::OwnedFd, BusError>;
}
