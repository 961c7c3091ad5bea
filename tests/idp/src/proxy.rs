//! A proxy that takes every `CONNECT` to the stand-in, wherever it was meant to go. Nothing it accepts ever leaves the machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Runs until it is dropped.
pub struct Proxy {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one in front of a port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        thread::spawn(move || {
            for client in
                listener.incoming().map_while(Result::ok).take_while(|_| !stop.load(Ordering::Relaxed))
            {
                // One that hangs up is none of the others' business.
                thread::spawn(move || connect(client, target));
            }
        });
        Ok(Self { port, stopped })
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, which sees that it was stopped.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// RFC 9110 §9.3.6.
fn connect(client: TcpStream, target: u16) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.by_ref().take(MAX_LINE).read_line(&mut line)?;
    let to_https =
        line.starts_with("CONNECT ") && line.split(' ').nth(1).is_some_and(|host| host.ends_with(":443"));
    loop {
        let mut header = String::new();
        if reader.by_ref().take(MAX_LINE).read_line(&mut header)? <= 2 {
            break;
        }
    }
    let mut client = client;
    if !to_https {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut to_client, mut from_server) = (client, server.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
        copied
    });
    // What the client sent behind its request is in the reader already.
    io::copy(&mut reader, &mut server)?;
    server.shutdown(Shutdown::Write)
}

const MAX_LINE: u64 = 8192;
