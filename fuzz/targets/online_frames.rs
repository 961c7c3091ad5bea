//! What hellod and hellod-online say to each other. What can be read was made by the doors that made it, and reads the same again.
#![no_main]

use hellod::online::frame::{FromOnline, ToOnline};
use hellod::online::{Handshake, Scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Some(message) = ToOnline::decode(octets) {
        let again = message.encode();
        let read = ToOnline::decode(&again[4..]).expect("what was written can be read");
        assert_eq!(*again, *read.encode());
    }
    if let Some(message) = FromOnline::decode(octets) {
        let again = message.encode();
        let read = FromOnline::decode(&again[4..]).expect("what was written can be read");
        assert_eq!(*again, *read.encode());
    }
    for scheme in [Scheme::RsaPkcs1Sha256, Scheme::RsaPssSha256, Scheme::EcdsaP256Sha256] {
        if let Some(handshake) = Handshake::parse(scheme, octets.to_vec()) {
            assert!(handshake.octets() == octets && (octets[0] == b' ' || octets[0] == 1));
        }
    }
});
