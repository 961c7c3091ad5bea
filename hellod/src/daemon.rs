//! Wiring: builds the parts, hands jobs to the flows, and knows when to stop.

pub mod finger;
pub mod online;
mod shelf;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hello_dbus::client::Wish;
use hello_dbus::{Purpose, Request};
use hello_words::{english, tr};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::accounts::Account;
use crate::audit::{Audit, Event};
use crate::bus::{Bus, BusFailure};
use crate::caller::Caller;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, TpmPath};
use crate::conversation::Terminal;
use crate::enrolments::Enrolments;
use crate::escrows::Escrows;
use crate::fingers::Fingers;
use crate::history::Histories;
use crate::identity::Providers;
use crate::identity::local::Local;
use crate::jobs::{Errand, Job};
use crate::keyring::Keyrings;
use crate::keys::child::{Tcti, Tpm, TpmSettings};
use crate::membership::Membership;
use crate::offers::Offers;
use crate::online::Online;
use crate::parts::{Notes, Parts};
use crate::policy::{Admission, Class, Layers, PolicyError};
use crate::provisioning::Place;
use crate::random::SystemRandom;
use crate::secret::WrappingKey;
use crate::standing::Standings;
use crate::store::{Claim, Kind, Store, StoreError};
use crate::tokens::{Means, Tokens};
use crate::tries::TriesLog;
use crate::{authentication, doctor, provisioning, registration, sign_on, status};
use shelf::DescriptorStore;

/// Why the daemon can't serve.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The state can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus does not let it.
    #[error("{}", tr!("the system bus: {0}", _0))]
    Bus(#[from] BusFailure),
    /// Another hellod does not end.
    #[error("{}", tr!("another hellod works on {0} and does not end; only one can at a time", _0.display()))]
    Taken(PathBuf),
    /// There is no randomness for the device's id.
    #[error("{}", tr!("this machine gives no random numbers"))]
    Random,
    /// A signal handler can't be set up.
    #[error("{}", tr!("signals can't be received: {0}", _0))]
    Signals(#[source] std::io::Error),
}

/// Serves until told to stop, until there was nothing to do for long enough, or until the bus is gone.
///
/// # Errors
/// [`DaemonError`].
pub async fn serve(config: Config) -> Result<(), DaemonError> {
    // Before anything is started that would inherit it.
    let handed_over = shelf::handed_over();
    let bus = Bus::connect().await?;
    let idle = config.daemon.idle();
    let store = Rc::new(Store::open(&config.daemon.state)?);
    claim(&store, DRAIN + LEAVING).await?;
    let parts = Rc::new(build(config, store, &bus)?);
    let (jobs, incoming) = mpsc::channel(JOBS);
    bus.serve(jobs).await?;
    parts.record(&Event::Started, &Account { name: "hellod".into(), uid: u32::MAX }, "hellod");
    if let Some(error) = &parts.policy_refused {
        let event = Event::PolicyRefused { why: english(error).replace('\n', " ") };
        parts.record(&event, &Account { name: "hellod".into(), uid: u32::MAX }, "hellod");
    }
    // Not under systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let local = LocalSet::new();
    let keeping = local.spawn_local(keep(parts.clone(), handed_over));
    let looking = local.spawn_local(look(parts.clone()));
    let served = local.run_until(work(parts, bus, incoming, idle)).await;
    keeping.abort();
    looking.abort();
    served
}

async fn work(
    parts: Rc<Parts>,
    bus: Bus,
    mut incoming: mpsc::Receiver<Errand>,
    idle: Option<Duration>,
) -> Result<(), DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;
    let (mut idle, mut make_way) = (idle, None);
    let mut flows = JoinSet::new();
    flows.spawn_local(begin(parts.clone()));
    loop {
        // What is in memory would be lost: before version 254 systemd keeps no descriptors of a service that stops by itself.
        // Whoever tells this hellod to make way knows that.
        let nothing_held = parts.tokens.is_empty() || make_way.is_some();
        let nothing_to_do = flows.is_empty() && bus.open_conversations() == 0 && nothing_held;
        tokio::select! {
            job = incoming.recv() => match job {
                Some(errand) => drop(flows.spawn_local(run(parts.clone(), errand))),
                None => break,
            },
            Some(ended) = flows.join_next() => note_panic(ended),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                // Nobody who is in the middle of a sign-in is thrown out; whoever goes on for ever does not stay for it.
                idle = Some(Duration::ZERO);
                make_way.get_or_insert_with(|| tokio::time::Instant::now() + LONGEST_GUEST);
            }
            () = until(make_way) => break,
            () = bus.closed() => return Ok(()),
            () = stay(idle), if nothing_to_do => break,
            // The last conversation closes without a word to here.
            () = tokio::time::sleep(LOOK_AGAIN), if idle.is_some() && nothing_held && !nothing_to_do => {}
        }
    }
    // No new work, then what arrived, then what runs.
    bus.withdraw().await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    while let Ok(Some(errand)) = tokio::time::timeout(LAST_CALLS, incoming.recv()).await {
        flows.spawn_local(run(parts.clone(), errand));
    }
    let drained = async {
        while flows.join_next().await.is_some() {}
        parts.tokens.settled().await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("stopped in the middle of work, which is cleared up at the next start");
    }
    Ok(())
}

/// What is done once at the start, beside serving.
async fn begin(parts: Rc<Parts>) {
    parts.tpm.spare();
    provisioning::recover(&parts).await;
}

/// What is looked at once at the start, and what nothing waits for.
async fn look(parts: Rc<Parts>) {
    tokio::join!(parts.fingers.hand_on_rules(), authentication::look(&parts));
}

/// What goes on for as long as hellod serves.
async fn keep(parts: Rc<Parts>, handed_over: Vec<(u32, WrappingKey)>) {
    match sign_on::keep(&parts, handed_over).await {}
}

async fn run(parts: Rc<Parts>, Errand { language, job }: Errand) {
    language.spoken_in(done(parts, job)).await;
}

async fn done(parts: Rc<Parts>, job: Job) {
    match job {
        Job::Login { caller, request, terminal } => login(&parts, &caller, &request, terminal).await,
        Job::Wish { wish: Wish::Enroll(way), caller, account, terminal } => {
            provisioning::enroll(&parts, &caller, &account, Place::Joined(way), terminal).await;
        }
        Job::Wish { wish: Wish::EnrollLocally, caller, account, terminal } => {
            provisioning::enroll(&parts, &caller, &account, Place::Here, terminal).await;
        }
        Job::Wish { wish: Wish::Offer, caller, account, terminal } => {
            provisioning::offer_on_desktop(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::Reset(way), caller, account, terminal } => {
            provisioning::reset(&parts, &caller, &account, way, terminal).await;
        }
        Job::Wish { wish: Wish::Renew, caller, account, terminal } => {
            provisioning::renew(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::Unenroll, caller, account, terminal } => {
            provisioning::unenroll(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::KeepPassword, caller, account, terminal } => {
            provisioning::keep_password(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::ForgetPassword, caller, account, terminal } => {
            provisioning::forget_password(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::AddFinger(finger), caller, account, terminal } => {
            provisioning::add_finger(&parts, &caller, &account, finger, terminal).await;
        }
        Job::Wish { wish: Wish::RemoveFinger(finger), caller, account, terminal } => {
            provisioning::remove_finger(&parts, &caller, &account, finger, terminal).await;
        }
        Job::Wish { wish: Wish::ListFingers, caller, account, terminal } => {
            provisioning::list_fingers(&parts, &caller, &account, terminal).await;
        }
        Job::Wish { wish: Wish::ChangePin, caller, account, terminal } => {
            let class = match parts.surfaces.admit_enrolment(&caller, &account) {
                Admission::Admitted(class) => class,
                Admission::Declined(_) => Class::Own,
            };
            let tried = provisioning::Tried { service: "pin change", class };
            provisioning::change_pin(&parts, &caller, &account, tried, terminal).await;
        }
        Job::Join { wanted, terminal } => registration::join(&parts, &wanted, terminal).await,
        Job::Trace { lines, terminal } => registration::trace(&parts, lines, terminal).await,
        Job::Leave { forget, terminal } => registration::leave(&parts, forget, terminal).await,
        // Whoever asked and left needs no answer.
        Job::AppToken { caller, app, reply } => {
            drop(reply.send(sign_on::app_token(&parts, &caller, &app).await))
        }
        Job::Cookie { caller, address, reply } => {
            drop(reply.send(sign_on::cookie(&parts, &caller, &address).await))
        }
        Job::Status { account, reply } => {
            drop(reply.send(status::status(&parts, &account).await.to_string()))
        }
        Job::Policy { reply } => drop(reply.send([&*parts.settings, &*parts.listed].concat())),
        Job::Offers { caller, services, reply } => {
            drop(reply.send(doctor::offers(&parts, &caller, services).await))
        }
        Job::Doctor { caller, reply } => drop(reply.send(doctor::examine(&parts, &caller).await)),
        Job::Events { uid, limit, reply } => drop(reply.send(parts.audit.last(limit, uid))),
    }
}

async fn login(parts: &Rc<Parts>, caller: &Caller, request: &Request, terminal: Terminal) {
    match request.purpose {
        Purpose::Authenticate => authentication::sign_in(parts, caller, request, terminal).await,
        Purpose::KeepPassword => authentication::keep_password(parts, caller, request, terminal).await,
        Purpose::OfferPin => match authentication::admitted(parts, caller, request).await {
            Ok(authentication::Admitted { account, class, .. }) => {
                provisioning::offer_pin(parts, caller, (&account, class), request, terminal).await;
            }
            Err(outcome) => terminal.end(outcome).await,
        },
        Purpose::ChangePin => match authentication::admitted(parts, caller, request).await {
            Ok(admitted) => {
                let tried = provisioning::Tried { service: &admitted.program, class: admitted.class };
                provisioning::change_pin(parts, caller, &admitted.account, tried, terminal).await;
            }
            Err(outcome) => terminal.end(outcome).await,
        },
    }
}

/// Waits for the hellod before this one, which has given the name up and may still be at work.
async fn claim(store: &Store, patience: Duration) -> Result<(), DaemonError> {
    let deadline = tokio::time::Instant::now() + patience;
    while store.claim()? == Claim::Anothers {
        if tokio::time::Instant::now() >= deadline {
            return Err(DaemonError::Taken(store.path().to_owned()));
        }
        tokio::time::sleep(CLAIM_AGAIN).await;
    }
    Ok(())
}

fn build(config: Config, store: Rc<Store>, bus: &Bus) -> Result<Parts, DaemonError> {
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::new());
    let device = device_id(&store)?;
    // Not by its path, where an upgrade has put another version while this one runs.
    let child_program = "/proc/self/exe".into();
    let software_tpm = config.tpm.swtpm.is_some();
    let tpm = Tpm::new(TpmSettings { tcti: tcti(config.tpm), child_program, waiting_per_user: 2 });
    let audit = Rc::new(Audit::new(store.path(), clock.clone()));
    let online = Online::new(Rc::new(bus.dial()));
    let standings = Rc::new(Standings::new(store.clone(), config.directory.offline()));
    let enrolments = Rc::new(Enrolments::new(store.clone(), &device));
    let tokens = Tokens::new(Means {
        store: store.clone(),
        clock: clock.clone(),
        random: Rc::new(SystemRandom),
        audit: audit.clone(),
        online: online.clone(),
        opener: Rc::new(tpm.clone()),
        shelf: Rc::new(DescriptorStore::new()),
        standings: standings.clone(),
        enrolments: enrolments.clone(),
    });
    let (layers, policy_refused) = in_force(config.layers, &store);
    Ok(Parts {
        audit,
        enrolments,
        keyrings: Keyrings::new(store.clone(), layers.policy.allow_keyring_password),
        fingers: Fingers::new(store.clone(), Rc::new(bus.to_finger()), layers.policy.biometrics),
        escrows: Escrows::new(store.clone(), layers.policy.organisation(), policy_refused.is_none()),
        histories: Histories::new(
            store.clone(),
            layers.policy.pin_complexity.history.get(),
            policy_refused.is_none(),
        ),
        offers: Offers::new(store.clone(), layers.policy.launch_pause()),
        tries: TriesLog::new(store.clone(), clock.clone()),
        tpm,
        providers: Providers::new(Local::new(&device, store.clone(), clock.clone()), online.clone()),
        membership: Membership::new(store.clone()),
        online,
        tokens,
        prover: Rc::new(bus.prover()),
        callers: Rc::new(bus.callers()),
        standings,
        contact: config.directory,
        settings: layers.settings(),
        conditions: RefCell::default(),
        software_tpm,
        config: config.path,
        policy: layers.policy,
        policy_refused,
        surfaces: config.surfaces,
        listed: config.listed,
        proving: Notes::default(),
        at_the_reader: Notes::default(),
        at_work: Notes::default(),
        registering: Notes::default(),
        store,
        clock,
    })
}

/// The policy of the files; where they are not taken, the one that was in force before stays, and is said to. Nobody is locked out
/// over it: where there was none before, there were the defaults.
fn in_force(read: Result<Layers, PolicyError>, store: &Store) -> (Layers, Option<PolicyError>) {
    let kept = store.get::<Layers>(Kind::Policy, POLICY).unwrap_or_else(|error| {
        tracing::warn!("the policy that was in force before can't be read: {error}");
        None
    });
    match (read, kept) {
        (Ok(layers), Some(kept)) if layers == kept => (layers, None),
        (Ok(layers), _) => {
            if let Err(error) = store.put(Kind::Policy, POLICY, &layers) {
                tracing::warn!("the policy can't be kept for when its files have a mistake: {error}");
            }
            (layers, None)
        }
        (Err(error), kept) => {
            let mut layers = kept.unwrap_or_else(|| {
                let mut layers = Layers::default();
                // Of files that are not taken nobody knows what they were to say.
                layers.policy.biometrics.pin_after_suspend = true;
                layers.policy.biometrics.pin_after_logout = true;
                layers
            });
            layers.policy.use_passport_for_work &= !error.turns_off;
            (layers, Some(error))
        }
    }
}

/// The name of the record.
const POLICY: &str = "taken";

fn tcti(path: TpmPath) -> Tcti {
    path.swtpm.map_or(Tcti::Device(path.device), Tcti::Swtpm)
}

/// The id of this device for a provider that gives out none: made once, at random (RFC 9562 §5.4 in form).
fn device_id(store: &Store) -> Result<String, DaemonError> {
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Device {
        id: String,
    }
    if let Some(Device { id }) = store.get(Kind::Device, "device")? {
        return Ok(id);
    }
    let mut random = [0u8; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| DaemonError::Random)?;
    let number = u128::from_be_bytes(random) & !(0xf << 76 | 0x3 << 62) | (0x4 << 76 | 0x2 << 62);
    let hex = format!("{number:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    let id = parts.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-");
    store.put(Kind::Device, "device", &Device { id: id.clone() })?;
    Ok(id)
}

async fn stay(idle: Option<Duration>) {
    match idle {
        Some(idle) => tokio::time::sleep(idle).await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A flow that panicked ended its conversation as unavailable; the daemon goes on.
fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a flow failed in a way that it did not foresee: {error}");
    }
}

/// Jobs that may wait to be begun.
const JOBS: usize = 64;
/// How long calls that were under way when the name was given up may still arrive.
const LAST_CALLS: Duration = Duration::from_millis(100);
/// How long after the end of a conversation it is seen, where hellod ends without any.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How long somebody in the middle of a conversation may keep a hellod that was told to make way. A person has this long for
/// one question.
const LONGEST_GUEST: Duration = Duration::from_secs(600);
/// How long work that runs may take to end.
const DRAIN: Duration = Duration::from_secs(15);
/// How long a hellod may take to exit after that.
const LEAVING: Duration = Duration::from_secs(5);
/// How often it is looked whether another hellod has ended.
const CLAIM_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    #[tokio::test]
    async fn a_hellod_waits_for_the_one_before_it_and_gives_up_on_one_that_does_not_end() {
        let Scratch { store, .. } = &Scratch::new("claims");
        let former = Store::open(store.path()).unwrap();
        claim(&former, Duration::ZERO).await.unwrap();
        let refused = claim(store, Duration::from_millis(50)).await;
        assert!(matches!(refused, Err(DaemonError::Taken(path)) if path == store.path()));
        let ends = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(former);
        };
        let (claimed, ()) = tokio::join!(claim(store, Duration::from_secs(10)), ends);
        claimed.unwrap();
    }
}
