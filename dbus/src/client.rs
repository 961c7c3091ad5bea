//! Reaching hellod: one connection, an owner that is who it should be, and no call that waits for ever.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use nix::unistd::User;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName, WellKnownName};
use zbus::proxy::CacheProperties;
use zbus::{Connection, connection};
use zeroize::Zeroizing;

use crate::finger::Finger;
use crate::secret_pipe::SecretPipeError;
use crate::{
    Answer, BUS_ADDRESS, BUS_NAME, BusError, CALL_DEADLINE, ConversationProxy, DAEMON_USER, EnrolmentProxy,
    LOOK_DEADLINE, LoginProxy, RegistrationProxy, Request, StatusProxy, Step, TokensProxy, Unreachable,
    VERSION, Way, WireStep, WordsProxy, secret_pipe,
};

/// A connection to a hellod whose owner was checked. Calls go to that owner, not to the name, which could change
/// hands in between.
#[derive(Debug)]
pub struct Hellod {
    connection: Connection,
    owner: OwnedUniqueName,
    patience: Duration,
}

/// A proxy for one interface of the checked owner.
macro_rules! proxy {
    ($proxy:ident, $hellod:expr) => {
        $proxy::builder(&$hellod.connection)
            .destination($hellod.owner.clone())
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(Unreachable::NoBus)?
    };
}

/// A conversation that goes on.
#[derive(Debug)]
pub struct Conversation {
    proxy: ConversationProxy<'static>,
    number: u64,
    patience: Duration,
}

/// What a person may want of an enrolment. Where that takes signing in at a directory, it may be said how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A PIN and a key.
    Enroll(Option<Way>),
    /// A PIN and a key that this machine alone knows, whatever it has joined.
    EnrollLocally,
    /// Whether to have a PIN: asked on a desktop, which enrols by itself whoever says yes.
    Offer,
    /// Another PIN for the same key.
    ChangePin,
    /// A new enrolment in the place of one whose PIN is forgotten.
    Reset(Option<Way>),
    /// A new PIN for the same key in the place of one that is forgotten, by word of the organisation.
    Renew,
    /// No enrolment any more.
    Unenroll,
    /// The password kept for the keyring.
    KeepPassword,
    /// The password kept no longer.
    ForgetPassword,
    /// A finger that signs in, too; this one, if it is said.
    AddFinger(Option<Finger>),
    /// This finger no longer, or none.
    RemoveFinger(Option<Finger>),
    /// To know which fingers sign in.
    ListFingers,
}

/// What an administrator may want of the registration of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registering<'a> {
    /// That there is one.
    Join {
        /// With whose directory; empty where hellod is to ask.
        domain: &'a str,
        /// How to sign in there, if that is said.
        way: Option<Way>,
    },
    /// That there is none any more.
    Leave {
        /// Only here, whatever the directory goes on to say.
        forget: bool,
    },
}

impl Hellod {
    /// Connects to the system bus and finds hellod, which may take `activation` where it has to be started first.
    ///
    /// # Errors
    /// [`Unreachable::NoBus`], [`Unreachable::NoDaemon`], [`Unreachable::Impostor`] or [`Unreachable::Hangs`].
    pub async fn reach(activation: Duration) -> Result<Self, Unreachable> {
        let connection = in_time(CALL_DEADLINE, async {
            connection::Builder::address(BUS_ADDRESS)
                .method_timeout(LOOK_DEADLINE)
                .build()
                .await
                .map_err(Unreachable::NoBus)
        })
        .await?;
        let bus =
            in_time(CALL_DEADLINE, async { DBusProxy::new(&connection).await.map_err(Unreachable::NoBus) })
                .await?;
        let owner = match in_time(CALL_DEADLINE, owner(&bus)).await? {
            Some(owner) => owner,
            None => in_time(activation, activate(&bus)).await?,
        };
        in_time(CALL_DEADLINE, check(&bus, &owner)).await?;
        Ok(Self { connection, owner, patience: CALL_DEADLINE })
    }

    /// The same for a program behind which no greeter and no password waits: a disk or a machine that is slow just now
    /// holds up an answer, and giving up then would leave unsaid what came of the work.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patience: LOOK_DEADLINE, ..self }
    }

    /// Asks to be spoken to in the language of a locale. A hellod that does not know how speaks English.
    ///
    /// # Errors
    /// [`Unreachable::NoBus`].
    pub async fn speak(&self, locale: &str) -> Result<(), Unreachable> {
        let proxy = proxy!(WordsProxy, self);
        let _ = call(self.patience, proxy.speak(locale)).await;
        Ok(())
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`Unreachable::Refused`], [`Unreachable::Hangs`] or [`Unreachable::Malformed`].
    pub async fn sign_in(&self, request: Request) -> Result<(Conversation, Step), Unreachable> {
        let proxy = proxy!(LoginProxy, self);
        let begun = call(self.patience, proxy.begin(VERSION, &request.into_wire())).await?;
        self.converse(begun).await
    }

    /// Begins what a person wishes for the enrolment of `user`, or of the caller where it is empty.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn wish(&self, wish: Wish, user: &str) -> Result<(Conversation, Step), Unreachable> {
        let proxy = proxy!(EnrolmentProxy, self);
        let begun = match wish {
            Wish::Enroll(way) => call(self.patience, proxy.enroll(VERSION, user, Way::word(way))).await,
            Wish::EnrollLocally => call(self.patience, proxy.enroll_locally(VERSION, user)).await,
            Wish::Offer => call(self.patience, proxy.offer(VERSION, user)).await,
            Wish::ChangePin => call(self.patience, proxy.change_pin(VERSION, user)).await,
            Wish::Reset(way) => call(self.patience, proxy.reset(VERSION, user, Way::word(way))).await,
            Wish::Renew => call(self.patience, proxy.renew(VERSION, user)).await,
            Wish::Unenroll => call(self.patience, proxy.unenroll(VERSION, user)).await,
            Wish::KeepPassword => call(self.patience, proxy.keep_password(VERSION, user)).await,
            Wish::ForgetPassword => call(self.patience, proxy.forget_password(VERSION, user)).await,
            Wish::AddFinger(finger) => {
                call(self.patience, proxy.add_finger(VERSION, user, Finger::words(finger))).await
            }
            Wish::RemoveFinger(finger) => {
                call(self.patience, proxy.remove_finger(VERSION, user, Finger::words(finger))).await
            }
            Wish::ListFingers => call(self.patience, proxy.list_fingers(VERSION, user)).await,
        }?;
        self.converse(begun).await
    }

    /// Begins what an administrator wishes for the registration of the machine.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn register(&self, wish: Registering<'_>) -> Result<(Conversation, Step), Unreachable> {
        let proxy = proxy!(RegistrationProxy, self);
        let begun = match wish {
            Registering::Join { domain, way } => {
                call(self.patience, proxy.join(VERSION, domain, Way::word(way))).await
            }
            Registering::Leave { forget } => call(self.patience, proxy.leave(VERSION, forget)).await,
        }?;
        self.converse(begun).await
    }

    /// Has what passes between the machine and a directory written into a pipe, whose read end comes back, until the conversation
    /// ends; a line of JSON for each exchange.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn trace(&self) -> Result<(OwnedFd, Conversation, Step), Unreachable> {
        let proxy = proxy!(RegistrationProxy, self);
        let (read, write) = std::io::pipe().map_err(|_| Unreachable::Hangs)?;
        let begun = call(self.patience, proxy.trace(VERSION, OwnedFd::from(write).into())).await?;
        let (conversation, step) = self.converse(begun).await?;
        Ok((read.into(), conversation, step))
    }

    /// The interface for looking.
    ///
    /// # Errors
    /// [`Unreachable::NoBus`].
    pub async fn status(&self) -> Result<StatusProxy<'static>, Unreachable> {
        Ok(proxy!(StatusProxy, self))
    }

    /// An access token for the application `client` and for `resource`, in the words of [`TokensProxy::app_token`]. Whoever has
    /// it is taken for the caller.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn app_token(&self, client: &str, resource: &str) -> Result<Zeroizing<Vec<u8>>, Unreachable> {
        let proxy = proxy!(TokensProxy, self);
        let (read, write) = secret_pipe::pair().map_err(|_| Unreachable::Hangs)?;
        let asked = proxy.app_token(client, resource, write.into());
        in_time(LOOK_DEADLINE, async { asked.await.map_err(Unreachable::Refused) }).await?;
        secret_pipe::receive_token(&read, CALL_DEADLINE).map_err(|error| match error {
            SecretPipeError::Late => Unreachable::Hangs,
            SecretPipeError::TooLong | SecretPipeError::Closed | SecretPipeError::Io(_) => {
                Unreachable::Malformed
            }
        })
    }

    /// Says goodbye, so that hellod forgets the caller at once and no task of the connection outlives it.
    pub async fn leave(self) {
        // The other end going first is no failure of a goodbye.
        let _ = tokio::time::timeout(CALL_DEADLINE, self.connection.close()).await;
    }

    async fn converse(&self, begun: (u64, WireStep)) -> Result<(Conversation, Step), Unreachable> {
        let (number, step) = begun;
        let proxy = proxy!(ConversationProxy, self);
        let step = Step::try_from(step).map_err(|_| Unreachable::Malformed)?;
        Ok((Conversation { proxy, number, patience: self.patience }, step))
    }
}

impl Conversation {
    /// Answers the last step and takes the next.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn answer(&self, answer: Answer) -> Result<Step, Unreachable> {
        let step = call(self.patience, self.proxy.answer(self.number, &answer.into())).await?;
        Step::try_from(step).map_err(|_| Unreachable::Malformed)
    }

    /// Answers [`Step::Outlet`], and takes the next step.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn hand_over(&self, pipe: OwnedFd) -> Result<Step, Unreachable> {
        let step = call(self.patience, self.proxy.hand_over(self.number, pipe.into())).await?;
        Step::try_from(step).map_err(|_| Unreachable::Malformed)
    }

    /// Ends the conversation early.
    ///
    /// # Errors
    /// As [`Hellod::sign_in`].
    pub async fn cancel(&self) -> Result<(), Unreachable> {
        call(self.patience, self.proxy.cancel(self.number)).await
    }
}

/// Whoever owns hellod's name; nothing where nobody does.
async fn owner(bus: &DBusProxy<'_>) -> Result<Option<OwnedUniqueName>, Unreachable> {
    match bus.get_name_owner(BusName::from(name())).await {
        Ok(owner) => Ok(Some(owner)),
        Err(zbus::fdo::Error::NameHasNoOwner(_)) => Ok(None),
        Err(error) => Err(Unreachable::NoBus(error.into())),
    }
}

async fn activate(bus: &DBusProxy<'_>) -> Result<OwnedUniqueName, Unreachable> {
    bus.start_service_by_name(name(), 0).await.map_err(|_| Unreachable::NoDaemon)?;
    owner(bus).await?.ok_or(Unreachable::NoDaemon)
}

async fn check(bus: &DBusProxy<'_>, owner: &OwnedUniqueName) -> Result<(), Unreachable> {
    let name = BusName::from(owner.as_ref());
    let uid = bus.get_connection_unix_user(name).await.map_err(|_| Unreachable::NoDaemon)?;
    if uid == 0 || Some(uid) == daemon_uid() { Ok(()) } else { Err(Unreachable::Impostor { uid }) }
}

fn name() -> WellKnownName<'static> {
    WellKnownName::from_static_str_unchecked(BUS_NAME)
}

fn daemon_uid() -> Option<u32> {
    User::from_name(DAEMON_USER).ok().flatten().map(|user| user.uid.as_raw())
}

async fn call<T>(
    patience: Duration,
    reply: impl Future<Output = Result<T, BusError>>,
) -> Result<T, Unreachable> {
    let refused = |error| match error {
        // The bus itself refuses what only root may ask for.
        BusError::Bus(error) if is_denied(&error) => {
            Unreachable::Refused(BusError::AccessDenied(String::new()))
        }
        // The bus, or hellod, went away under the call.
        BusError::Bus(error) => Unreachable::NoBus(error),
        error => Unreachable::Refused(error),
    };
    in_time(patience, async { reply.await.map_err(refused) }).await
}

/// D-Bus Specification, "Standard error names".
fn is_denied(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::MethodError(name, ..) => *name == "org.freedesktop.DBus.Error.AccessDenied",
        zbus::Error::FDO(error) => matches!(**error, zbus::fdo::Error::AccessDenied(_)),
        _ => false,
    }
}

/// Gives hellod this long. A program that was stopped meanwhile, by whoever sits at its terminal, must not take its own sleep for
/// hellod's: time counts in slices, after each of which what has come is read first.
///
/// # Errors
/// [`Unreachable::Hangs`], and those of `work`.
pub async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    let mut work = pin!(work);
    for _ in 0..SLICES {
        if let Ok(done) = tokio::time::timeout(patience / SLICES, &mut work).await {
            return done;
        }
    }
    Err(Unreachable::Hangs)
}

/// Of a deadline.
const SLICES: u32 = 8;
