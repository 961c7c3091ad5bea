//! What a PIN becomes on its way to the TPM, computed here a second time: something to look for where it must not be.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{digest, hkdf};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The authorisation value of the PIN counter that belongs to an enrolment record with this PIN.
#[track_caller]
pub fn auth_value(record: &str, pin: &str) -> [u8; 32] {
    let record: Value = serde_json::from_str(record).expect("a record is JSON");
    let key = &record["key"];
    let number = |value: &Value| value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or(0_u32);
    let kdf = &key["kdf"];
    let params =
        Params::new(number(&kdf["m"]), number(&kdf["t"]), number(&kdf["p"]), Some(32)).expect("in bounds");
    let mut stretched = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin.as_bytes(), &octets(&kdf["salt"]), &mut stretched)
        .expect("there is memory");
    let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
    let uid = number(&record["uid"]).to_be_bytes().to_vec();
    let mut reference = digest::Context::new(&digest::SHA256);
    let fields = [
        b"hello/v1/binding".to_vec(),
        text(&record["user"]),
        uid,
        text(&record["device"]),
        octets(&key["srk"]),
    ];
    for field in fields {
        reference.update(&(field.len() as u64).to_be_bytes());
        reference.update(&field);
    }
    let reference = reference.finish();
    let mut value = [0; 32];
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &stretched)
        .expand(&[b"hello/v1/nv", reference.as_ref()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut value))
        .expect("32 octets");
    value
}

/// As hexadecimal digits.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap_or_default()).expect("base64url")
}
