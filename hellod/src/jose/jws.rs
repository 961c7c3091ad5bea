//! JSON Web Signature, compact serialisation (RFC 7515 §3.1), with a signer that holds no key in memory.
//!
//! The signature is made elsewhere, with time in between: [`SigningInput`] is what gets signed, and
//! [`SigningInput::signed`] puts the result behind it. Only requests under the session key are
//! [signed here](session_signed), for that key is no TPM key.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hello_words::tr;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::kdf::{KdfVersion, NotDerived};
use crate::secret::{SessionKey, Token};

/// The protected header, with the members that hellod uses. Those that it only writes are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The signature algorithm (RFC 7518 §3.1).
    pub alg: String,
    /// What the signing key was derived with: base64 with padding.
    #[serde(skip_deserializing, skip_serializing_if = "String::is_empty")]
    ctx: String,
    /// How it was derived, from the second version on.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    kdf_ver: Option<u8>,
    /// Which key signed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kid: String,
    /// What kind of statement this is, so that one can't be taken for another (RFC 8725 §3.11).
    #[serde(default)]
    pub typ: String,
    /// What the signing key is for.
    #[serde(rename = "use", skip_deserializing, skip_serializing_if = "str::is_empty")]
    usage: &'static str,
    /// The certificate of the signing key: base64 with padding (RFC 7515 §4.1.6).
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    x5c: Option<[String; 1]>,
    /// Extensions that must be understood; none are (RFC 7515 §4.1.11).
    #[serde(default, skip_serializing)]
    crit: Option<Vec<String>>,
}

impl Header {
    /// A header.
    #[must_use]
    pub fn new(alg: &str, typ: &str, kid: &str) -> Self {
        Self {
            alg: alg.into(),
            ctx: String::new(),
            kdf_ver: None,
            kid: kid.into(),
            typ: typ.into(),
            usage: "",
            x5c: None,
            crit: None,
        }
    }

    /// The header of a request that the device key signs; `certificate` is the device's, in DER. `kdf` is what the
    /// device will derive with from the session key that it asks for ([MS-OAPXBC] 3.1.5.1.2.1).
    #[must_use]
    pub fn device_signed(certificate: &[u8], kdf: KdfVersion) -> Self {
        let x5c = Some([STANDARD.encode(certificate)]);
        Self { kdf_ver: kdf.number(), x5c, ..Self::new("RS256", "JWT", "") }
    }

    /// The header of the assertion that a person's key signs ([MS-OAPXBC] 3.1.5.1.2.3); `kid` is
    /// [`PublicKey::provider_kid`](crate::keys::PublicKey::provider_kid).
    #[must_use]
    pub fn hello_assertion(kid: &str) -> Self {
        Self { usage: "ngc", ..Self::new("RS256", "JWT", kid) }
    }

    fn session_signed(version: KdfVersion, ctx: &[u8]) -> Self {
        Self { ctx: STANDARD.encode(ctx), kdf_ver: version.number(), ..Self::new("HS256", "JWT", "") }
    }
}

/// What a JWS says, in JSON: written once, so that what is hashed, signed and sent are the same bytes.
pub struct Payload(Zeroizing<Vec<u8>>);

/// `BASE64URL(header) "." BASE64URL(payload)`: the ASCII bytes that are signed (RFC 7515 §5.1).
///
/// It may say a password or a primary token, and so is a secret.
pub struct SigningInput(Zeroizing<String>);

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
    #[error("{}", tr!("this is no JWS in compact form"))]
    Malformed,
    /// The payload is not what was expected.
    #[error("{}", tr!("the JWS does not carry the expected claims"))]
    Payload,
    /// The signature is not one of this key over this content.
    #[error("{}", tr!("the signature of the JWS is wrong"))]
    Signature,
    /// The key that should have signed could not be derived.
    #[error(transparent)]
    NotDerived(#[from] NotDerived),
}

impl Payload {
    /// Writes claims.
    ///
    /// # Errors
    /// [`JwsError::Payload`] where they have no JSON form, or one that is too long.
    pub fn new(claims: &impl Serialize) -> Result<Self, JwsError> {
        // At full length from the start: a buffer that grows leaves its former self behind.
        let mut json = Zeroizing::new(vec![0; MAX_PAYLOAD]);
        let mut rest = json.as_mut_slice();
        serde_json::to_writer(&mut rest, claims).map_err(|_| JwsError::Payload)?;
        let length = MAX_PAYLOAD - rest.len();
        json.truncate(length);
        Ok(Self(json))
    }

    /// The JSON.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Signs a request with a key derived for it: renewals, redemptions and the cookie of a browser. `ctx` is random.
///
/// # Errors
/// [`JwsError::NotDerived`], [`JwsError::Payload`].
pub fn session_signed(
    session: &SessionKey,
    version: KdfVersion,
    ctx: &[u8; 24],
    payload: &Payload,
) -> Result<Token, JwsError> {
    let key = version.signing_key(session, ctx, payload.as_bytes())?;
    let input = SigningInput::over(&Header::session_signed(version, ctx), payload)?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), input.as_bytes());
    input.signed(tag.as_ref())
}

impl SigningInput {
    /// Writes header and claims.
    ///
    /// # Errors
    /// [`JwsError::Payload`] where the claims have no JSON form, or one that is too long.
    pub fn new(header: &Header, claims: &impl Serialize) -> Result<Self, JwsError> {
        Self::over(header, &Payload::new(claims)?)
    }

    /// Writes a header before claims that are written already.
    ///
    /// # Errors
    /// [`JwsError::Payload`] where the header has no JSON form.
    pub fn over(header: &Header, payload: &Payload) -> Result<Self, JwsError> {
        let header = serde_json::to_vec(header).map_err(|_| JwsError::Payload)?;
        let mut text =
            Zeroizing::new(String::with_capacity(2 + encoded(&header) + encoded(payload.as_bytes())));
        URL_SAFE_NO_PAD.encode_string(header, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload.as_bytes(), &mut text);
        Ok(Self(text))
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The JWS with its signature.
    ///
    /// # Errors
    /// [`JwsError::Payload`] where it would be too long to be sent.
    pub fn signed(&self, signature: &[u8]) -> Result<Token, JwsError> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() + 1 + encoded(signature)));
        text.push_str(&self.0);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Token::parse(text).ok_or(JwsError::Payload)
    }
}

/// The length in base64, rounded up, so that a text of this capacity never grows.
const fn encoded(octets: &[u8]) -> usize {
    octets.len().div_ceil(3) * 4
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

/// Longest payload that is written, in bytes: a certificate in the header and a signature leave room for it in a
/// [`Token`].
pub const MAX_PAYLOAD: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::vectors::{CTX, PAYLOAD, RSA1_KID, rsa_private_key, session_key};
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
        let compact = input.signed(b"signature").unwrap();
        let parsed = Unverified::parse(compact.expose()).unwrap();
        assert_eq!(parsed.header, header);
        let claims: Claims = parsed
            .verify(|signed, signature| signed == input.as_bytes() && signature == b"signature")
            .unwrap();
        assert_eq!(claims, Claims { iss: "joe".into(), exp: 5 });
    }

    /// Claims in the order in which roadlib wrote them.
    #[derive(Serialize)]
    struct Cookie {
        refresh_token: &'static str,
        is_primary: &'static str,
        request_nonce: &'static str,
    }

    #[test]
    fn a_request_under_the_session_key_is_that_of_roadlib_to_the_letter() {
        // Made with roadlib 1.7.0, Authentication.create_prt_cookie_kdf_ver_2, and its former version.
        let cookie = Cookie {
            refresh_token: "0.AAAA.example-PRT_value",
            is_primary: "true",
            request_nonce: "AwABAAAAAAAEAOz_Example",
        };
        let body = "eyJyZWZyZXNoX3Rva2VuIjoiMC5BQUFBLmV4YW1wbGUtUFJUX3ZhbHVlIiwiaXNfcHJpbWFyeSI6InRydWUiLCJyZXF1ZXN0X25vbmNlIjoiQXdBQkFBQUFBQUFFQU96X0V4YW1wbGUifQ";
        let payload = Payload::new(&cookie).unwrap();
        assert_eq!(payload.as_bytes(), PAYLOAD.as_bytes());
        let table = [
            (
                KdfVersion::V1,
                "eyJhbGciOiJIUzI1NiIsImN0eCI6IlFFRkNRMFJGUmtkSVNVcExURTFPVDFCUlVsTlVWVlpYIiwidHlwIjoiSldUIn0",
                "tuVa75I4_8WkM2AdgsvTNlMoRKP8VM7O3BuCzN6Bj28",
            ),
            (
                KdfVersion::V2,
                "eyJhbGciOiJIUzI1NiIsImN0eCI6IlFFRkNRMFJGUmtkSVNVcExURTFPVDFCUlVsTlVWVlpYIiwia2RmX3ZlciI6MiwidHlwIjoiSldUIn0",
                "l9IzixLsh64vIj4BMREqm2swm9hWmVe0WhWFmRg48yE",
            ),
        ];
        for (version, header, tag) in table {
            let signed = session_signed(&session_key(), version, CTX.try_into().unwrap(), &payload).unwrap();
            assert_eq!(signed.expose(), format!("{header}.{body}.{tag}"), "{version:?}");
        }
    }

    /// In the order in which roadlib wrote them.
    #[derive(Serialize)]
    struct Assertion {
        iss: &'static str,
        aud: &'static str,
        iat: u64,
        exp: u64,
        request_nonce: &'static str,
        scope: &'static str,
    }

    #[test]
    fn an_assertion_for_a_hello_key_is_that_of_roadlib_to_the_letter() {
        let claims = Assertion {
            iss: "user@example.com",
            aud: "common",
            iat: 1_700_000_000,
            exp: 1_700_000_600,
            request_nonce: "AwABAAAAAAAEAOz_Example",
            scope: "openid aza ugs",
        };
        let input = SigningInput::new(&Header::hello_assertion(RSA1_KID), &claims).unwrap();
        let key = aws_lc_rs::rsa::KeyPair::from_der(&rsa_private_key()).unwrap();
        let mut signature = vec![0; 256];
        let random = aws_lc_rs::rand::SystemRandom::new();
        key.sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).unwrap();
        let expected = include_str!("vectors/hello_assertion.jws").trim();
        assert_eq!(input.signed(&signature).unwrap().expose(), expected);
    }

    #[test]
    fn a_device_signs_with_its_certificate_in_an_array_and_says_the_version_only_where_it_is_the_second() {
        let header = |kdf| serde_json::to_string(&Header::device_signed(&[1, 2, 3, 4], kdf)).unwrap();
        assert_eq!(header(KdfVersion::V1), r#"{"alg":"RS256","typ":"JWT","x5c":["AQIDBA=="]}"#);
        assert_eq!(header(KdfVersion::V2), r#"{"alg":"RS256","kdf_ver":2,"typ":"JWT","x5c":["AQIDBA=="]}"#);
    }

    #[test]
    fn claims_that_are_too_long_or_have_no_form_are_not_written() {
        assert_eq!(
            Payload::new(&"a".repeat(MAX_PAYLOAD - 2)).map(|payload| payload.0.len()),
            Ok(MAX_PAYLOAD)
        );
        assert_eq!(Payload::new(&"a".repeat(MAX_PAYLOAD - 1)).err(), Some(JwsError::Payload));
        let no_form = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert_eq!(Payload::new(&no_form).err(), Some(JwsError::Payload));
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
