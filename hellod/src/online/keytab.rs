//! The keys that this computer shares with its domain, as `realm`, `adcli` and `net` leave them in a file (MIT krb5, "The
//! keytab file format").
//!
//! Of such a file only what is the computer account's own is taken: keys of services that run here are nobody's business.

use std::collections::BTreeSet;

use hello_dbus::secret_pipe::MAX_FILE;
use hello_words::tr;
use thiserror::Error;
use zeroize::Zeroizing;

use super::frame::Reader;

/// Why a file has no keys for this computer. `Display` is what the administrator reads.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeytabError {
    /// It has none of a computer, or is something else.
    #[error("{}", tr!("There are no keys of a computer's account in that file. What is in it: klist -k FILE"))]
    None,
    /// It has several, and none is called as this computer is.
    #[error("{}", tr!("There are keys of several accounts in that file ({0}$), and none is called {1}$, as this computer.", _0, _1))]
    Several(String, String),
}

/// The keys of a computer account, and what that is called. It has no `Debug`.
#[derive(Clone)]
pub struct Keytab {
    octets: Zeroizing<Vec<u8>>,
    account: String,
}

impl Keytab {
    /// The largest file, in octets.
    pub const LONGEST: usize = MAX_FILE;

    /// Takes the keys of this computer's account, which is called as the computer is, with a `$` behind it and no `/` in it
    /// (`sAMAccountName`, \[MS-ADA3\] 2.222), or is the only one of that kind in the file: managed accounts of services are
    /// called so, too. One that is in several domains is taken where it was written last.
    ///
    /// # Errors
    /// [`KeytabError`].
    pub fn of(file: &[u8], computer: &str) -> Result<Self, KeytabError> {
        let entries = entries(file).ok_or(KeytabError::None)?;
        let label = computer.split('.').next().unwrap_or_default();
        // A name in the old network of Windows has 15 characters (\[MS-NBTE\] 2.2.1).
        let label: String = label.chars().take(15).collect();
        let is_own = |entry: &&Entry<'_>| entry.name().eq_ignore_ascii_case(&label);
        let last = entries.iter().filter(is_own).max_by_key(|entry| entry.written);
        let names: BTreeSet<&str> = entries.iter().map(Entry::name).collect();
        let account = match last {
            Some(entry) => &entry.account,
            None if names.len() == 1 => {
                &entries.iter().max_by_key(|e| e.written).ok_or(KeytabError::None)?.account
            }
            None if names.is_empty() => return Err(KeytabError::None),
            None => {
                return Err(KeytabError::Several(names.into_iter().collect::<Vec<_>>().join("$, "), label));
            }
        };
        let mut octets = Zeroizing::new(Vec::with_capacity(file.len()));
        octets.extend_from_slice(&VERSION);
        for entry in entries.iter().filter(|entry| entry.account == *account) {
            octets.extend_from_slice(&(entry.record.len() as u32).to_be_bytes());
            octets.extend_from_slice(entry.record);
        }
        Ok(Self { octets, account: account.clone() })
    }

    /// Reads what [`Keytab::of`] has left: keys of one account.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let entries = entries(octets)?;
        let account = entries.first()?.account.clone();
        let is_one = entries.iter().all(|entry| entry.account == account);
        is_one.then(|| Self { octets: Zeroizing::new(octets.to_vec()), account })
    }

    /// The account with its realm, such as `LAB$@CORP.EXAMPLE`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The file, with nothing in it but this account's keys.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// The keys of computer accounts in a file; nothing where it is no keytab. As MIT's library, it takes what is cut off for the end.
fn entries(file: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut reader = Reader::new(file);
    if file.len() > Keytab::LONGEST || reader.array()? != VERSION {
        return None;
    }
    let mut entries = Vec::new();
    while let Some(size) = reader.array().map(i32::from_be_bytes) {
        let Some(record) = reader.octets(size.unsigned_abs() as usize) else { break };
        match size {
            // What is left of the room that was made for the file.
            0 => break,
            // What was here has been removed.
            ..0 => {}
            1.. => entries.extend(Entry::read(record)),
        }
    }
    Some(entries)
}

/// One key of a computer account.
struct Entry<'a> {
    account: String,
    written: u32,
    record: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Without the realm and the `$`.
    fn name(&self) -> &str {
        self.account.split('$').next().unwrap_or_default()
    }

    /// Nothing for what is of another kind of account, or out of form.
    fn read(record: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(record);
        let parts = u16::from_be_bytes(reader.array()?);
        let (realm, name) = (reader.text()?, reader.text()?);
        let _kind: [u8; 4] = reader.array()?;
        let written = u32::from_be_bytes(reader.array()?);
        let is_computer = parts == 1 && name.ends_with('$');
        // Libraries read a name with signs in it otherwise than it is written.
        let own = name.strip_suffix('$').unwrap_or(name);
        let is_plain = [realm, own].iter().all(|text| !text.is_empty() && text.bytes().all(is_of_a_name));
        (is_computer && is_plain).then(|| Self { account: format!("{name}@{realm}"), written, record })
    }
}

fn is_of_a_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b".-_".contains(&octet)
}

const VERSION: [u8; 2] = [5, 2];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One key, as the format has it.
    fn entry(parts: &[&str], written: u32, key: u8) -> Vec<u8> {
        let mut record = (parts.len() as u16).to_be_bytes().to_vec();
        for text in std::iter::once(&"CORP.EXAMPLE").chain(parts) {
            record.extend_from_slice(&(text.len() as u16).to_be_bytes());
            record.extend_from_slice(text.as_bytes());
        }
        record.extend_from_slice(&1u32.to_be_bytes());
        record.extend_from_slice(&written.to_be_bytes());
        record.extend_from_slice(&[2, 0, 18, 0, 32]);
        record.extend_from_slice(&[key; 32]);
        record.extend_from_slice(&2u32.to_be_bytes());
        record
    }

    fn file(records: &[(i32, Vec<u8>)]) -> Vec<u8> {
        let mut file = VERSION.to_vec();
        for (sign, record) in records {
            file.extend_from_slice(&(sign * record.len() as i32).to_be_bytes());
            file.extend_from_slice(record);
        }
        file
    }

    /// A keytab with one key of this account.
    pub(in super::super) fn of(account: &str) -> Vec<u8> {
        file(&[(1, entry(&[account], 2, 2))])
    }

    #[test]
    fn only_the_keys_of_the_computer_account_are_taken() {
        let keytab = file(&[
            (1, entry(&["host", "lab.corp.example"], 3, 1)),
            (1, entry(&["LAB$"], 2, 2)),
            (-1, entry(&["GONE$"], 9, 3)),
            (1, entry(&["dora"], 9, 4)),
            (1, entry(&["LAB$"], 2, 5)),
            (1, entry(&["svc_web$"], 9, 6)),
        ]);
        let own = file(&[(1, entry(&["LAB$"], 2, 2)), (1, entry(&["LAB$"], 2, 5))]);
        for computer in ["lab", "LAB", "lab.corp.example"] {
            let read = Keytab::of(&keytab, computer).unwrap();
            assert_eq!((read.account(), read.octets()), ("LAB$@CORP.EXAMPLE", &own[..]));
        }
        let parsed = Keytab::parse(&own).unwrap();
        assert_eq!((parsed.account(), parsed.octets()), ("LAB$@CORP.EXAMPLE", &own[..]));
        assert!(Keytab::parse(&keytab).is_none(), "what has others in it, hellod has not written");
        let several = KeytabError::Several("LAB$, svc_web".into(), "desk".into());
        assert_eq!(Keytab::of(&keytab, "desk").err(), Some(several));
        for behind in [&[0; 64][..], &[0, 0, 0], &[0, 0, 1, 0, 9]] {
            let padded = [&keytab[..], behind].concat();
            assert_eq!(Keytab::of(&padded, "lab").unwrap().octets(), own, "klist(1) reads it, too");
        }
    }

    #[test]
    fn a_computer_by_another_name_is_known_where_it_is_the_only_one() {
        let renamed = file(&[(1, entry(&["LAB$"], 1, 1)), (1, entry(&["LAB$"], 2, 2))]);
        assert_eq!(Keytab::of(&renamed, "desk").unwrap().octets(), renamed);
        let long = file(&[(1, entry(&["A-COMPUTER-OF-TH$"], 1, 1)), (1, entry(&["A-COMPUTER-OF-$"], 1, 2))]);
        assert!(matches!(Keytab::of(&long, "a-computer-of-the-house"), Err(KeytabError::Several(..))));
        let cut = file(&[(1, entry(&["A-COMPUTER-OF-T$"], 1, 1)), (1, entry(&["OTHER$"], 1, 2))]);
        assert_eq!(
            Keytab::of(&cut, "a-computer-of-the-house").unwrap().account(),
            "A-COMPUTER-OF-T$@CORP.EXAMPLE"
        );
    }

    #[test]
    fn what_has_no_computer_in_it_is_no_keytab_of_one() {
        let none = |file: &[u8]| assert_eq!(Keytab::of(file, "lab").err(), Some(KeytabError::None));
        let whole = file(&[(1, entry(&["LAB$"], 2, 2))]);
        for cut in 0..whole.len() {
            none(&whole[..cut]);
        }
        for name in ["dora", "$", "LAB\\$", "LA\0B$", "LAB $", "LAB$$", "L$B$"] {
            none(&file(&[(1, entry(&[name], 2, 2))]));
        }
        none(&file(&[(1, entry(&["host", "LAB$"], 2, 2))]));
        let mut of_another_kind = whole;
        of_another_kind[1] = 1;
        none(&of_another_kind);
    }
}
