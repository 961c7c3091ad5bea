//! Whether the password of an account is locked.

use std::fs::File;
use std::io::{BufRead, BufReader};

use hello_dbus::Account;
use zeroize::Zeroizing;

/// What /etc/shadow says of `user`. An account that `passwd -l` locked gets no Hello; only root can tell, and hellod
/// can't, because it runs without privileges.
pub(crate) fn of(user: &str) -> Account {
    if !rustix::process::geteuid().is_root() {
        return Account::Unknown;
    }
    File::open(SHADOW).map_or(Account::Unknown, |shadow| look_up(user, BufReader::new(shadow)))
}

/// Looks for `user` in a file of the form of shadow(5). An account without a line there has no local password that
/// could be locked.
fn look_up(user: &str, mut shadow: impl BufRead) -> Account {
    // Wiped, since hashes pass through it.
    let mut line = Zeroizing::new(Vec::with_capacity(LINE));
    loop {
        line.clear();
        match shadow.read_until(b'\n', &mut line) {
            Ok(0) => return Account::Open,
            Ok(_) => {
                let mut fields = line.split(|byte| *byte == b':');
                if fields.next() == Some(user.as_bytes()) {
                    return match fields.next() {
                        Some([b'!', ..]) => Account::Locked,
                        _ => Account::Open,
                    };
                }
            }
            Err(_) => return Account::Unknown,
        }
    }
}

const SHADOW: &str = "/etc/shadow";

/// Room for a line, so that the buffer does not grow and leave a copy behind.
const LINE: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &[u8] = b"root:*:19000:0:99999:7:::\n\
        alice:$y$j9T$abc$def:19000:0:99999:7:::\n\
        bob:!$y$j9T$abc$def:19000:0:99999:7:::\n\
        carol:!:19000::::::\n\
        dave::19000::::::\n\
        erin:!!:19000::::::\n\
        short\n\
        last:!";

    #[test]
    fn only_a_password_field_that_starts_with_an_exclamation_mark_is_locked() {
        for (user, account) in [
            ("alice", Account::Open),
            ("bob", Account::Locked),
            ("carol", Account::Locked),
            ("dave", Account::Open),
            ("erin", Account::Locked),
            ("root", Account::Open),
            ("short", Account::Open),
            ("last", Account::Locked),
            ("nobody", Account::Open),
            ("bo", Account::Open),
            ("", Account::Open),
        ] {
            assert_eq!(look_up(user, FILE), account, "{user}");
        }
    }

    proptest! {
        #[test]
        fn in_any_file_an_account_is_open_or_locked_by_its_own_first_line(
            before in prop::collection::vec(any::<u8>(), 0..200),
            mark in "[!*]{0,2}",
            after in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            prop_assume!(!before.windows(6).any(|window| window == b"alice:") && !before.ends_with(b"alice"));
            let line = format!("\nalice:{mark}hash:");
            let file = [before.as_slice(), line.as_bytes(), after.as_slice()].concat();
            let locked = if mark.starts_with('!') { Account::Locked } else { Account::Open };
            prop_assert_eq!(look_up("alice", file.as_slice()), locked);
        }
    }
}
