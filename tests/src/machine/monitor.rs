//! QEMU's monitor: a line of text, and what QEMU says to it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wait::until;

#[derive(Debug)]
pub(super) struct Monitor {
    stream: UnixStream,
}

impl Monitor {
    #[track_caller]
    pub(super) fn on(socket: &Path) -> Self {
        let stream = until("QEMU to listen", Duration::from_secs(30), || UnixStream::connect(socket).ok());
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a deadline can be set");
        let mut monitor = Self { stream };
        monitor.said();
        monitor
    }

    /// Gives a command, and returns what QEMU says: nothing, where all is well.
    #[track_caller]
    pub(super) fn command(&mut self, command: &str) -> String {
        self.stream.write_all(format!("{command}\n").as_bytes()).expect("QEMU runs");
        let said = self.said();
        // The line is shown while it is typed, with the means of a terminal.
        said.split_once("\r\n").map_or(String::new(), |(_, rest)| rest.trim().to_owned())
    }

    /// Has QEMU end, with everything written.
    #[track_caller]
    pub(super) fn quit(&mut self) {
        self.stream.write_all(b"quit\n").expect("QEMU runs");
    }

    #[track_caller]
    fn said(&mut self) -> String {
        let (mut said, mut piece) = (Vec::new(), [0; 4096]);
        while !said.ends_with(b"(qemu) ") {
            match self.stream.read(&mut piece) {
                Ok(length) if length > 0 => said.extend_from_slice(&piece[..length]),
                other => {
                    panic!("QEMU's monitor ended with {other:?} after {:?}", String::from_utf8_lossy(&said))
                }
            }
        }
        String::from_utf8_lossy(&said[..said.len() - 7]).into_owned()
    }
}
