//! A stand-in for Entra with one person, a software TPM, and the way from hellod to the network, in one process.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use hello_idp::{Idp, Options};
use hellod::clock::SystemClock;
use hellod::identity::DirectoryError;
use hellod::identity::entra::{Device, Domain, Freshness, Permit, Registered, SignIn, Tenant, register};
use hellod::keys::child::{Tcti, Tpm, TpmSettings};
use hellod::keys::queue::Asker;
use hellod::keys::{CheckedMachineKeys, DeviceScheme};
use hellod::online::{
    Door, Exchange, Fetcher, Hosts, Online, OnlineError, Opened, Request, Response, Settings, attend,
};
use hellod::wire::Upn;
use hellod::x509::CertificationRequest;
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::swtpm::Swtpm;

pub(crate) const DORA: &str = "dora@corp.example";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct House {
    pub(crate) idp: Idp,
    pub(crate) online: Online,
    pub(crate) tpm: Tpm,
    pub(crate) tenant: Tenant,
    pub(crate) freshness: Freshness,
    fetcher: Rc<Fetcher>,
    _swtpm: Swtpm,
}

impl House {
    /// With the switches of the stand-in that differ. Dora has a telephone.
    pub(crate) async fn with(seed: u64, switches: Value) -> Self {
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
        let fetcher = Rc::new(Fetcher::new(settings, Arc::new(SystemClock::new())).unwrap());
        let online = Online::new(Rc::new(OpenDoor(fetcher.clone())));
        let swtpm = Swtpm::new();
        let tpm = Tpm::new(TpmSettings {
            tcti: Tcti::Swtpm(swtpm.socket()),
            child_program: env!("CARGO_BIN_EXE_hellod").into(),
            waiting_per_user: 2,
        });
        let tenant = Tenant::of(&online, &domain("corp.example")).await.unwrap().unwrap();
        let freshness = Freshness::AsTheTenantHasIt;
        Self { idp, online, tpm, tenant, freshness, fetcher, _swtpm: swtpm }
    }

    /// The way to the network behind a gate of its own.
    pub(crate) fn online_behind(&self, gate: watch::Receiver<Gate>) -> Online {
        Online::new(Rc::new(GatedDoor(OpenDoor(self.fetcher.clone()), gate)))
    }

    pub(crate) fn sign_in(&self) -> SignIn<'_> {
        SignIn { online: &self.online, tenant: &self.tenant, freshness: self.freshness }
    }

    pub(crate) async fn by_password(&self) -> Result<Permit, DirectoryError> {
        self.sign_in().by_password(&Upn::parse(DORA).unwrap(), PASSWORD).await
    }

    /// Keys in the TPM, a request signed by the device key, and what the directory says to it.
    pub(crate) async fn register(
        &self,
        permit: &Permit,
    ) -> Result<(CheckedMachineKeys, Registered), DirectoryError> {
        let keys = self.tpm.create_machine_keys().await.unwrap();
        let request = CertificationRequest::new(keys.device()).unwrap();
        let what = (DeviceScheme::Rs256, request.as_bytes());
        let signature = self.tpm.sign_as_device(Asker::Machine, &keys, what).await.unwrap();
        let request = request.signed(&signature).unwrap();
        let device = Device {
            request: &request,
            key: keys.device(),
            transport: keys.transport(),
            domain: "corp.example",
            name: "lab",
            system: "Debian GNU/Linux 13",
        };
        let registered = register(&self.online, &self.tenant.devices, permit, &device).await?;
        Ok((keys, registered))
    }

    /// What a browser would fetch, but for what it remembers.
    pub(crate) async fn browse(&self, request: Request) -> Response {
        self.online.fetch(request).await.unwrap()
    }

    /// A device as the stand-in has it.
    pub(crate) fn known_device(&self, id: &str) -> Value {
        let state = self.idp.order(&json!({"do": "dump"})).unwrap();
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

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub(crate) fn login() -> Hosts {
    Hosts::parse(["login.microsoftonline.com"]).unwrap()
}

pub(crate) fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    Zeroizing::new(text.extend_pairs(fields).finish().into_bytes())
}

/// A program of the workspace, which is built beside hellod.
fn program(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_BIN_EXE_hellod")).with_file_name(name)
}

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}
