//! The write end of a caller's pipe, into which a token goes, or a transcript.
//!
//! The end is the caller's, and so are its flags: whether a write waits is one of the open file, which the caller has, too. So
//! nothing is written there. It goes into a pipe of our own, which nobody else has, and is moved from there by splice(2),
//! which waits for nobody if it is told so, whatever the flags. Whether there is room again is looked at from time to time: a
//! full pipe is rare, and it is somebody else's.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

/// A pipe's write end that somebody has handed over.
#[derive(Debug)]
pub(super) struct Outlet(OwnedFd);

/// How many tokens are on their way into pipes, by uid. Whoever doesn't read takes up room of their own.
#[derive(Debug, Default)]
pub(super) struct Outlets(Mutex<HashMap<u32, usize>>);

/// Room for one; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    outlets: Arc<Outlets>,
    uid: u32,
}

impl Outlets {
    /// Room for one of `uid`'s.
    pub(super) fn room(self: &Arc<Self>, uid: u32) -> Option<Room> {
        let mut counts = self.counts();
        let all: usize = counts.values().sum();
        let of_one = counts.get(&uid).copied().unwrap_or(0);
        if all >= MOST || of_one >= MOST_OF_ONE {
            return None;
        }
        counts.insert(uid, of_one + 1);
        Some(Room { outlets: Arc::clone(self), uid })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut counts = self.outlets.counts();
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

impl Outlet {
    /// Takes what was handed over, if it is the write end of a pipe and nothing else.
    pub(super) fn parse(end: OwnedFd) -> Option<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&end).ok()?.st_mode);
        let flags = rustix::fs::fcntl_getfl(&end).ok()?;
        let is_write_end = kind == FileType::Fifo && flags & OFlags::RWMODE == OFlags::WRONLY;
        rustix::io::fcntl_setfd(&end, FdFlags::CLOEXEC).ok()?;
        is_write_end.then_some(Self(end))
    }

    /// Writes one frame, aside: the length in four octets, the most significant first, and the token. Whoever doesn't read it in
    /// time doesn't get it.
    pub(super) fn fill(self, token: impl AsRef<str> + Send + 'static, room: Room) {
        tokio::spawn(async move {
            // Nobody is there to be told that it failed but the one who did not read.
            let _ = timeout(PATIENCE, self.write_frame(token.as_ref().as_bytes())).await;
            drop(room);
        });
    }

    /// Writes lines as they come, aside, until there are no more or nobody reads them.
    pub(super) fn pour(self, mut lines: mpsc::Receiver<String>) {
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if !timeout(PATIENCE, self.write(line.as_bytes())).await.is_ok_and(|written| written.is_ok())
                {
                    return;
                }
            }
        });
    }

    async fn write_frame(&self, token: &[u8]) -> io::Result<()> {
        let length = u32::try_from(token.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut frame = Zeroizing::new(Vec::with_capacity(LENGTH + token.len()));
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(token);
        self.write(&frame).await
    }

    async fn write(&self, octets: &[u8]) -> io::Result<()> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        for piece in octets.chunks(PIECE) {
            if rustix::io::write(&write, piece)? != piece.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.pass_on(&read, piece.len()).await?;
        }
        Ok(())
    }

    /// Moves what is in our pipe to the caller's.
    async fn pass_on(&self, read: &OwnedFd, mut left: usize) -> io::Result<()> {
        let mut pause = SHORTEST_PAUSE;
        while left > 0 {
            match splice(read, None, &self.0, None, left, SpliceFlags::NONBLOCK) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => (left, pause) = (left.saturating_sub(moved), SHORTEST_PAUSE),
                Err(Errno::INTR) => {}
                // It is full, until somebody reads.
                Err(Errno::AGAIN) => {
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(2 * pause);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// In octets, in front of a token.
const LENGTH: usize = 4;
/// What every empty pipe takes in one piece (`PIPE_BUF`, pipe(7)).
const PIECE: usize = 4096;
/// How long whoever has asked may take to read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a full pipe.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Tokens of one person on their way at a time.
const MOST_OF_ONE: usize = 8;
/// Tokens on their way at a time, with three descriptors each.
const MOST: usize = 128;

#[cfg(test)]
mod tests {
    use hello_dbus::secret_pipe::{MAX_TOKEN, pair, receive_token};
    use rustix::fs::{fcntl_getfl, fcntl_setfl};

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    /// As the other end does it, in a thread of its own.
    async fn received(read: OwnedFd) -> Option<Vec<u8>> {
        tokio::task::spawn_blocking(move || receive_token(&read, 10 * SOON).ok().map(|token| token.to_vec()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_token_of_any_length_passes_although_a_copy_of_the_write_end_stays_open() {
        for length in [1, 100, 4092, 4093, 5000, MAX_TOKEN] {
            let (read, write) = pair().unwrap();
            let _monitor = write.try_clone().unwrap();
            let token = "t".repeat(length);
            let outlet = Outlet::parse(write).unwrap();
            let (written, received) = tokio::join!(outlet.write_frame(token.as_bytes()), received(read));
            written.unwrap();
            assert_eq!(received.as_deref(), Some(token.as_bytes()), "{length}");
        }
    }

    #[tokio::test]
    async fn a_pipe_as_small_as_the_kernel_makes_them_does_too() {
        let (read, write) = pair().unwrap();
        rustix::pipe::fcntl_setpipe_size(&write, 4096).unwrap();
        let outlet = Outlet::parse(write).unwrap();
        let token = "t".repeat(MAX_TOKEN);
        let (written, received) = tokio::join!(outlet.write_frame(token.as_bytes()), received(read));
        written.unwrap();
        assert_eq!(received.map(|token| token.len()), Some(MAX_TOKEN));
    }

    #[tokio::test]
    async fn whoever_handed_the_end_over_can_not_make_a_write_wait() {
        let (read, write) = pair().unwrap();
        let theirs = write.try_clone().unwrap();
        let outlet = Outlet::parse(write).unwrap();
        fcntl_setfl(&theirs, fcntl_getfl(&theirs).unwrap() - OFlags::NONBLOCK).unwrap();
        // Sets a write free that waits all the same.
        let (done, end_of_test) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let _ = end_of_test.recv_timeout(20 * SOON);
            drop(read);
        });
        // Longer than the pipe.
        let started = std::time::Instant::now();
        let written = timeout(SOON, outlet.write("t".repeat(1 << 17).as_bytes())).await;
        assert!(written.is_err() && started.elapsed() < 10 * SOON, "a write waits by the flags of another");
        drop(done);
    }

    #[tokio::test]
    async fn whoever_is_gone_is_noticed() {
        let (read, write) = pair().unwrap();
        let outlet = Outlet::parse(write).unwrap();
        drop(read);
        let written = timeout(SOON, outlet.write_frame(b"token")).await.unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_is_no_write_end_of_a_pipe_is_refused() {
        let (read, _write) = pair().unwrap();
        assert!(Outlet::parse(read).is_none(), "a copy of this one would be read by a monitor");
        let file = OwnedFd::from(std::fs::File::options().write(true).open("/dev/null").unwrap());
        assert!(Outlet::parse(file).is_none());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Outlet::parse(socket.into()).is_none());
    }

    #[test]
    fn whoever_does_not_read_takes_up_room_of_their_own() {
        let outlets = Arc::new(Outlets::default());
        let mut taken: Vec<_> = (0..MOST_OF_ONE).map(|_| outlets.room(1000).unwrap()).collect();
        assert!(outlets.room(1000).is_none() && outlets.room(1001).is_some());
        taken.pop();
        assert!(outlets.room(1000).is_some());
        let all: Vec<_> = (0..200).filter_map(|uid| outlets.room(2000 + uid)).collect();
        assert_eq!(all.len() + taken.len(), MOST);
        drop((all, taken));
        assert!(outlets.counts().is_empty());
    }
}
