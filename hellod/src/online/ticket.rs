//! A ticket of this computer's for a web server (RFC 4559), by a program of its own: what C does with keys and with answers of
//! the network, it does beside hellod-online, which lives on, and not in it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Stdio;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Keytab, OnlineError};

/// What goes behind `Negotiate` for this host. Dropping the future ends the program.
///
/// # Errors
/// [`OnlineError::NoTicket`].
pub(super) async fn for_host(host: &str, keytab: &Keytab) -> Result<Zeroizing<String>, OnlineError> {
    let failed = |why: String| OnlineError::NoTicket { account: keytab.account().to_owned(), why };
    let output = command(host, keytab).map_err(|error| failed(error.to_string()))?.output().await;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => failed("hellod-ticket is not installed".into()),
        _ => failed(format!("hellod-ticket can't be run: {error}")),
    })?;
    let said = Zeroizing::new(output.stdout);
    match output.status.code() {
        Some(0) => {}
        Some(UNREACHED) => {
            return Err(OnlineError::NoDomainController { account: keytab.account().to_owned() });
        }
        _ => return Err(failed(in_one_line(&said))),
    }
    match std::str::from_utf8(&said) {
        Ok(token) if STANDARD.decode(token).is_ok_and(|token| !token.is_empty()) => {
            Ok(Zeroizing::new(token.to_owned()))
        }
        _ => Err(failed("hellod-ticket said something unexpected".into())),
    }
}

/// The keys go in by standard input, as a file: the library of Kerberos goes to and fro in it.
fn command(host: &str, keytab: &Keytab) -> std::io::Result<Command> {
    // Without it a name in DNS would decide for whom the ticket is.
    File::open(SETTINGS).map_err(|error| std::io::Error::other(format!("{SETTINGS}: {error}")))?;
    let mut file = File::from(memfd_create("keytab", MemfdFlags::CLOEXEC)?);
    file.write_all(keytab.octets())?;
    let mut command = Command::new(program()?);
    command.args([keytab.account(), host]).env_clear();
    // Nobody's keys but these, and tickets in memory alone. What the first file says, the second doesn't unsay.
    command.env("KRB5_CLIENT_KTNAME", "FILE:/proc/self/fd/0").env("KRB5CCNAME", "MEMORY:");
    command.env("KRB5_CONFIG", format!("{SETTINGS}:/etc/krb5.conf"));
    command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Beside hellod, wherever that is.
fn program() -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("hellod-ticket"))
}

/// The words of a library, and so of whoever answers it, for one line of a terminal: in letters that can't be turned round.
fn in_one_line(said: &[u8]) -> String {
    let said: String =
        said.iter().map(|octet| if is_plain(*octet) { char::from(*octet) } else { ' ' }).collect();
    said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_REASON).collect()
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b'"'
}

/// What hellod-ticket exits with where no domain controller answers.
const UNREACHED: i32 = 3;
const SETTINGS: &str = "/usr/share/hellod/krb5.conf";
const LONGEST_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_elsewhere_are_one_plain_line() {
        for (said, shown) in [
            ("Clock skew too great", "Clock skew too great"),
            ("KDC returned\r\n \u{202e}run `x`\" as root\x1b[2J", "KDC returned run `x` as root [2J"),
            ("", ""),
        ] {
            assert_eq!(in_one_line(said.as_bytes()), shown);
        }
        assert_eq!(in_one_line(&[b'x'; 999]).len(), LONGEST_REASON);
    }
}
