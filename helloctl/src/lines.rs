//! Lines as a person or a script types them, each of which may be a secret.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use hello_dbus::secret_pipe::MAX_LONG_SECRET;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, retry_on_intr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

/// What came up to the end of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// At least one and at most [`MAX_LONG_SECRET`] bytes.
    Typed(Zeroizing<Vec<u8>>),
    /// Only Enter; or there is nothing more to read.
    Nothing,
    /// More than a secret may have; the rest of the line is gone.
    TooLong,
}

/// Reads lines, and wipes what it held of them.
#[derive(Debug)]
pub(crate) struct Lines {
    source: Source,
    chunk: Zeroizing<[u8; CHUNK]>,
    taken: usize,
    filled: usize,
}

#[derive(Debug)]
enum Source {
    /// A terminal or a pipe, which may keep one waiting.
    Awaited(AsyncFd<File>),
    /// A file, which never does and which epoll does not take.
    Ready(File),
}

impl Lines {
    /// Reads from `file`.
    #[expect(
        deprecated,
        reason = "the successor is unsafe, and asks only that the descriptor stays open: a File sees to that"
    )]
    pub(crate) fn from(file: File) -> Self {
        let source = match AsyncFd::try_with_interest(file, Interest::READABLE) {
            Ok(awaited) => Source::Awaited(awaited),
            Err(refused) => Source::Ready(refused.into_parts().0),
        };
        Self { source, chunk: Zeroizing::new([0; CHUNK]), taken: 0, filled: 0 }
    }

    /// The next line, without its end.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LONG_SECRET));
        let mut too_long = false;
        while let Some(byte) = self.byte().await?.filter(|byte| *byte != b'\n') {
            // Never more than the capacity: growing would leave an unwiped copy behind.
            too_long |= line.len() == MAX_LONG_SECRET;
            if !too_long {
                line.push(byte);
            }
        }
        Ok(match (too_long, line.is_empty()) {
            (true, _) => Line::TooLong,
            (false, true) => Line::Nothing,
            (false, false) => Line::Typed(line),
        })
    }

    async fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.taken == self.filled {
            self.taken = 0;
            self.filled = self.source.read(&mut *self.chunk).await?;
        }
        let byte = self.chunk.get(self.taken..self.filled).and_then(|rest| rest.first()).copied();
        self.taken += usize::from(byte.is_some());
        Ok(byte)
    }
}

impl Source {
    async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Awaited(file) => file.async_io(Interest::READABLE, |file| read_if_ready(file, into)).await,
            Self::Ready(file) => Ok(retry_on_intr(|| read(file, &mut *into))?),
        }
    }
}

/// Reads where reading would not wait. `O_NONBLOCK` would do the same, but it belongs to the open file, which the
/// shell and other programs may share.
fn read_if_ready(file: &File, into: &mut [u8]) -> io::Result<usize> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready =
        retry_on_intr(|| poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)], Some(&at_once)))?;
    if ready == 0 {
        return Err(Errno::AGAIN.into());
    }
    Ok(retry_on_intr(|| read(file, &mut *into))?)
}

/// Bytes read at once: a line of a terminal is at most 4096, and few are half as long.
const CHUNK: usize = 512;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    async fn lines_of(text: &[u8]) -> Vec<Line> {
        let (read, write) = io::pipe().unwrap();
        let mut write = File::from(OwnedFd::from(write));
        write.write_all(text).unwrap();
        drop(write);
        let mut lines = Lines::from(File::from(OwnedFd::from(read)));
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(lines.next().await.unwrap());
        }
        all
    }

    fn typed(text: &[u8]) -> Line {
        Line::Typed(Zeroizing::new(text.to_vec()))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_line_answers_one_prompt_and_nothing_follows_the_last() {
        assert_eq!(
            lines_of(b"271828\n\n3141 59").await,
            [typed(b"271828"), Line::Nothing, typed(b"3141 59"), Line::Nothing]
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_line_longer_than_a_secret_is_dropped_as_a_whole() {
        let longest = [b'7'; MAX_LONG_SECRET];
        let text = [&longest[..], b"\n", &longest, b"7\n", &[b'8'; 9000], b"\n", b"9"].concat();
        assert_eq!(lines_of(&text).await, [typed(&longest), Line::TooLong, Line::TooLong, typed(b"9")]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_that_epoll_does_not_take_is_read_all_the_same() {
        let mut lines = Lines::from(File::open("/proc/self/comm").unwrap());
        assert!(matches!(lines.next().await, Ok(Line::Typed(_))));
        assert_eq!(lines.next().await.unwrap(), Line::Nothing);
    }
}
