//! Somebody who stands between hellod and the TPM, hears everything and answers what they like.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use crate::lab::Lab;
use crate::tpm::{CONTROL, SOCKET};
use crate::transcript::Exchange;
use crate::wire::{Listener, ask, frame, lock, relay};
use crate::{Config, Hellod};

/// A man in the middle on the way to the software TPM. Until [`Interposer::meddle`] it only listens.
#[derive(Debug)]
pub struct Interposer {
    shared: Arc<Shared>,
    _listeners: [Listener; 2],
}

/// Gets each command and a way to ask the real TPM, and returns the answer; `None` hangs up.
pub type Meddler = Box<dyn FnMut(&[u8], &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> + Send>;

struct Shared {
    heard: Mutex<Vec<Exchange>>,
    callers: Mutex<Vec<u32>>,
    meddler: Mutex<Option<Meddler>>,
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
        });
        let commands = Arc::clone(&shared);
        // hellod and hellod-finger are there at once while a finger signs.
        let listeners = [
            listen(lab, BETWEEN, SOCKET, move |theirs, tpm| {
                let commands = Arc::clone(&commands);
                std::thread::spawn(move || commands.serve(&theirs, &tpm));
            }),
            listen(lab, BETWEEN_CONTROL, CONTROL, |theirs, tpm| {
                std::thread::spawn(move || relay(&theirs, &tpm));
            }),
        ];
        Self { shared, _listeners: listeners }
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
}

#[track_caller]
fn listen(
    lab: &Lab,
    at: &str,
    to: &str,
    serve: impl Fn(UnixStream, UnixStream) + Send + 'static,
) -> Listener {
    let to = lab.outside(to);
    Listener::new(&lab.outside(at), move |theirs| {
        // Without a TPM the caller is hung up on, which is what it would have met itself.
        if let Ok(tpm) = UnixStream::connect(&to) {
            serve(theirs, tpm);
        }
    })
}

impl Shared {
    fn serve(&self, mut theirs: &UnixStream, tpm: &UnixStream) {
        if let Ok(peer) = rustix::net::sockopt::socket_peercred(theirs) {
            lock(&self.callers).extend(u32::try_from(peer.pid.as_raw_pid()));
        }
        let mut ask = |command: &[u8]| ask(tpm, command).unwrap_or_default();
        while let Ok(command) = frame(theirs) {
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

const BETWEEN: &str = "/run/tpm/between";
const BETWEEN_CONTROL: &str = "/run/tpm/between.ctrl";
