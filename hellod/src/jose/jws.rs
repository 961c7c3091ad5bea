//! JSON Web Signature, compact serialisation (RFC 7515 §3.1), with a signer that holds no key in memory.
//!
//! The signature is made elsewhere: [`SigningInput`] is what gets signed, and [`SigningInput::signed`] puts the result
//! behind it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The protected header, with the three members that hellod uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The signature algorithm (RFC 7518 §3.1).
    pub alg: String,
    /// What kind of statement this is, so that one can't be taken for another (RFC 8725 §3.11).
    #[serde(default)]
    pub typ: String,
    /// Which key signed.
    #[serde(default)]
    pub kid: String,
    /// Extensions that must be understood; none are (RFC 7515 §4.1.11).
    #[serde(default, skip_serializing)]
    crit: Option<Vec<String>>,
}

impl Header {
    /// A header.
    #[must_use]
    pub fn new(alg: &str, typ: &str, kid: &str) -> Self {
        Self { alg: alg.into(), typ: typ.into(), kid: kid.into(), crit: None }
    }
}

/// `BASE64URL(header) "." BASE64URL(payload)`: the ASCII bytes that are signed (RFC 7515 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningInput(String);

/// A JWS that was taken apart, and whose signature nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    /// The protected header.
    pub header: Header,
    payload: Vec<u8>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

/// Why a text is no acceptable JWS.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum JwsError {
    /// Not three parts of base64url with a JSON header in the first.
    #[error("this is no JWS in compact form")]
    Malformed,
    /// The payload is not what was expected.
    #[error("the JWS does not carry the expected claims")]
    Payload,
    /// The signature is not one of this key over this content.
    #[error("the signature of the JWS is wrong")]
    Signature,
}

impl SigningInput {
    /// Writes header and claims.
    ///
    /// # Errors
    /// [`JwsError::Payload`] where the claims have no JSON form.
    pub fn new(header: &Header, claims: &impl Serialize) -> Result<Self, JwsError> {
        let part = |json: serde_json::Result<Vec<u8>>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| JwsError::Payload)
        };
        Ok(Self(format!("{}.{}", part(serde_json::to_vec(header))?, part(serde_json::to_vec(claims))?)))
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The JWS with its signature.
    #[must_use]
    pub fn signed(&self, signature: &[u8]) -> String {
        format!("{}.{}", self.0, URL_SAFE_NO_PAD.encode(signature))
    }
}

impl<'a> Unverified<'a> {
    /// Takes a JWS apart.
    ///
    /// # Errors
    /// [`JwsError::Malformed`]; also for a header with `crit`, and for more than [`MAX_JWS`] bytes.
    pub fn parse(compact: &'a str) -> Result<Self, JwsError> {
        if compact.len() > MAX_JWS {
            return Err(JwsError::Malformed);
        }
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JwsError::Malformed)?;
        if header.crit.is_some() {
            return Err(JwsError::Malformed);
        }
        Ok(Self { header, payload: decode(payload)?, signing_input, signature: decode(signature)? })
    }

    /// The claims, if `check` accepts (signing input, signature).
    ///
    /// # Errors
    /// [`JwsError::Signature`], [`JwsError::Payload`].
    pub fn verify<T: DeserializeOwned>(
        &self,
        check: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<T, JwsError> {
        if !check(self.signing_input.as_bytes(), &self.signature) {
            return Err(JwsError::Signature);
        }
        serde_json::from_slice(&self.payload).map_err(|_| JwsError::Payload)
    }
}

/// Longest JWS that is looked at, in bytes.
pub const MAX_JWS: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{PublicKey, Verdict};

    /// RFC 7515 appendix A.2: a JWS with RS256.
    const RFC_7515_A2: &str = concat!(
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjb",
        "KBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6",
        "BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );

    /// RFC 7515 appendix A.3: a JWS with ES256.
    const RFC_7515_A3: &str = concat!(
        "eyJhbGciOiJFUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );

    #[derive(Debug, PartialEq, Deserialize)]
    struct Claims {
        iss: String,
        exp: u64,
    }

    fn rfc_7515_a2_key() -> aws_lc_rs::rsa::PublicKeyComponents<Vec<u8>> {
        let n = concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs",
            "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV",
            "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
        );
        aws_lc_rs::rsa::PublicKeyComponents { n: URL_SAFE_NO_PAD.decode(n).unwrap(), e: vec![1, 0, 1] }
    }

    #[test]
    fn the_rs256_example_of_rfc_7515_verifies_and_gives_its_claims() {
        let jws = Unverified::parse(RFC_7515_A2).unwrap();
        assert_eq!(jws.header.alg, "RS256");
        let key = rfc_7515_a2_key();
        let claims: Claims = jws
            .verify(|input, signature| {
                key.verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, input, signature).is_ok()
            })
            .unwrap();
        assert_eq!(claims, Claims { iss: "joe".into(), exp: 1_300_819_380 });
    }

    #[test]
    fn the_rs256_example_of_rfc_7515_does_not_verify_once_a_letter_is_changed() {
        let tampered = RFC_7515_A2.replace("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Vi");
        let key = rfc_7515_a2_key();
        let verdict: Result<Claims, _> = Unverified::parse(&tampered).unwrap().verify(|input, signature| {
            key.verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, input, signature).is_ok()
        });
        assert_eq!(verdict, Err(JwsError::Signature));
    }

    #[test]
    fn the_es256_example_of_rfc_7515_verifies_under_its_own_key_and_not_once_a_bit_is_flipped() {
        let coordinate = |text| URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
        let key = PublicKey::P256 {
            x: coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            y: coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        };
        let jws = Unverified::parse(RFC_7515_A3).unwrap();
        assert_eq!(jws.header.alg, key.algorithm());
        let claims: Claims =
            jws.verify(|input, signature| key.verify(input, signature) == Verdict::Valid).unwrap();
        assert_eq!(claims, Claims { iss: "joe".into(), exp: 1_300_819_380 });
        for bit in 0..8 * jws.signature.len() {
            let mut tampered = jws.clone();
            tampered.signature[bit / 8] ^= 1 << (bit % 8);
            let verdict: Result<Claims, _> =
                tampered.verify(|input, signature| key.verify(input, signature) == Verdict::Valid);
            assert_eq!(verdict, Err(JwsError::Signature), "bit {bit}");
        }
    }

    #[test]
    fn what_was_signed_is_what_was_written() {
        let header = Header::new("RS256", "hello-assertion+jwt", "key-1");
        let input = SigningInput::new(&header, &serde_json::json!({"iss": "joe", "exp": 5})).unwrap();
        let compact = input.signed(b"signature");
        let parsed = Unverified::parse(&compact).unwrap();
        assert_eq!(parsed.header, header);
        let claims: Claims = parsed
            .verify(|signed, signature| signed == input.as_bytes() && signature == b"signature")
            .unwrap();
        assert_eq!(claims, Claims { iss: "joe".into(), exp: 5 });
    }

    #[test]
    fn texts_that_are_no_jws_are_malformed() {
        let crit = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","crit":["exp"]}"#));
        let padded = "eyJhbGciOiJSUzI1NiJ9.e30=.AA";
        for text in
            ["", ".", "..", "a.b", "a.b.c", "eyJhbGciOiJSUzI1NiJ9.e30", padded, &crit, "e30.e30.AA.AA"]
        {
            assert_eq!(Unverified::parse(text), Err(JwsError::Malformed), "{text:?}");
        }
        assert_eq!(Unverified::parse(&"a".repeat(MAX_JWS + 1)), Err(JwsError::Malformed));
    }
}
