//! A stand-in for the directories with one person, a software TPM, and the way from hellod to the network, in one process.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

use std::cell::RefCell;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hello_idp::{Idp, Options};
use hellod::clock::{Clock, Stamp, SystemClock};
use hellod::gesture::pin::{PinRules, PinShape};
use hellod::identity::DirectoryError;
use hellod::identity::aadsts::Refusal;
use hellod::jose::jws::SigningInput;
use hellod::keys::child::{
    CreateSpec, ProvenRoot, Request as ToSign, Root, Same, SignIn, Tcti, Tpm, TpmSettings,
};
use hellod::keys::queue::Asker;
use hellod::keys::{Algorithm, Binding, CheckedKey, CheckedMachineKeys, DeviceScheme, Kdf};
use hellod::online::{
    Door, Exchange, Fetcher, Hosts, Online, OnlineError, Opened, Request, Response, Settings, attend,
};
use hellod::secret::{SessionKey, Token};
use hellod::wire::PrimaryAnswer;
use hellod::x509::CertificationRequest;
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::swtpm::Swtpm;

pub(crate) const DORA: &str = "dora@corp.example";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const PIN: &str = "246813";
pub(crate) const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
pub(crate) const CTX: [u8; 24] = *b"twenty-four octets of it";

pub(crate) struct Lab {
    pub(crate) idp: Idp,
    pub(crate) online: Online,
    pub(crate) tpm: Tpm,
    /// The machine's.
    pub(crate) clock: Passing,
    fetcher: Rc<Fetcher>,
    _swtpm: Swtpm,
}

/// A machine's clock, which can be told that time has passed. Clones are the same.
#[derive(Clone)]
pub(crate) struct Passing {
    machine: Arc<SystemClock>,
    ahead: Arc<AtomicU32>,
}

impl Clock for Passing {
    fn now(&self) -> Stamp {
        let Stamp { wall, uptime, boot } = self.machine.now();
        let ahead = self.ahead.load(Ordering::Relaxed);
        Stamp { wall: wall + i64::from(ahead), uptime: uptime + 1000 * u64::from(ahead), boot }
    }
}

/// What a machine has before anybody knows it.
pub(crate) struct Machine {
    pub(crate) keys: CheckedMachineKeys,
    /// PKCS#10, signed by the device key.
    pub(crate) request: Vec<u8>,
}

impl Lab {
    /// With the switches of the stand-in that differ. Dora has a telephone.
    pub(crate) fn with(seed: u64, switches: Value) -> Self {
        let options = Options { seed, switches, ..Options::new(program("hello-idp")) };
        let idp =
            Idp::start(&options).unwrap_or_else(|error| panic!("{error}; first: cargo build -p hello_idp"));
        idp.create_user(DORA, PASSWORD, true).unwrap();
        let settings = format!(
            "proxy = \"http://127.0.0.1:{}\"\nextra-authorities = \"{}\"\n",
            idp.proxy_port(),
            idp.ca().display()
        );
        let settings: Settings = toml::from_str(&settings).unwrap();
        let clock = Passing { machine: Arc::new(SystemClock::new()), ahead: Arc::default() };
        let fetcher = Rc::new(Fetcher::new(settings, Arc::new(clock.clone())).unwrap());
        let online = Online::new(Rc::new(OpenDoor(fetcher.clone())));
        let swtpm = Swtpm::new();
        let tpm = Tpm::new(TpmSettings {
            tcti: Tcti::Swtpm(swtpm.socket()),
            child_program: env!("CARGO_BIN_EXE_hellod").into(),
            waiting_per_user: 2,
        });
        Self { idp, online, tpm, fetcher, clock, _swtpm: swtpm }
    }

    /// The way to the network behind a gate of its own.
    pub(crate) fn online_behind(&self, gate: watch::Receiver<Gate>) -> Online {
        Online::new(Rc::new(GatedDoor(OpenDoor(self.fetcher.clone()), gate)))
    }

    pub(crate) async fn machine(&self) -> Machine {
        let keys = self.tpm.create_machine_keys().await.unwrap();
        let request = CertificationRequest::new(keys.device()).unwrap();
        let what = (DeviceScheme::Rs256, request.as_bytes());
        let signature = self.tpm.sign_as_device(Asker::Machine, &keys, what).await.unwrap();
        let request = request.signed(&signature).unwrap();
        Machine { keys, request }
    }

    /// What the device key signs, with its signature.
    pub(crate) async fn signed_by_device(&self, keys: &CheckedMachineKeys, input: &SigningInput) -> Token {
        let what = (DeviceScheme::Rs256, input.as_bytes());
        let signature = self.tpm.sign_as_device(Asker::Machine, keys, what).await.unwrap();
        input.signed(&signature).unwrap()
    }

    /// What one PIN brings about: the person's key signs the assertion, and the device key the request around it; and by
    /// way of which storage root.
    pub(crate) async fn signed_by_both(
        &self,
        keys: &CheckedMachineKeys,
        key: &CheckedKey,
        assertion: &SigningInput,
        request: impl Fn(&Token) -> SigningInput,
    ) -> (Token, ProvenRoot) {
        let made = RefCell::default();
        let compose = |signature: &[u8]| {
            let input = request(&assertion.signed(signature).ok()?);
            let message = input.as_bytes().to_vec();
            *made.borrow_mut() = Some(input);
            Some(message)
        };
        let wanted = SignIn {
            message: assertion.as_bytes(),
            keyring: None,
            tokens: None,
            request: Some(ToSign { keys, compose: Box::new(compose) }),
            rules: None,
            gate: None,
        };
        let signed = self.tpm.sign_in(1000, key, pipe(PIN), wanted).await.unwrap();
        let signature = signed.request.unwrap().unwrap().signature;
        (made.into_inner().unwrap().signed(&signature).unwrap(), signed.root)
    }

    /// The session key of an answer, which only the transport key opens.
    pub(crate) async fn opened(
        &self,
        keys: (&CheckedMachineKeys, Root<'_>),
        answer: PrimaryAnswer,
    ) -> (Token, SessionKey) {
        let encrypted = answer.session_key.unwrap().0;
        let opened = self.tpm.open_session_key(Asker::Answered(1000), keys, &encrypted, None).await.unwrap();
        (answer.token, opened.session_key)
    }

    /// A key of Dora's on this device, which her PIN opens.
    pub(crate) async fn key_with_pin(&self, device: String) -> CheckedKey {
        let binding = Binding { user: DORA.into(), uid: 1000, device };
        let mut choosing = self.tpm.choose(PinRules::default());
        assert_eq!(choosing.first(pipe(PIN)).await, Ok(Ok(PinShape::Digits)));
        assert_eq!(choosing.repeat(pipe(PIN)).await, Ok(Same::Yes));
        let spec = CreateSpec {
            binding: binding.clone(),
            algorithm: Algorithm::Rs256,
            kdf: Kdf::with_salt([1; 32]),
            limit: 32,
            challenge: b"challenge".into(),
            message: b"first".into(),
            taken: Vec::new(),
            proven: true,
            allow_da_auth: false,
            keep: None,
        };
        choosing.create(spec, async |_| Ok(())).await.unwrap().key.check(&binding).unwrap()
    }

    /// What a browser would fetch, but for what it remembers.
    pub(crate) async fn browse(&self, request: Request) -> Response {
        self.online.fetch(request).await.unwrap()
    }

    pub(crate) fn order(&self, order: Value) -> Value {
        self.idp.order(&order).unwrap()
    }

    /// Time passes, here and at the stand-in.
    pub(crate) fn pass(&self, seconds: u32) {
        self.clock.ahead.fetch_add(seconds, Ordering::Relaxed);
        self.idp.advance(i64::from(seconds)).unwrap();
    }

    /// What time it is at the stand-in.
    pub(crate) fn now(&self) -> i64 {
        self.order(json!({"do": "now"})).as_i64().unwrap()
    }

    /// A device as the stand-in has it.
    pub(crate) fn known_device(&self, id: &str) -> Value {
        let state = self.order(json!({"do": "dump"}));
        let devices = state["devices"].as_array().unwrap().clone();
        devices.into_iter().find(|device| device["id"] == id).unwrap_or_else(|| panic!("no {id} in {state}"))
    }
}

/// hellod-online without a bus: both ends of the pipes are in this process.
struct OpenDoor(Rc<Fetcher>);

impl Door for OpenDoor {
    fn open(&self, answers: OwnedFd) -> Opened<'_> {
        let (exchange, requests) = Exchange::begin(&answers).unwrap();
        let fetcher = self.0.clone();
        tokio::task::spawn_local(async move { attend(exchange, &fetcher).await });
        Box::pin(std::future::ready(Ok::<_, OnlineError>(requests)))
    }
}

/// Whether whoever goes out has to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Shut,
}

/// One that can be shut for a while.
struct GatedDoor(OpenDoor, watch::Receiver<Gate>);

impl Door for GatedDoor {
    fn open(&self, answers: OwnedFd) -> Opened<'_> {
        let mut gate = self.1.clone();
        Box::pin(async move {
            gate.wait_for(|gate| *gate == Gate::Open).await.unwrap();
            self.0.open(answers).await
        })
    }
}

pub(crate) fn refusal<T>(outcome: Result<T, DirectoryError>) -> Refusal {
    match outcome {
        Err(DirectoryError::Refused { refusal, .. }) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub(crate) fn host(name: &str) -> Hosts {
    Hosts::parse([name]).unwrap()
}

pub(crate) fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    Zeroizing::new(text.extend_pairs(fields).finish().into_bytes())
}

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// A program of the workspace, which is built beside hellod.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_hellod")).with_file_name(name)
}

fn pipe(pin: &str) -> OwnedFd {
    let (read, mut write) = std::io::pipe().unwrap();
    let length = u16::try_from(pin.len()).unwrap().to_be_bytes();
    write.write_all(&[&length, pin.as_bytes()].concat()).unwrap();
    read.into()
}
