//! Where devices are registered, as MS-DVRD has it: XML unless JSON is asked for.

use serde_json::json;

use crate::checks::Check;
use crate::entra::Said;
use crate::errors::Refusal;
use crate::state::World;
use crate::vary::Members;
use crate::web::{Answer, Request};

pub(super) fn contract(world: &mut World, request: &Request) -> Said {
    match asked(world, request) {
        Ok(answer) => answer.into(),
        Err(refusal) => Said { answer: Answer::text(refusal.status, &refusal.text), refusal: Some(refusal) },
    }
}

fn asked(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    let version = request.query.get("api-version").unwrap_or("");
    let known = ["1.0", "1.2"].contains(&version);
    world.demand(Check::ApiVersion, known, || {
        Refusal::registration(400, "The api-version is missing or not one that is served.")
    })?;
    let newer = version == "1.2";
    match request.header("accept") {
        Some("application/json") => Ok(as_json(world, newer)),
        None | Some("application/xml" | "text/xml") => {
            Ok(Answer::new(200, "application/xml; charset=utf-8", as_xml(world, newer)))
        }
        Some(_) => {
            Err(Refusal::registration(406, "Accept must be application/json, application/xml or text/xml.")
                .by(Check::Accept))
        }
    }
}

fn as_json(world: &mut World, newer: bool) -> Answer {
    let (sts, resource) = (world.sts(), resource(world, newer));
    let enrolment = |path: &str| format!("https://{sts}/EnrollmentServer/{path}");
    let mut members: Members = vec![
        (
            "DeviceRegistrationService",
            json!({"RegistrationEndpoint": enrolment("DeviceEnrollmentWebService.svc"),
                "RegistrationResourceId": resource, "ServiceVersion": "1.0"}),
        ),
        (
            "AuthenticationService",
            json!({"OAuth2": {"AuthCodeEndpoint": format!("https://{sts}/adfs/oauth2/authorize"),
                "TokenEndpoint": format!("https://{sts}/adfs/oauth2/token")}}),
        ),
        ("IdentityProviderService", json!({"PassiveAuthEndpoint": format!("https://{sts}/adfs/ls")})),
    ];
    if newer {
        members.extend([
            (
                "DeviceJoinService",
                json!({"JoinEndpoint": enrolment("device/"), "JoinResourceId": resource, "ServiceVersion": "1.0"}),
            ),
            (
                "WebBrowserZones",
                json!({"Intranet": {"Endpoints": [format!("https://{sts}/")]}, "Trusted": null, "Untrusted": null}),
            ),
            (
                "KeyProvisioningService",
                json!({"KeyProvisionEndpoint": enrolment("key/"), "KeyProvisionResourceId": resource, "ServiceVersion": "1.0"}),
            ),
        ]);
    }
    Answer::json(200, world.vary.object(members))
}

fn as_xml(world: &World, newer: bool) -> String {
    let (sts, resource) = (world.sts(), resource(world, newer));
    let mut services = format!(
        "<DeviceRegistrationService><RegistrationEndpoint>https://{sts}/EnrollmentServer/DeviceEnrollmentWebService.svc</RegistrationEndpoint>\
<RegistrationResourceId>{resource}</RegistrationResourceId><ServiceVersion>1.0</ServiceVersion></DeviceRegistrationService>\
<AuthenticationService><OAuth2><AuthCodeEndpoint>https://{sts}/adfs/oauth2/authorize</AuthCodeEndpoint>\
<TokenEndpoint>https://{sts}/adfs/oauth2/token</TokenEndpoint></OAuth2></AuthenticationService>\
<IdentityProviderService><PassiveAuthEndpoint>https://{sts}/adfs/ls</PassiveAuthEndpoint></IdentityProviderService>"
    );
    if newer {
        services.push_str(&format!(
            "<DeviceJoinService><JoinEndpoint>https://{sts}/EnrollmentServer/device/</JoinEndpoint>\
<JoinResourceId>{resource}</JoinResourceId><ServiceVersion>1.0</ServiceVersion></DeviceJoinService>\
<WebBrowserZones><Intranet><Endpoints xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\">\
<a:anyURI>https://{sts}/</a:anyURI></Endpoints></Intranet><Trusted i:nil=\"true\"/><Untrusted i:nil=\"true\"/></WebBrowserZones>\
<KeyProvisioningService><KeyProvisionEndpoint>https://{sts}/EnrollmentServer/key/</KeyProvisionEndpoint>\
<KeyProvisionResourceId>{resource}</KeyProvisionResourceId><ServiceVersion>1.0</ServiceVersion></KeyProvisioningService>"
        ));
    }
    format!(
        "<Discovery xmlns=\"http://schemas.datacontract.org/2004/07/Microsoft.DeviceRegistration.Entities\" \
xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">{services}</Discovery>"
    )
}

/// The older version names the host, the newer a number.
fn resource(world: &World, newer: bool) -> String {
    if newer { world.registration_resource() } else { format!("urn:ms-drs:{}", world.sts()) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn both_forms_are_those_of_the_specification() {
        let vector: Value =
            serde_json::from_str(include_str!("../../vectors/ms_dvrd_examples.json")).unwrap();
        let mut world = World::new(0, "contoso.com").unwrap();
        for (version, newer) in [("1.0", false), ("1.2", true)] {
            let answer: Value = serde_json::from_slice(&as_json(&mut world, newer).body).unwrap();
            assert_eq!(answer, vector["json"][version]);
            let dense = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(dense(&as_xml(&world, newer)), dense(vector["xml"][version].as_str().unwrap()));
        }
    }
}
