//! What hellod wants fetched.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Address, Hosts, Keytab, OnlineError, Scheme};

/// A request, whole and in form. It has no `Debug`: what it carries is for the host alone.
pub struct Request {
    pub(super) method: Method,
    pub(super) address: Address,
    pub(super) hosts: Hosts,
    pub(super) headers: Vec<(Header, Zeroizing<String>)>,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) bound: u32,
    pub(super) patience: Duration,
    pub(super) redirects: u8,
    pub(super) by_http_1: bool,
}

/// A request in which TLS shows the host who this device is. It is for that host and follows no redirect: elsewhere
/// nobody is to learn it, and the signature is one.
pub struct DeviceRequest {
    pub(super) request: Request,
    pub(super) certificate: Certificate,
}

/// A request that a ticket of this computer's account goes with (RFC 4559). It follows no redirect: a ticket is for one host.
pub struct ComputerRequest {
    pub(super) request: Request,
    pub(super) keytab: Keytab,
}

/// What is to be done (RFC 9110 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called so")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// The headers that a provider is ever sent. `Host`, `Content-Length` and the like are HTTP's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called so")]
pub enum Header {
    Accept,
    Authorization,
    ContentType,
    UserAgent,
    ClientRequestId,
    ReturnClientRequestId,
    ApiVersion,
    OcpAdrsClientName,
    OcpAdrsClientVersion,
    RefreshTokenCredential,
    DeviceCredential,
    PKeyAuth,
    SoapAction,
}

/// The certificate with which TLS is to prove that this is the device. Its key stays with hellod, which is asked for the
/// one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DER, the device's own first.
    pub chain: Vec<Vec<u8>>,
    /// How the key can sign, the best first. With RSASSA-PKCS1 alone TLS 1.2 is spoken, because 1.3 has done away with it
    /// (RFC 8446 §4.2.3).
    pub schemes: Vec<Scheme>,
}

impl Request {
    /// How much of an answer is read unless the request says otherwise, in octets.
    pub const BOUND: u32 = 256 * 1024;
    /// How much can be asked for.
    pub const LARGEST_BOUND: u32 = 1024 * 1024;
    /// How long the whole may take unless the request says otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(30);
    /// How long it may take at most: a provider that lets a poll wait answers within this.
    pub const LONGEST_PATIENCE: Duration = Duration::from_secs(120);
    /// The largest body, in octets.
    pub const LARGEST_BODY: usize = 256 * 1024;
    /// The largest value of a header: a primary token is 2 to 8 KiB long.
    pub const LARGEST_HEADER: usize = 16 * 1024;
    /// How many redirects can be followed.
    pub const MOST_REDIRECTS: u8 = 5;

    /// Asks for what is at an address of these hosts.
    ///
    /// # Errors
    /// As [`Hosts::address`].
    pub fn get(hosts: &Hosts, address: &str) -> Result<Self, OnlineError> {
        Self::new(Method::Get, hosts, address, Zeroizing::default())
    }

    /// Sends a body there.
    ///
    /// # Errors
    /// As [`Hosts::address`], and [`OnlineError::Malformed`] for a body that is too large.
    pub fn post(
        hosts: &Hosts,
        address: &str,
        content_type: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Self, OnlineError> {
        let content_type = Zeroizing::new(content_type.to_owned());
        Self::new(Method::Post, hosts, address, body)?.with(Header::ContentType, content_type)
    }

    /// Any of the methods.
    ///
    /// # Errors
    /// As [`Request::post`]; also for a body of a [`Method::Get`], which has no meaning (RFC 9110 §9.3.1), and which a
    /// redirect would carry to another host.
    pub fn new(
        method: Method,
        hosts: &Hosts,
        address: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Self, OnlineError> {
        if body.len() > Self::LARGEST_BODY {
            return Err(OnlineError::Malformed("its body is too large".into()));
        }
        if method == Method::Get && !body.is_empty() {
            return Err(OnlineError::Malformed("it asks and has a body".into()));
        }
        Ok(Self {
            method,
            address: hosts.address(address)?,
            hosts: hosts.clone(),
            headers: Vec::new(),
            body,
            bound: Self::BOUND,
            patience: Self::PATIENCE,
            redirects: 0,
            by_http_1: false,
        })
    }

    /// With a header, each at most once.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for what no header can carry: a line break would be another header.
    pub fn with(mut self, header: Header, value: Zeroizing<String>) -> Result<Self, OnlineError> {
        let printable = value.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
        let fits = value.len() <= Self::LARGEST_HEADER;
        if !printable || !fits || self.headers.iter().any(|(name, _)| *name == header) {
            return Err(OnlineError::Malformed(format!("its header {}", header.name())));
        }
        self.headers.push((header, value));
        Ok(self)
    }

    /// Reading no more of the answer than this; at most [`Request::LARGEST_BOUND`].
    #[must_use]
    pub fn reading(mut self, octets: u32) -> Self {
        self.bound = octets.min(Self::LARGEST_BOUND);
        self
    }

    /// Waiting no longer than this; at most [`Request::LONGEST_PATIENCE`].
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience.min(Self::LONGEST_PATIENCE);
        self
    }

    /// Following redirects, where they stay with the hosts and this is a [`Method::Get`]. Otherwise a redirect is an answer
    /// like any other, with its `Location`.
    #[must_use]
    pub fn following(mut self, redirects: u8) -> Self {
        self.redirects = redirects.min(Self::MOST_REDIRECTS);
        self
    }

    /// By HTTP/1.1 even where the host speaks HTTP/2, which has no place for authentication of a connection: servers of
    /// Microsoft's end what asks for it there (RFC 9113 §7, `HTTP_1_1_REQUIRED`).
    #[must_use]
    pub fn by_http_1(mut self) -> Self {
        self.by_http_1 = true;
        self
    }

    /// As the device that this certificate is of: the last thing to say of a request.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for a chain that no TLS carries, and for a request that follows redirects.
    pub fn as_device(self, certificate: Certificate) -> Result<DeviceRequest, OnlineError> {
        let chain = &certificate.chain;
        let octets: usize = chain.iter().map(Vec::len).sum();
        let fits = (1..=MOST_CERTIFICATES).contains(&chain.len()) && octets <= LARGEST_CHAIN;
        if !fits || certificate.schemes.is_empty() {
            return Err(OnlineError::Malformed("the certificate of this device".into()));
        }
        if self.redirects > 0 {
            return Err(OnlineError::Malformed("it would be redirected as this device".into()));
        }
        Ok(DeviceRequest { request: self, certificate })
    }

    /// As the computer whose keys these are: the last thing to say of a request.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for a request that follows redirects, or that says already who asks.
    pub fn as_computer(self, keytab: Keytab) -> Result<ComputerRequest, OnlineError> {
        if self.redirects != 0 {
            return Err(OnlineError::Malformed("it would be redirected as this computer".into()));
        }
        if self.headers.iter().any(|(header, _)| *header == Header::Authorization) {
            return Err(OnlineError::Malformed("it would come from two".into()));
        }
        Ok(ComputerRequest { request: self, keytab })
    }

    /// Where it goes.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.host()
    }
}

impl Header {
    pub(super) const ALL: [Self; 13] = [
        Self::Accept,
        Self::Authorization,
        Self::ContentType,
        Self::UserAgent,
        Self::ClientRequestId,
        Self::ReturnClientRequestId,
        Self::ApiVersion,
        Self::OcpAdrsClientName,
        Self::OcpAdrsClientVersion,
        Self::RefreshTokenCredential,
        Self::DeviceCredential,
        Self::PKeyAuth,
        Self::SoapAction,
    ];

    /// As HTTP has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Authorization => "authorization",
            Self::ContentType => "content-type",
            Self::UserAgent => "user-agent",
            Self::ClientRequestId => "client-request-id",
            Self::ReturnClientRequestId => "return-client-request-id",
            Self::ApiVersion => "api-version",
            Self::OcpAdrsClientName => "ocp-adrs-client-name",
            Self::OcpAdrsClientVersion => "ocp-adrs-client-version",
            Self::RefreshTokenCredential => "x-ms-refreshtokencredential",
            Self::DeviceCredential => "x-ms-devicecredential",
            Self::PKeyAuth => "x-ms-pkeyauth",
            Self::SoapAction => "soapaction",
        }
    }
}

impl Method {
    pub(super) const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Put, Self::Delete];

    /// As HTTP has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

const MOST_CERTIFICATES: usize = 8;
const LARGEST_CHAIN: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::get(&Hosts::parse(["login.example"]).unwrap(), "https://login.example/").unwrap()
    }

    #[test]
    fn a_header_can_not_smuggle_another_one() {
        for value in ["a\r\nx: y", "a\nb", "a\0", "é", &"x".repeat(Request::LARGEST_HEADER + 1)] {
            assert!(request().with(Header::Authorization, Zeroizing::new(value.to_owned())).is_err());
        }
        let twice = request().with(Header::Accept, Zeroizing::new("a b".into())).unwrap();
        assert!(twice.with(Header::Accept, Zeroizing::new("c".into())).is_err());
    }

    #[test]
    fn no_request_asks_for_more_than_there_is() {
        let greedy = request().reading(u32::MAX).within(Duration::MAX).following(u8::MAX);
        assert_eq!(greedy.bound, Request::LARGEST_BOUND);
        assert_eq!((greedy.patience, greedy.redirects), (Request::LONGEST_PATIENCE, Request::MOST_REDIRECTS));
        let hosts = Hosts::parse(["login.example"]).unwrap();
        let body = Zeroizing::new(vec![0; Request::LARGEST_BODY + 1]);
        assert!(Request::post(&hosts, "https://login.example/", "text/plain", body).is_err());
    }

    #[test]
    fn a_certificate_that_no_tls_carries_is_refused() {
        let schemes = vec![Scheme::RsaPssSha256];
        for chain in [vec![], vec![vec![0; 8]; 9], vec![vec![0; LARGEST_CHAIN + 1]]] {
            let certificate = Certificate { chain, schemes: schemes.clone() };
            assert!(request().as_device(certificate).is_err());
        }
        assert!(request().as_device(Certificate { chain: vec![vec![0]], schemes: vec![] }).is_err());
    }

    #[test]
    fn what_follows_redirects_is_no_request_of_the_device() {
        let certificate = || Certificate { chain: vec![vec![0]], schemes: vec![Scheme::RsaPssSha256] };
        assert!(request().as_device(certificate()).is_ok());
        let refused = request().following(1).as_device(certificate()).err();
        assert!(matches!(refused, Some(OnlineError::Malformed(why)) if why.contains("redirected")));
    }

    #[test]
    fn what_asks_has_no_body_that_a_redirect_would_carry_on() {
        let hosts = Hosts::parse(["login.example"]).unwrap();
        let request = |method, body: &[u8]| {
            Request::new(method, &hosts, "https://login.example/", Zeroizing::new(body.to_vec()))
        };
        for method in Method::ALL {
            assert!(request(method, b"").is_ok());
            assert_eq!(request(method, b"x").is_ok(), method != Method::Get, "{method:?}");
        }
    }
}
