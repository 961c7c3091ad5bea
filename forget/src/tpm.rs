//! Two commands of the TPM 2.0 Library Specification, octet by octet (part 3, clauses 31.3 and 31.6).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use thiserror::Error;

use crate::records::TpmPath;

/// An open TPM.
pub(crate) enum Tpm {
    Device(File),
    Swtpm(UnixStream),
}

/// Why an object stays.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("the TPM's owner has a password; give it to tpm2_nvundefine(1)")]
    OwnerPassword,
    #[error("it answers with the error {0:#05x}")]
    Code(u32),
    #[error("its answer is cut short")]
    Short,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Tpm {
    pub(crate) fn open(path: &TpmPath) -> io::Result<Self> {
        match &path.swtpm {
            Some(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Self::Swtpm(stream))
            }
            None => OpenOptions::new().read(true).write(true).open(&path.device).map(Self::Device),
        }
    }

    /// The Name of an NV index (TPM2_NV_ReadPublic); nothing where there is none.
    pub(crate) fn name_of(&mut self, handle: u32) -> Result<Option<Vec<u8>>, Refusal> {
        let answer = match self.run(NO_SESSIONS, READ_PUBLIC, &handle.to_be_bytes()) {
            Ok(answer) => answer,
            Err(Refusal::Code(code)) if code & FORMAT_ONE == HANDLE => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let (_public, rest) = sized(&answer).ok_or(Refusal::Short)?;
        let (name, _) = sized(rest).ok_or(Refusal::Short)?;
        Ok(Some(name.to_vec()))
    }

    /// Undefines an NV index as the owner with the empty password (TPM2_NV_UndefineSpace).
    pub(crate) fn undefine(&mut self, handle: u32) -> Result<(), Refusal> {
        let handles = [OWNER.to_be_bytes(), handle.to_be_bytes()].concat();
        let empty_password = [&9u32.to_be_bytes()[..], &PASSWORD_SESSION.to_be_bytes(), &[0; 5]].concat();
        match self.run(SESSIONS, UNDEFINE_SPACE, &[handles, empty_password].concat()) {
            Ok(_) => Ok(()),
            Err(Refusal::Code(code)) if code & FORMAT_ONE == BAD_AUTH => Err(Refusal::OwnerPassword),
            Err(refusal) => Err(refusal),
        }
    }

    fn run(&mut self, tag: u16, command: u32, rest: &[u8]) -> Result<Vec<u8>, Refusal> {
        let size = u32::try_from(HEADER + rest.len()).map_err(|_| Refusal::Short)?;
        let octets = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &command.to_be_bytes(), rest].concat();
        for _ in 0..TRIES {
            let mut answer = vec![0; 4096];
            let length = match self {
                Self::Device(device) => device.write_all(&octets).and_then(|()| device.read(&mut answer)),
                Self::Swtpm(stream) => stream.write_all(&octets).and_then(|()| stream.read(&mut answer)),
            }?;
            answer.truncate(length);
            let code = answer.get(6..HEADER).and_then(|code| code.try_into().ok()).ok_or(Refusal::Short)?;
            match u32::from_be_bytes(code) {
                0 => return Ok(answer.split_off(HEADER)),
                RETRY | YIELDED | TESTING => {}
                code => return Err(Refusal::Code(code)),
            }
        }
        Err(Refusal::Code(RETRY))
    }
}

/// A TPM2B: its octets, and what follows.
fn sized(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

const HEADER: usize = 10;
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const READ_PUBLIC: u32 = 0x0000_0169;
const UNDEFINE_SPACE: u32 = 0x0000_0122;
const OWNER: u32 = 0x4000_0001;
const PASSWORD_SESSION: u32 = 0x4000_0009;
/// Of a response code in format one, the error without the number of the handle, parameter or session (part 2, 6.6.3).
const FORMAT_ONE: u32 = 0x0bf;
const HANDLE: u32 = 0x08b;
const BAD_AUTH: u32 = 0x0a2;
const RETRY: u32 = 0x922;
const YIELDED: u32 = 0x908;
const TESTING: u32 = 0x90a;
const TRIES: usize = 20;
/// An NV index is written to flash; slow chips take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_has_no_octets() {
        assert_eq!(sized(&[0, 2, 7, 8, 9]), Some((&[7, 8][..], &[9][..])));
        assert_eq!(sized(&[0, 3, 7, 8]), None);
        assert_eq!(sized(&[0]), None);
    }

    #[test]
    fn the_errors_that_mean_something_are_known_whatever_they_are_about() {
        // For the first handle, for the first session.
        assert_eq!(0x18b & FORMAT_ONE, HANDLE);
        assert_eq!(0x9a2 & FORMAT_ONE, BAD_AUTH);
        // TPM_RC_NV_AUTHORIZATION and TPM_RC_AUTH_FAIL are others.
        assert_ne!(0x149 & FORMAT_ONE, HANDLE);
        assert_ne!(0x98e & FORMAT_ONE, BAD_AUTH);
    }
}
