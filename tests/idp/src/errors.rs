//! Why something was refused, and how each of the services says so.

use serde_json::{Value, json};

use crate::checks::Check;
use crate::clock::Civil;
use crate::random;
use crate::state::World;
use crate::vary::Members;
use crate::web::Answer;

/// A refusal; each endpoint has its own way to put it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// `error` of RFC 6749.
    pub(crate) error: &'static str,
    /// The number behind AADSTS; AD FS has none.
    pub(crate) code: u32,
    pub(crate) text: String,
    /// Which check it was.
    pub(crate) check: Option<Check>,
    /// What the client has to ask for in the browser.
    pub(crate) claims: Option<String>,
}

impl Refusal {
    /// By the number, as the table below has it.
    pub(crate) fn aadsts(code: u32) -> Self {
        let (error, text) = TABLE
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or(("invalid_request", "The request was refused."), |(_, error, text)| (error, text));
        let claims = INTERACTIVE.contains(&code).then(|| {
            let essential =
                json!({"access_token": {"capolids": {"essential": true, "values": [random::guid()]}}});
            essential.to_string()
        });
        Self { status: 400, error, code, text: text.to_owned(), check: None, claims }
    }

    /// For device registration, whose errors have no number that anybody published.
    pub(crate) fn registration(status: u16, text: &str) -> Self {
        Self { status, error: "", code: 0, text: text.to_owned(), check: None, claims: None }
    }

    pub(crate) fn with_text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    pub(crate) fn by(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// `error_description` of Entra.
    pub(crate) fn description(&self) -> String {
        format!("AADSTS{}: {}", self.code, self.text)
    }

    /// How a token endpoint of Entra says it.
    pub(crate) fn as_entra(&self, world: &mut World) -> Answer {
        let (trace, correlation) = (random::guid(), random::guid());
        let now = Civil::of(world.clock.now()).spaced();
        let description = format!(
            "{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
            self.description()
        );
        let mut members: Members = vec![
            ("error", self.error.into()),
            ("error_description", description.into()),
            ("error_codes", json!([self.code])),
            ("timestamp", now.into()),
            ("trace_id", trace.into()),
            ("correlation_id", correlation.into()),
            ("error_uri", format!("https://login.microsoftonline.com/error?code={}", self.code).into()),
        ];
        if let Some(claims) = &self.claims {
            members.push(("suberror", "basic_action".into()));
            members.push(("claims", claims.as_str().into()));
        }
        Answer::json(self.status, world.vary.object(members))
    }

    /// ErrorDetails of MS-DVRJ 2.2.3.1, as joining says it.
    pub(crate) fn as_join(&self, world: &mut World) -> Answer {
        let kind = if self.status == 401 { "AuthenticationError" } else { "ServiceError" };
        let members: Members = vec![
            ("ErrorType", kind.into()),
            ("Message", self.text.as_str().into()),
            ("TraceId", random::guid().into()),
            ("Time", Civil::of(world.clock.now()).spaced().into()),
        ];
        Answer::json(self.status, world.vary.object(members))
    }

    /// ErrorDetails of MS-KPP, as key registration says it.
    pub(crate) fn as_key(&self, world: &mut World, client_request: Option<&str>) -> Answer {
        let code = if self.status == 401 { "unauthorized" } else { "invalid_request" };
        let mut members: Members = vec![
            ("code", code.into()),
            ("message", self.text.as_str().into()),
            ("response", "ERROR_FAIL".into()),
            ("target", "KeyProvisioningService".into()),
            ("time", Civil::of(world.clock.now()).spaced().into()),
            ("innererror", json!({"trace": random::guid(), "context": Value::Null})),
        ];
        if let Some(id) = client_request {
            members.push(("clientrequestid", id.into()));
        }
        Answer::json(self.status, world.vary.object(members))
    }
}

/// Those that another try in the browser can get past.
const INTERACTIVE: [u32; 9] = [50072, 50074, 50076, 50078, 50079, 50158, 53000, 53001, 53003];

/// From Microsoft's list of error codes; the words are shortened.
const TABLE: &[(u32, &str, &str)] = &[
    (16000, "interaction_required", "Several accounts are signed in; choose one."),
    (17003, "server_error", "Credential key provisioning failed."),
    (
        50011,
        "invalid_request",
        "The redirect URI specified in the request does not match those of the application.",
    ),
    (50013, "invalid_grant", "Assertion failed signature validation."),
    (50020, "invalid_grant", "The user account does not exist in the tenant."),
    (50027, "invalid_grant", "JWT token is invalid or malformed."),
    (50034, "invalid_grant", "The user account does not exist in the directory."),
    (50053, "invalid_grant", "The account is locked."),
    (50055, "invalid_grant", "The password is expired."),
    (50056, "invalid_grant", "Invalid or null password."),
    (50057, "invalid_grant", "The user account is disabled."),
    (50058, "login_required", "Session information is not sufficient for single sign-on."),
    (50072, "interaction_required", "You must enrol in multi-factor authentication."),
    (50074, "interaction_required", "Strong authentication is required."),
    (50076, "interaction_required", "You must use multi-factor authentication to access the resource."),
    (50078, "interaction_required", "Presented multi-factor authentication has expired."),
    (50079, "interaction_required", "You must enrol in multi-factor authentication to access the resource."),
    (50097, "interaction_required", "Device authentication is required."),
    (50126, "invalid_grant", "Error validating credentials due to invalid username or password."),
    (50128, "invalid_request", "Invalid domain name."),
    (50129, "interaction_required", "The device is not workplace-joined."),
    (50132, "invalid_grant", "The session is not valid."),
    (50133, "invalid_grant", "The session is not valid because of a password change."),
    (
        50140,
        "interaction_required",
        "This occurred due to 'Keep me signed in' interrupt when the user was signing in.",
    ),
    (50144, "invalid_grant", "The user's directory password has expired."),
    (50155, "invalid_grant", "Device authentication failed."),
    (50158, "interaction_required", "An external security challenge was not satisfied."),
    (
        50173,
        "invalid_grant",
        "The provided grant has expired because it was revoked; a fresh token is needed.",
    ),
    (50187, "invalid_grant", "The service failed to perform device authentication."),
    (50196, "invalid_grant", "A loop was detected."),
    (51004, "invalid_grant", "The user account does not exist in the directory."),
    (53000, "interaction_required", "The device is not compliant."),
    (53001, "interaction_required", "The device is not domain-joined."),
    (53002, "interaction_required", "The application is not approved."),
    (53003, "interaction_required", "Access has been blocked by Conditional Access policies."),
    (
        53004,
        "interaction_required",
        "Can't configure multi-factor authentication because of suspicious activity.",
    ),
    (53009, "interaction_required", "The application needs Intune protection policies."),
    (54005, "invalid_grant", "The authorization code was already redeemed."),
    (65001, "invalid_grant", "The user or administrator has not consented to use the application."),
    (65004, "access_denied", "The user declined to consent to access the application."),
    (70000, "invalid_grant", "The provided value for the refresh token or code is not valid."),
    (70003, "unsupported_grant_type", "The application requested an unsupported grant type."),
    (70008, "invalid_grant", "The provided authorization code or refresh token has expired."),
    (70011, "invalid_scope", "The provided value for the scope is not valid."),
    (70016, "authorization_pending", "The authorization is pending. Continue polling."),
    (70018, "bad_verification_code", "Invalid verification code due to user typing in wrong user code."),
    (70019, "expired_token", "The verification code has expired."),
    (70020, "authorization_declined", "The user declined."),
    (
        70043,
        "invalid_grant",
        "The refresh token has expired due to the sign-in frequency of conditional access.",
    ),
    (70044, "invalid_grant", "The session has expired due to the sign-in frequency of conditional access."),
    (90002, "invalid_request", "The tenant was not found."),
    (90006, "server_error", "External server retryable error."),
    (90014, "invalid_request", "A required field is missing."),
    (90033, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    (90055, "temporarily_unavailable", "There are too many requests."),
    (90072, "invalid_grant", "The account needs to be added as an external user in the tenant first."),
    (90094, "access_denied", "Administrator consent is required."),
    (130_004, "invalid_grant", "The user has no such NGC key configured."),
    (130_005, "invalid_grant", "NGC key signature verification failed."),
    (130_006, "invalid_grant", "The device transport key isn't configured on the device."),
    (130_007, "invalid_grant", "The device used during the authentication is disabled."),
    (130_008, "invalid_grant", "The device referenced by the NGC key is not found."),
    (135_010, "invalid_grant", "The key was not found."),
    (135_011, "invalid_grant", "The device used during the authentication is disabled."),
    (500_011, "invalid_resource", "The resource principal was not found in the tenant."),
    (500_121, "interaction_required", "Authentication failed during the strong authentication request."),
    (500_133, "invalid_grant", "The assertion is not within its valid time range."),
    (501_481, "invalid_grant", "The code verifier does not match the code challenge."),
    (530_032, "interaction_required", "Blocked by security policy."),
    (700_003, "invalid_grant", "The device object was not found in the tenant."),
    (
        700_005,
        "invalid_grant",
        "The provided authorization code was issued for another client or redirect URI.",
    ),
    (700_016, "unauthorized_client", "The application was not found in the directory."),
    (700_082, "invalid_grant", "The refresh token has expired due to inactivity."),
    (700_084, "invalid_grant", "The refresh token was issued to a single page application and has expired."),
    (900_144, "invalid_request", "The request body must contain a parameter that is missing."),
    (5_000_611, "invalid_request", "Symmetric Key Derivation Function version 'KDFV1' is invalid."),
    (5_001_210, "invalid_request", "Unsupported transport key format."),
    (9_002_313, "invalid_request", "The request is malformed or invalid."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_once_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
