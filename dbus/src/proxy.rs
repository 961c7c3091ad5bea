//! The interfaces of hellod. `org.hellod.Hello1.xml` shows them as D-Bus does.

use std::collections::HashMap;

use zbus::proxy;

use crate::{BusError, WireAnswer, WireStep};

/// Sign-in.
#[proxy(
    interface = "org.hellod.Hello1.Login",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Login {
    /// Begins to authenticate somebody, or to change a PIN through PAM. `request` is [`crate::Request::into_wire`].
    /// Returns the number of the conversation, which belongs to the caller's connection, and its first step.
    fn begin(&self, version: u32, request: &HashMap<String, String>) -> Result<(u64, WireStep), BusError>;
}

/// What a person does with an enrolment. Each call begins a conversation.
#[proxy(
    interface = "org.hellod.Hello1.Enrolment",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Enrolment {
    /// Gives `user` (empty: the caller) a PIN and a key, and registers that with the directory that the machine has joined,
    /// if it has joined one. `way` is how to sign in there: `browser`, `code`, `password`, or empty for what the directory
    /// leaves open.
    fn enroll(&self, version: u32, user: &str, way: &str) -> Result<(u64, WireStep), BusError>;

    /// The same with a key that this machine alone knows.
    fn enroll_locally(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Asks whoever is at the desktop whether they want a PIN, where policy has one offered and there can be one; nothing is
    /// made. Ends at once where there is nothing to offer.
    fn offer(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Changes the PIN of `user` (empty: the caller); needs the old one, and keeps the key.
    fn change_pin(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Replaces a forgotten PIN of `user` (empty: the caller) by a new enrolment; the old key is destroyed. `way` as for
    /// [`EnrolmentProxy::enroll`].
    fn reset(&self, version: u32, user: &str, way: &str) -> Result<(u64, WireStep), BusError>;

    /// Sets a new PIN for `user` (empty: the caller) who has forgotten theirs, by word of their organisation, and keeps the key.
    fn renew(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Destroys the enrolment of `user` (empty: the caller).
    fn unenroll(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Asks `user` (empty: the caller) whether their password may be kept for their keyring.
    fn keep_password(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Keeps the password of `user` (empty: the caller) no longer.
    fn forget_password(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;

    /// Has `user` (empty: the caller) add a finger that signs in beside the PIN, which is asked for first. `finger` is one of
    /// fprintd's words, or empty for the next that there is not yet.
    fn add_finger(&self, version: u32, user: &str, finger: &str) -> Result<(u64, WireStep), BusError>;

    /// Takes a finger of `user` away; all, where `finger` is empty.
    fn remove_finger(&self, version: u32, user: &str, finger: &str) -> Result<(u64, WireStep), BusError>;

    /// Tells which fingers of `user` sign in.
    fn list_fingers(&self, version: u32, user: &str) -> Result<(u64, WireStep), BusError>;
}

/// What an administrator does with the registration of this machine. Each call begins a conversation, and is for root
/// alone.
#[proxy(
    interface = "org.hellod.Hello1.Registration",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Registration {
    /// Registers the machine with the directory of `domain` (empty: hellod asks). `way` is how to sign in there:
    /// `browser`, `code`, `password`, `token`, `computer`, or empty for what the directory leaves open.
    fn join(&self, version: u32, domain: &str, way: &str) -> Result<(u64, WireStep), BusError>;

    /// Writes down what passes between the machine and a directory, for whomever it is and without what is secret, into `pipe`, the
    /// write end of a pipe that the caller has made: a line of JSON for each exchange, until the conversation ends.
    fn trace(&self, version: u32, pipe: zbus::Fd<'_>) -> Result<(u64, WireStep), BusError>;

    /// Takes the machine out of its directory; with `forget`, out of this machine's records alone.
    fn leave(&self, version: u32, forget: bool) -> Result<(u64, WireStep), BusError>;
}

/// Going on with a conversation that another interface began.
#[proxy(
    interface = "org.hellod.Hello1.Conversation",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Conversation {
    /// Answers the last step and returns the next, within [`crate::LONG_POLL`].
    fn answer(&self, conversation: u64, answer: &WireAnswer) -> Result<WireStep, BusError>;

    /// Answers the step [`crate::Step::Outlet`] with the write end of a pipe, and returns the next step.
    fn hand_over(&self, conversation: u64, pipe: zbus::Fd<'_>) -> Result<WireStep, BusError>;

    /// Ends a conversation early. Leaving the bus does the same.
    fn cancel(&self, conversation: u64) -> Result<(), BusError>;
}

/// What a person's own programs get for having them signed in at a directory. Whose they are the bus knows, and nobody is
/// named: nobody gets anything for somebody else, root neither.
#[proxy(
    interface = "org.hellod.Hello1.Tokens",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Tokens {
    /// An access token for the application `client`, an id, and for `resource`, an address or an id. It comes through `pipe`,
    /// the write end of a pipe that the caller has made ([`crate::secret_pipe::receive_token`]), from the moment of the
    /// answer on, and for five seconds. Returns for how many seconds it is good.
    fn app_token(&self, client: &str, resource: &str, pipe: zbus::Fd<'_>) -> Result<u64, BusError>;

    /// What signs the person in at the page `address` of their directory, through `pipe` as above. Returns the name of the
    /// cookie, or header, that it belongs into.
    fn cookie(&self, address: &str, pipe: zbus::Fd<'_>) -> Result<String, BusError>;
}

/// What a program says of itself.
#[proxy(
    interface = "org.hellod.Hello1.Words",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Words {
    /// Has whatever hellod says to this connection from here on be in the language of a locale, as far as it is translated. A program
    /// of PAM says so in its request.
    fn speak(&self, locale: &str) -> Result<(), BusError>;
}

/// Looking, without changing anything.
#[proxy(
    interface = "org.hellod.Hello1.Status",
    default_service = "org.hellod.Hello1",
    default_path = "/org/hellod/Hello1"
)]
pub trait Status {
    /// State of the device and of `user` (empty: the caller) as a JSON object; helloctl(1) describes it. Only root
    /// may ask about others.
    fn status(&self, user: &str) -> Result<String, BusError>;

    /// The policy in force: a list of (setting, value as TOML writes it, the file that it comes from, or `default`). Behind it
    /// which programs may ask, as `surfaces.login`: the lists of `[surfaces]` in hellod.toml.
    fn policy(&self) -> Result<Vec<(String, String, String)>, BusError>;

    /// Checks whether this machine and the caller can use Hello: a list of (check, state, what was found, remedy),
    /// where state is `ok`, `warn` or `fail`.
    fn doctor(&self) -> Result<Vec<(String, String, String, String)>, BusError>;

    /// What each of these PAM services would ask the caller for now: a list of (service, gesture, why not for the PIN), the gesture one
    /// of `password`, `nothing`, `pin`, `finger`, `no-finger`, `pin-or-finger`, `only-pin` and `only-pin-or-finger`.
    fn offers(&self, services: &[String]) -> Result<Vec<(String, String, String)>, BusError>;

    /// The last `limit` events (own uid; root: everybody's), oldest first: (time in seconds since 1970, event id,
    /// account, service, sentence).
    fn events(&self, limit: u32) -> Result<Vec<(i64, String, String, String, String)>, BusError>;
}
