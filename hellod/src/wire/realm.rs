//! Where a person's account is: Entra's UserRealm.

use serde::Deserialize;

use super::{Line, Url, What, WireError, read};

/// Who checks a person's password.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Realm {
    /// Entra itself.
    Managed {
        /// The domain, as Entra has it.
        domain: Option<Line>,
    },
    /// Somebody else, for the whole domain.
    Federated {
        /// The domain, as Entra has it.
        domain: Option<Line>,
        /// Where a person is sent.
        sign_in: Option<Url>,
        /// Where that one says what it can do.
        metadata: Option<Url>,
    },
    /// Nobody: Entra doesn't know the domain.
    Unknown,
}

impl Realm {
    /// Reads either version of the answer.
    ///
    /// Where a federated domain signs in is known from nowhere else, so any host may be it; https it is.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let raw: Raw = read(body, What::Realm)?;
        let url = |text: Option<String>| {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| Url::parse(&text).ok_or(WireError::Elsewhere(What::Realm))).transpose()
        };
        let domain = raw.domain_name.or(raw.domain_name_2);
        match raw.account_type.or(raw.name_space_type).ok_or(WireError::Form(What::Realm))?.as_str() {
            "Managed" => Ok(Self::Managed { domain }),
            "Federated" => Ok(Self::Federated {
                domain,
                sign_in: url(raw.auth_url)?,
                metadata: url(raw.federation_metadata_url)?,
            }),
            "Unknown" => Ok(Self::Unknown),
            _ => Err(WireError::Form(What::Realm)),
        }
    }
}

/// The first version writes its names in small letters, the second in large and small ones.
#[derive(Deserialize)]
struct Raw {
    account_type: Option<String>,
    domain_name: Option<Line>,
    federation_metadata_url: Option<String>,
    #[serde(rename = "NameSpaceType")]
    name_space_type: Option<String>,
    #[serde(rename = "DomainName")]
    domain_name_2: Option<Line>,
    #[serde(rename = "AuthURL")]
    auth_url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_who_checks_the_password() {
        let domain = |text| Some(Line::parse(text).unwrap());
        let table = [
            (
                r#"{"ver":"1.0","account_type":"Managed","domain_name":"contoso.com","cloud_instance_name":"microsoftonline.com"}"#,
                Realm::Managed { domain: domain("contoso.com") },
            ),
            (
                r#"{"NameSpaceType":"Managed","DomainName":"contoso.com","AuthURL":null}"#,
                Realm::Managed { domain: domain("contoso.com") },
            ),
            (
                r#"{"account_type":"Federated","domain_name":"contoso.com","federation_protocol":"WSTrust","federation_metadata_url":"https://sts.contoso.com/adfs/services/trust/mex"}"#,
                Realm::Federated {
                    domain: domain("contoso.com"),
                    sign_in: None,
                    metadata: Url::parse("https://sts.contoso.com/adfs/services/trust/mex"),
                },
            ),
            (
                r#"{"NameSpaceType":"Federated","DomainName":"contoso.com","AuthURL":"https://sts.contoso.com/adfs/ls/?x=y"}"#,
                Realm::Federated {
                    domain: domain("contoso.com"),
                    sign_in: Url::parse("https://sts.contoso.com/adfs/ls/?x=y"),
                    metadata: None,
                },
            ),
            (r#"{"account_type":"Unknown"}"#, Realm::Unknown),
        ];
        for (json, realm) in table {
            assert_eq!(Realm::parse(json.as_bytes()), Ok(realm), "{json}");
        }
    }

    #[test]
    fn an_answer_without_a_type_or_without_https_is_refused() {
        let form = WireError::Form(What::Realm);
        let table = [
            ("{}", form),
            ("[]", form),
            (r#"{"account_type":5}"#, form),
            (r#"{"account_type":"Other"}"#, form),
            (
                r#"{"account_type":"Federated","AuthURL":"http://sts.contoso.com/adfs/ls"}"#,
                WireError::Elsewhere(What::Realm),
            ),
        ];
        for (json, error) in table {
            assert_eq!(Realm::parse(json.as_bytes()), Err(error), "{json}");
        }
    }
}
