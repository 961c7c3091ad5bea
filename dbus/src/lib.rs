//! The contract: everything that hellod and whoever speaks to it must agree on.
//!
//! The daemon leads each conversation and the other end is its terminal: a client begins, shows the [`Step`] that
//! comes back, answers, and is handed the next step until an [`Outcome`] ends it. A new gesture or another question
//! at sign-in therefore needs no new client.
//!
//! A secret never travels in a message. A prompt for one carries the write end of a pipe that hellod made
//! ([`secret_pipe`]), whose other end only the process that uses the secret ever sees.

pub mod client;
mod error;
pub mod finger;
pub mod online;
mod proxy;
mod request;
pub mod secret_pipe;
mod step;
mod way;

pub use error::{BusError, Unreachable};
pub use proxy::{
    ConversationProxy, EnrolmentProxy, LoginProxy, RegistrationProxy, StatusProxy, TokensProxy, WordsProxy,
};
pub use request::{Account, MalformedRequest, Purpose, Request};
pub use step::{
    Answer, MAX_TEXT, MalformedStep, Outcome, Prompt, Role, Shape, Step, Style, WireAnswer, WireStep,
    close_on_exec,
};
pub use way::Way;

use std::time::Duration;

/// The version of the contract that this crate speaks. Either end takes any version from the other: hellod answers
/// in the words of the lower one, and a client treats a step that it does not know as [`Outcome::Unavailable`].
pub const VERSION: u32 = 5;

/// The version from which on a client knows [`Step::Outlet`].
pub const VERSION_WITH_OUTLET: u32 = 2;

/// The version from which on a client answers a prompt with nothing where the prompt says that this is an answer.
pub const VERSION_WITH_NOTHING: u32 = 4;

/// The version from which on a client knows [`Step::OnlyPin`].
pub const VERSION_WITH_ONLY_PIN: u32 = 5;

/// The well-known name of hellod on the system bus.
pub const BUS_NAME: &str = "org.hellod.Hello1";

/// The one object that hellod serves.
pub const OBJECT_PATH: &str = "/org/hellod/Hello1";

/// The system account that owns [`BUS_NAME`].
pub const DAEMON_USER: &str = "hellod";

/// Where the system bus listens. A constant, because a set-uid program must not take it from its environment.
pub const BUS_ADDRESS: &str = "unix:path=/run/dbus/system_bus_socket";

/// The longest that hellod keeps a call waiting before it says that it is still at work.
pub const LONG_POLL: Duration = Duration::from_millis(700);

/// A hellod that has not answered a call for this long hangs.
pub const CALL_DEADLINE: Duration = Duration::from_millis(1800);

/// Looking asks the TPM more than one thing, and nobody waits at a prompt for it.
pub const LOOK_DEADLINE: Duration = Duration::from_secs(15);
