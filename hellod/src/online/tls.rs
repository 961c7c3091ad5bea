//! Whom this machine trusts, and how the device shows who it is.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as replies};
use std::time::Duration;

use hello_words::tr;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureAlgorithm,
    SignatureScheme,
};
use thiserror::Error as ThisError;
use tokio::sync::mpsc;

use super::certificate::{fingerprint, issuer};
use super::{Certificate, Distrust, Handshake, Interceptor, OnlineError, Scheme};

/// The authorities, read once.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
}

/// Why there are none.
#[derive(Debug, ThisError)]
pub enum TrustError {
    /// A file can't be read.
    #[error("{}", tr!("{path} can't be read: {source}", path = path.display(), source))]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than root could add an authority.
    #[error("{}", tr!("{path} must belong to root and be writable by root alone", path = path.display()))]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// Something in a file is no certificate in PEM.
    #[error("{}", tr!("{path} holds something that is no certificate in PEM", path = path.display()))]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// Nothing to trust.
    #[error("{}", tr!("this machine trusts no authority: install the package ca-certificates"))]
    Nobody,
}

/// What TLS asks the device for.
#[derive(Debug)]
pub(super) struct Question {
    /// How to sign.
    pub(super) scheme: Scheme,
    /// What.
    pub(super) message: Vec<u8>,
    /// Where the signature goes.
    pub(super) reply: replies::Sender<Option<Vec<u8>>>,
}

impl Trust {
    /// Reads the authorities of the system, the organisation's own among them, and a file of more.
    ///
    /// # Errors
    /// [`TrustError`]. One certificate of the system's that is odd is left out: it must not cost all others.
    pub(super) fn read(extra: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        if let Some(system) = BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
            roots.add_parsable_certificates(authorities(system)?.into_iter().filter_map(Result::ok));
        }
        if let Some(path) = extra {
            for authority in authorities(path)? {
                let malformed = || TrustError::Malformed { path: path.into() };
                roots.add(authority.map_err(|_| malformed())?).map_err(|_| malformed())?;
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let verifier = Arc::new(Verifier(verifier.map_err(|_| TrustError::Nobody)?));
        Ok(Self { provider, verifier })
    }

    /// TLS as it is spoken with everybody.
    pub(super) fn client(&self, http: Http) -> Option<ClientConfig> {
        let versions = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .ok()?;
        let verified = versions.dangerous().with_custom_certificate_verifier(self.verifier.clone());
        Some(with(http, verified.with_no_client_auth()))
    }

    /// TLS in which the device shows who it is.
    pub(super) fn device(
        &self,
        certificate: &Certificate,
        ask: mpsc::UnboundedSender<Question>,
        patience: Duration,
    ) -> Option<ClientConfig> {
        let is_modern = certificate.schemes.iter().any(|scheme| *scheme != Scheme::RsaPkcs1Sha256);
        let versions = if is_modern { &[&TLS13, &TLS12][..] } else { &[&TLS12] };
        let versions = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .ok()?;
        let key = Arc::new(RemoteKey { schemes: certificate.schemes.clone(), ask, patience });
        let chain = certificate.chain.iter().cloned().map(CertificateDer::from).collect();
        let device = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let verified = versions.dangerous().with_custom_certificate_verifier(self.verifier.clone());
        let mut config = with(Http::Newest, verified.with_client_cert_resolver(Arc::new(device)));
        // One signature, one connection.
        config.resumption = Resumption::disabled();
        Some(config)
    }
}

/// Which versions of HTTP a host is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    /// Version 2, or else 1.1.
    Newest,
    /// Version 1.1 alone.
    One,
}

fn with(http: Http, mut config: ClientConfig) -> ClientConfig {
    let all = [b"h2".to_vec(), HTTP_1.to_vec()];
    config.alpn_protocols = all.into_iter().skip(usize::from(http == Http::One)).collect();
    config
}

/// RFC 7301 §6.
const HTTP_1: &[u8] = b"http/1.1";

fn authorities(
    path: &Path,
) -> Result<Vec<Result<CertificateDer<'static>, rustls::pki_types::pem::Error>>, TrustError> {
    let io = |source| TrustError::Io { path: path.into(), source };
    let mut file = File::open(path).map_err(io)?;
    let status = file.metadata().map_err(io)?;
    if status.uid() != 0 || status.mode() & 0o022 != 0 {
        return Err(TrustError::Open { path: path.into() });
    }
    let mut pem = Vec::new();
    file.read_to_end(&mut pem).map_err(io)?;
    Ok(CertificateDer::pem_slice_iter(&pem).collect())
}

/// What TLS says is wrong, as a person reads it. Nothing where TLS says nothing.
pub(super) fn explain(error: &(dyn Error + 'static), host: &str) -> Option<OnlineError> {
    let host = || host.to_owned();
    match find::<rustls::Error>(error)? {
        rustls::Error::Other(OtherError(inner)) => match inner.downcast_ref::<Refusal>() {
            Some(Refusal::Certificate(refused)) => Some(match refused.found.clone() {
                Some(found) => OnlineError::Intercepted { host: host(), found },
                None => OnlineError::NotTrusted {
                    host: host(),
                    certificate: refused.certificate.clone(),
                    why: distrust(&refused.error),
                },
            }),
            Some(Refusal::NoSignature) => Some(OnlineError::KeyDidNotSign { host: host() }),
            None => Some(OnlineError::Encryption { host: host(), reason: inner.to_string() }),
        },
        // Its first octets are those of nothing in TLS; "HTTP/1.1 400" for one.
        rustls::Error::InvalidMessage(_) => {
            Some(OnlineError::Intercepted { host: host(), found: Interceptor::Plain })
        }
        other => Some(OnlineError::Encryption { host: host(), reason: other.to_string() }),
    }
}

/// The first error of a kind below another one. What an `io::Error` carries is no source of it, and is looked into.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    None
}

fn distrust(error: &CertificateError) -> Distrust {
    let days = |from: &UnixTime, to: &UnixTime| to.as_secs().saturating_sub(from.as_secs()) / A_DAY;
    match error {
        CertificateError::UnknownIssuer => Distrust::UnknownIssuer,
        CertificateError::ExpiredContext { time, not_after } => {
            Distrust::Expired { days: days(not_after, time) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            Distrust::NotYetValid { days: days(time, not_before) }
        }
        other => Distrust::Other(other.to_string()),
    }
}

/// Why this end breaks a handshake off, kept until it is explained.
#[derive(Debug, ThisError)]
enum Refusal {
    #[error("{}", tr!("the certificate is refused"))]
    Certificate(Box<Refused>),
    #[error("{}", tr!("the key of the device did not sign"))]
    NoSignature,
}

#[derive(Debug)]
struct Refused {
    error: CertificateError,
    certificate: String,
    found: Option<Interceptor>,
}

/// The verifier of rustls, which says besides what it was shown.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            rustls::Error::InvalidCertificate(error) => {
                let certificate = described(end_entity);
                // Who issued a certificate for something else matters to nobody.
                let found = interceptor(end_entity, server_name);
                refusal(Refusal::Certificate(Box::new(Refused { error, certificate, found })))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn refusal(refusal: Refusal) -> rustls::Error {
    rustls::Error::Other(OtherError(Arc::new(refusal)))
}

fn described(certificate: &CertificateDer<'_>) -> String {
    let fingerprint = fingerprint(certificate);
    match issuer(certificate) {
        Some(issuer) => format!("issued by {issuer:?}, SHA-256 {fingerprint}"),
        None => format!("SHA-256 {fingerprint}"),
    }
}

fn interceptor(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Option<Interceptor> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    match verify_server_name(&parsed, name) {
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) => {
            // rustls writes `DnsName("portal.example")`.
            let bare = |name: &String| printable(name.split('"').nth(1).unwrap_or(name));
            let names = presented.iter().take(MOST_NAMES).map(bare).collect::<Vec<_>>();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            Some(Interceptor::Named { names })
        }
        _ => None,
    }
}

/// What somebody else wrote, for a person's eyes and a log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(LONGEST_NAME).collect()
}

/// A key that is in hellod, or behind it.
#[derive(Debug)]
struct RemoteKey {
    schemes: Vec<Scheme>,
    ask: mpsc::UnboundedSender<Question>,
    patience: Duration,
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(&by_tls(**scheme)))?;
        Some(Box::new(RemoteSigner { scheme, ask: self.ask.clone(), patience: self.patience }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.schemes.first() {
            Some(Scheme::EcdsaP256Sha256) => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

#[derive(Debug)]
struct RemoteSigner {
    scheme: Scheme,
    ask: mpsc::UnboundedSender<Question>,
    patience: Duration,
}

impl Signer for RemoteSigner {
    /// Waits, which holds this thread up and no other: each such fetch has one of its own.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        if message.len() > Handshake::LONGEST {
            return Err(refusal(Refusal::NoSignature));
        }
        let (reply, answer) = replies::channel();
        let question = Question { scheme: self.scheme, message: message.to_vec(), reply };
        self.ask.send(question).map_err(|_| refusal(Refusal::NoSignature))?;
        let signature = answer.recv_timeout(self.patience).ok().flatten();
        signature.ok_or_else(|| refusal(Refusal::NoSignature))
    }

    fn scheme(&self) -> SignatureScheme {
        by_tls(self.scheme)
    }
}

fn by_tls(scheme: Scheme) -> SignatureScheme {
    match scheme {
        Scheme::RsaPkcs1Sha256 => SignatureScheme::RSA_PKCS1_SHA256,
        Scheme::RsaPssSha256 => SignatureScheme::RSA_PSS_SHA256,
        Scheme::EcdsaP256Sha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
    }
}

/// Whether a connection failed below TLS, and how.
pub(super) fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    find::<std::io::Error>(error).map(std::io::Error::kind)
}

/// Where distributions keep what `update-ca-certificates` or `update-ca-trust` makes: Debian, Fedora, SUSE.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];
const A_DAY: u64 = 86_400;
const MOST_NAMES: usize = 4;
const LONGEST_NAME: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_to_be_signed_is_not_asked_for() {
        let (ask, mut asked) = mpsc::unbounded_channel();
        let signer = RemoteSigner { scheme: Scheme::RsaPkcs1Sha256, ask, patience: Duration::ZERO };
        assert!(signer.sign(&vec![0; Handshake::LONGEST + 1]).is_err());
        assert!(asked.try_recv().is_err());
        assert!(signer.sign(&vec![0; Handshake::LONGEST]).is_err(), "nobody answers");
        assert!(asked.try_recv().is_ok());
    }
}
