//! A JWS in compact form, and its claims once a check has accepted it.
#![no_main]

use hellod::identity::local::Claims;
use hellod::jose::jws::{JwsError, MAX_JWS, Unverified};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(jws) = Unverified::parse(text) else { return };
    assert!(text.len() <= MAX_JWS && text.split('.').count() == 3);
    assert_eq!(jws.verify::<Claims>(|_, _| false), Err(JwsError::Signature));
    let claims = jws.verify::<Claims>(|input, _| {
        assert_eq!(Some(input), text.rsplit_once('.').map(|(input, _)| input.as_bytes()));
        true
    });
    assert_ne!(claims, Err(JwsError::Signature));
});
