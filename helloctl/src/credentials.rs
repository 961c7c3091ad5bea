//! What hellod may ask of this program and not of the person: root's files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hello_dbus::secret_pipe::{MAX_FILE, MAX_LONG_SECRET};
use hello_words::tr;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What came along with the command. The default is nothing. It has no `Debug`, for it may be a secret.
#[derive(Default)]
pub(crate) struct Credentials {
    /// A token of a directory.
    pub(crate) token: Option<Zeroizing<Vec<u8>>>,
    /// Where the keys are that this computer shares with its domain: read when they are asked for, for not every directory asks.
    pub(crate) keytab: Option<PathBuf>,
}

impl Credentials {
    /// Reads the file with the token, where there is one.
    pub(crate) fn of(token_file: Option<&Path>, keytab: &Path) -> Result<Self, Failure> {
        Ok(Self { token: token_file.map(token).transpose()?, keytab: Some(keytab.to_owned()) })
    }
}

/// The token in a file, without the end of the line.
fn token(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut token = read(path, MAX_LONG_SECRET + 1).map_err(Failure::TokenFile)?;
    while token.last().is_some_and(u8::is_ascii_whitespace) {
        token.pop();
    }
    match token.len() {
        0 => Err(Failure::TokenFile(io::Error::other(tr!("it is empty").to_string()))),
        1..=MAX_LONG_SECRET => Ok(token),
        _ => Err(Failure::TokenFile(io::Error::other(tr!("it is too long for a token").to_string()))),
    }
}

/// The keys in a file.
pub(crate) fn keytab(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error| Failure::Keytab(path.display().to_string(), error);
    let keys = read(path, MAX_FILE).map_err(failed)?;
    if keys.len() > MAX_FILE {
        Err(failed(io::Error::other(tr!("it is too long").to_string())))
    } else {
        Ok(keys)
    }
}

/// Reads up to one byte more than there may be; never grown, which would leave a copy behind.
fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut read = Zeroizing::new(Vec::with_capacity(longest + 1));
    File::open(path)?.take(longest as u64 + 1).read_to_end(&mut read)?;
    Ok(read)
}
