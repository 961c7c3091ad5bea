//! The ends of the two pipes of a fetch.
//!
//! Whoever reads makes the pipe, and hands the write end to the other through the bus. The read end never leaves the process
//! that made it, so that no copy of it is with a monitor; and when that process is gone, every write end knows.

use std::fs::read_link;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use hello_words::tr;
use rustix::fs::{Mode, fchmod};
use rustix::pipe::{PipeFlags, pipe_with};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;
use zeroize::Zeroizing;

use super::frame::LENGTH;

/// Why no frame came through.
#[derive(Debug, Error)]
pub(crate) enum Cut {
    /// A frame above what its reader takes.
    #[error("{}", tr!("a frame is too long"))]
    TooLong,
    /// The other end is gone, or what it handed out is no pipe.
    #[error("{}", tr!("the other end is gone"))]
    Gone,
}

/// Frames come in.
#[derive(Debug)]
pub(crate) struct Incoming(pipe::Receiver);

/// Frames go out.
#[derive(Debug)]
pub(crate) struct Outgoing(pipe::Sender);

/// Makes a pipe: the end to read from, and the end to hand out.
pub(crate) fn pair() -> std::io::Result<(Incoming, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Whoever is handed the end opens it once more, see below, and has another account than this process.
    fchmod(&write, Mode::WUSR | Mode::WGRP | Mode::WOTH)?;
    Ok((Incoming(pipe::Receiver::from_owned_fd(read)?), write))
}

impl Incoming {
    /// The next frame, without its length.
    pub(crate) async fn receive(&mut self, largest: usize) -> Result<Zeroizing<Vec<u8>>, Cut> {
        let mut length = [0; LENGTH];
        self.0.read_exact(&mut length).await.map_err(|_| Cut::Gone)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > largest {
            return Err(Cut::TooLong);
        }
        let mut frame = Zeroizing::new(vec![0; length]);
        self.0.read_exact(&mut frame).await.map_err(|_| Cut::Gone)?;
        Ok(frame)
    }
}

impl Outgoing {
    /// Takes an end that was handed over.
    ///
    /// It is opened once more: whether a write waits is a flag of the open file, which whoever handed it over has, too. A
    /// hellod-online that was taken over would clear the flag, fill the pipe, and stop hellod as a whole.
    ///
    /// What it is, the link says, before it is opened: opening a device does something, and a FIFO that has a name is open to
    /// whoever may call it by that.
    pub(crate) fn open(end: &OwnedFd) -> Result<Self, Cut> {
        let path = format!("/proc/self/fd/{}", end.as_raw_fd());
        let is_pipe = read_link(&path).is_ok_and(|to| to.as_os_str().as_bytes().starts_with(NAMELESS));
        if !is_pipe {
            return Err(Cut::Gone);
        }
        pipe::OpenOptions::new().open_sender(path).map(Self).map_err(|_| Cut::Gone)
    }

    /// Sends a frame, its length in front.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<(), Cut> {
        self.0.write_all(frame).await.map_err(|_| Cut::Gone)
    }

    /// Waits until nobody can read any more what is sent.
    pub(crate) async fn abandoned(&self) {
        loop {
            match self.0.ready(Interest::ERROR).await {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

/// How a pipe is called that was made by pipe(2) (proc_pid_fd(5)). What has a place in a file system begins with a slash.
const NAMELESS: &[u8] = b"pipe:[";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    fn framed(octets: &[u8]) -> Vec<u8> {
        [&(octets.len() as u32).to_be_bytes(), octets].concat()
    }

    #[tokio::test]
    async fn frames_pass_while_every_end_and_a_copy_stay_open() {
        let (mut incoming, end) = pair().unwrap();
        let mut outgoing = Outgoing::open(&end).unwrap();
        let large = vec![7; 300_000];
        let sends = async {
            outgoing.send(&framed(b"one")).await.unwrap();
            outgoing.send(&framed(&large)).await.unwrap();
        };
        let receives = async {
            assert_eq!(incoming.receive(10).await.unwrap().as_slice(), b"one");
            assert_eq!(incoming.receive(300_000).await.unwrap().as_slice(), large);
        };
        tokio::join!(sends, receives);
        assert!(timeout(SOON, incoming.receive(10)).await.is_err());
    }

    #[tokio::test]
    async fn a_frame_that_is_too_long_is_refused_by_its_length_alone() {
        let (mut incoming, end) = pair().unwrap();
        Outgoing::open(&end).unwrap().send(&u32::MAX.to_be_bytes()).await.unwrap();
        assert!(matches!(incoming.receive(1 << 20).await, Err(Cut::TooLong)));
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_noticed_although_copies_of_the_write_end_stay() {
        let (incoming, end) = pair().unwrap();
        let _monitor = end.try_clone().unwrap();
        let mut outgoing = Outgoing::open(&end).unwrap();
        assert!(timeout(SOON, outgoing.abandoned()).await.is_err());
        drop(incoming);
        timeout(SOON, outgoing.abandoned()).await.unwrap();
        assert!(matches!(outgoing.send(b"x").await, Err(Cut::Gone)));
    }

    #[tokio::test]
    async fn whoever_handed_the_end_over_can_not_make_a_write_wait() {
        let (incoming, end) = pair().unwrap();
        let mut outgoing = Outgoing::open(&end).unwrap();
        let flags = fcntl_getfl(&end).unwrap();
        fcntl_setfl(&end, flags - OFlags::NONBLOCK).unwrap();
        // Sets a write free that waits all the same.
        let (done, end_of_test) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let _ = end_of_test.recv_timeout(20 * SOON);
            drop(incoming);
        });
        // Larger than the pipe.
        let sent = timeout(SOON, outgoing.send(&vec![0; 1 << 20])).await;
        assert!(sent.is_err(), "a write waits by the flags of another: {sent:?}");
        drop(done);
    }

    #[tokio::test]
    async fn what_is_no_pipe_is_not_written_to() {
        let file = OwnedFd::from(std::fs::File::options().write(true).open("/dev/null").unwrap());
        assert!(matches!(Outgoing::open(&file), Err(Cut::Gone)));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(Outgoing::open(&socket.into()), Err(Cut::Gone)));
    }

    #[tokio::test]
    async fn a_pipe_that_has_a_name_is_not_opened_by_it() {
        let path = std::env::temp_dir().join(format!("hellod-pipe-{}", std::process::id()));
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let named = std::fs::File::options().read(true).write(true).open(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Outgoing::open(&named.unwrap().into()), Err(Cut::Gone)));
    }
}
