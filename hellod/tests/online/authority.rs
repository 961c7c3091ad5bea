//! An authority that lives for one scene, and what it certifies.

use std::fs;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

/// Issues certificates. The system trusts it where [`Authority::install`] was called.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// When a certificate is valid.
pub(crate) enum Valid {
    Now,
    Formerly,
    Later,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    /// The one authority that the system trusts, and makes it so.
    pub(crate) fn install() -> Self {
        let authority = Self::new("Example Root");
        fs::create_dir_all("/etc/ssl/certs").unwrap();
        fs::write("/etc/ssl/certs/ca-certificates.crt", &authority.pem).unwrap();
        authority
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A server with a certificate for a name.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_in(name, Valid::Now)
    }

    pub(crate) fn server_in(&self, name: &str, valid: Valid) -> Arc<ServerConfig> {
        let (chain, key) = self.certify(name, valid);
        Arc::new(versions(false).with_no_client_auth().with_single_cert(chain, key).unwrap())
    }

    pub(crate) fn http2_server(&self, name: &str) -> Arc<ServerConfig> {
        let (chain, key) = self.certify(name, Valid::Now);
        let mut config = versions(false).with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A server that wants to see a certificate of this authority.
    pub(crate) fn asking_server(&self, name: &str, only_tls12: bool) -> Arc<ServerConfig> {
        let (chain, key) = self.certify(name, Valid::Now);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let devices = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let config = versions(only_tls12).with_client_cert_verifier(devices).with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    /// A certificate for a device whose key is elsewhere.
    pub(crate) fn device(&self, key: &impl rcgen::PublicKeyData) -> Vec<Vec<u8>> {
        let params = CertificateParams::new(vec!["7e980ad9-b86d-4306-9425-9ac066fb014a".to_owned()]).unwrap();
        vec![params.signed_by(key, &self.issuer).unwrap().der().to_vec()]
    }

    fn certify(&self, name: &str, valid: Valid) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = match valid {
            Valid::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2999, 1, 1)),
            Valid::Formerly => (date_time_ymd(2010, 1, 1), date_time_ymd(2011, 1, 1)),
            Valid::Later => (date_time_ymd(2990, 1, 1), date_time_ymd(2999, 1, 1)),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![certificate.der().clone()], key.into())
    }
}

fn versions(only_tls12: bool) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let versions = if only_tls12 { &[&rustls::version::TLS12][..] } else { rustls::ALL_VERSIONS };
    let provider = Arc::new(aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap()
}
