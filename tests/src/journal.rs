//! What was logged in a laboratory: the test itself listens where syslog and journald would.

use std::io::{IoSliceMut, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::namespace::Namespace;
use crate::wait::until;

/// One thing that was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The fields of journald's native protocol. From syslog(3): `PRIORITY`, `SYSLOG_FACILITY`, `MESSAGE` (with its time stamp and
    /// the program's name before it).
    pub fields: Vec<(String, Vec<u8>)>,
    /// The datagram as it came.
    pub raw: Vec<u8>,
}

impl Entry {
    /// The first field of that name, as text.
    pub fn field(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The text for people.
    pub fn message(&self) -> String {
        self.field("MESSAGE").unwrap_or_default()
    }
}

/// Everything that was logged since the laboratory began.
#[derive(Debug)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
    _until_dropped: PipeWriter,
}

impl Journal {
    pub(crate) fn listen(namespace: &Namespace) -> Self {
        let syslog = socket(&namespace.outside("/run/systemd/journal/dev-log"));
        let native = socket(&namespace.outside("/run/systemd/journal/socket"));
        let entries = Arc::new(Mutex::new(Vec::new()));
        let (over, until_dropped) = std::io::pipe().expect("a pipe can be made");
        let theirs = Arc::clone(&entries);
        std::thread::spawn(move || collect(&syslog, &native, &over, &theirs));
        Self { entries, _until_dropped: until_dropped }
    }

    /// Everything until now.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Waits for an entry that fits.
    #[track_caller]
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Entry) -> bool) -> Entry {
        until(&format!("{what} to be logged"), Duration::from_secs(5), || {
            self.lock().iter().find(|entry| fits(entry)).cloned()
        })
    }

    /// Whether these bytes were ever logged, in any field.
    pub fn contains(&self, needle: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        self.lock().iter().any(|entry| has(&entry.raw))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn socket(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("/run/systemd/journal is fresh");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).expect("root may");
    socket
}

fn collect(syslog: &UnixDatagram, native: &UnixDatagram, over: &PipeReader, entries: &Mutex<Vec<Entry>>) {
    loop {
        let mut sources = [
            PollFd::new(over, PollFlags::empty()),
            PollFd::new(syslog, PollFlags::IN),
            PollFd::new(native, PollFlags::IN),
        ];
        if poll(&mut sources, None).is_err() {
            continue;
        }
        let [over, syslog_ready, native_ready] = sources.map(|source| !source.revents().is_empty());
        let mut found = Vec::new();
        if syslog_ready {
            found.extend(receive(syslog).map(|raw| Entry { fields: from_syslog(&raw), raw }));
        }
        if native_ready {
            found.extend(receive(native).map(|raw| Entry { fields: from_native(&raw), raw }));
        }
        entries.lock().unwrap_or_else(PoisonError::into_inner).append(&mut found);
        if over {
            return;
        }
    }
}

/// One datagram; what is too large for one comes as the descriptor of a memory file.
fn receive(socket: &UnixDatagram) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 256 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    bytes.truncate(message.bytes);
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = part {
            files.for_each(|file| read_from_start(file, &mut bytes));
        }
    }
    Some(bytes)
}

fn read_from_start(file: OwnedFd, into: &mut Vec<u8>) {
    // The writer left its position at the end, and the descriptor shares it.
    let _ = rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0));
    let _ = std::fs::File::from(file).read_to_end(into);
}

/// `<priority>text` (RFC 3164, 4.1.1).
fn from_syslog(raw: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(raw);
    let (number, message) =
        text.strip_prefix('<').and_then(|rest| rest.split_once('>')).unwrap_or(("13", &text));
    let number: u32 = number.parse().unwrap_or(13);
    let message = message.trim_end_matches(['\0', '\n']).to_owned();
    vec![
        ("PRIORITY".into(), (number % 8).to_string().into_bytes()),
        ("SYSLOG_FACILITY".into(), (number / 8).to_string().into_bytes()),
        ("MESSAGE".into(), message.into_bytes()),
    ]
}

/// `NAME=text`, or `NAME`, a newline, the length in 8 bytes and the value (systemd, "Native Journal Protocol").
fn from_native(raw: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    let mut rest = raw;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            fields.push((String::from_utf8_lossy(&line[..equals]).into_owned(), line[equals + 1..].to_vec()));
        } else if let Some((length, after)) = after.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX).min(after.len());
            fields.push((String::from_utf8_lossy(line).into_owned(), after[..length].to_vec()));
            rest = after.get(length + 1..).unwrap_or_default();
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_native_protocol_are_read() {
        let raw = b"PRIORITY=6\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb=c\nHELLO_EVENT=101\n";
        let entry = Entry { fields: from_native(raw), raw: raw.to_vec() };
        assert_eq!(entry.message(), "a\nb=c");
        assert_eq!(entry.field("HELLO_EVENT").as_deref(), Some("101"));
    }

    #[test]
    fn a_syslog_line_is_split_into_facility_and_priority() {
        let raw = b"<86>Nov 22 10:00:00 sudo[7]: session opened\n";
        let entry = Entry { fields: from_syslog(raw), raw: raw.to_vec() };
        assert_eq!(entry.field("SYSLOG_FACILITY").as_deref(), Some("10"));
        assert_eq!(entry.field("PRIORITY").as_deref(), Some("6"));
        assert!(entry.message().ends_with("session opened"));
    }
}
