//! What the registration service answers: the certificate of a device, and a registered key.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{Upn, What, WireError, read};
use crate::guid::Guid;

/// The answer to a device that joined ([MS-DVRJ] 2.2.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// The certificate in DER; [`DeviceCertificate::parse`](crate::x509::DeviceCertificate::parse) reads it.
    pub certificate: Vec<u8>,
    /// Who joined it.
    pub person: Option<Upn>,
}

/// The answer to a key that was registered ([MS-KPP] 3.1.5.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAnswer {
    /// The service's own id for it, which is not what an assertion calls it.
    pub id: Guid,
    /// Whose it is.
    pub person: Upn,
    /// To be sent back with the request for a certificate, unread.
    pub provider_context: Option<String>,
    /// The receipt for the key, unread.
    pub receipt: Option<String>,
}

impl JoinAnswer {
    /// Reads the answer. The thumbprint in it tells whether the certificate came whole.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(rename = "Certificate")]
            certificate: Certificate,
            #[serde(rename = "User")]
            user: Option<User>,
        }
        #[derive(Deserialize)]
        struct Certificate {
            #[serde(rename = "Thumbprint")]
            thumbprint: Option<String>,
            #[serde(rename = "RawBody")]
            raw_body: String,
        }
        #[derive(Deserialize)]
        struct User {
            #[serde(rename = "Upn")]
            upn: Option<Upn>,
        }
        let raw: Raw = read(body, What::Join)?;
        let certificate =
            STANDARD.decode(&raw.certificate.raw_body).map_err(|_| WireError::Form(What::Join))?;
        if let Some(thumbprint) = raw.certificate.thumbprint {
            let actual: String = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate)
                .as_ref()
                .iter()
                .map(|octet| format!("{octet:02X}"))
                .collect();
            if !actual.eq_ignore_ascii_case(&thumbprint) {
                return Err(WireError::Form(What::Join));
            }
        }
        Ok(Self { certificate, person: raw.user.and_then(|user| user.upn) })
    }
}

impl KeyAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            kid: Guid,
            upn: Upn,
            pctx: Option<String>,
            krctx: Option<String>,
        }
        let raw: Raw = read(body, What::Key)?;
        let possible = |text: &Option<String>| {
            text.as_ref()
                .is_none_or(|text| text.len() <= MAX_CONTEXT && text.bytes().all(|c| c.is_ascii_graphic()))
        };
        if !possible(&raw.pctx) || !possible(&raw.krctx) {
            return Err(WireError::Form(What::Key));
        }
        Ok(Self { id: raw.kid, person: raw.upn, provider_context: raw.pctx, receipt: raw.krctx })
    }
}

/// Longest context or receipt that is kept, in bytes.
const MAX_CONTEXT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// [MS-DVRJ] 4.1.
    fn example() -> Value {
        json!({
            "Certificate": {
                "Thumbprint": "D09A73223D16855752C5E820A70540BA6450103E",
                "RawBody": include_str!("../x509/vectors/dvrj_certificate.b64").trim(),
            },
            "User": {"Upn": "mypc$@contoso.com"},
            "MembershipChanges": [{"LocalSID": "S-1-5-32-544", "AddSIDs": []}],
        })
    }

    fn join(json: &Value) -> Result<JoinAnswer, WireError> {
        JoinAnswer::parse(json.to_string().as_bytes())
    }

    #[test]
    fn the_example_of_the_specification_has_a_certificate_and_a_person() {
        let answer = join(&example()).unwrap();
        assert_eq!(answer.certificate.len(), 1025);
        assert_eq!(answer.person, Upn::parse("mypc$@contoso.com"));
    }

    #[test]
    fn memberships_may_be_an_object_and_a_person_may_be_missing() {
        let mut lenient = example();
        lenient["MembershipChanges"] = json!({"LocalSID": "S-1-5-32-544"});
        lenient["User"] = Value::Null;
        lenient["Certificate"]["Thumbprint"] = json!("d09a73223d16855752c5e820a70540ba6450103e");
        assert_eq!(join(&lenient).unwrap().person, None);
        lenient["Certificate"].as_object_mut().unwrap().remove("Thumbprint");
        assert!(join(&lenient).is_ok());
    }

    #[test]
    fn a_certificate_that_did_not_come_whole_is_refused() {
        let table = [
            ("Thumbprint", json!("D09A73223D16855752C5E820A70540BA6450103F")),
            ("Thumbprint", json!("")),
            ("Thumbprint", json!(5)),
            ("RawBody", json!("AAAA")),
            ("RawBody", json!("!")),
            ("RawBody", Value::Null),
        ];
        for (member, value) in table {
            let mut broken = example();
            broken["Certificate"][member] = value;
            assert_eq!(join(&broken), Err(WireError::Form(What::Join)), "{member}");
        }
    }

    #[test]
    fn the_example_of_a_registered_key_is_read() {
        // [MS-KPP] 4.1.
        let body = br#"{"kid":"0ce67455-8ea1-4523-be5f-bfd09190fad6","upn":"user@contoso.com","pctx":"eyJEZXZpY2VJRCI6IjNhNWY0NzQzLWQ0NTIt=="}"#;
        let answer = KeyAnswer::parse(body).unwrap();
        assert_eq!(answer.id.to_string(), "0ce67455-8ea1-4523-be5f-bfd09190fad6");
        assert_eq!(answer.person.as_str(), "user@contoso.com");
        assert_eq!(answer.provider_context.as_deref(), Some("eyJEZXZpY2VJRCI6IjNhNWY0NzQzLWQ0NTIt=="));
        assert_eq!(answer.receipt, None);
        for body in [
            "{}",
            r#"{"kid":"x","upn":"user@contoso.com"}"#,
            r#"{"kid":"0ce67455-8ea1-4523-be5f-bfd09190fad6"}"#,
            r#"{"kid":"0ce67455-8ea1-4523-be5f-bfd09190fad6","upn":"user@contoso.com","pctx":"a b"}"#,
        ] {
            assert_eq!(KeyAnswer::parse(body.as_bytes()), Err(WireError::Form(What::Key)), "{body}");
        }
    }
}
