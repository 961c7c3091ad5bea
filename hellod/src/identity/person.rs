//! A person, as a directory knows them.

use serde::{Deserialize, Serialize};

use crate::guid::Guid;
use crate::wire::{TokenClaims, Upn};

/// A person, as a directory knows them. Names change hands there; the two ids never do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The directory's own id: of the tenant, or of the domain.
    pub tenant: Guid,
    /// Of the person in it.
    pub object: Guid,
    /// What they were called when they enrolled.
    pub upn: Upn,
}

impl Person {
    /// Whom a token of the directory is about; nobody, where it doesn't say all of that.
    #[must_use]
    pub fn of(claims: &TokenClaims) -> Option<Self> {
        Some(Self { tenant: claims.tid?, object: claims.oid?, upn: claims.upn.clone()? })
    }

    /// What never changes, as one text.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.tenant, self.object)
    }

    /// Whether both are the same person. What they are called has no say.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.tenant, self.object) == (other.tenant, other.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Token;

    fn dora() -> Person {
        let claims = r#"{"aud":"a","iss":"i","tid":"6e1f0e84-2b4e-4e0f-9d61-0b2a3f4c5d6e","oid":"0ce67455-8ea1-4523-be5f-bfd09190fad6","upn":"dora@corp.example"}"#;
        Person::of(&read(claims)).unwrap()
    }

    fn read(claims: &str) -> TokenClaims {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let [header, claims] =
            [r#"{"alg":"none","typ":"JWT"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        TokenClaims::read(&Token::parse(format!("{header}.{claims}.").into()).unwrap()).unwrap()
    }

    #[test]
    fn the_ids_decide_who_somebody_is_and_the_name_does_not() {
        let renamed = Person { upn: Upn::parse("dora.smith@corp.example").unwrap(), ..dora() };
        assert!(renamed.is(&dora()));
        assert_eq!(renamed.id(), dora().id());
        let namesake = Person { object: dora().tenant, ..dora() };
        let elsewhere = Person { tenant: dora().object, ..dora() };
        for other in [namesake, elsewhere] {
            assert!(!other.is(&dora()) && other.id() != dora().id(), "{other:?}");
        }
    }

    #[test]
    fn a_token_that_leaves_out_who_it_is_about_is_about_nobody() {
        for left_out in ["tid", "oid", "upn"] {
            let claims = serde_json::json!({
                "aud": "a", "iss": "i", "tid": dora().tenant, "oid": dora().object, "upn": dora().upn.as_str(),
                left_out: null,
            });
            assert_eq!(Person::of(&read(&claims.to_string())), None, "{left_out}");
        }
    }
}
