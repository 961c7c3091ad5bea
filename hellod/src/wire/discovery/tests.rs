use serde_json::{Value, json};

use super::*;

fn metadata(json: &Value) -> Result<Metadata, WireError> {
    let hosts = Hosts::new(["login.microsoftonline.com", "sts.contoso.com"]);
    Metadata::parse(json.to_string().as_bytes(), &hosts)
}

fn entra() -> Value {
    json!({
        "token_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/token",
        "authorization_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/authorize",
        "device_authorization_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/devicecode",
        "issuer": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/v2.0",
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
    })
}

#[test]
fn metadata_of_entra_names_its_endpoints_and_its_tenant() {
    let metadata = metadata(&entra()).unwrap();
    assert_eq!(metadata.tenant, Guid::parse("68355c6e-0a63-442d-a2ec-71cc6bb3e24b"));
    assert!(metadata.token.as_str().ends_with("/oauth2/v2.0/token"));
    assert!(metadata.authorization.as_str().ends_with("/oauth2/v2.0/authorize"));
    assert!(metadata.device_authorization.is_some());
    assert_eq!(metadata.capabilities, Capabilities::default());
}

#[test]
fn metadata_for_no_tenant_in_particular_names_none() {
    let mut common = entra();
    common["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    assert_eq!(metadata(&common).unwrap().tenant, None);
}

#[test]
fn the_second_kdf_is_for_an_ad_fs_that_says_so() {
    let mut adfs = json!({
        "authorization_endpoint": "https://sts.contoso.com/adfs/oauth2/authorize/",
        "token_endpoint": "https://sts.contoso.com/adfs/oauth2/token/",
        "issuer": "https://sts.contoso.com/adfs",
        "access_token_issuer": "http://sts.contoso.com/adfs/services/trust",
        "microsoft_multi_refresh_token": true,
        "capabilities": ["winhello_cert", "winhello_cert_kr"],
    });
    let former = metadata(&adfs).unwrap();
    assert_eq!(former.access_token_issuer, Line::parse("http://sts.contoso.com/adfs/services/trust"));
    let former = former.capabilities;
    assert!(former.certificates && former.receipts);
    assert_eq!(former.kdf(), KdfVersion::V1);
    adfs["capabilities"] = json!(["kdf_ver2"]);
    let patched = metadata(&adfs).unwrap().capabilities;
    assert!(!patched.certificates && !patched.receipts);
    assert_eq!(patched.kdf(), KdfVersion::V2);
}

#[test]
fn metadata_that_leads_elsewhere_or_lacks_an_endpoint_is_refused() {
    for member in ["authorization_endpoint", "token_endpoint", "device_authorization_endpoint"] {
        let mut elsewhere = entra();
        elsewhere[member] = json!("https://login.evil.example/token");
        assert_eq!(metadata(&elsewhere), Err(WireError::Elsewhere(What::Metadata)), "{member}");
    }
    for member in ["authorization_endpoint", "token_endpoint", "issuer"] {
        let mut without = entra();
        without.as_object_mut().unwrap().remove(member);
        assert_eq!(metadata(&without), Err(WireError::Form(What::Metadata)), "{member}");
        let mut odd = entra();
        odd[member] = json!(["https://login.microsoftonline.com/"]);
        assert_eq!(metadata(&odd), Err(WireError::Form(What::Metadata)), "{member}");
    }
}

/// [MS-DVRD] 4: api-version 1.2.
fn contract() -> Value {
    json!({
        "DeviceRegistrationService": {
            "RegistrationEndpoint": "https://sts.contoso.com/EnrollmentServer/DeviceEnrollmentWebService.svc",
            "RegistrationResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
            "ServiceVersion": "1.0"
        },
        "AuthenticationService": {
            "OAuth2": {
                "AuthCodeEndpoint": "https://sts.contoso.com/adfs/oauth2/authorize",
                "TokenEndpoint": "https://sts.contoso.com/adfs/oauth2/token"
            }
        },
        "IdentityProviderService": {"PassiveAuthEndpoint": "https://sts.contoso.com/adfs/ls"},
        "DeviceJoinService": {
            "JoinEndpoint": "https://sts.contoso.com/EnrollmentServer/device/",
            "JoinResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
            "ServiceVersion": "1.0"
        },
        "WebBrowserZones": {
            "Intranet": {"Endpoints": ["https://sts.contoso.com/"]}, "Trusted": null, "Untrusted": null
        },
        "KeyProvisioningService": {
            "KeyProvisionEndpoint": "https://sts.contoso.com/EnrollmentServer/key/",
            "KeyProvisionResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
            "ServiceVersion": "1.0"
        }
    })
}

fn answered(json: &Value) -> Result<Contract, WireError> {
    Contract::parse(json.to_string().as_bytes(), "enterpriseregistration.contoso.com")
}

#[test]
fn a_contract_names_the_host_where_people_sign_in_and_leads_there_or_back() {
    let Ok(Contract::AdFs(discovery)) = answered(&contract()) else { panic!("it is one") };
    assert_eq!(discovery.token.unwrap().host(), "sts.contoso.com");
    let mut both = contract();
    both["DeviceJoinService"]["JoinEndpoint"] =
        json!("https://enterpriseregistration.contoso.com/EnrollmentServer/device/");
    assert!(matches!(answered(&both), Ok(Contract::AdFs(_))));
    let elsewhere = Err(WireError::Elsewhere(What::Discovery));
    for (service, member) in
        [("DeviceJoinService", "JoinEndpoint"), ("KeyProvisioningService", "KeyProvisionEndpoint")]
    {
        for host in ["evil.example", "sts.contoso.com:8443", "sts.contoso.com.evil.example"] {
            let mut odd = contract();
            odd[service][member] = json!(format!("https://{host}/EnrollmentServer/device/"));
            assert_eq!(answered(&odd), elsewhere, "{service} at {host}");
        }
    }
    for token in [
        "http://sts.contoso.com/adfs/oauth2/token",
        "https://sts.contoso.com:8443/adfs/oauth2/token",
        "https://dora@sts.contoso.com/adfs/oauth2/token",
        "https://sts.contoso.com\\@evil.example/adfs/oauth2/token",
        "sts.contoso.com",
        "",
    ] {
        let mut odd = contract();
        odd["AuthenticationService"]["OAuth2"]["TokenEndpoint"] = json!(token);
        assert_eq!(answered(&odd), elsewhere, "{token}");
    }
    // Wherever people sign in, the devices have to be there or here.
    let mut moved = contract();
    moved["AuthenticationService"]["OAuth2"]["TokenEndpoint"] =
        json!("https://evil.example/adfs/oauth2/token");
    assert_eq!(answered(&moved), elsewhere);
}

#[test]
fn a_contract_that_names_nobody_is_none() {
    let form = Err(WireError::Form(What::Discovery));
    for odd in
        [json!({}), json!([]), json!("<Discovery/>"), json!({"AuthenticationService": {"OAuth2": null}})]
    {
        assert_eq!(answered(&odd), form, "{odd}");
    }
    for (service, member) in [
        ("DeviceJoinService", "JoinEndpoint"),
        ("DeviceJoinService", "JoinResourceId"),
        ("KeyProvisioningService", "ServiceVersion"),
    ] {
        let mut without = contract();
        without[service].as_object_mut().unwrap().remove(member);
        assert_eq!(answered(&without), form, "{member}");
    }
    let body = br#"<Discovery xmlns="http://schemas.datacontract.org/2004/07/x"/>"#;
    assert_eq!(Contract::parse(body, "enterpriseregistration.contoso.com"), form);
}

#[test]
fn a_contract_of_entras_is_told_from_one_of_an_ad_fs() {
    for host in [
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.windows.net",
    ] {
        let mut entra = contract();
        entra["AuthenticationService"]["OAuth2"]["TokenEndpoint"] =
            json!(format!("https://{host}/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/token"));
        assert_eq!(answered(&entra), Ok(Contract::Entra), "{host}");
    }
    let mut tenant = contract();
    tenant["TenantInfo"] = json!({"TenantId": "68355c6e-0a63-442d-a2ec-71cc6bb3e24b"});
    assert_eq!(answered(&tenant), Ok(Contract::Entra));
    for host in
        ["sts.contoso.com", "microsoftonline.com.evil.example", "notmicrosoftonline.com", "windows.net", ""]
    {
        assert!(!is_of_entra(host), "{host}");
    }
}

fn discovery(json: &Value) -> Result<Discovery, WireError> {
    Discovery::parse(json.to_string().as_bytes(), &Hosts::new(["sts.contoso.com"]))
}

#[test]
fn the_contract_of_ad_fs_says_where_to_join() {
    let contract = discovery(&contract()).unwrap();
    let service = |path: &str| Service {
        endpoint: Url::parse(&format!("https://sts.contoso.com/EnrollmentServer/{path}/")).unwrap(),
        resource: Line::parse("urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A").unwrap(),
        version: Line::parse("1.0").unwrap(),
    };
    assert_eq!((contract.join, contract.keys), (Some(service("device")), Some(service("key"))));
    assert_eq!(contract.token, Url::parse("https://sts.contoso.com/adfs/oauth2/token"));
    assert_eq!((contract.tenant, contract.federated), (None, None));
}

#[test]
fn what_entra_adds_is_read_and_what_is_missing_or_null_is_none() {
    let mut entra = contract();
    entra["TenantInfo"] = json!({
        "DisplayName": "Contoso", "TenantId": "68355C6E-0A63-442D-A2EC-71CC6BB3E24B", "TenantName": "contoso.com"
    });
    entra["IdentityProviderService"]["Federated"] = json!(false);
    entra["KeyProvisioningService"] = Value::Null;
    entra.as_object_mut().unwrap().remove("DeviceJoinService");
    let entra = discovery(&entra).unwrap();
    assert_eq!(entra.tenant, Guid::parse("68355c6e-0a63-442d-a2ec-71cc6bb3e24b"));
    assert_eq!(entra.display_name.unwrap().as_str(), "Contoso");
    assert_eq!((entra.join, entra.keys, entra.federated), (None, None, Some(false)));
    assert!(discovery(&json!({})).is_ok());
}

#[test]
fn a_service_elsewhere_is_refused() {
    for (service, member) in
        [("DeviceJoinService", "JoinEndpoint"), ("KeyProvisioningService", "KeyProvisionEndpoint")]
    {
        let mut elsewhere = contract();
        elsewhere[service][member] = json!("https://evil.example/EnrollmentServer/device/");
        assert_eq!(discovery(&elsewhere), Err(WireError::Elsewhere(What::Discovery)), "{service}");
        elsewhere[service][member] = json!(5);
        assert_eq!(discovery(&elsewhere), Err(WireError::Form(What::Discovery)), "{service}");
    }
    let mut elsewhere = contract();
    elsewhere["AuthenticationService"]["OAuth2"]["TokenEndpoint"] = json!("http://sts.contoso.com/token");
    assert_eq!(discovery(&elsewhere), Err(WireError::Elsewhere(What::Discovery)));
}
