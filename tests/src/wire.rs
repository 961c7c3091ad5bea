//! The wire to the TPM, for whoever stands on it: a socket at which the test waits for callers, and commands with their answers.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Gid, Mode, Uid};

use crate::people::TSS;

/// A socket that root and the group `tss` may open, as they may the TPM's. It is let go of when dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Arc<UnixListener>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Serves callers one after the other: `serve` holds up the next, unless it hands its own to a thread.
    #[track_caller]
    pub(crate) fn new(at: &Path, serve: impl Fn(UnixStream) + Send + 'static) -> Self {
        let socket = Arc::new(UnixListener::bind(at).expect("the laboratory has a directory for the TPM"));
        rustix::fs::chown(at, Some(Uid::ROOT), Some(Gid::from_raw(TSS))).expect("root may");
        rustix::fs::chmod(at, Mode::from_raw_mode(0o660)).expect("root may");
        let over = Arc::new(AtomicBool::new(false));
        let (listens, is_over) = (Arc::clone(&socket), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for theirs in listens.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                serve(theirs);
            }
        });
        Self { socket, over, thread: Some(thread) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Ends its waiting for the next one, also where the laboratory and the path are gone. Nothing else can go wrong with it.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Sends a command and waits for the answer.
pub(crate) fn ask(mut tpm: &UnixStream, command: &[u8]) -> io::Result<Vec<u8>> {
    tpm.write_all(command)?;
    frame(tpm)
}

/// One command or answer: its length stands in octets 2 to 5 (TPM 2.0 Library, part 1, 18).
pub(crate) fn frame(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; 10];
    stream.read_exact(&mut octets)?;
    let length = octets[2..6].iter().fold(0, |length: usize, octet| length << 8 | usize::from(*octet));
    octets.resize(length.clamp(10, 8192), 0);
    stream.read_exact(&mut octets[10..])?;
    Ok(octets)
}

/// Both ways until one side ends.
pub(crate) fn relay(theirs: &UnixStream, tpm: &UnixStream) {
    let copy = |mut from: &UnixStream, mut to: &UnixStream| {
        // However it ended, it is over for both.
        let _ = io::copy(&mut from, &mut to);
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| copy(theirs, tpm));
        copy(tpm, theirs);
    });
}

/// What a thread that has panicked leaves behind is as good as before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
