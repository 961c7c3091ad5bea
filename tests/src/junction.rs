//! Where several meet who use the TPM at the same time: swtpm itself serves one, and keeps all others waiting until that one leaves.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use crate::wire::{Listener, ask, frame, lock};

/// Lets whole commands through one by one, whoever they come from, as /dev/tpmrm0 does. What it doesn't do: nobody's objects and
/// sessions make way for another's, so that all have to have room in the TPM at once, and nobody's end with them.
///
/// It must be dropped after the TPM that it leads to, which lets go of whoever waits for an answer.
#[derive(Debug)]
pub(crate) struct Junction {
    listener: Option<Listener>,
    callers: Arc<Callers>,
}

/// Who is connected. Whoever has left is none, and keeps no descriptor here.
type Callers = Mutex<Vec<Weak<UnixStream>>>;

impl Junction {
    /// Listens at a path for the one connection that the TPM has.
    #[track_caller]
    pub(crate) fn new(at: &Path, tpm: UnixStream) -> Self {
        let callers = Arc::new(Callers::default());
        let (tpm, present) = (Arc::new(Mutex::new(tpm)), Arc::clone(&callers));
        let listener = Listener::new(at, move |theirs| {
            let (theirs, tpm) = (Arc::new(theirs), Arc::clone(&tpm));
            let mut present = lock(&present);
            present.retain(|caller| caller.strong_count() > 0);
            present.push(Arc::downgrade(&theirs));
            std::thread::spawn(move || serve(&theirs, &tpm));
        });
        Self { listener: Some(listener), callers }
    }
}

impl Drop for Junction {
    fn drop(&mut self) {
        // Nobody comes in any more while those who are there are hung up on, as the TPM itself would have done.
        drop(self.listener.take());
        for caller in lock(&self.callers).iter().filter_map(Weak::upgrade) {
            // Whoever has hung up themselves needs no telling.
            let _ = caller.shutdown(Shutdown::Both);
        }
    }
}

/// A command that isn't whole yet keeps nobody waiting, and one that is goes through, whether anybody still waits for its answer or not.
fn serve(mut theirs: &UnixStream, tpm: &Mutex<UnixStream>) {
    while let Ok(command) = frame(theirs) {
        let Ok(answer) = ask(&lock(tpm), &command) else { return };
        if theirs.write_all(&answer).is_err() {
            return;
        }
    }
}
