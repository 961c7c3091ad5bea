//! HTTP/1.1 over TLS, one connection for each request.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hello_idp::Idp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

pub(crate) struct Client {
    config: Arc<ClientConfig>,
    port: u16,
    patience: Duration,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn of(idp: &Idp) -> Self {
        Self::with_certificate(idp, None)
    }

    /// A certificate and its PKCS#8 key, for the handshake.
    pub(crate) fn with_certificate(idp: &Idp, certificate: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(idp.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
                builder.with_client_auth_cert(vec![CertificateDer::from(certificate)], key).unwrap()
            }
        };
        Self { config: Arc::new(config), port: idp.port(), patience: Duration::from_secs(60) }
    }

    pub(crate) fn within(mut self, seconds: u64) -> Self {
        self.patience = Duration::from_secs(seconds);
        self
    }

    pub(crate) fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.exchange(("GET", host, path), headers, "").unwrap()
    }

    pub(crate) fn form(&self, host: &str, path: &str, form: &[(&str, &str)]) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.exchange(("POST", host, path), &[("Content-Type", "application/x-www-form-urlencoded")], &body)
            .unwrap()
    }

    pub(crate) fn json(&self, host: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        self.exchange(("POST", host, path), &headers, &body.to_string()).unwrap()
    }

    /// The token endpoint of v1.
    pub(crate) fn token(&self, form: &[(&str, &str)]) -> Response {
        self.form(super::LOGIN, "/common/oauth2/token", form)
    }

    pub(crate) fn nonce(&self) -> String {
        self.token(&[("grant_type", "srv_challenge")]).object()["Nonce"].as_str().unwrap().to_owned()
    }

    /// An error is one of the connection.
    pub(crate) fn exchange(
        &self,
        (method, host, path): (&str, &str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Response> {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(self.config.clone(), name).unwrap();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        tcp.set_read_timeout(Some(self.patience))?;
        let mut stream = StreamOwned::new(connection, tcp);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse(&bytes).ok_or(io::ErrorKind::InvalidData.into())
    }
}

impl Response {
    pub(crate) fn object(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// As JSON, or nothing for what isn't any.
    pub(crate) fn maybe(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The number behind AADSTS, from `error_codes` or the `$Config` of a page.
    pub(crate) fn code(&self) -> u64 {
        let code = self.maybe()["error_codes"][0].as_u64();
        code.or_else(|| super::browser::config(self)["sErrorCode"].as_str()?.parse().ok()).unwrap_or(0)
    }
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> =
        lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let body = bytes[end + 4..].to_vec();
    let length: usize = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    (body.len() == length).then_some(Response { status, headers, body })
}
