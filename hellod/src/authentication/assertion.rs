//! The assertion: the answer to a nonce, which the TPM signs once the PIN has opened the key.

use crate::enrolments::Enrolled;
use crate::identity::Nonce;
use crate::identity::local::{Claims, LIFETIME, TYPE};
use crate::jose::jws::{Header, JwsError, SigningInput};

/// What is to be signed. It is made here and nowhere else, from the record and the nonce, and so no caller ever gets a
/// signature over something of their own choice.
pub(super) fn to_be_signed(
    enrolled: &Enrolled,
    audience: &str,
    nonce: &Nonce,
    now: i64,
) -> Result<SigningInput, JwsError> {
    let record = &enrolled.record;
    let header = Header::new(enrolled.key.public_key().algorithm(), TYPE, &record.kid);
    let claims = Claims {
        iss: record.device.clone(),
        sub: record.user.clone(),
        uid: record.uid,
        aud: audience.to_owned(),
        nonce: nonce.0.clone(),
        iat: now,
        exp: now + LIFETIME,
    };
    SigningInput::new(&header, &claims)
}
