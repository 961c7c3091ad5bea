//! Fetching bytes over HTTPS, although hellod has no network: another process of this program fetches them.
//!
//! hellod decides what is asked, of whom, and what the answer means. hellod-online (`service`, and `http` below it) knows
//! hosts as far as each request names them, keeps nothing, and has neither the TPM nor the state of hellod. What passes
//! between the two passes through [`frame`]s in pipes, and not through the bus.

mod certificate;
mod device;
mod error;
pub mod frame;
mod handshake;
mod hosts;
mod http;
mod keytab;
mod names;
mod pipes;
#[cfg(test)]
pub(crate) mod pretend;
mod request;
mod response;
mod route;
mod service;
mod settings;
mod skew;
mod slots;
mod threads;
mod ticket;
mod tls;
mod trace;

use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

pub use device::TpmKey;
pub use error::{Distrust, Interceptor, OnlineError, ProxyRefusal, Stage, Unreached};
pub use handshake::Handshake;
pub use hosts::{Address, Hosts};
pub use http::{Fetcher, FetcherError};
pub use keytab::{Keytab, KeytabError};
pub use request::{Certificate, ComputerRequest, DeviceRequest, Header, Method, Request};
pub use response::{Field, Response};
pub use service::{Exchange, attend};
pub use settings::{Proxy, Settings};
pub use skew::{Skew, Span};
pub use slots::Whom;
pub use tls::TrustError;
pub use trace::{Lines, Tracing};

use frame::{FromOnline, HEAD, ToOnline};
use pipes::{Cut, Incoming, Outgoing, pair};
use slots::Slots;
use trace::{As, Telling, Traces};

/// What hellod fetches with, for somebody. Clones share the bounds, whomever they are for.
#[derive(Clone)]
pub struct Online {
    door: Rc<dyn Door>,
    slots: Rc<Slots>,
    traces: Rc<Traces>,
    whom: Whom,
}

/// The way to hellod-online.
pub trait Door {
    /// Hands out the write end of a pipe, and is handed one.
    fn open(&self, answers: OwnedFd) -> Opened<'_>;
}

/// What a door gives, some time.
pub type Opened<'a> = Pin<Box<dyn Future<Output = Result<OwnedFd, OnlineError>> + 'a>>;

/// The key of this device, wherever it is.
pub trait DeviceKey {
    /// Signs the SHA-256 of a handshake, in a fetch for somebody. Nothing where it can't or won't.
    fn sign<'a>(&'a self, whom: Whom, scheme: Scheme, handshake: &'a Handshake) -> Signing<'a>;
}

/// What a key gives, some time.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + 'a>>;

/// How the key of a device signs in TLS (RFC 8446 §4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// rsa_pkcs1_sha256, up to TLS 1.2.
    RsaPkcs1Sha256,
    /// rsa_pss_rsae_sha256, with a salt of 32 octets.
    RsaPssSha256,
    /// ecdsa_secp256r1_sha256, in DER.
    EcdsaP256Sha256,
}

impl Online {
    /// Fetches through this door, for the machine.
    #[must_use]
    pub fn new(door: Rc<dyn Door>) -> Self {
        Self { door, slots: Rc::default(), traces: Rc::default(), whom: Whom::Machine }
    }

    /// The same for a local user, whose fetches have a bound of their own. Whatever somebody can have hellod fetch goes by
    /// this one: a sign-in, an enrolment, a renewal of their tokens.
    #[must_use]
    pub fn for_person(&self, uid: u32) -> Self {
        Self { whom: Whom::Person(uid), ..self.clone() }
    }

    /// Tells what is fetched for anybody, for as long as what comes back is kept; nothing where enough are told.
    #[must_use]
    pub fn trace(&self, lines: Lines) -> Option<Tracing> {
        self.traces.begin(lines)
    }

    /// Fetches. Dropping the future calls it off.
    ///
    /// # Errors
    /// [`OnlineError`]. A status that says no is an answer.
    pub async fn fetch(&self, request: Request) -> Result<Response, OnlineError> {
        let terms = self.terms(&request, As::Nobody);
        self.fetched(ToOnline::Fetch(Box::new(request)), terms, None).await
    }

    /// The same as the device, whose key it is.
    ///
    /// # Errors
    /// As [`Online::fetch`].
    pub async fn fetch_as(
        &self,
        request: DeviceRequest,
        key: &dyn DeviceKey,
    ) -> Result<Response, OnlineError> {
        let terms = self.terms(&request.request, As::Device);
        let signer = Signer { schemes: request.certificate.schemes.clone(), key };
        self.fetched(ToOnline::FetchAsDevice(Box::new(request)), terms, Some(signer)).await
    }

    /// The same with a ticket of the computer account, whose keys go with the request.
    ///
    /// # Errors
    /// As [`Online::fetch`].
    pub async fn fetch_with_ticket(&self, request: ComputerRequest) -> Result<Response, OnlineError> {
        let terms = self.terms(&request.request, As::Computer);
        self.fetched(ToOnline::FetchWithTicket(Box::new(request)), terms, None).await
    }

    async fn fetched(
        &self,
        wanted: ToOnline,
        terms: Terms,
        signer: Option<Signer<'_>>,
    ) -> Result<Response, OnlineError> {
        let Terms { host, bound, patience, told } = terms;
        let outcome = match self.slots.take(self.whom, &host) {
            None => Err(OnlineError::Busy { host }),
            // hellod-online keeps the time, and says what took so long. This is for one that doesn't.
            Some(_slot) => timeout(patience + MARGIN, self.exchange(wanted, bound, signer))
                .await
                .unwrap_or_else(|_| Err(OnlineError::Timeout { host, stage: Stage::Service })),
        };
        if let Some(told) = told {
            told.end(&outcome);
        }
        outcome
    }

    fn terms(&self, request: &Request, shown: As) -> Terms {
        Terms {
            host: request.host(),
            bound: request.bound as usize,
            patience: request.patience,
            told: self.traces.request(request, (self.whom, shown)),
        }
    }

    async fn exchange(
        &self,
        wanted: ToOnline,
        bound: usize,
        mut signer: Option<Signer<'_>>,
    ) -> Result<Response, OnlineError> {
        let (mut incoming, answers) =
            pair().map_err(|error| OnlineError::ServiceMissing(error.to_string()))?;
        let end = self.door.open(answers).await?;
        let mut outgoing = Outgoing::open(&end).map_err(|_| OnlineError::ServiceConfused)?;
        drop(end);
        outgoing.send(&wanted.encode()).await.map_err(lost)?;
        // A password in it need not outlive this.
        drop(wanted);
        loop {
            let frame = next(&mut incoming, &outgoing, HEAD + bound).await?;
            match FromOnline::decode(&frame).ok_or(OnlineError::ServiceConfused)? {
                FromOnline::Answer(response) if response.body.len() <= bound => return Ok(response),
                FromOnline::Failed(error) => return Err(error),
                FromOnline::Sign { scheme, message } => {
                    // One signature for one request, by a scheme that it names.
                    let signer = signer.take().filter(|signer| signer.schemes.contains(&scheme));
                    let key = signer.ok_or(OnlineError::ServiceConfused)?.key;
                    let signature = sign(key, self.whom, (scheme, message)).await;
                    outgoing.send(&ToOnline::Signature(signature).encode()).await.map_err(lost)?;
                }
                FromOnline::Answer(_) => return Err(OnlineError::ServiceConfused),
            }
        }
    }
}

/// What hellod holds an answer against, once the request is on its way.
struct Terms {
    host: String,
    bound: usize,
    patience: Duration,
    told: Option<Telling>,
}

/// Whom hellod-online may ask for a signature, and how it is made.
struct Signer<'k> {
    schemes: Vec<Scheme>,
    key: &'k dyn DeviceKey,
}

/// The next frame of a hellod-online that lives, or that died after it had sent one.
async fn next(
    incoming: &mut Incoming,
    outgoing: &Outgoing,
    largest: usize,
) -> Result<zeroize::Zeroizing<Vec<u8>>, OnlineError> {
    let mut frame = pin!(incoming.receive(largest));
    let received = tokio::select! {
        biased;
        received = &mut frame => received,
        // What it sent before is still in the pipe.
        () = outgoing.abandoned() => timeout(REMAINS, frame).await.unwrap_or(Err(Cut::Gone)),
    };
    received.map_err(lost)
}

async fn sign(key: &dyn DeviceKey, whom: Whom, (scheme, message): (Scheme, Vec<u8>)) -> Option<Vec<u8>> {
    let handshake = Handshake::parse(scheme, message);
    if handshake.is_none() {
        tracing::warn!("hellod-online asked for a signature over what is no TLS handshake; it got none");
    }
    key.sign(whom, scheme, &handshake?).await
}

fn lost(cut: Cut) -> OnlineError {
    match cut {
        Cut::TooLong => OnlineError::ServiceConfused,
        Cut::Gone => OnlineError::ServiceLost,
    }
}

impl Scheme {
    /// By its number in a frame.
    fn read(octet: u8) -> Option<Self> {
        [Self::RsaPkcs1Sha256, Self::RsaPssSha256, Self::EcdsaP256Sha256].get(usize::from(octet)).copied()
    }
}

/// Beyond what a request may take: starting hellod-online, and passing the answer on.
const MARGIN: Duration = Duration::from_secs(5);
/// How long what is in the pipe may take to be read.
const REMAINS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
