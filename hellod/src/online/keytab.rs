//! The keys that this computer shares with its domain, as `realm`, `adcli` and `net` leave them in a file (MIT krb5, "The
//! keytab file format").
//!
//! Of such a file only what is the computer account's own is taken: keys of services that run here are nobody's business.

use zeroize::Zeroizing;

use super::frame::Reader;

/// The keys of a computer account, and what that is called. It has no `Debug`.
#[derive(Clone)]
pub struct Keytab {
    octets: Zeroizing<Vec<u8>>,
    account: String,
}

impl Keytab {
    /// The largest file, in octets.
    pub const LONGEST: usize = 64 * 1024;

    /// Reads a file. Of several computer accounts in it, the one that was written last. Nothing where it is no keytab, or has
    /// none: an account is a name that ends in `$`, with no `/` (`sAMAccountName`, \[MS-ADA3\] 2.222).
    #[must_use]
    pub fn parse(file: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(file);
        if file.len() > Self::LONGEST || reader.array()? != VERSION {
            return None;
        }
        let mut entries = Vec::new();
        while !reader.is_empty() {
            let size = i32::from_be_bytes(reader.array()?);
            let record = reader.octets(usize::try_from(size.unsigned_abs()).ok()?)?;
            match size {
                // What is left of the room that was made for the file.
                0 => break,
                // What was here has been removed.
                ..0 => {}
                1.. => entries.extend(Entry::read(record)),
            }
        }
        let account = entries.iter().max_by_key(|entry| entry.written)?.account.clone();
        let mut octets = Zeroizing::new(Vec::with_capacity(file.len()));
        octets.extend_from_slice(&VERSION);
        for entry in entries.iter().filter(|entry| entry.account == account) {
            octets.extend_from_slice(&u32::try_from(entry.record.len()).ok()?.to_be_bytes());
            octets.extend_from_slice(entry.record);
        }
        Some(Self { octets, account })
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

/// One key of a computer account.
struct Entry<'a> {
    account: String,
    written: u32,
    record: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Nothing for what is of another kind of account, or out of form.
    fn read(record: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(record);
        let parts = u16::from_be_bytes(reader.array()?);
        let (realm, name) = (reader.text()?, reader.text()?);
        let _kind: [u8; 4] = reader.array()?;
        let written = u32::from_be_bytes(reader.array()?);
        let is_computer = parts == 1 && name.len() > 1 && name.ends_with('$');
        // Libraries read a name with signs in it otherwise than it is written.
        let is_plain = [realm, name].iter().all(|text| text.bytes().all(is_of_a_name)) && !realm.is_empty();
        (is_computer && is_plain).then(|| Self { account: format!("{name}@{realm}"), written, record })
    }
}

fn is_of_a_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b".-_$".contains(&octet)
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
            (1, entry(&["FORMER$"], 1, 6)),
        ]);
        let read = Keytab::parse(&keytab).unwrap();
        assert_eq!(read.account(), "LAB$@CORP.EXAMPLE");
        assert_eq!(read.octets(), file(&[(1, entry(&["LAB$"], 2, 2)), (1, entry(&["LAB$"], 2, 5))]));
        assert_eq!(Keytab::parse(read.octets()).unwrap().octets(), read.octets());
        let padded = [keytab, vec![0; 64]].concat();
        assert_eq!(Keytab::parse(&padded).unwrap().octets(), read.octets());
    }

    #[test]
    fn what_has_no_computer_in_it_or_is_cut_off_is_no_keytab_of_one() {
        let whole = file(&[(1, entry(&["LAB$"], 2, 2))]);
        for cut in 1..whole.len() {
            assert!(Keytab::parse(&whole[..cut]).is_none(), "{cut}");
        }
        for name in ["dora", "$", "LAB\\$", "LA\0B$", "LAB $"] {
            assert!(Keytab::parse(&file(&[(1, entry(&[name], 2, 2))])).is_none(), "{name}");
        }
        assert!(Keytab::parse(&file(&[(1, entry(&["host", "LAB$"], 2, 2))])).is_none());
        let mut of_another_kind = whole;
        of_another_kind[1] = 1;
        assert!(Keytab::parse(&of_another_kind).is_none());
    }
}
