//! Writing down what passes between this computer and a directory, without what is secret: hellod tells it, line by line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hello_dbus::client::{Conversation, Hellod};
use hello_dbus::{Answer, Step};
use hello_words::{Text, tr};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::screen;

/// One that is being written.
pub(crate) struct Transcript {
    path: String,
    /// In which hellod tells it. Its end is the end of the transcript.
    pub(crate) conversation: Conversation,
    writes: JoinHandle<io::Result<Written>>,
}

/// What is in the file, and what is not.
struct Written {
    exchanges: u64,
    missing: u64,
}

impl Transcript {
    /// Has hellod begin, and makes the file. What hellod asks comes back: when to stop.
    pub(crate) async fn begin(hellod: &Hellod, path: &Path) -> Result<(Self, Step), Failure> {
        let named = path.display().to_string();
        let (pipe, conversation, mut step) = hellod.trace().await?;
        while matches!(step, Step::Wait) {
            step = conversation.answer(Answer::Continue).await?;
        }
        if !matches!(step, Step::Prompt(_)) {
            let why =
                io::Error::other(tr!("hellod writes as many transcripts as it can already").to_string());
            return Err(Failure::Transcript(named, why));
        }
        // Nobody else's business, and nobody else's file.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Failure::Transcript(named.clone(), in_words(error)))?;
        let writes = thread::spawn(move || write(pipe, file));
        Ok((Self { path: named, conversation, writes }, step))
    }

    /// Waits until nothing more is written.
    pub(crate) async fn over(&self) {
        while !self.writes.is_finished() {
            sleep(GLANCE).await;
        }
    }

    /// Ends it, and says what is in the file.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        // It may have ended already.
        let _ = self.conversation.cancel().await;
        let written = match timeout(PATIENCE, self.over()).await {
            Ok(()) => self.writes.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let Written { exchanges, missing } =
            written.map_err(|error| Failure::Transcript(self.path.clone(), error))?;
        let path = self.path;
        let kept = match exchanges {
            0 => tr!("{path} is empty: nothing passed between this computer and a directory.", path),
            1 => {
                tr!("{path} has one exchange between this computer and a directory.{WITHOUT}", path, WITHOUT)
            }
            many => tr!(
                "{path} has {many} exchanges between this computer and a directory.{WITHOUT}",
                path,
                many,
                WITHOUT
            ),
        };
        screen::result(&kept)?;
        if missing > 0 {
            screen::result(tr!(
                "Missing, because they had no answer yet or came too fast: {missing}.",
                missing
            ))?;
        }
        Ok(())
    }
}

/// Writes the lines down until the one that says that it is the last, which says how many are missing. The end of the pipe is not waited
/// for: nobody knows who else has it.
fn write(pipe: OwnedFd, mut file: File) -> io::Result<Written> {
    for (exchanges, line) in (0..).zip(BufReader::new(File::from(pipe)).lines()) {
        let line = line?;
        let said: Value = serde_json::from_str(&line)?;
        if said["end"] == true {
            file.sync_all()?;
            return Ok(Written { exchanges, missing: said["lost"].as_u64().unwrap_or_default() });
        }
        writeln!(file, "{line}")?;
    }
    Err(io::Error::other(tr!("it ended too early").to_string()))
}

fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::other(tr!("it is there already").to_string()),
        io::ErrorKind::NotFound => io::Error::other(tr!("its folder is not there").to_string()),
        _ => error,
    }
}

/// Between two looks whether the last line is there.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(5);
const WITHOUT: Text = tr!("\n\
    No password, PIN, token or key is in it; names of people and computers are.");
