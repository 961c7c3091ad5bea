//! HTTP, and the only user of reqwest.
//!
//! Buffers of reqwest and what is below it can't be wiped. They are in a process that keeps nothing, can't be looked into by
//! its own account, and exits when it has nothing to do.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hello_words::tr;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Proxy, redirect, retry};
use thiserror::Error as ThisError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::names::Names;
use super::threads::{Threads, Undone};
use super::tls::{Http, Question, Trust, TrustError, explain, find, io_kind};
use super::{
    Address, ComputerRequest, DeviceRequest, Field, Header, Method, OnlineError, ProxyRefusal, Request,
    Response, Settings, Span, Stage, Unreached, route, skew, slots, ticket,
};
use crate::clock::Clock;

/// What fetches.
pub struct Fetcher {
    settings: Settings,
    trust: Trust,
    clock: Arc<dyn Clock + Send + Sync>,
    usual: Clients,
    /// For what has to be said by HTTP/1.1.
    by_http_1: Clients,
    names: Names,
    threads: Threads,
}

/// What connects, straight and by the proxy, where there is one.
struct Clients {
    direct: Client,
    proxied: Option<Client>,
}

/// Why nothing can be fetched at all.
#[derive(Debug, ThisError)]
pub enum FetcherError {
    /// Whom to trust is not known.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// HTTP can't be set up.
    #[error("{}", tr!("HTTP can't be set up: {0}", _0))]
    Http(#[from] reqwest::Error),
    /// TLS can't be set up.
    #[error("{}", tr!("TLS can't be set up"))]
    Tls,
}

impl Fetcher {
    /// Reads the authorities, and connects to nobody yet.
    ///
    /// # Errors
    /// [`FetcherError`].
    pub fn new(settings: Settings, clock: Arc<dyn Clock + Send + Sync>) -> Result<Self, FetcherError> {
        let trust = Trust::read(settings.extra_authorities.as_deref())?;
        let names = Names::default();
        let clients = |http: Http| {
            let tls = || trust.client(http).ok_or(FetcherError::Tls);
            let plain = |proxy| client(tls()?, proxy, Resolver(names.clone(), None));
            let proxied = settings.proxy().map(|proxy| plain(Some(proxy))).transpose()?;
            Ok::<_, FetcherError>(Clients { direct: plain(None)?, proxied })
        };
        let (usual, by_http_1) = (clients(Http::Newest)?, clients(Http::One)?);
        Ok(Self { settings, trust, clock, usual, by_http_1, names, threads: Threads::new(slots::MOST) })
    }

    /// Fetches, with the redirects that the request follows.
    pub(super) async fn fetch(&self, request: &Request) -> Result<Response, OnlineError> {
        let deadline = Instant::now() + request.patience;
        let (mut address, mut redirects) = (request.address.clone(), request.redirects);
        loop {
            // Each host has a way of its own: that of the one before may lead past its proxy, or into it.
            let way = self.way_to(&address, request.by_http_1);
            let hop = Hop { way: &way, address: &address, clock: &*self.clock, request, deadline };
            let (response, span) = hop.head().await?;
            let onward = if redirects > 0 { hop.onward(&response)? } else { None };
            let Some(location) = onward else { return hop.read(response, span).await };
            // A connection per host: whoever holds the rest of this answer need not be waited for.
            drop(response);
            redirects -= 1;
            address = request.hosts.redirected(&address, &location)?;
        }
    }

    /// Fetches as the device. What TLS wants signed goes to `ask`.
    ///
    /// In a thread of its own, because TLS waits for the signature without leaving room for anybody else. Names are looked up
    /// in this one: that can't be called off, and would leave a thread behind for each thread that ends.
    pub(super) async fn fetch_as_device(
        &self,
        DeviceRequest { request, certificate }: DeviceRequest,
        ask: mpsc::UnboundedSender<Question>,
    ) -> Result<Response, OnlineError> {
        let confused = || OnlineError::Malformed("the certificate of this device".into());
        let via = self.via(&request.address);
        let tls = self.trust.device(&certificate, ask, request.patience).ok_or_else(confused)?;
        let resolver = Resolver(self.names.clone(), Some(Handle::current()));
        let client = client(tls, via.as_deref(), resolver).map_err(|_| confused())?;
        let (way, clock) = (Way { client, via }, Arc::clone(&self.clock));
        let host = request.host();
        let fetch = async move {
            let deadline = Instant::now() + request.patience;
            let address = &request.address;
            let hop = Hop { way: &way, address, clock: &*clock, request: &request, deadline };
            let (response, span) = hop.head().await?;
            hop.read(response, span).await
        };
        self.threads.run("device", fetch).await.unwrap_or_else(|undone| match undone {
            Undone::Busy => Err(OnlineError::Busy { host }),
            Undone::Lost => Err(OnlineError::ServiceLost),
        })
    }

    /// Fetches with a ticket, which is got first. Both together take no longer than the request may.
    pub(super) async fn fetch_with_ticket(
        &self,
        ComputerRequest { request, keytab }: ComputerRequest,
    ) -> Result<Response, OnlineError> {
        let begun = Instant::now();
        let ticket = ticket::for_host(name_of(&request.address), &keytab);
        let late = OnlineError::Timeout { host: request.host(), stage: Stage::Ticket };
        let ticket = timeout_at(begun + request.patience, ticket).await.map_err(|_| late)??;
        let left = request.patience.saturating_sub(begun.elapsed());
        let ticket = Zeroizing::new(format!("Negotiate {}", *ticket));
        self.fetch(&request.with(Header::Authorization, ticket)?.within(left)).await
    }

    fn way_to(&self, address: &Address, by_http_1: bool) -> Way {
        let via = self.via(address);
        let clients = if by_http_1 { &self.by_http_1 } else { &self.usual };
        let client = if via.is_some() { clients.proxied.as_ref() } else { None };
        Way { client: client.unwrap_or(&clients.direct).clone(), via }
    }

    fn via(&self, address: &Address) -> Option<String> {
        self.settings.proxy_to(name_of(address)).map(str::to_owned)
    }
}

/// How a host is reached.
struct Way {
    client: Client,
    /// The proxy.
    via: Option<String>,
}

/// One request to one host, and its answer.
struct Hop<'a> {
    way: &'a Way,
    address: &'a Address,
    clock: &'a (dyn Clock + Send + Sync),
    request: &'a Request,
    deadline: Instant,
}

impl Hop<'_> {
    async fn head(&self) -> Result<(reqwest::Response, Span), OnlineError> {
        let host = self.address.host();
        let built = self.built()?;
        let asked = self.clock.now();
        let in_time = self.deadline.min(Instant::now() + HEAD);
        match timeout_at(in_time, self.way.client.execute(built)).await {
            Ok(Ok(response)) => Ok((response, Span::between(&asked, &self.clock.now()))),
            Ok(Err(error)) => Err(self.explained(&error, host)),
            Err(_) => Err(OnlineError::Timeout { host, stage: Stage::Head }),
        }
    }

    fn built(&self) -> Result<reqwest::Request, OnlineError> {
        let mut built = reqwest::Request::new(method(self.request.method), self.address.url().clone());
        // What is for one host alone is not told to another one.
        let is_same = self.address.host() == self.request.address.host();
        let mut headers = HeaderMap::with_capacity(self.request.headers.len());
        for (header, value) in &self.request.headers {
            if is_same || [Header::Accept, Header::UserAgent].contains(header) {
                let malformed = |_| OnlineError::Malformed(format!("its header {}", header.name()));
                let mut value = HeaderValue::from_str(value).map_err(malformed)?;
                // Not to be put into the table of HTTP/2's compression (RFC 7541 §7.1.3).
                value.set_sensitive(true);
                headers.insert(header.name(), value);
            }
        }
        *built.headers_mut() = headers;
        if !self.request.body.is_empty() {
            *built.body_mut() = Some(self.request.body.to_vec().into());
        }
        Ok(built)
    }

    /// Where a redirect leads that is to be followed. Only what asks and changes nothing is repeated elsewhere.
    fn onward(&self, response: &reqwest::Response) -> Result<Option<Zeroizing<String>>, OnlineError> {
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if !is_redirect || self.request.method != Method::Get {
            return Ok(None);
        }
        value(response, Field::Location)
    }

    async fn read(&self, mut response: reqwest::Response, span: Span) -> Result<Response, OnlineError> {
        let (host, bound) = (self.address.host(), self.request.bound);
        let mut headers = Vec::new();
        for field in Field::ALL {
            headers.extend(value(&response, field)?.map(|value| (field, value)));
        }
        let date = response.headers().get("date").and_then(|date| skew::parse(date.to_str().ok()?));
        let too_large = || OnlineError::TooLarge { host: host.clone(), bound };
        let announced = response.content_length().unwrap_or(0);
        if announced > u64::from(bound) {
            return Err(too_large());
        }
        // As large as it can become, so that it is never moved and leaves no copy behind.
        let room = if announced > 0 { announced as usize } else { bound as usize };
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        loop {
            match timeout_at(self.deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= room => body.extend_from_slice(&chunk),
                Ok(Ok(Some(_))) => return Err(too_large()),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(self.explained(&error, host)),
                Err(_) => return Err(OnlineError::Timeout { host, stage: Stage::Body }),
            }
        }
        Ok(Response { status: response.status().as_u16(), headers, body, date, span })
    }

    /// Why reqwest failed.
    fn explained(&self, error: &reqwest::Error, host: String) -> OnlineError {
        let unreachable = |why| OnlineError::Unreachable { host: host.clone(), why };
        let proxy = |why| {
            let proxy = self.way.via.clone().unwrap_or_default();
            OnlineError::Proxy { proxy, host: host.clone(), why }
        };
        // Of the looking up; behind a proxy it was the proxy's name.
        match find::<OnlineError>(error) {
            Some(OnlineError::NoNetwork) => return OnlineError::NoNetwork,
            Some(_) if self.way.via.is_some() => return proxy(ProxyRefusal::Unreachable),
            Some(found) => return found.clone(),
            None => {}
        }
        if let Some(explained) = explain(error, &host) {
            return explained;
        }
        let words = words(error);
        if let Some(tunnel) = words.iter().find_map(|words| words.strip_prefix("tunnel error: ")) {
            return proxy(match tunnel {
                "proxy authorization required" => ProxyRefusal::WantsPassword,
                "failed to create underlying connection" => ProxyRefusal::Unreachable,
                _ => ProxyRefusal::Refuses,
            });
        }
        let kind = io_kind(error);
        let is_at_first = error.is_connect();
        match kind {
            _ if error.is_timeout() || kind == Some(ErrorKind::TimedOut) => {
                let stage = if is_at_first { Stage::Connect } else { Stage::Body };
                OnlineError::Timeout { host, stage }
            }
            Some(
                ErrorKind::ConnectionRefused | ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable,
            ) if self.way.via.is_some() => proxy(ProxyRefusal::Unreachable),
            Some(ErrorKind::ConnectionRefused) => unreachable(Unreached::Refused),
            Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
                unreachable(Unreached::NoRoute)
            }
            Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
                unreachable(Unreached::BrokenOff)
            }
            Some(ErrorKind::UnexpectedEof) => unreachable(Unreached::BrokenOff),
            _ if words.iter().any(|words| BROKEN_OFF.contains(&words.as_str())) => {
                unreachable(Unreached::BrokenOff)
            }
            _ if words.iter().any(|words| words == HEAD_TOO_LARGE) => {
                OnlineError::TooLarge { host, bound: LARGEST_HEAD as u32 }
            }
            // Before there was a connection nobody has spoken HTTP, well or badly.
            _ if is_at_first => unreachable(Unreached::BrokenOff),
            _ => OnlineError::NotHttp { host },
        }
    }
}

fn client(tls: impl std::any::Any, proxy: Option<&str>, resolver: Resolver) -> Result<Client, FetcherError> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .dns_resolver(resolver)
        .redirect(redirect::Policy::none())
        // What a provider may have taken is not sent again by anybody but hellod.
        .retry(retry::never())
        .referer(false)
        // Neither settings of an environment nor of a desktop.
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEPT)
        .pool_max_idle_per_host(2)
        .http1_max_headers(MOST_HEADERS)
        .http2_max_header_list_size(LARGEST_HEAD as u32)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(WINDOW);
    let client = match proxy {
        Some(proxy) => client.proxy(Proxy::https(proxy)?),
        None => client,
    };
    Ok(client.build()?)
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn name_of(address: &Address) -> &str {
    address.url().domain().unwrap_or_default()
}

/// The value of a header; all of them in one line where each is one of a list (RFC 9110 §5.3).
fn value(response: &reqwest::Response, field: Field) -> Result<Option<Zeroizing<String>>, OnlineError> {
    let most = if field == Field::WwwAuthenticate { usize::MAX } else { 1 };
    let values = response.headers().get_all(field.name()).iter().filter_map(|value| value.to_str().ok());
    let values: Vec<&str> = values.take(most).collect();
    if values.is_empty() {
        return Ok(None);
    }
    if values.iter().map(|value| value.len() + 2).sum::<usize>() > Field::LARGEST + 2 {
        let host = response.url().domain().unwrap_or_default().to_owned();
        return Err(OnlineError::TooLarge { host, bound: Field::LARGEST as u32 });
    }
    Ok(Some(Zeroizing::new(values.join(", "))))
}

/// What each error of a chain says. hyper keeps most of its kinds to itself, and tells them in words.
fn words(error: &(dyn Error + 'static)) -> Vec<String> {
    let (mut words, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        words.push(error.to_string());
        next = error.source();
    }
    words
}

/// Looks names up by [`route`], so that it can be told what is wrong: where it is asked, or in the runtime of somebody else.
struct Resolver(Names, Option<Handle>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self(names, elsewhere) = self;
        let (names, elsewhere) = (names.clone(), elsewhere.clone());
        Box::pin(async move {
            let (host, runtime) = (name.as_str().to_owned(), elsewhere.unwrap_or_else(Handle::current));
            let look_up = async move { route::look_up(&host).await };
            let found = names.find(name.as_str(), &runtime, look_up).await?;
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// For looking up, connecting and encrypting, by way of a proxy too.
const CONNECT: Duration = Duration::from_secs(10);
/// For the head of an answer, connecting included.
const HEAD: Duration = Duration::from_secs(20);
/// Long enough to be used again within one sign-in, so that it shakes hands once.
const KEPT: Duration = Duration::from_secs(20);
const MOST_HEADERS: usize = 64;
const LARGEST_HEAD: usize = 64 * 1024;
/// How much of an answer is under way before somebody reads it (RFC 9113 §5.2).
const WINDOW: u32 = 256 * 1024;
/// In the words of hyper.
const BROKEN_OFF: [&str; 2] = ["connection closed before message completed", "tls handshake eof"];
const HEAD_TOO_LARGE: &str = "message head is too large";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_header_the_first_is_passed_on_and_of_what_may_be_asked_for_all() {
        let response = http::Response::builder()
            .header("www-authenticate", "NTLM")
            .header("www-authenticate", "Negotiate")
            .header("location", "https://one.example/")
            .header("location", "https://other.example/");
        let response = reqwest::Response::from(response.body("").unwrap());
        let told = |field| value(&response, field).unwrap().map(|value| value.to_string());
        assert_eq!(told(Field::WwwAuthenticate).as_deref(), Some("NTLM, Negotiate"));
        assert_eq!(told(Field::Location).as_deref(), Some("https://one.example/"));
        assert_eq!(told(Field::RetryAfter), None);
    }
}
