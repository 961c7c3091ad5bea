//! The keys of one request or one answer, derived from the session key: counter mode of NIST SP 800-108r1, 4.1 with
//! HMAC-SHA256, one block, as [MS-OAPXBC] 3.1.5.1.3 labels it.
//!
//! `K = HMAC-SHA256(session key, 00000001 || label || 00 || context || 00000100)`

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::{DerivedKey, SessionKey};

/// What the context of the derivation is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KdfVersion {
    /// `ctx` alone: a key signs any request for whoever has it. Entra refuses it (AADSTS5000611); AD FS without
    /// `kdf_ver2` among its capabilities knows no other.
    V1,
    /// `SHA256(ctx || payload)`: a key signs this request and no other (CVE-2021-33781).
    V2,
}

/// The cryptographic library would not derive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}", tr!("no key could be derived from the session key"))]
pub struct NotDerived;

impl KdfVersion {
    /// `kdf_ver` in a header, which the first version doesn't have.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::V1 => None,
            Self::V2 => Some(2),
        }
    }

    /// The key that signs a request. `payload` is what the JWT says, before base64url: these very bytes.
    ///
    /// # Errors
    /// [`NotDerived`].
    pub fn signing_key(
        self,
        session: &SessionKey,
        ctx: &[u8],
        payload: &[u8],
    ) -> Result<DerivedKey, NotDerived> {
        match self {
            Self::V1 => derive(session.expose(), LABEL, ctx),
            Self::V2 => {
                let bound = Zeroizing::new([ctx, payload].concat());
                derive(session.expose(), LABEL, digest(&SHA256, &bound).as_ref())
            }
        }
    }
}

/// The key of an answer whose header has `ctx`: always by the first version, also where the request had the second.
///
/// # Errors
/// [`NotDerived`].
pub fn answer_key(session: &SessionKey, ctx: &[u8]) -> Result<DerivedKey, NotDerived> {
    derive(session.expose(), LABEL, ctx)
}

fn derive(key: &[u8], label: &[u8], context: &[u8]) -> Result<DerivedKey, NotDerived> {
    let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).ok_or(NotDerived)?;
    let mut derived = Zeroizing::new([0; 32]);
    let bits = 256u32.to_be_bytes();
    let fixed = [label, &[0], context, &bits].concat();
    // The library puts the counter before it.
    kbkdf_ctr_hmac(algorithm, key, &fixed, derived.as_mut_slice()).map_err(|_| NotDerived)?;
    Ok(DerivedKey::new(derived))
}

const LABEL: &[u8] = b"AzureAD-SecureConversation";

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use proptest::prelude::*;

    use super::*;
    use crate::jose::vectors::{CTX, PAYLOAD, session_key};

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn any_label_and_context_give_what_another_implementation_derives() {
        // AzureAD/microsoft-authentication-library-common-for-android, SP800108KeyGenTests.java.
        let table = [
            ("label1", "ctx1", "MhPZ41HpPJ4tirU62ciRCaeKLDpDj+KY8Xv+6B6YxeU="),
            ("label2", "ctx2", "Vj5vebnHvixm9SZ4YC3AoStaaOFS6uVRCYxQaIcMZFw="),
        ];
        for (label, ctx, expected) in table {
            let key = derive(b"keyDerivationKey", label.as_bytes(), ctx.as_bytes()).unwrap();
            assert_eq!(STANDARD.encode(key.expose()), expected, "{label}");
        }
    }

    #[test]
    fn both_versions_and_the_key_of_answers_are_those_of_roadlib() {
        // Computed with roadlib 1.7.0 and once more from HMAC alone.
        let session = session_key();
        let v1 = "261704508fac96248f7d3be91a017495fc867b984effbbd36059d69719da6375";
        let v2 = "099cb9fcab2f3e16680f9a5831005ac1e835ea023d87ce98ccc9e0a863a0a4e6";
        let signing = |version: KdfVersion| {
            hex(version.signing_key(&session, CTX, PAYLOAD.as_bytes()).unwrap().expose())
        };
        assert_eq!(signing(KdfVersion::V1), v1);
        assert_eq!(signing(KdfVersion::V2), v2);
        assert_eq!(hex(answer_key(&session, CTX).unwrap().expose()), v1);
    }

    proptest! {
        #[test]
        fn a_key_is_the_hmac_that_the_formula_says(
            key: [u8; 32],
            ctx in prop::collection::vec(any::<u8>(), 0..100),
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let formula = |context: &[u8]| {
                let input = [&[0, 0, 0, 1], LABEL, &[0], context, &[0, 0, 1, 0]].concat();
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &input).as_ref().to_vec()
            };
            let session = SessionKey::new(Zeroizing::new(key));
            let signing = |version: KdfVersion| {
                version.signing_key(&session, &ctx, &payload).unwrap().expose().to_vec()
            };
            prop_assert_eq!(signing(KdfVersion::V1), formula(&ctx));
            let bound = digest(&SHA256, &[ctx.as_slice(), &payload].concat());
            prop_assert_eq!(signing(KdfVersion::V2), formula(bound.as_ref()));
        }
    }
}
