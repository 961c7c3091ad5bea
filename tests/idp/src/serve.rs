//! The process: what it is told at the start, its two doors, and the way of a request from the one to the answer.

mod route;

use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use clap::Parser;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::checks::Check;
use crate::faults::{Fault, Kind};
use crate::proxy::Proxy;
use crate::state::World;
use crate::web::{Answer, Form, Request};
use crate::{clock, control, tls};

/// What the program is started with.
#[derive(Debug, Parser)]
#[command(name = "hello-idp", about = "A stand-in for Microsoft Entra ID and AD FS, for tests", version)]
pub struct Arguments {
    /// Socket on which tests give orders
    #[arg(long)]
    pub control: PathBuf,
    /// File that the authority of its certificate is written to
    #[arg(long)]
    pub ca: PathBuf,
    /// Port of 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Varies the answers where clients mustn't care; 0 doesn't
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Domain of the organisation
    #[arg(long, default_value = "corp.example")]
    pub domain: String,
    /// Leaves out one check; may be given several times
    #[arg(long)]
    pub skip: Vec<Check>,
    /// Switches that are not as they are at first, as a JSON object
    #[arg(long, default_value = "{}")]
    pub switches: String,
    /// Also starts a proxy that takes every CONNECT here
    #[arg(long)]
    pub proxy: bool,
    /// Ends when standard input does, and so with whoever started it
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Why it doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The machine refused something.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// The certificate couldn't be made.
    #[error("making the certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS took what was made for wrong.
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No keys.
    #[error("making the keys failed: there are no random numbers")]
    Keys,
    /// What was said in `--switches`.
    #[error("--switches: {0}")]
    Switches(String),
}

type Shared = Arc<Mutex<World>>;

/// Runs until it is killed, or standard input ends.
///
/// # Errors
/// When it can't start.
pub fn serve(arguments: Arguments) -> Result<(), ServeError> {
    let mut world = World::new(arguments.seed, &arguments.domain).ok_or(ServeError::Keys)?;
    let switches: Value =
        serde_json::from_str(&arguments.switches).map_err(|error| ServeError::Switches(error.to_string()))?;
    control::switch(&mut world, &switches).map_err(ServeError::Switches)?;
    world.skipped.extend(&arguments.skip);
    let (config, authority) = tls::server(&arguments.domain)?;
    fs::write(&arguments.ca, authority).map_err(|error| ServeError::Io("writing the authority", error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ServeError::Io("starting", error))?;
    runtime.block_on(listen(arguments, Arc::new(Mutex::new(world)), TlsAcceptor::from(config)))
}

async fn listen(arguments: Arguments, world: Shared, acceptor: TlsAcceptor) -> Result<(), ServeError> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let tcp = tcp.map_err(|error| ServeError::Io("listening on 127.0.0.1", error))?;
    let port = tcp.local_addr().map_err(|error| ServeError::Io("listening on 127.0.0.1", error))?.port();
    let orders = UnixListener::bind(&arguments.control)
        .map_err(|error| ServeError::Io("listening for orders", error))?;
    let proxy = arguments.proxy.then(|| Proxy::start(port)).transpose();
    let proxy = proxy.map_err(|error| ServeError::Io("starting the proxy", error))?;
    let ready = json!({"port": port, "proxy": proxy.as_ref().map(Proxy::port)});
    writeln!(io::stdout(), "{ready}").map_err(|error| ServeError::Io("saying that it is ready", error))?;
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            accepted = tcp.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(connection(stream, acceptor.clone(), world.clone()));
            },
            accepted = orders.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(order(stream, world.clone()));
            },
            read = stdin.read(&mut ignored), if arguments.until_stdin_closes => if !matches!(read, Ok(1..)) {
                return Ok(());
            },
        }
    }
}

/// One line, one answer, until the test hangs up.
async fn order(stream: UnixStream, world: Shared) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = control::obey(&mut world.lock().unwrap_or_else(PoisonError::into_inner), &line);
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

/// A client that breaks off, or shakes hands badly, has only itself to tell.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, world: Shared) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|certificate| certificate.to_vec());
    let service = service_fn(|request| exchange(request, certificate.clone(), world.clone()));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(
    request: hyper::Request<Incoming>,
    client_certificate: Option<Vec<u8>>,
    world: Shared,
) -> Result<hyper::Response<Content>, Hangup> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(respond(Answer::text(413, "Too much."), None));
    };
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = parts.headers.get("host").map(text).unwrap_or_default();
    let request = Request {
        method: parts.method.to_string(),
        host: host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).to_ascii_lowercase(),
        path: parts.uri.path().to_owned(),
        query: Form::parse(parts.uri.query().unwrap_or("").as_bytes()),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.to_bytes().to_vec(),
        client_certificate,
    };
    let (mut answer, fault, now) = {
        let world = &mut world.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, fault) = route::answer(world, &request);
        (answer, fault, world.clock.now())
    };
    // The machine's time would be there otherwise.
    answer.headers.push(("date", clock::written(now)));
    match fault.as_ref().map(|fault| fault.kind) {
        Some(Kind::Stall | Kind::StallUnserved) => pending().await,
        Some(Kind::Drop) => Err(Hangup),
        Some(Kind::Slow) => {
            let seconds = fault.as_ref().map_or(0, |fault| fault.seconds);
            tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
            Ok(respond(answer, None))
        }
        _ => Ok(respond(answer, fault.as_ref())),
    }
}

fn respond(answer: Answer, fault: Option<&Fault>) -> hyper::Response<Content> {
    let mut body = answer.body;
    let mut length = body.len();
    let mut status = answer.status;
    match fault.map(|fault| fault.kind) {
        Some(Kind::Cut) => body.truncate(body.len() / 2),
        Some(Kind::Oversized) => {
            body.resize(OVERSIZED, b' ');
            length = body.len();
        }
        Some(Kind::Malformed) => {
            body = b"{\"access_token\": \xff<<<".to_vec();
            length = body.len();
        }
        Some(Kind::Empty) => {
            body.clear();
            length = 0;
        }
        Some(Kind::Status) => status = fault.map_or(500, |fault| fault.status),
        _ => {}
    }
    let cut = body.len() < length;
    let mut response = hyper::Response::new(Content { rest: Some(Bytes::from(body)), cut });
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let own = [("content-length", length.to_string()), ("cache-control", "no-store, no-cache".to_owned())];
    let wish = fault.and_then(|fault| fault.retry_after).map(|wish| ("retry-after", wish.to_string()));
    for (name, value) in answer.headers.into_iter().chain(own).chain(wish) {
        // What can't be a header isn't sent; `Location` is encoded already.
        if let Ok(value) = hyper::header::HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A body that may end too early.
struct Content {
    rest: Option<Bytes>,
    cut: bool,
}

impl Body for Content {
    type Data = Bytes;
    type Error = Hangup;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        Poll::Ready(match self.rest.take().filter(|rest| !rest.is_empty()) {
            Some(rest) => Some(Ok(Frame::data(rest))),
            None => std::mem::take(&mut self.cut).then_some(Err(Hangup)),
        })
    }
}

/// The server hangs up, because a test wants it to.
#[derive(Debug, thiserror::Error)]
#[error("hung up")]
struct Hangup;

impl From<Infallible> for Hangup {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

const MAX_BODY: usize = 1 << 20;
const OVERSIZED: usize = 16 << 20;
