//! What hellod and its TPM child say to each other. hellod believes no record that a child sends.
#![no_main]

use std::fmt::Debug;

use hellod::keys::tpm::wire::{Change, FromChild, MachineKey, Reply, ToChild, decode, encode};
use hellod::keys::{Binding, MachineKeys, TpmObjects, UserKey};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|octets: &[u8]| {
    survives::<ToChild>(octets);
    survives::<TpmObjects>(octets);
    match survives::<FromChild>(octets) {
        Some(FromChild::Intent(candidate)) => is_nobodys(&candidate.key),
        Some(FromChild::Done(reply)) => match *reply {
            Reply::Created(created) => is_nobodys(&created.key),
            Reply::Changed(Change::Made(changed)) => is_nobodys(&changed.key),
            Reply::MachineKey(key) => is_one_of_two_at_most(key),
            _ => {}
        },
        _ => {}
    }
});

fn survives<T: Serialize + DeserializeOwned + Debug>(octets: &[u8]) -> Option<T> {
    let message = decode::<T>(octets).ok()?;
    if let Ok(again) = encode(&message) {
        let again = decode::<T>(&again).expect("what was written can be read");
        assert_eq!(format!("{again:?}"), format!("{message:?}"));
    }
    Some(message)
}

fn is_nobodys(key: &UserKey) {
    let bob = Binding { user: "bob".into(), uid: 1001, device: "desk".into() };
    assert!(key.check(&bob).is_err());
}

/// No key is taken for both of the machine's.
fn is_one_of_two_at_most(MachineKey { blob, srk }: MachineKey) {
    let keys = MachineKeys { device: blob.clone(), transport: blob, srk };
    assert!(keys.check().is_err());
}
