//! A secret crosses the bus as bytes in a pipe.
//!
//! hellod makes the pipe and sends the write end with its prompt. It must not be the other way round: whoever
//! monitors the bus receives copies of every descriptor that passes, and a copy of a read end reads the secret, while
//! a copy of a write end reads nothing.
//!
//! What passes is one frame: the length as two bytes, big endian, and that many bytes. Neither end waits for the
//! other to close, because a monitor may hold a copy open.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hello_words::tr;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest secret, in bytes: far above any PIN, and with its length well below the smallest buffer of a pipe, so that
/// writing never blocks.
pub const MAX_SECRET: usize = 510;

/// Longest secret that is pasted or comes from a file, in bytes: with its length it is what every pipe takes in one piece
/// (`PIPE_BUF`, pipe(7)).
pub const MAX_LONG_SECRET: usize = 4094;

/// Longest secret file, in bytes: half of what a pipe holds, so that writing never blocks.
pub const MAX_FILE: usize = 32 * 1024;

/// Longest token, in bytes: what Entra gives out has one to four thousand. It may not fit a pipe in one piece, so whoever has
/// asked reads while it is written.
pub const MAX_TOKEN: usize = 64 * 1024;

/// Why no secret came through.
#[derive(Debug, Error)]
pub enum SecretPipeError {
    /// More bytes than there may be.
    #[error("{}", tr!("the secret is too long"))]
    TooLong,
    /// The frame was not whole in time.
    #[error("{}", tr!("nothing was typed in time"))]
    Late,
    /// The other end closed before the frame was whole.
    #[error("{}", tr!("the other end went away"))]
    Closed,
    /// The operating system refused.
    #[error("{}", tr!("the pipe failed"))]
    Io(#[from] io::Error),
}

/// Makes the pipe: (read end, write end), both close-on-exec.
///
/// # Errors
/// [`SecretPipeError::Io`] where no descriptors are left.
pub fn pair() -> Result<(OwnedFd, OwnedFd), SecretPipeError> {
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(io::Error::from)?)
}

/// Writes one frame of at most [`MAX_SECRET`] bytes.
///
/// # Errors
/// [`SecretPipeError::TooLong`]; [`SecretPipeError::Closed`] where nobody reads any more; [`SecretPipeError::Io`]
/// where `pipe` is no pipe or is full, as none that hellod made can be.
pub fn send(pipe: &OwnedFd, secret: &[u8]) -> Result<(), SecretPipeError> {
    send_up_to(MAX_SECRET, pipe, secret)
}

/// Writes one frame of at most [`MAX_LONG_SECRET`] bytes.
///
/// # Errors
/// As [`send`].
pub fn send_long(pipe: &OwnedFd, secret: &[u8]) -> Result<(), SecretPipeError> {
    send_up_to(MAX_LONG_SECRET, pipe, secret)
}

/// Writes one frame of at most [`MAX_FILE`] bytes, whose length has four. Nobody has to read meanwhile.
///
/// # Errors
/// As [`send`].
pub fn send_file(pipe: &OwnedFd, secret: &[u8]) -> Result<(), SecretPipeError> {
    let length = u32::try_from(secret.len()).map_err(|_| SecretPipeError::TooLong)?;
    if secret.len() > MAX_FILE {
        return Err(SecretPipeError::TooLong);
    }
    send_counted(pipe, &length.to_be_bytes(), secret)
}

fn send_up_to(longest: usize, pipe: &OwnedFd, secret: &[u8]) -> Result<(), SecretPipeError> {
    let length = u16::try_from(secret.len()).map_err(|_| SecretPipeError::TooLong)?;
    if secret.len() > longest {
        return Err(SecretPipeError::TooLong);
    }
    send_counted(pipe, &length.to_be_bytes(), secret)
}

fn send_counted(pipe: &OwnedFd, length: &[u8], secret: &[u8]) -> Result<(), SecretPipeError> {
    let mut frame = Zeroizing::new(Vec::with_capacity(length.len() + secret.len()));
    frame.extend_from_slice(length);
    frame.extend_from_slice(secret);
    // It fits what an empty pipe has room for, so it is written as a whole (pipe(7)).
    match without_sigpipe(|| rustix::io::retry_on_intr(|| rustix::io::write(pipe, &frame)))? {
        Ok(written) if written == frame.len() => Ok(()),
        Ok(_) => Err(SecretPipeError::Io(io::ErrorKind::WriteZero.into())),
        Err(Errno::PIPE) => Err(SecretPipeError::Closed),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Runs a write that may meet a pipe without a reader. SIGPIPE would kill sudo or login, whose signals these are, when
/// hellod dies at the wrong moment; so it is held back, and taken away if it came.
fn without_sigpipe<T>(write: impl FnOnce() -> T) -> Result<T, SecretPipeError> {
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    let before = sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(io::Error::from)?;
    let pending = SignalFd::with_flags(&sigpipe, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    let result = write();
    if let Ok(pending) = pending {
        pending.read_signal().map_err(io::Error::from)?;
    }
    before.thread_set_mask().map_err(io::Error::from)?;
    Ok(result)
}

/// Reads one frame of at most [`MAX_SECRET`] bytes, waiting for at most `patience`.
///
/// # Errors
/// Every variant of [`SecretPipeError`].
pub fn receive(pipe: &OwnedFd, patience: Duration) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    receive_up_to(MAX_SECRET, pipe, patience)
}

/// Reads one frame of at most [`MAX_LONG_SECRET`] bytes, waiting for at most `patience`.
///
/// # Errors
/// Every variant of [`SecretPipeError`].
pub fn receive_long(pipe: &OwnedFd, patience: Duration) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    receive_up_to(MAX_LONG_SECRET, pipe, patience)
}

/// Reads one frame of at most [`MAX_TOKEN`] bytes, waiting for at most `patience`. Its length has four bytes, for hellod writes
/// it and no terminal.
///
/// # Errors
/// Every variant of [`SecretPipeError`].
pub fn receive_token(pipe: &OwnedFd, patience: Duration) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    receive_counted(pipe, patience, MAX_TOKEN, in_four_bytes)
}

/// Reads one frame of at most [`MAX_FILE`] bytes, waiting for at most `patience`.
///
/// # Errors
/// Every variant of [`SecretPipeError`].
pub fn receive_file(pipe: &OwnedFd, patience: Duration) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    receive_counted(pipe, patience, MAX_FILE, in_four_bytes)
}

fn in_four_bytes(length: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX)
}

fn receive_up_to(
    longest: usize,
    pipe: &OwnedFd,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    receive_counted(pipe, patience, longest, |length: [u8; LENGTH]| usize::from(u16::from_be_bytes(length)))
}

fn receive_counted<const N: usize>(
    pipe: &OwnedFd,
    patience: Duration,
    longest: usize,
    count: impl FnOnce([u8; N]) -> usize,
) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    // Set here too: the flag belongs to the open pipe, and whoever holds another copy may have cleared it.
    let flags = rustix::fs::fcntl_getfl(pipe).map_err(io::Error::from)?;
    rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
    let deadline = Instant::now() + patience;
    let mut length = [0; N];
    read_exactly(pipe, &mut length, deadline)?;
    let length = count(length);
    if length > longest {
        return Err(SecretPipeError::TooLong);
    }
    let mut secret = Zeroizing::new(vec![0; length]);
    read_exactly(pipe, &mut secret, deadline)?;
    Ok(secret)
}

fn read_exactly(pipe: &OwnedFd, buffer: &mut [u8], deadline: Instant) -> Result<(), SecretPipeError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(pipe, rest) {
            Ok(0) => return Err(SecretPipeError::Closed),
            Ok(count) => filled += count,
            Err(Errno::AGAIN) => wait_readable(pipe, deadline)?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Ok(())
}

fn wait_readable(pipe: &OwnedFd, deadline: Instant) -> Result<(), SecretPipeError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(SecretPipeError::Late);
    }
    let timeout = Timespec::try_from(left).map_err(|_| SecretPipeError::Late)?;
    match poll(&mut [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Bytes of the length in front of a secret.
const LENGTH: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn a_file_of_the_greatest_length_fits_a_pipe_and_a_longer_one_is_not_written() {
        let (read, write) = pair().unwrap();
        let file = vec![7; MAX_FILE];
        send_file(&write, &file).unwrap();
        assert_eq!(*receive_file(&read, SOON).unwrap(), file);
        assert!(matches!(send_file(&write, &[0; MAX_FILE + 1]), Err(SecretPipeError::TooLong)));
        assert!(matches!(receive_file(&read, SOON), Err(SecretPipeError::Late)));
        rustix::io::write(&write, &(MAX_FILE as u32 + 1).to_be_bytes()).unwrap();
        assert!(matches!(receive_file(&read, SOON), Err(SecretPipeError::TooLong)));
    }

    #[test]
    fn a_secret_passes_while_both_ends_stay_open() {
        let (read, write) = pair().unwrap();
        send(&write, b"271828").unwrap();
        assert_eq!(receive(&read, SOON).unwrap().as_slice(), b"271828");
    }

    #[test]
    fn the_longest_secret_passes_and_a_longer_one_is_refused_by_both_ends() {
        let (read, write) = pair().unwrap();
        send(&write, &[7; MAX_SECRET]).unwrap();
        assert_eq!(receive(&read, SOON).unwrap().len(), MAX_SECRET);
        assert!(matches!(send(&write, &[7; MAX_SECRET + 1]), Err(SecretPipeError::TooLong)));
        rustix::io::write(&write, &[0xff, 0xff, 1, 2, 3]).unwrap();
        assert!(matches!(receive(&read, SOON), Err(SecretPipeError::TooLong)));
    }

    #[test]
    fn what_is_pasted_may_be_longer_and_fills_an_empty_pipe_at_most() {
        let (read, write) = pair().unwrap();
        // As small as the kernel makes the pipes of somebody who has many.
        rustix::pipe::fcntl_setpipe_size(&write, 4096).unwrap();
        send_long(&write, &[7; MAX_LONG_SECRET]).unwrap();
        assert_eq!(receive_long(&read, SOON).unwrap().len(), MAX_LONG_SECRET);
        assert!(matches!(send_long(&write, &[7; MAX_LONG_SECRET + 1]), Err(SecretPipeError::TooLong)));
        send_long(&write, &[7; MAX_SECRET + 1]).unwrap();
        assert!(matches!(receive(&read, SOON), Err(SecretPipeError::TooLong)));
    }

    #[test]
    fn a_token_has_a_longer_length_in_front_and_one_that_is_too_long_is_refused_by_it() {
        let (read, write) = pair().unwrap();
        rustix::io::write(&write, &[0, 0, 0, 3, b'a', b'b', b'c']).unwrap();
        assert_eq!(receive_token(&read, SOON).unwrap().as_slice(), b"abc");
        rustix::io::write(&write, &[0, 1, 0, 1, b'a']).unwrap();
        assert!(matches!(receive_token(&read, SOON), Err(SecretPipeError::TooLong)));
    }

    #[test]
    fn half_a_frame_is_late_while_the_writer_lives_and_closed_once_it_is_gone() {
        let (read, write) = pair().unwrap();
        rustix::io::write(&write, &[0, 6, b'2', b'7']).unwrap();
        assert!(matches!(receive(&read, SOON), Err(SecretPipeError::Late)));
        drop(write);
        assert!(matches!(receive(&read, SOON), Err(SecretPipeError::Closed)));
    }

    #[test]
    fn a_writer_whose_reader_is_gone_is_told_so_and_not_killed() {
        let (read, write) = pair().unwrap();
        drop(read);
        assert!(matches!(send(&write, b"271828"), Err(SecretPipeError::Closed)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_the_pipe_are_one_frame_or_refused(
            frame in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..600),
                prop::collection::vec(any::<u8>(), 0..520).prop_map(|secret| {
                    [&(secret.len() as u16).to_be_bytes(), secret.as_slice()].concat()
                }),
            ],
            writer_stays: bool,
        ) {
            let (read, write) = pair().unwrap();
            prop_assert_eq!(rustix::io::write(&write, &frame), Ok(frame.len()));
            let _writer = writer_stays.then_some(write);
            let whole = frame.split_first_chunk().map(|(length, rest)| {
                let length = usize::from(u16::from_be_bytes(*length));
                (length, rest.get(..length))
            });
            match (receive(&read, Duration::ZERO), whole) {
                (Ok(secret), Some((_, expected))) => prop_assert_eq!(Some(secret.as_slice()), expected),
                (Err(SecretPipeError::TooLong), Some((length, _))) => prop_assert!(length > MAX_SECRET),
                (Err(SecretPipeError::Late), None | Some((..=MAX_SECRET, None))) => prop_assert!(writer_stays),
                (Err(SecretPipeError::Closed), None | Some((..=MAX_SECRET, None))) => prop_assert!(!writer_stays),
                (other, _) => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn what_is_sent_is_what_is_received(secret in prop::collection::vec(any::<u8>(), 0..=MAX_SECRET)) {
            let (read, write) = pair().unwrap();
            send(&write, &secret).unwrap();
            let received = receive(&read, Duration::ZERO).unwrap();
            prop_assert_eq!(received.as_slice(), secret);
        }
    }
}
