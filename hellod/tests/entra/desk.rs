//! A desk: a machine that has joined, somebody who has signed in at it, and the tokens that came of that.

use std::cell::{Cell, RefCell};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hellod::accounts::Account;
use hellod::audit::Audit;
use hellod::clock::{Clock, Stamp, SystemClock};
use hellod::enrolments::Enrolments;
use hellod::identity::{Person, PersonId};
use hellod::jose::jwe::EncryptedSessionKey;
use hellod::keys::CheckedMachineKeys;
use hellod::keys::child::{ProvenRoot, Root, Tpm};
use hellod::keys::queue::Asker;
use hellod::membership::{Membership, Registration};
use hellod::online::Online;
use hellod::random::SystemRandom;
use hellod::secret::WrappingKey;
use hellod::standing::{NotAlone, Standings};
use hellod::store::Store;
use hellod::tokens::{
    App, Means, NoToken, Opened, Opener, Opening, Owner, Received, Renewal, Shelf, Tokens, Wrapped,
};
use hellod::wire::{PrimaryAnswer, Upn};
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::house::House;
use crate::lab::{DORA, Gate, Lab};
use crate::primary::Enrolled;

pub(crate) const GRAPH: &str = "https://graph.microsoft.com";
pub(crate) const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A machine that has joined, with somebody who has signed in, and their tokens.
pub(crate) struct Desk {
    pub(crate) enrolled: Enrolled,
    pub(crate) owner: Owner,
    pub(crate) clock: Rc<Late>,
    pub(crate) audit: Rc<Audit>,
    pub(crate) store: Rc<Store>,
    pub(crate) tokens: Tokens,
    /// Of each session key that a renewal brought, whether a PIN had proven the root that it came by way of.
    pub(crate) opened: Rc<RefCell<Vec<bool>>>,
    /// Before the tokens' way to the network, and not before that of a sign-in.
    pub(crate) gate: watch::Sender<Gate>,
    pub(crate) online: Online,
    _state: State,
}

impl Desk {
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
        let enrolled = Enrolled::with(seed, switches).await;
        let state = State::new();
        let store = Rc::new(Store::open(&state.0).unwrap());
        let registration = Registration {
            version: hellod::membership::VERSION,
            directory: enrolled.house.directory(),
            domain: "corp.example".into(),
            certificate: enrolled.device.certificate.der.clone(),
            keys: enrolled.keys.record().clone(),
            joined: 0,
            person: None,
        };
        Membership::new(store.clone()).put(&registration).unwrap();
        let clock = Rc::new(Late { clock: SystemClock::new(), by: Cell::new(0) });
        let audit = Rc::new(Audit::new(&state.0, clock.clone()));
        let (gate, way) = watch::channel(Gate::Open);
        let online = enrolled.house.lab.online_behind(way);
        let opened = Rc::default();
        let tokens = tokens(&enrolled.house, online.clone(), (&store, &clock, &audit), &opened);
        let answer = enrolled.sign_in().await.unwrap();
        let account = answer.0.account.as_ref().unwrap();
        let owner = Owner {
            account: Account { name: "dora".into(), uid: 1000 },
            person: Person {
                id: PersonId::Entra { tenant: account.tenant, object: account.user },
                upn: Upn::parse(DORA).unwrap(),
            },
            device: enrolled.device.certificate.device,
            kid: enrolled.key.public_key().thumbprint(),
        };
        let desk = Self { enrolled, owner, clock, audit, store, tokens, opened, gate, online, _state: state };
        desk.take(answer).await;
        desk
    }

    /// Signs in once more.
    pub(crate) async fn signs_in(&self) {
        let answer = self.enrolled.sign_in().await.unwrap();
        self.take(answer).await;
    }

    pub(crate) async fn take(&self, (answer, root): (PrimaryAnswer, ProvenRoot)) {
        let (asked, wrapping) = (self.clock.now(), wrapping_key());
        let encrypted = answer.session_key.as_ref().unwrap().0;
        let keep = Some((&self.enrolled.key, &wrapping));
        let keys = (&self.enrolled.keys, Root::Proven(&root));
        let tpm = &self.enrolled.house.lab.tpm;
        let opened = tpm.open_session_key(Asker::Answered(1000), keys, &encrypted, keep).await.unwrap();
        let wrapped = Wrapped { key: wrapping, sealed: opened.sealed.unwrap().unwrap() };
        let received =
            Received { asked: asked.clone(), answer, key: opened.session_key, root, wrapped: Some(wrapped) };
        self.standings().confirmed(1000, &asked, &self.clock.now()).unwrap();
        self.tokens.take(self.owner.clone(), received).unwrap();
    }

    /// The next hellod, with the wrapping key from the shelf.
    pub(crate) fn next_hellod(&self) -> (Tokens, Opened) {
        let House { lab: Lab { online, .. }, .. } = &self.enrolled.house;
        let parts = (&self.store, &self.clock, &self.audit);
        let next = tokens(&self.enrolled.house, online.clone(), parts, &self.opened);
        let opened = next.opened(self.owner.clone(), wrapping_key(), None);
        (next, opened)
    }

    pub(crate) async fn renew(&self) -> Renewal {
        self.tokens.renew(&self.owner.account).await
    }

    pub(crate) async fn graph(&self) -> Result<hellod::tokens::AppToken, NoToken> {
        self.tokens.for_app(&self.owner.account, &App::parse(CLIENT, GRAPH).unwrap()).await
    }

    pub(crate) fn order(&self, order: Value) -> Value {
        self.enrolled.house.lab.idp.order(&order).unwrap()
    }

    /// Requests for the renewal of a primary token, or for one for an application, since the last look.
    pub(crate) fn asked(&self) -> usize {
        let log = self.order(json!({"do": "requests", "clear": true}));
        let asked = log.as_array().unwrap().iter();
        asked.filter(|request| request["path"].as_str().unwrap().ends_with("/oauth2/token")).count()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.audit.last(100, Some(1000)).into_iter().map(|entry| entry.id).collect()
    }

    /// Nothing is left of a token, and the last event says so.
    pub(crate) async fn is_over(&self, event: &str) {
        assert!(self.tokens.is_empty() && self.record().is_none());
        assert_eq!(self.events().last().map(String::as_str), Some(event));
        assert_eq!(self.graph().await.err(), Some(NoToken::NotSignedIn));
    }

    /// Whether a right PIN alone would let the person in.
    pub(crate) fn alone(&self) -> Result<(), NotAlone> {
        self.standings().alone(1000, &self.clock.now())
    }

    fn standings(&self) -> Standings {
        Standings::new(self.store.clone(), Duration::from_secs(86_400))
    }

    pub(crate) fn record(&self) -> Option<Value> {
        self.store.get(hellod::store::Kind::Token, "1000").unwrap()
    }
}

/// What the tokens of all of these desks are wrapped with.
pub(crate) fn wrapping_key() -> WrappingKey {
    WrappingKey::new(Zeroizing::new([5; 32]))
}

fn tokens(
    house: &House,
    online: Online,
    (store, clock, audit): (&Rc<Store>, &Rc<Late>, &Rc<Audit>),
    opened: &Rc<RefCell<Vec<bool>>>,
) -> Tokens {
    Tokens::new(Means {
        store: store.clone(),
        clock: clock.clone(),
        random: Rc::new(SystemRandom),
        audit: audit.clone(),
        online,
        opener: Rc::new(Watched { tpm: house.lab.tpm.clone(), opened: opened.clone() }),
        shelf: Rc::new(NoShelf),
        standings: Rc::new(Standings::new(store.clone(), Duration::from_secs(86_400))),
        enrolments: Rc::new(Enrolments::new(store.clone(), "desk")),
    })
}

/// The TPM, and by way of which roots it is asked.
struct Watched {
    tpm: Tpm,
    opened: Rc<RefCell<Vec<bool>>>,
}

impl Opener for Watched {
    fn open<'a>(
        &'a self,
        keys: (&'a CheckedMachineKeys, Root<'a>),
        encrypted: &'a EncryptedSessionKey,
    ) -> Opening<'a> {
        self.opened.borrow_mut().push(matches!(keys.1, Root::Proven(_)));
        self.tpm.open(keys, encrypted)
    }
}

/// The machine's clock, later by some seconds.
pub(crate) struct Late {
    clock: SystemClock,
    pub(crate) by: Cell<u64>,
}

impl Clock for Late {
    fn now(&self) -> Stamp {
        let Stamp { wall, uptime, boot } = self.clock.now();
        Stamp { wall: wall + self.by.get() as i64, uptime: uptime + self.by.get() * 1000, boot }
    }
}

pub(crate) struct NoShelf;

impl Shelf for NoShelf {
    fn put(&self, _: u32, _: &WrappingKey) {}
    fn take_away(&self, _: u32) {}
}

/// A state directory, which goes with the test.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        thread_local!(static COUNT: RefCell<u32> = const { RefCell::new(0) });
        let count = COUNT.with_borrow_mut(|count| std::mem::replace(count, *count + 1));
        let id = format!("{}-{:?}-{count}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(format!("hellod-entra-tokens-{id}"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
