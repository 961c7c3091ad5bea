//! Wrapping keys over a restart of hellod: systemd keeps them, as descriptors of memory that has no name and is on no disk
//! (sd_pid_notify_with_fds(3), `FDSTORE`).
//!
//! Where systemd is not, nothing is kept, and the next right PIN opens what there is.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use zeroize::Zeroizing;

use crate::secret::WrappingKey;
use crate::tokens::Shelf;

/// systemd's store of descriptors.
pub(super) struct DescriptorStore(Option<SocketAddrUnix>);

impl DescriptorStore {
    /// The one of the service manager that has started this process, if any has.
    pub(super) fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "sd_notify(3) says where it listens in no other way")]
        let place = std::env::var_os("NOTIFY_SOCKET");
        Self(place.and_then(|place| address(place.as_encoded_bytes())))
    }

    fn tell(&self, message: &str, descriptor: Option<BorrowedFd<'_>>) {
        let Some(address) = &self.0 else { return };
        if let Err(error) = send(address, message, descriptor) {
            tracing::warn!("the service manager keeps nothing over a restart: {error}");
        }
    }
}

impl Shelf for DescriptorStore {
    fn put(&self, uid: u32, key: &WrappingKey) {
        if self.0.is_none() {
            return;
        }
        match sealed(key) {
            Ok(memory) => {
                self.take_away(uid);
                self.tell(&format!("FDSTORE=1\nFDNAME={}", name(uid)), Some(memory.as_fd()));
            }
            Err(error) => tracing::warn!("there is no memory to be kept over a restart: {error}"),
        }
    }

    fn take_away(&self, uid: u32) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={}", name(uid)), None);
    }
}

/// What the hellod before this one has put there. To be called once, before anything is started: until then whatever is
/// started inherits it.
pub(super) fn handed_over() -> Vec<(u32, WrappingKey)> {
    let descriptors = sd_notify::listen_fds_with_names();
    let descriptors = descriptors.inspect_err(|error| {
        tracing::warn!("what the service manager has handed over can't be read: {error}");
    });
    let keys = descriptors.into_iter().flatten().filter_map(|(descriptor, name)| {
        let key = read(descriptor);
        // A number is all that there is of it: nothing here owns it, and nothing else may use it.
        let _ = nix::unistd::close(descriptor);
        Some((uid_in(&name)?, key?))
    });
    keys.collect()
}

/// Memory with a key in it that nobody can change or make longer any more.
fn sealed(key: &WrappingKey) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("hellod-wrapping", flags)?;
    if rustix::io::pwrite(&memory, key.expose(), 0)? != key.expose().len() {
        return Err(Errno::IO);
    }
    rustix::fs::fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// Reads what [`sealed`] has made. It is opened once more by its number, because there is no other way to it that the
/// compiler could check.
fn read(descriptor: RawFd) -> Option<WrappingKey> {
    let path = format!("/proc/self/fd/{descriptor}");
    // What else could be there is not opened: opening a device does something.
    let is_memory = std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with(NAMELESS));
    if !is_memory {
        return None;
    }
    let memory = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let is_sealed = rustix::fs::fcntl_get_seals(&memory).is_ok_and(|seals| seals.contains(SEALS));
    // One octet more, which would be one too many.
    let mut octets = Zeroizing::new([0; 33]);
    let length = rustix::io::pread(&memory, octets.as_mut_slice(), 0).ok()?;
    let key = WrappingKey::parse(octets.get(..length)?)?;
    is_sealed.then_some(key)
}

fn name(uid: u32) -> String {
    format!("{NAME}{uid}")
}

fn uid_in(text: &str) -> Option<u32> {
    let uid = text.strip_prefix(NAME)?.parse().ok()?;
    (name(uid) == text).then_some(uid)
}

/// A path, or behind an @ a name without one (sd_notify(3)).
fn address(place: &[u8]) -> Option<SocketAddrUnix> {
    match place.split_first()? {
        (b'@', name) => SocketAddrUnix::new_abstract_name(name).ok(),
        (b'/', _) => SocketAddrUnix::new(place).ok(),
        _ => None,
    }
}

fn send(
    address: &SocketAddrUnix,
    message: &str,
    descriptor: Option<BorrowedFd<'_>>,
) -> rustix::io::Result<()> {
    let kind = (AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, None)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        // One fits: the space was made for it.
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    // It never waits: a service manager that takes nothing in keeps nobody from signing in.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let octets = [IoSlice::new(message.as_bytes())];
    rustix::net::sendmsg_addr(&socket, address, &octets, &mut control, flags).map(drop)
}

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);
/// How the descriptors are called.
const NAME: &str = "wrapping-";
/// How memory is called that was made by memfd_create(2) (proc_pid_fd(5)).
const NAMELESS: &str = "/memfd:";

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    fn key(octet: u8) -> WrappingKey {
        WrappingKey::new(Zeroizing::new([octet; 32]))
    }

    #[test]
    fn a_key_comes_out_of_memory_as_it_went_in_and_nobody_changes_it_there() {
        let memory = sealed(&key(7)).unwrap();
        assert_eq!(read(memory.as_raw_fd()).unwrap().expose(), &[7; 32]);
        assert_eq!(rustix::io::pwrite(&memory, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&memory, 64), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&memory, 0), Err(Errno::PERM));
    }

    #[test]
    fn what_was_not_made_so_is_no_key() {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        for (octets, seals) in [(vec![7; 31], SEALS), (vec![7; 33], SEALS), (vec![7; 32], SealFlags::empty())]
        {
            let memory = rustix::fs::memfd_create("x", flags).unwrap();
            rustix::io::pwrite(&memory, &octets, 0).unwrap();
            rustix::fs::fcntl_add_seals(&memory, seals).unwrap();
            assert!(read(memory.as_raw_fd()).is_none(), "{} octets", octets.len());
        }
        let null = OwnedFd::from(std::fs::File::open("/dev/zero").unwrap());
        assert!(read(null.as_raw_fd()).is_none() && read(-1).is_none());
    }

    #[test]
    fn a_name_is_ours_or_none() {
        assert_eq!(uid_in(&name(1000)), Some(1000));
        for text in
            ["", "stored", "wrapping-", "wrapping-01000", "wrapping-+1", "wrapping-1000x", "wrapping--1"]
        {
            assert_eq!(uid_in(text), None, "{text}");
        }
    }

    #[test]
    fn the_service_manager_is_given_the_memory_under_the_name_of_its_person_in_the_place_of_the_one_before() {
        let path = std::env::temp_dir().join(format!("hellod-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let store = DescriptorStore(address(path.as_os_str().as_encoded_bytes()));
        store.put(1000, &key(7));
        store.take_away(1001);
        std::fs::remove_file(&path).unwrap();
        let told = || {
            let mut octets = [0; 200];
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [std::io::IoSliceMut::new(&mut octets)];
            let length = recvmsg(&manager, &mut parts, &mut control, RecvFlags::empty()).unwrap().bytes;
            let descriptor = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            (String::from_utf8(octets[..length].to_vec()).unwrap(), descriptor)
        };
        assert_eq!(told().0, "FDSTOREREMOVE=1\nFDNAME=wrapping-1000");
        let (message, memory) = told();
        assert_eq!(message, "FDSTORE=1\nFDNAME=wrapping-1000");
        assert_eq!(read(memory.unwrap().as_raw_fd()).unwrap().expose(), &[7; 32]);
        assert_eq!(told().0, "FDSTOREREMOVE=1\nFDNAME=wrapping-1001");
    }

    #[test]
    fn without_a_service_manager_nothing_is_kept() {
        let store = DescriptorStore(None);
        store.put(1000, &key(7));
        store.take_away(1000);
        assert!(address(b"").is_none() && address(b"relative").is_none() && address(b"@name").is_some());
    }
}
