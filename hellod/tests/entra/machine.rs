//! The daemon's parts on a machine of the house, and somebody who does what hellod asks.

use std::cell::{Cell, RefCell};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use hello_dbus::{
    Account as Shadow, Answer, Outcome, Purpose, Request, Role, Step, VERSION, Way, secret_pipe,
};
use hellod::accounts::Account;
use hellod::audit::Audit;
use hellod::caller::{Caller, Callers, Looking, Seat, Session};
use hellod::config::Contact;
use hellod::conversation::{Conversation, Terminal, pair};
use hellod::enrolments::{Enrolment, Enrolments};
use hellod::escrows::Escrows;
use hellod::finger::{Biometrics, NoReader};
use hellod::fingers::Fingers;
use hellod::history::Histories;
use hellod::identity::Providers;
use hellod::identity::local::Local;
use hellod::keyring::Keyrings;
use hellod::membership::Membership;
use hellod::offers::Offers;
use hellod::parts::{Action, Notes, Parts, Proof, Prover};
use hellod::policy::{Policy, Surfaces};
use hellod::provisioning::{self, Place};
use hellod::random::SystemRandom;
use hellod::registration::{self, Wanted};
use hellod::standing::Standings;
use hellod::store::{Kind, Store};
use hellod::tokens::{Means, Tokens};
use hellod::tries::TriesLog;
use hellod::{authentication, status};
use serde_json::{Value, json};

use crate::desk::NoShelf;
use crate::house::House;
use crate::lab::{DORA, PASSWORD};

/// Accounts that every machine has.
pub(crate) const DAEMON: &str = "daemon";
pub(crate) const BIN: &str = "bin";

/// A machine of the house with hellod on it.
pub(crate) struct Machine {
    pub(crate) house: House,
    pub(crate) parts: Rc<Parts>,
    state: PathBuf,
}

/// Nobody moves.
struct Stays;

impl Callers for Stays {
    fn again<'a>(&'a self, caller: &'a Caller) -> Looking<'a> {
        Box::pin(async { Some(caller.clone()) })
    }
}

/// Whoever is asked proves who they are.
struct Proves;

impl Prover for Proves {
    fn prove<'a>(&'a self, _: &'a Caller, _: Action) -> Proof<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Machine {
    /// One that has joined nothing.
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let house = House::with(seed, switches).await;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let state = std::env::temp_dir().join(format!("hello-people-{}-{count}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
        let store = Rc::new(Store::open(&state).unwrap());
        let clock = Rc::new(house.lab.clock.clone());
        let local = Local::new(LOCAL, store.clone(), clock.clone());
        let audit = Rc::new(Audit::new(&state, clock.clone()));
        let standings = Rc::new(Standings::new(store.clone(), Contact::default().offline()));
        let enrolments = Rc::new(Enrolments::new(store.clone(), LOCAL));
        let tokens = Tokens::new(Means {
            store: store.clone(),
            clock: clock.clone(),
            random: Rc::new(SystemRandom),
            audit: audit.clone(),
            online: house.lab.online.clone(),
            opener: Rc::new(house.lab.tpm.clone()),
            shelf: Rc::new(NoShelf),
            standings: standings.clone(),
            enrolments: enrolments.clone(),
        });
        let parts = Rc::new(Parts {
            audit,
            tokens,
            standings,
            contact: Contact::default(),
            enrolments,
            keyrings: Keyrings::new(store.clone(), true),
            fingers: Fingers::new(store.clone(), Rc::new(NoReader), Biometrics::default()),
            histories: Histories::new(store.clone(), 0, true),
            escrows: Escrows::new(store.clone(), None, true),
            offers: Offers::new(store.clone(), Policy::default().launch_pause()),
            tries: TriesLog::new(store.clone(), clock.clone()),
            tpm: house.lab.tpm.clone(),
            providers: Providers::new(local, house.lab.online.clone()),
            membership: Membership::new(store.clone()),
            online: house.lab.online.clone(),
            prover: Rc::new(Proves),
            callers: Rc::new(Stays),
            policy: Policy::default(),
            settings: Vec::new(),
            conditions: RefCell::default(),
            software_tpm: true,
            config: None,
            policy_refused: None,
            surfaces: Surfaces::default(),
            listed: Vec::new(),
            proving: Notes::default(),
            at_the_reader: Notes::default(),
            at_work: Notes::default(),
            registering: Notes::default(),
            store,
            clock: clock.clone(),
        });
        Self { house, parts, state }
    }

    /// One that has joined.
    pub(crate) async fn joined(seed: u64, switches: Value) -> Self {
        let machine = Self::with(seed, switches).await;
        machine.join().await;
        machine
    }

    pub(crate) async fn join(&self) {
        let said = self.tries_to_join().await;
        assert_eq!(said.outcome, Outcome::Success, "{}", said.shown);
    }

    pub(crate) async fn tries_to_join(&self) -> Said {
        let wanted = Wanted { domain: "corp.example".into(), way: Some(Way::Password) };
        self.play(DORA, |terminal| registration::join(&self.parts, &wanted, terminal)).await
    }

    pub(crate) async fn leave(&self, forget: bool) {
        let said = self.play(DORA, |terminal| registration::leave(&self.parts, forget, terminal)).await;
        assert_eq!(said.outcome, Outcome::Success, "{}", said.shown);
    }

    /// `upn` enrols in `account`.
    pub(crate) async fn enrol(&self, account: &str, upn: &str) -> Said {
        self.enrol_at(account, upn, Place::Joined(None)).await
    }

    pub(crate) async fn enrol_at(&self, account: &str, upn: &str, place: Place) -> Said {
        let account = named(account).await;
        self.play(upn, |terminal| provisioning::enroll(&self.parts, root(), &account, place, terminal)).await
    }

    pub(crate) async fn reset(&self, account: &str, upn: &str) -> Said {
        let account = named(account).await;
        self.play(upn, |terminal| provisioning::reset(&self.parts, root(), &account, None, terminal)).await
    }

    pub(crate) async fn unenrol(&self, account: &str) -> Said {
        let account = named(account).await;
        self.play(DORA, |terminal| provisioning::unenroll(&self.parts, root(), &account, terminal)).await
    }

    /// One try with a PIN at the console.
    pub(crate) async fn sign_in(&self, account: &str, pin: &'static str) -> Said {
        let request = Request {
            purpose: Purpose::Authenticate,
            user: account.into(),
            service: "login".into(),
            tty: String::new(),
            rhost: String::new(),
            ruser: String::new(),
            tries: 1,
            account: Shadow::Open,
            locale: String::new(),
        };
        let person = Person { pin, ..self.person(DORA) };
        self.talk(person, |terminal| authentication::sign_in(&self.parts, root(), &request, terminal)).await
    }

    pub(crate) async fn status(&self, account: &str) -> Value {
        status::status(&self.parts, &named(account).await).await
    }

    /// The record of an account as it is on disk.
    pub(crate) async fn record(&self, account: &str) -> Option<Enrolment> {
        self.parts.store.get(Kind::Enrolment, &named(account).await.uid.to_string()).unwrap()
    }

    /// The Hello keys that the directory lists.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let state = self.house.lab.idp.order(&json!({"do": "dump"})).unwrap();
        state["keys"].as_array().unwrap_or_else(|| panic!("no keys in {state}")).clone()
    }

    /// The numbers of what was recorded about an account.
    pub(crate) async fn events(&self, account: &str) -> Vec<String> {
        let entries = self.parts.audit.last(100, Some(named(account).await.uid));
        entries.into_iter().map(|entry| entry.id).collect()
    }

    /// What an enrolment leaves on disk, and what was begun.
    pub(crate) fn left(&self) -> [usize; 3] {
        [Kind::Enrolment, Kind::Footprint, Kind::Intent]
            .map(|kind| self.parts.store.names(kind).unwrap().len())
    }

    /// Puts both clocks forward.
    pub(crate) fn pass(&self, seconds: u32) {
        self.house.lab.pass(seconds);
    }

    pub(crate) fn person<'a>(&'a self, upn: &'a str) -> Person<'a> {
        Person { machine: self, upn, pin: PIN, thinks: Cell::new(0), codes: Cell::new(0) }
    }

    async fn play<F: Future<Output = ()>>(&self, upn: &str, flow: impl FnOnce(Terminal) -> F) -> Said {
        self.talk(self.person(upn), flow).await
    }

    /// Lets a flow talk to a person, to the end.
    pub(crate) async fn talk<F: Future<Output = ()>>(
        &self,
        person: Person<'_>,
        flow: impl FnOnce(Terminal) -> F,
    ) -> Said {
        let (terminal, conversation) = pair(VERSION);
        tokio::join!(flow(terminal), person.answers(conversation)).1
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// Somebody at a terminal.
pub(crate) struct Person<'a> {
    machine: &'a Machine,
    /// Who that is at the directory.
    upn: &'a str,
    pin: &'static str,
    /// For how many seconds they think about the first PIN.
    pub(crate) thinks: Cell<u32>,
    /// How many codes they have typed elsewhere.
    pub(crate) codes: Cell<u32>,
}

/// What came of a conversation.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) outcome: Outcome,
    /// All that was shown, each on its own line.
    pub(crate) shown: String,
    /// How often they signed in by a code.
    pub(crate) codes: u32,
}

impl Person<'_> {
    async fn answers(self, mut conversation: Conversation) -> Said {
        let mut shown = String::new();
        loop {
            let answer = match conversation.next().await {
                Step::Prompt(prompt) => match prompt.secret {
                    Some(pipe) => {
                        secret_pipe::send_long(&pipe, self.secret(prompt.role).as_bytes()).unwrap();
                        Answer::Secret
                    }
                    None if prompt.role == Role::Word => Answer::Text(self.upn.into()),
                    None => Answer::Declined,
                },
                Step::Message { text, .. } => {
                    self.reads(&text);
                    // As one reads it, who doesn't see where a line ends.
                    shown.push_str(&format!("{}\n", text.replace('\n', " ")));
                    Answer::Continue
                }
                Step::Wait | Step::OnlyPin => Answer::Continue,
                Step::Outlet => Answer::Declined,
                Step::End(outcome) => return Said { outcome, shown, codes: self.codes.get() },
            };
            conversation.answer(answer).unwrap();
        }
    }

    fn secret(&self, role: Role) -> &'static str {
        if role == Role::New {
            self.machine.pass(self.thinks.take());
        }
        if role == Role::DirectoryPassword { PASSWORD } else { self.pin }
    }

    /// Types a code that is shown into a browser elsewhere.
    fn reads(&self, text: &str) {
        let code = text.lines().find_map(|line| line.strip_prefix("and type the code"));
        if let Some(code) = code {
            self.codes.set(self.codes.get() + 1);
            self.machine.house.lab.idp.approve_device_code(code.trim(), self.upn, true).unwrap();
        }
    }
}

pub(crate) async fn named(account: &str) -> Account {
    Account::named(account).await.unwrap()
}

pub(crate) fn root() -> &'static Caller {
    static ROOT: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(|| Caller {
        uid: 0,
        real_uid: 0,
        at_seat: false,
        is_locked: false,
        session: Session::Outside,
        seat: Seat::Nobody,
        bus_name: ":1.1".into(),
    });
    &ROOT
}

/// What the machine calls itself.
pub(crate) const LOCAL: &str = "b1f6a5a2-58c5-4d1c-9f51-3f3d0c6d9a10";
pub(crate) const PIN: &str = "246813";
