//! One child process at the other end of a socket pair, with a watchdog.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::{
    io::ioctl_fionbio,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};
use tokio::{
    io::Interest,
    net::UnixDatagram,
    process::{Child, Command},
    time::timeout,
};

use super::{
    KeyError, socket,
    tpm::wire::{FromChild, Step, ToChild, decode, encode},
};

/// A TPM child. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Worker {
    process: Child,
    /// A SOCK_SEQPACKET socket; the type only serves to wait for it, as `AsyncFd` can't without `unsafe`.
    socket: UnixDatagram,
}

impl Worker {
    /// Spawns a child with an empty environment, but for what keeps libtss2 from writing keys to standard error, and
    /// for [`LARGE_PAGES`].
    pub(crate) fn spawn(program: &Path) -> Result<Self, KeyError> {
        Self::try_spawn(program).map_err(|_| KeyError::Unasked)
    }

    fn try_spawn(program: &Path) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        ioctl_fionbio(&ours, true)?;
        let process = Command::new(program)
            .arg("--tpm-child")
            .env_clear()
            .env("TSS2_LOG", "all+none")
            .env("GLIBC_TUNABLES", LARGE_PAGES)
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { process, socket: UnixDatagram::from_std(ours.into())? })
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Sends a message; the descriptor is closed here once it is on its way.
    pub(crate) async fn tell(
        &mut self,
        message: &ToChild,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), KeyError> {
        let octets = encode(message)?;
        let descriptor = descriptor.as_ref().map(|descriptor| descriptor.as_fd());
        let sent = self
            .socket
            .async_io(Interest::WRITABLE, || Ok(socket::send(&self.socket, &octets, descriptor)?))
            .await;
        match sent {
            Ok(()) => Ok(()),
            // What a child said before it left matters more than that it left.
            Err(_) => match self.hear().await {
                Err(error) => Err(error),
                Ok(_) => Err(KeyError::Child),
            },
        }
    }

    /// The next message that isn't progress. A child that is silent for longer than it said is killed.
    ///
    /// # Errors
    /// What the child failed with, [`KeyError::Stalled`], or [`KeyError::Child`] if it died.
    pub(crate) async fn hear(&mut self) -> Result<FromChild, KeyError> {
        let (mut step, mut within) = (Step::Start, STARTING);
        loop {
            let received = self.socket.async_io(Interest::READABLE, || Ok(socket::receive(&self.socket)?));
            let Ok(received) = timeout(within, received).await else {
                // Waited for, so that the TPM's socket is free for the next child.
                let _ = self.process.kill().await;
                return Err(KeyError::Stalled { step });
            };
            match received {
                Ok(Some((octets, None))) => match decode(&octets)? {
                    FromChild::Progress { step: next, within_ms } => {
                        (step, within) = (next, Duration::from_millis(within_ms).min(LONGEST_STEP));
                    }
                    FromChild::Failed(error) => return Err(error),
                    message => return Ok(message),
                },
                _ => return Err(KeyError::Child),
            }
        }
    }
}

/// For the first word of a child. It is hellod's own program, which is in memory, and was started while the person typed; one
/// that hangs must not keep the person from the password.
const STARTING: Duration = Duration::from_millis(1500);
/// Asks malloc(3) to advise large pages. The memory for stretching a PIN then arrives in ten faults instead of five
/// thousand, which halves the time that a person waits for it; where the kernel or the libc knows nothing of this, nothing happens.
const LARGE_PAGES: &str = "glibc.malloc.hugetlb=1";
/// No child is waited for longer, whatever it says: making a key takes a minute at most.
const LONGEST_STEP: Duration = Duration::from_secs(60);
