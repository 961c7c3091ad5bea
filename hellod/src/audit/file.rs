//! The bounded event file: lines of JSON in two halves, of which the older is dropped when the newer is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One recorded event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
    /// [`super::Event::id`].
    pub id: String,
    /// The account.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The PAM service, or which command of helloctl.
    pub service: String,
    /// What happened.
    pub sentence: String,
}

/// The file's two halves.
#[derive(Debug)]
pub(super) struct EventFile {
    newer: PathBuf,
    older: PathBuf,
}

impl EventFile {
    pub(super) fn new(directory: &Path) -> Self {
        Self { newer: directory.join("events.jsonl"), older: directory.join("events.1.jsonl") }
    }

    /// Appends an event. That the disk is full must not keep anybody from signing in, so it is only said.
    pub(super) fn append(&mut self, entry: &Entry) {
        if let Err(error) = self.try_append(entry) {
            tracing::warn!("the event file can't be written: {error}");
        }
    }

    fn try_append(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        if length + line.len() as u64 >= HALF {
            std::fs::rename(&self.newer, &self.older)?;
            file = self.open()?;
        } else if !ends_with_a_line(&file, length)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.newer)
    }

    /// The last events, oldest first.
    pub(super) fn last(&self, limit: usize, uid: Option<u32>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = [&self.older, &self.newer]
            .into_iter()
            .filter_map(|path| std::fs::read(path).ok())
            // A line that a power cut left half written, or full of zeros, is not shown.
            .flat_map(|text| {
                text.split(|octet| *octet == b'\n')
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .collect::<Vec<_>>()
            })
            .filter(|entry: &Entry| uid.is_none_or(|uid| entry.uid == uid))
            .collect();
        entries.split_off(entries.len().saturating_sub(limit))
    }
}

/// Not so after a power cut: what was written last is then zeros, or a part of it.
fn ends_with_a_line(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last == [b'\n'])
}

/// Largest size of either half, in bytes.
const HALF: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    fn entry(uid: u32, sentence: String) -> Entry {
        Entry { time: 5, id: "8400".into(), user: "alice".into(), uid, service: "sudo".into(), sentence }
    }

    #[test]
    fn events_come_back_in_order_and_only_those_of_the_account_asked_for() {
        let scratch = Scratch::new("events");
        let mut file = EventFile::new(scratch.store.path());
        for number in 0..10u32 {
            file.append(&entry(1000 + number % 2, number.to_string()));
        }
        let sentences = |limit, uid| -> Vec<String> {
            file.last(limit, uid).into_iter().map(|entry| entry.sentence).collect()
        };
        assert_eq!(sentences(3, None), ["7", "8", "9"]);
        assert_eq!(sentences(2, Some(1000)), ["6", "8"]);
    }

    #[test]
    fn the_file_never_outgrows_its_two_halves_and_keeps_the_newest() {
        let scratch = Scratch::new("events-bounded");
        let mut file = EventFile::new(scratch.store.path());
        for number in 0..800u32 {
            file.append(&entry(1000, format!("{number} {}", "x".repeat(1000))));
        }
        let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
        assert!(size(&file.newer) <= HALF && size(&file.older) <= HALF);
        assert!(file.last(1, None)[0].sentence.starts_with("799 "));
    }

    #[test]
    fn what_a_power_cut_left_of_a_line_costs_no_other_event() {
        for left in [&b"{\"time\":1,\"id\n"[..], b"{\"time\":1,\"id", b"\0\0\0\0", b"{\"user\":\"Zo\xc3"] {
            let scratch = Scratch::new("events-torn");
            let mut file = EventFile::new(scratch.store.path());
            file.append(&entry(1000, "before".into()));
            OpenOptions::new().append(true).open(&file.newer).unwrap().write_all(left).unwrap();
            file.append(&entry(1000, "after".into()));
            let sentences: Vec<String> = file.last(9, None).into_iter().map(|entry| entry.sentence).collect();
            assert_eq!(sentences, ["before", "after"], "{left:?}");
        }
    }
}
