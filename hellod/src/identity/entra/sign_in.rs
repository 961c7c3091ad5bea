//! Where Entra signs people in.

use super::{DRS, Freshness, HOSTS, LOGIN, SignIn, Tenant};
use crate::identity::oauth::Endpoints;
use crate::online::Online;

/// A sign-in at a tenant, for its Device Registration Service.
#[must_use]
pub fn sign_in<'a>(online: &'a Online, tenant: &'a Tenant, freshness: Freshness) -> SignIn<'a> {
    let at = |name: &str| format!("https://{LOGIN}/{}/oauth2/{name}", tenant.id);
    let endpoints = Endpoints {
        hosts: HOSTS.into(),
        authorize: at("authorize"),
        token: at("token"),
        code: at("devicecode"),
        // So version 1 of the endpoint wants it.
        code_field: "code",
        pages: PAGES.into(),
        resource: DRS,
        redirect: REDIRECT,
        prompt: "select_account",
        says_why: true,
    };
    SignIn { online, issuer: tenant, endpoints, freshness }
}

/// An empty page of Entra's, for programs without a browser of their own.
const REDIRECT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
/// Where Entra sends people to type a code.
const PAGES: [&str; 3] = ["microsoft.com", "login.microsoft.com", "login.microsoftonline.com"];

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::super::Endpoint;
    use super::*;
    use crate::guid::Guid;
    use crate::identity::DirectoryError;
    use crate::online::pretend::Pretend;
    use crate::wire::{Upn, What, WireError};

    const OURS: &str = "68355c6e-0a63-442d-a2ec-71cc6bb3e24b";
    const THEIRS: &str = "9d53c6fa-b38e-4509-8fb1-51dedb421aac";

    fn tenant() -> Tenant {
        let endpoint = || Endpoint { address: "https://x.example/".into(), version: "1.0".into() };
        Tenant { id: Guid::parse(OURS).unwrap(), name: None, devices: endpoint(), keys: endpoint() }
    }

    /// What the token endpoint answers whose token says this.
    fn answer(claims: &Value) -> Value {
        let parts = [json!({"typ": "JWT", "alg": "none"}), claims.clone()];
        let [header, body] = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        json!({"token_type": "Bearer", "expires_in": 3600, "access_token": format!("{header}.{body}.")})
    }

    #[tokio::test]
    async fn a_token_of_another_tenant_or_for_another_service_is_no_permit() {
        let permitted = async |claims: &Value| {
            let (online, tenant) = (Pretend::answering([&answer(claims)]), tenant());
            let person = Upn::parse("dora@corp.example").unwrap();
            let sign_in = sign_in(&online, &tenant, Freshness::AsTheTenantHasIt);
            sign_in.by_password(&person, "correct horse").await.map(|permit| permit.claims.tid)
        };
        let good = json!({"aud": DRS, "iss": "https://sts.windows.net/", "tid": OURS});
        assert_eq!(permitted(&good).await.unwrap(), Guid::parse(OURS));
        for (name, value) in [
            ("tid", json!(THEIRS)),
            ("tid", Value::Null),
            ("aud", json!("https://graph.microsoft.com")),
            ("aud", json!(format!("{DRS}.evil.example"))),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            let refused = permitted(&claims).await;
            let is_elsewhere =
                matches!(refused, Err(DirectoryError::Wire(WireError::Elsewhere(What::Claims))));
            assert!(is_elsewhere, "{claims}: {refused:?}");
        }
    }
}
