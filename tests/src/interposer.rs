//! Somebody who stands between hellod and the TPM, hears everything and answers what they like.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Gid, Mode, Uid};

use crate::lab::Lab;
use crate::people::TSS;
use crate::tpm::{CONTROL, SOCKET};
use crate::transcript::Exchange;
use crate::{Config, Hellod};

/// A man in the middle on the way to the software TPM. Until [`Interposer::meddle`] it only listens.
#[derive(Debug)]
pub struct Interposer {
    shared: Arc<Shared>,
    listeners: Vec<(PathBuf, Option<JoinHandle<()>>)>,
}

/// Gets each command and a way to ask the real TPM, and returns the answer; `None` hangs up.
pub type Meddler = Box<dyn FnMut(&[u8], &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> + Send>;

struct Shared {
    heard: Mutex<Vec<Exchange>>,
    callers: Mutex<Vec<u32>>,
    meddler: Mutex<Option<Meddler>>,
    over: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Interposer {
    /// Steps in between. The TPM must be switched on whenever somebody connects.
    #[track_caller]
    pub fn new(lab: &Lab) -> Self {
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            callers: Mutex::default(),
            meddler: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let mut interposer = Self { shared: Arc::clone(&shared), listeners: Vec::new() };
        let commands = Arc::clone(&shared);
        interposer.listen(lab, BETWEEN, SOCKET, move |theirs, tpm| commands.serve(theirs, tpm));
        interposer.listen(lab, BETWEEN_CONTROL, CONTROL, |theirs, tpm| relay(&theirs, &tpm));
        interposer
    }

    /// What `tpm2` programs inside the laboratory call this way to the TPM.
    pub const TCTI: &str = "swtpm:path=/run/tpm/between";

    /// Starts a hellod that goes this way to the TPM, with settings that are otherwise its own.
    #[track_caller]
    pub fn hellod(&self, lab: &Lab, config: &Config) -> Hellod {
        lab.hellod(&Config { toml: config.toml.replace(SOCKET, BETWEEN), ..config.clone() })
    }

    /// From now on answers come from the meddler.
    pub fn meddle(
        &self,
        meddler: impl FnMut(&[u8], &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> + Send + 'static,
    ) {
        *lock(&self.shared.meddler) = Some(Box::new(meddler));
        lock(&self.shared.heard).clear();
    }

    /// Only listens again, and forgets what it heard.
    pub fn behave(&self) {
        *lock(&self.shared.meddler) = None;
        lock(&self.shared.heard).clear();
    }

    /// Every command since it began to meddle or to behave, with the answer that was given.
    pub fn heard(&self) -> Vec<Exchange> {
        lock(&self.shared.heard).clone()
    }

    /// The names of those commands.
    pub fn names(&self) -> Vec<String> {
        self.heard().iter().map(Exchange::name).collect()
    }

    /// The processes that connected, as the kernel knows them.
    pub fn callers(&self) -> Vec<u32> {
        lock(&self.shared.callers).clone()
    }

    fn listen(
        &mut self,
        lab: &Lab,
        at: &str,
        to: &str,
        serve: impl Fn(UnixStream, UnixStream) + Send + 'static,
    ) {
        let (at, to) = (lab.outside(at), lab.outside(to));
        let listener = UnixListener::bind(&at).expect("the laboratory has a directory for the TPM");
        rustix::fs::chown(&at, Some(Uid::ROOT), Some(Gid::from_raw(TSS))).expect("root may");
        rustix::fs::chmod(&at, Mode::from_raw_mode(0o660)).expect("root may");
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::spawn(move || accept(&listener, &to, &shared, serve));
        self.listeners.push((at, Some(thread)));
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for (at, thread) in &mut self.listeners {
            // Wakes it up. Who is gone already needs no waking.
            let _ = UnixStream::connect(&*at);
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

fn accept(
    listener: &UnixListener,
    to: &Path,
    shared: &Shared,
    serve: impl Fn(UnixStream, UnixStream) + Send + 'static,
) {
    for theirs in listener.incoming().map_while(Result::ok) {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        // Without a TPM the caller is hung up on, which is what it would have met itself.
        if let Ok(tpm) = UnixStream::connect(to) {
            serve(theirs, tpm);
        }
    }
}

impl Shared {
    fn serve(&self, mut theirs: UnixStream, mut tpm: UnixStream) {
        if let Ok(peer) = rustix::net::sockopt::socket_peercred(&theirs) {
            lock(&self.callers).extend(u32::try_from(peer.pid.as_raw_pid()));
        }
        let mut ask = |command: &[u8]| {
            let answer = tpm.write_all(command).and_then(|()| frame(&mut tpm));
            answer.unwrap_or_default()
        };
        while let Ok(command) = frame(&mut theirs) {
            let at = {
                let mut heard = lock(&self.heard);
                heard.push(Exchange { command: command.clone(), answer: Vec::new() });
                heard.len() - 1
            };
            let answer = match &mut *lock(&self.meddler) {
                Some(meddler) => meddler(&command, &mut ask),
                None => Some(ask(&command)),
            };
            let Some(answer) = answer.filter(|answer| !answer.is_empty()) else { return };
            if let Some(exchange) = lock(&self.heard).get_mut(at) {
                exchange.answer.clone_from(&answer);
            }
            if theirs.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// One command or answer: its length stands in octets 2 to 5 (TPM 2.0 Library, part 1, 18).
fn frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; 10];
    stream.read_exact(&mut octets)?;
    let length = octets[2..6].iter().fold(0, |length: usize, octet| length << 8 | usize::from(*octet));
    octets.resize(length.clamp(10, 8192), 0);
    stream.read_exact(&mut octets[10..])?;
    Ok(octets)
}

/// Both ways until one side ends.
fn relay(theirs: &UnixStream, tpm: &UnixStream) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const BETWEEN: &str = "/run/tpm/between";
const BETWEEN_CONTROL: &str = "/run/tpm/between.ctrl";
