//! What can be asked before anybody has signed in.

use serde_json::{Value, json};

use crate::errors::Refusal;
use crate::jose::base64url;
use crate::state::apps::REGISTRATION_APP;
use crate::state::{Dialect, LOGIN, REGISTRATION, World};
use crate::vary::Members;
use crate::web::{Answer, Request};

pub(crate) fn metadata(world: &mut World, tenant: &str, v2: bool) -> Result<Answer, Refusal> {
    if !world.is_tenant(tenant) {
        return Err(Refusal::aadsts(90002));
    }
    let named = tenant != "common" && tenant != "organizations";
    let path = if named { world.tenant.id.clone() } else { tenant.to_owned() };
    // Who asks for all tenants is told of none: the issuer keeps a place for it.
    let issuer = world.issuer(Dialect::Entra, v2);
    let issuer = if named { issuer } else { issuer.replace(&world.tenant.id, "{tenantid}") };
    let (at, version) = (format!("https://{LOGIN}/{path}"), if v2 { "/v2.0" } else { "" });
    let members: Members = vec![
        ("token_endpoint", format!("{at}/oauth2{version}/token").into()),
        ("token_endpoint_auth_methods_supported", json!(["client_secret_post", "private_key_jwt"])),
        ("jwks_uri", format!("{at}/discovery{version}/keys").into()),
        ("response_modes_supported", json!(["query", "fragment", "form_post"])),
        ("subject_types_supported", json!(["pairwise"])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
        ("response_types_supported", json!(["code", "id_token", "code id_token"])),
        ("scopes_supported", json!(["openid", "profile", "email", "offline_access"])),
        ("issuer", issuer.into()),
        ("authorization_endpoint", format!("{at}/oauth2{version}/authorize").into()),
        ("device_authorization_endpoint", format!("{at}/oauth2{version}/devicecode").into()),
        ("tenant_region_scope", "EU".into()),
        ("cloud_instance_name", "microsoftonline.com".into()),
        ("cloud_graph_host_name", "graph.windows.net".into()),
        ("msgraph_host", "graph.microsoft.com".into()),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// JWKS of RFC 7517 for the access tokens.
pub(crate) fn keys(world: &World) -> Answer {
    let key = world.token_key.public().map(|key| {
        let blob = key.blob();
        let (exponent, modulus) = blob[24..].split_at(blob.len() - 24 - 256);
        json!({"kty": "RSA", "use": "sig", "kid": world.token_key.id, "x5t": world.token_key.id,
            "n": base64url(modulus), "e": base64url(exponent)})
    });
    Answer::json(200, json!({"keys": [key]}).to_string())
}

pub(crate) fn user_realm(world: &mut World, request: &Request, upn: &str) -> Answer {
    let upn = percent_decoded(upn);
    let domain = upn.rsplit_once('@').map_or("", |(_, domain)| domain).to_owned();
    let managed = domain.eq_ignore_ascii_case(&world.tenant.domain);
    let kind = match (managed, world.switches.federated) {
        (false, _) => "Unknown",
        (true, true) => "Federated",
        (true, false) => "Managed",
    };
    let mut members: Members = if request.query.get("api-version") == Some("2.0") {
        vec![
            ("Login", upn.into()),
            ("NameSpaceType", kind.into()),
            ("DomainName", domain.into()),
            ("FederationBrandName", "Corp".into()),
            ("CloudInstanceName", "microsoftonline.com".into()),
        ]
    } else {
        vec![
            ("ver", "1.0".into()),
            ("account_type", kind.into()),
            ("domain_name", domain.into()),
            ("cloud_instance_name", "microsoftonline.com".into()),
            ("cloud_audience_urn", "urn:federation:MicrosoftOnline".into()),
        ]
    };
    if kind == "Federated" {
        let trust = format!("https://{}/adfs/services/trust", world.sts());
        members.extend([
            ("federation_protocol", "WSTrust".into()),
            ("federation_metadata_url", format!("{trust}/mex").into()),
            ("federation_active_auth_url", format!("{trust}/2005/usernamemixed").into()),
            ("AuthURL", format!("https://{}/adfs/ls/", world.sts()).into()),
        ]);
    }
    Answer::json(200, world.vary.object(members))
}

pub(crate) fn credential_type(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json().ok_or(Refusal::aadsts(90014))?;
    let username = body["username"].as_str().ok_or(Refusal::aadsts(90014))?;
    let known = world.people.find(username).is_some();
    let members: Members = vec![
        ("Username", username.into()),
        ("Display", username.into()),
        ("IfExistsResult", i32::from(!known).into()),
        ("ThrottleStatus", 0.into()),
        (
            "Credentials",
            json!({"PrefCredential": 1, "HasPassword": true, "RemoteNgcParams": null, "FidoParams": null}),
        ),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// Where devices are joined and keys registered.
pub(crate) fn registration(world: &mut World, request: &Request, tenant: &str) -> Result<Answer, Refusal> {
    if !world.is_tenant(tenant) {
        return Err(Refusal::registration(400, "The tenant was not found."));
    }
    let version = request.query.get("api-version").unwrap_or("");
    if !["1.0", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"].contains(&version) {
        return Err(Refusal::registration(400, "The api-version is missing or not one that is served."));
    }
    let (id, resource) = (world.tenant.id.clone(), "urn:ms-drs:enterpriseregistration.windows.net");
    let at = |path: &str| format!("https://{REGISTRATION}/EnrollmentServer/{path}");
    let login = |path: &str| format!("https://{LOGIN}/{id}/{path}");
    let service = |name: &str, path: String, version: &str| json!({name: path, "ServiceVersion": version});
    let members: Members = vec![
        (
            "DiscoveryService",
            json!({"DiscoveryEndpoint": format!("https://{REGISTRATION}/{id}/Discover"), "ServiceVersion": "1.9"}),
        ),
        (
            "DeviceRegistrationService",
            json!({"RegistrationEndpoint": at("DeviceEnrollmentWebService.svc"),
                "RegistrationResourceId": resource, "ServiceVersion": "1.0"}),
        ),
        (
            "AuthenticationService",
            json!({"OAuth2": {"AuthCodeEndpoint": login("oauth2/authorize"), "TokenEndpoint": login("oauth2/token")}}),
        ),
        ("IdentityProviderService", json!({"Federated": false, "PassiveAuthEndpoint": login("wsfed")})),
        (
            "DeviceJoinService",
            json!({"JoinEndpoint": at("device/"), "JoinResourceId": resource, "ServiceVersion": "2.0"}),
        ),
        (
            "KeyProvisioningService",
            json!({"KeyProvisionEndpoint": at("key/"), "KeyProvisionResourceId": resource, "ServiceVersion": "1.0"}),
        ),
        (
            "WebAuthNService",
            service("WebAuthNEndpoint", format!("https://{REGISTRATION}/webauthn/{id}/"), "1.0"),
        ),
        (
            "DeviceManagementService",
            service("DeviceManagementEndpoint", format!("https://{REGISTRATION}/manage/{id}/"), "1.0"),
        ),
        ("MsaProviderData", json!({"SiteId": "295958", "SiteUrl": "enterpriseregistration.windows.net"})),
        ("PrecreateService", service("PrecreateEndpoint", at(&format!("device/precreate/{id}/")), "2.0")),
        ("TenantInfo", json!({"DisplayName": "Corp", "TenantId": id, "TenantName": world.tenant.domain})),
        ("AzureRbacService", json!({"RbacPolicyEndpoint": "https://pas.windows.net"})),
        (
            "NonceService",
            json!({"Endpoint": at(&format!("nonce/{id}/")), "ServiceVersion": "1.0",
            "ResourceId": Value::from(REGISTRATION_APP)}),
        ),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// Paths of URLs keep their escapes until here.
fn percent_decoded(text: &str) -> String {
    // Only `+` differs between a path and a form, and stands for itself in a path.
    let form = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(form.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}
