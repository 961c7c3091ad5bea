//! A farm of AD FS servers, found by a domain: where it signs people in, and where it registers devices and keys.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Domain, Endpoint};
use crate::identity::oauth::succeeded;
use crate::identity::{DirectoryError, Issuer};
use crate::jose::kdf::KdfVersion;
use crate::online::{Field, Header, Hosts, Interceptor, Online, OnlineError, Request};
use crate::wire::discovery::{Service, is_of_entra};
use crate::wire::{self, Contract, Discovery, Line, Metadata, TokenClaims, Url, What, WireError};

/// A farm: all that is needed of it later, so that nothing is discovered anew in the middle of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Farm {
    /// What it calls itself in what is signed for it (OpenID Connect Core 1.0, 1.2).
    pub issuer: Line,
    /// Who signs its access tokens, where it says so.
    pub access_token_issuer: Option<Line>,
    /// Where a browser goes.
    pub authorize: Url,
    /// Where tokens are.
    pub token: Url,
    /// Where a code is that is typed elsewhere.
    pub code: Url,
    /// What a token for its Device Registration Service is for.
    pub resource: Line,
    /// What it derives keys with.
    pub kdf: KdfVersion,
    /// Where it registers devices.
    pub devices: Endpoint,
    /// Where it registers keys.
    pub keys: Endpoint,
}

impl Farm {
    /// Asks at `enterpriseregistration.<domain>` for an AD FS ([MS-DVRD] 3.1.5.1.1). Nothing where there is none: where
    /// the name does not exist, where nothing at it knows of devices, or where it is an alias of Entra's.
    ///
    /// A proxy looks names up itself and does not tell one that doesn't exist from other troubles; behind one, a domain
    /// without an AD FS may end as [`OnlineError::Proxy`].
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn of(online: &Online, domain: &Domain) -> Result<Option<Self>, DirectoryError> {
        let registration = format!("enterpriseregistration.{domain}");
        let Some(discovery) = contract(online, &registration).await? else { return Ok(None) };
        let sts = discovery.token.as_ref().map(Url::host).ok_or(WireError::Form(What::Discovery))?;
        let address = format!("https://{sts}/adfs/.well-known/openid-configuration");
        let metadata = succeeded(online.fetch(Request::get(&Hosts::parse([sts])?, &address)?).await?)?;
        let metadata = Metadata::parse(&metadata, &wire::Hosts::new([sts]))?;
        Ok(Some(Self::described(&discovery, metadata)?))
    }

    fn described(discovery: &Discovery, metadata: Metadata) -> Result<Self, WireError> {
        let sts = metadata.token.host();
        let resource = |service: &Option<Service>| service.as_ref().map(|service| service.resource.clone());
        let [for_devices, for_keys] = [&discovery.join, &discovery.keys].map(resource);
        let resource = for_devices.filter(|resource| for_keys.as_ref() == Some(resource));
        // Not every AD FS says where that is ([MS-OIDCE] 2.2.3.2), and in each it is here.
        let code = metadata.device_authorization;
        let code = code.or_else(|| Url::parse(&format!("https://{sts}/adfs/oauth2/devicecode")));
        let farm = Self {
            resource: resource.ok_or(WireError::Form(What::Discovery))?,
            devices: Endpoint::of(discovery.join.as_ref())?,
            keys: Endpoint::of(discovery.keys.as_ref())?,
            code: code.ok_or(WireError::Form(What::Metadata))?,
            kdf: metadata.capabilities.kdf(),
            issuer: metadata.issuer,
            access_token_issuer: metadata.access_token_issuer,
            authorize: metadata.authorization,
            token: metadata.token,
        };
        if farm.is_of_a_piece() { Ok(farm) } else { Err(WireError::Elsewhere(What::Metadata)) }
    }

    /// Whether all of it is on one host, and its name is that host's and no other's, for which a person's key would sign (OpenID
    /// Connect Discovery 1.0, 4.3). A record that somebody has changed may say anything.
    #[must_use]
    pub fn is_of_a_piece(&self) -> bool {
        let sts = self.token.host();
        let named = self.issuer.as_str().eq_ignore_ascii_case(&format!("https://{sts}/adfs"));
        let services = [&self.devices, &self.keys].map(|service| Url::parse(&service.address));
        let is_here = |url: &Option<Url>| url.as_ref().is_some_and(|url| url.host() == sts);
        let pages = [&self.authorize, &self.code].iter().all(|url| url.host() == sts);
        named && pages && services.iter().all(is_here)
    }

    /// Its host. Whatever an answer says, nothing is sent anywhere else.
    ///
    /// # Errors
    /// [`OnlineError::Malformed`] for a record that somebody has changed.
    pub fn hosts(&self) -> Result<Hosts, DirectoryError> {
        Ok(Hosts::parse([self.token.host()])?)
    }
}

impl Issuer for Farm {
    /// The resource may be called the same in every farm ([MS-DVRD] 4), and so it is the issuer that tells them apart.
    fn permits(&self, claims: &TokenClaims) -> bool {
        let own = self.access_token_issuer.as_ref().is_none_or(|issuer| *issuer == claims.iss);
        claims.aud == self.resource && own
    }
}

/// What the registration service says of itself; nothing where there is none, or where it is Entra's.
async fn contract(online: &Online, host: &str) -> Result<Option<Discovery>, DirectoryError> {
    let address = format!("https://{host}/EnrollmentServer/contract?api-version=1.2");
    // XML, if it were not said, and nothing for two of them.
    let json = Zeroizing::new("application/json".to_owned());
    let request = Request::get(&Hosts::parse([host])?, &address)?.with(Header::Accept, json)?;
    let response = match online.fetch(request).await {
        Ok(response) => response,
        Err(error) if tells_that_there_is_none(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match response.status {
        404 => return Ok(None),
        300..=399 => {
            let entra = response.header(Field::Location).and_then(Url::parse);
            let entra = entra.is_some_and(|location| is_of_entra(location.host()));
            return if entra { Ok(None) } else { Err(WireError::Elsewhere(What::Discovery).into()) };
        }
        _ => {}
    }
    match Contract::parse(&succeeded(response)?, host)? {
        Contract::AdFs(discovery) => Ok(Some(*discovery)),
        Contract::Entra => Ok(None),
    }
}

/// No such name; or one whose certificate is Entra's, as it is where the name is an alias. That proves nothing about who
/// answers, and need not: whoever could forge it could also keep an AD FS from being found.
fn tells_that_there_is_none(error: &OnlineError) -> bool {
    match error {
        OnlineError::NameNotFound { .. } => true,
        OnlineError::Intercepted { found: Interceptor::Named { names }, .. } => {
            names.split(", ").any(|name| is_of_entra(name.trim_start_matches("*.")))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::secret::Token;

    const REGISTRATION: &str = "enterpriseregistration.contoso.com";
    const RESOURCE: &str = "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A";

    fn contract() -> Value {
        let service = |endpoint: &str, resource: &str, path: &str| {
            json!({
                endpoint: format!("https://sts.contoso.com/EnrollmentServer/{path}/"),
                resource: RESOURCE,
                "ServiceVersion": "1.0"
            })
        };
        json!({
            "AuthenticationService": {"OAuth2": {"TokenEndpoint": "https://sts.contoso.com/adfs/oauth2/token"}},
            "DeviceJoinService": service("JoinEndpoint", "JoinResourceId", "device"),
            "KeyProvisioningService": service("KeyProvisionEndpoint", "KeyProvisionResourceId", "key"),
        })
    }

    fn metadata() -> Value {
        json!({
            "authorization_endpoint": "https://sts.contoso.com/adfs/oauth2/authorize/",
            "token_endpoint": "https://sts.contoso.com/adfs/oauth2/token/",
            "issuer": "https://sts.contoso.com/adfs",
            "access_token_issuer": "http://sts.contoso.com/adfs/services/trust",
            "capabilities": ["winhello_cert", "kdf_ver2"],
        })
    }

    fn farm(contract: &Value, metadata: &Value) -> Result<Farm, WireError> {
        let Contract::AdFs(discovery) = Contract::parse(contract.to_string().as_bytes(), REGISTRATION)?
        else {
            panic!("it is none of Entra's")
        };
        let metadata =
            Metadata::parse(metadata.to_string().as_bytes(), &wire::Hosts::new(["sts.contoso.com"]))?;
        Farm::described(&discovery, metadata)
    }

    #[test]
    fn a_farm_comes_out_of_its_record_as_it_went_in_and_an_odd_record_is_refused() {
        let farm = farm(&contract(), &metadata()).unwrap();
        assert_eq!(farm.kdf, KdfVersion::V2);
        assert_eq!(farm.code.as_str(), "https://sts.contoso.com/adfs/oauth2/devicecode");
        let record = serde_json::to_value(&farm).unwrap();
        assert_eq!(serde_json::from_value::<Farm>(record.clone()).unwrap(), farm);
        for (member, value) in [
            ("token", json!("http://sts.contoso.com/adfs/oauth2/token/")),
            ("authorize", json!("javascript:alert(1)")),
            ("issuer", json!("a\nb")),
            ("kdf", json!("v3")),
            ("kdf", Value::Null),
            ("more", json!("x")),
        ] {
            let mut odd = record.clone();
            odd[member] = value;
            assert!(serde_json::from_value::<Farm>(odd).is_err(), "{member}");
        }
    }

    #[test]
    fn a_farm_that_does_not_say_that_it_knows_the_second_derivation_gets_the_first() {
        for capabilities in [json!([]), json!(["winhello_cert"]), json!(["KDF_VER2"])] {
            let mut former = metadata();
            former["capabilities"] = capabilities;
            assert_eq!(farm(&contract(), &former).unwrap().kdf, KdfVersion::V1);
        }
        let mut silent = metadata();
        silent.as_object_mut().unwrap().remove("capabilities");
        assert_eq!(farm(&contract(), &silent).unwrap().kdf, KdfVersion::V1);
        let mut odd = metadata();
        odd["capabilities"] = json!("kdf_ver2");
        assert_eq!(farm(&contract(), &odd), Err(WireError::Form(What::Metadata)));
    }

    #[test]
    fn a_farm_signs_in_nobodys_name_but_its_own() {
        for issuer in [
            "https://sts.fabrikam.com/adfs",
            "https://sts.contoso.com.evil.example/adfs",
            "https://sts.contoso.com/adfs/services/trust",
            "http://sts.contoso.com/adfs",
            "",
        ] {
            let mut of_another = metadata();
            of_another["issuer"] = json!(issuer);
            assert_eq!(farm(&contract(), &of_another), Err(WireError::Elsewhere(What::Metadata)), "{issuer}");
        }
        let mut large = metadata();
        large["issuer"] = json!("https://STS.contoso.com/adfs");
        assert_eq!(farm(&contract(), &large).unwrap().issuer.as_str(), "https://STS.contoso.com/adfs");
    }

    #[test]
    fn a_record_that_leads_elsewhere_is_not_of_a_piece() {
        let farm = farm(&contract(), &metadata()).unwrap();
        assert!(farm.is_of_a_piece());
        let record = serde_json::to_value(&farm).unwrap();
        for (pointer, value) in [
            ("/issuer", "https://sts.fabrikam.com/adfs"),
            ("/token", "https://sts.fabrikam.com/adfs/oauth2/token/"),
            ("/authorize", "https://sts.fabrikam.com/adfs/oauth2/authorize/"),
            ("/code", "https://sts.fabrikam.com/adfs/oauth2/devicecode"),
            ("/devices/address", "https://sts.fabrikam.com/EnrollmentServer/device/"),
            ("/keys/address", "http://sts.contoso.com/EnrollmentServer/key/"),
            ("/keys/address", "https://enterpriseregistration.contoso.com/EnrollmentServer/key/"),
        ] {
            let mut changed = record.clone();
            *changed.pointer_mut(pointer).unwrap() = json!(value);
            assert!(!serde_json::from_value::<Farm>(changed).unwrap().is_of_a_piece(), "{pointer}");
        }
    }

    #[test]
    fn a_farm_that_registers_no_devices_or_no_keys_is_of_no_use() {
        for service in ["DeviceJoinService", "KeyProvisioningService"] {
            let mut without = contract();
            without.as_object_mut().unwrap().remove(service);
            assert_eq!(farm(&without, &metadata()), Err(WireError::Form(What::Discovery)), "{service}");
        }
        let mut apart = contract();
        apart["KeyProvisioningService"]["KeyProvisionResourceId"] = json!("urn:ms-drs:sts.contoso.com");
        assert_eq!(farm(&apart, &metadata()), Err(WireError::Form(What::Discovery)), "one token for both");
    }

    #[test]
    fn a_token_of_another_farm_permits_nothing_here() {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let ours = farm(&contract(), &metadata()).unwrap();
        let mut silent = metadata();
        silent.as_object_mut().unwrap().remove("access_token_issuer");
        let silent = farm(&contract(), &silent).unwrap();
        let (own, other) =
            ("http://sts.contoso.com/adfs/services/trust", "http://sts.fabrikam.com/adfs/services/trust");
        for (aud, iss, by_ours, by_silent) in [
            (RESOURCE, own, true, true),
            (RESOURCE, other, false, true),
            ("urn:ms-drs:enterpriseregistration.windows.net", own, false, false),
            ("urn:microsoft:userinfo", own, false, false),
        ] {
            let payload = URL_SAFE_NO_PAD.encode(json!({"aud": aud, "iss": iss}).to_string());
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
            let token = Token::parse(Zeroizing::new(format!("{header}.{payload}.AA"))).unwrap();
            let claims = TokenClaims::read(&token).unwrap();
            assert_eq!((ours.permits(&claims), silent.permits(&claims)), (by_ours, by_silent), "{aud} {iss}");
        }
    }

    #[test]
    fn only_what_says_that_there_is_no_ad_fs_is_taken_for_that() {
        let host = || REGISTRATION.to_owned();
        let named = |names: &str| OnlineError::Intercepted {
            host: host(),
            found: Interceptor::Named { names: names.into() },
        };
        let table = [
            (OnlineError::NameNotFound { host: host() }, true),
            (named("stamp2.login.microsoftonline.com, enterpriseregistration.windows.net"), true),
            (named("*.microsoftonline.com"), true),
            (named("portal.example"), false),
            (named("microsoftonline.com.evil.example"), false),
            (OnlineError::Intercepted { host: host(), found: Interceptor::Plain }, false),
            (OnlineError::NoNetwork, false),
            (OnlineError::NoNameService { host: host() }, false),
        ];
        for (error, none) in table {
            assert_eq!(tells_that_there_is_none(&error), none, "{error}");
        }
    }
}
