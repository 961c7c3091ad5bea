//! The keys of a computer, in a file of root's that other programs write. Whatever is in it, one account is taken, whose name can be
//! given to a program: the computer's own, or the only one that there is.
#![no_main]

use hellod::online::{Keytab, KeytabError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let taken = Keytab::of(octets, "lab.corp.example");
    if let Ok(keytab) = &taken {
        let (name, realm) = keytab.account().split_once("$@").expect("an account of a computer in a realm");
        for text in [name, realm] {
            assert!(!text.is_empty());
            assert!(
                text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet)),
                "{text}"
            );
        }
    }
    // By another name the same is taken, or none at all: never a third.
    match (taken, Keytab::of(octets, "elsewhere")) {
        (Ok(keytab), Ok(other)) if keytab.account() != other.account() => {
            assert!(keytab.account().to_ascii_lowercase().starts_with("lab$"));
            assert!(other.account().to_ascii_lowercase().starts_with("elsewhere$"));
        }
        (Err(KeytabError::None), Ok(_)) | (Ok(_), Err(KeytabError::None)) => {
            panic!("there are keys or there are none")
        }
        _ => {}
    }
});
