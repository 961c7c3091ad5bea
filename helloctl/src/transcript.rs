//! Writing down what passes between this computer and a directory, without what is secret: hellod tells it, line by line.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{self, JoinHandle};

use hello_dbus::Step;
use hello_dbus::client::{Conversation, Hellod};

use crate::failure::Failure;
use crate::screen;

/// One that is being written.
pub(crate) struct Transcript {
    path: String,
    /// In which hellod tells it. Its end is the end of the transcript.
    pub(crate) conversation: Conversation,
    writes: JoinHandle<io::Result<u64>>,
}

impl Transcript {
    /// Makes the file, and has hellod begin. What hellod asks first comes back: when to stop.
    pub(crate) async fn begin(hellod: &Hellod, path: &Path) -> Result<(Self, Step), Failure> {
        let (pipe, conversation, step) = hellod.trace().await?;
        // Nobody else's business, and nobody else's file.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(|error| Failure::Transcript(path.display().to_string(), error))?;
        let writes = thread::spawn(move || io::copy(&mut File::from(pipe), &mut file));
        Ok((Self { path: path.display().to_string(), conversation, writes }, step))
    }

    /// Ends it, and waits until all of it is in the file.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        // It may have ended already.
        let _ = self.conversation.cancel().await;
        let written = self.writes.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        written.map_err(|error| Failure::Transcript(self.path.clone(), error))?;
        screen::result(&format!("{}{WHAT}", self.path))
    }
}

const WHAT: &str = " has what passed between this computer and the directory.\n\
    No password, PIN, token or key is in it; names of people and computers are.";
