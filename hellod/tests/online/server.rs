//! A host on the loopback, in TLS, that does what its path says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    /// Dropped, it ends the thread.
    _ends: tokio::sync::oneshot::Sender<()>,
}

/// What takes connections.
#[derive(Clone)]
pub(crate) enum Manner {
    /// HTTP in TLS.
    Https(Arc<ServerConfig>),
    /// HTTP/2 in TLS.
    Http2(Arc<ServerConfig>),
    /// HTTP without it, as a portal does.
    Plain,
    /// A proxy that answers CONNECT like this, and lets through after 200.
    Proxy(&'static str, SocketAddr),
    /// Takes the connection and hangs up at once.
    HangsUp,
    /// Takes the connection and says nothing.
    Silent,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let requests = seen.clone();
        let (ends, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let accepts = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, manner.clone(), requests.clone()));
                    }
                };
                tokio::select! { () = accepts => {}, _ = end => {} }
            });
        });
        Self { address, seen, _ends: ends }
    }

    pub(crate) fn https(config: Arc<ServerConfig>) -> Self {
        Self::start(Manner::Https(config))
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path at `login.example`.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("https://login.example:{}{path}", self.port())
    }

    /// Heads and bodies of what was asked so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, seen: Arc<Mutex<Vec<String>>>) {
    match manner {
        Manner::Https(config) => {
            if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await {
                while answer(&mut stream, &seen).await.is_some() {}
            }
        }
        Manner::Http2(config) => {
            let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2(stream).await;
            } else {
                while answer(&mut stream, &seen).await.is_some() {}
            }
        }
        Manner::Plain => {
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
        Manner::Proxy(reply, to) => {
            let Some((head, _)) = request(&mut stream).await else { return };
            seen.lock().unwrap().push(head);
            let _ =
                stream.write_all(format!("HTTP/1.1 {reply}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
            if reply.starts_with("200")
                && let Ok(mut onward) = TcpStream::connect(to).await
            {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
            }
        }
        Manner::HangsUp => {}
        Manner::Silent => std::future::pending().await,
    }
}

async fn http2<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: S) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let response = http::Response::builder().status(200).header("date", DATE).body(()).unwrap();
        let mut body = respond.send_response(response, false).unwrap();
        let text = format!("{:?} {}", request.version(), request.uri().path());
        body.send_data(text.into_bytes().into(), true).unwrap();
    }
}

async fn request<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Option<(String, Vec<u8>)> {
    let mut octets = Vec::new();
    let end = loop {
        if let Some(at) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while octets.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, octets.split_off(end)))
}

/// One request and its answer; nothing when the connection is over.
async fn answer<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    let (head, body) = request(stream).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().unwrap().push(format!("{head}{body}"));
    let path = head.split(' ').nth(1)?.to_owned();
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    match path {
        "/echo" => {
            let headers = "Location: https://elsewhere.example/?code=1\r\nRetry-After: 7\r\nrequest-id: r\r\n\
                           WWW-Authenticate: PKeyAuth Nonce=\"n\"\r\nSet-Cookie: a=b\r\nX-Other: o\r\n";
            reply(stream, "401 Unauthorized", headers, &format!("{head}|{body}")).await
        }
        "/redirect" => reply(stream, "302 Found", &format!("Location: {query}\r\n"), "gone").await,
        "/octets" => reply(stream, "200 OK", "", &"x".repeat(query.parse().unwrap())).await,
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.ok()?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                stream.write_all(chunk.as_bytes()).await.ok()?;
            }
        }
        "/gigabyte" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n").await.ok()?;
            let chunk = [0; 65536];
            loop {
                stream.write_all(&chunk).await.ok()?;
            }
        }
        "/heads" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            for number in 0.. {
                stream
                    .write_all(format!("X-{}: {}\r\n", number % 60, "x".repeat(4096)).as_bytes())
                    .await
                    .ok()?;
            }
            None
        }
        "/stall" => std::future::pending().await,
        "/stall-body" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.ok()?;
            stream.flush().await.ok()?;
            std::future::pending().await
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(query.parse().unwrap())).await;
            reply(stream, "200 OK", "", "slow").await
        }
        "/garbage" => {
            stream.write_all(b"\x16\x03 this is not HTTP\r\n\r\n").await.ok()?;
            None
        }
        "/cut" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.ok()?;
            None
        }
        _ => reply(stream, "404 Not Found", "", "none").await,
    }
}

async fn reply<S: tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    status: &str,
    headers: &str,
    body: &str,
) -> Option<()> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nDate: {DATE}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// In the past of every machine that runs this.
pub(crate) const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
