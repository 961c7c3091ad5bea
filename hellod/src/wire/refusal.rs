//! How the services say no. What a refusal means is for the providers to say; here it is only taken apart.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::values::Number;
use super::{Line, What, WireError, read};

/// The token endpoint refuses (RFC 6749, 5.2), with what Entra adds; AD FS has the first two members and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The word of the specification for it.
    pub error: String,
    /// The text for it. For the log: nothing is ever decided on it.
    pub description: Option<Line>,
    /// Entra's numbers for it, AADSTS; the first one counts.
    pub codes: Vec<u32>,
    /// A word more.
    pub suberror: Option<Line>,
    /// What the person has to fulfil, in JSON, to be sent along unchanged when they are asked to sign in.
    pub claims: Option<Claims>,
    /// By which Microsoft finds the event.
    pub trace: Option<Line>,
    /// By which Microsoft finds the request.
    pub correlation: Option<Line>,
    /// When, in Microsoft's spelling.
    pub timestamp: Option<Line>,
}

/// A demand that a sign-in has to fulfil: a JSON object, opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(String);

/// The registration service refuses. Its three spellings are one here ([MS-DVRJ] 2.2.3.1, [MS-KPP] 2.2.2.3, and the one
/// of Entra).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationError {
    /// Its word for it, such as "AuthenticationError".
    pub kind: Option<Line>,
    /// The text for it, for the log.
    pub message: Option<Line>,
    /// By which Microsoft finds the event.
    pub trace: Option<Line>,
}

impl ErrorAnswer {
    /// Reads the answer. Only `error` has to be there: an odd member beside it must not hide the refusal.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            error: String,
            #[serde(default)]
            error_description: Loose,
            #[serde(default, deserialize_with = "codes")]
            error_codes: Vec<u32>,
            #[serde(default)]
            suberror: Loose,
            #[serde(default)]
            claims: Loose,
            #[serde(default)]
            trace_id: Loose,
            #[serde(default)]
            correlation_id: Loose,
            #[serde(default)]
            timestamp: Loose,
        }
        let raw: Raw = read(body, What::Refusal)?;
        let word = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
        if !(1..=64).contains(&raw.error.len()) || !raw.error.bytes().all(word) {
            return Err(WireError::Form(What::Refusal));
        }
        Ok(Self {
            error: raw.error,
            description: raw.error_description.line(),
            codes: raw.error_codes,
            suberror: raw.suberror.line(),
            claims: raw.claims.0.and_then(Claims::parse),
            trace: raw.trace_id.line(),
            correlation: raw.correlation_id.line(),
            timestamp: raw.timestamp.line(),
        })
    }
}

impl Claims {
    fn parse(text: String) -> Option<Self> {
        let object = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
        (object && text.len() <= MAX_CLAIMS).then_some(Self(text))
    }

    /// The JSON, as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RegistrationError {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`], also where it says nothing at all.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default, rename = "ErrorType", alias = "code")]
            kind: Loose,
            #[serde(default, rename = "Message", alias = "message")]
            message: Loose,
            #[serde(default, rename = "TraceId", alias = "requestid")]
            trace: Loose,
            innererror: Option<Inner>,
        }
        #[derive(Deserialize)]
        struct Inner {
            #[serde(default)]
            trace: Loose,
        }
        let raw: Raw = read(body, What::Refusal)?;
        let trace = raw.trace.line().or_else(|| raw.innererror.and_then(|inner| inner.trace.line()));
        let read = Self { kind: raw.kind.line(), message: raw.message.line(), trace };
        let silent = Self { kind: None, message: None, trace: None };
        if read == silent { Err(WireError::Form(What::Refusal)) } else { Ok(read) }
    }
}

/// A text, a number as a text, or whatever else as nothing.
#[derive(Default)]
struct Loose(Option<String>);

impl Loose {
    fn line(self) -> Option<Line> {
        self.0.filter(|text| !text.is_empty()).map(|text| Line::of(&text))
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }))
    }
}

/// A list of numbers, some perhaps as texts. What is no number ends the list, so that no later one is taken for the
/// first.
fn codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let list = match Value::deserialize(deserializer)? {
        Value::Array(list) => list,
        one @ (Value::Number(_) | Value::String(_)) => vec![one],
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    };
    let number = |value| serde_json::from_value::<Number>(value).ok().and_then(|code| code.0.try_into().ok());
    Ok(list.into_iter().take(MAX_CODES).map_while(number).collect())
}

const MAX_CLAIMS: usize = 8 * 1024;
const MAX_CODES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_entra_is_taken_apart() {
        let body = br#"{"error":"interaction_required","error_description":"AADSTS50076: Due to a configuration change\r\nTrace ID: 1","error_codes":[50076],"timestamp":"2026-01-01 00:00:00Z","trace_id":"a","correlation_id":"b","error_uri":"https://login.microsoftonline.com/error?code=50076","suberror":"basic_action","claims":"{\"access_token\":{\"capolids\":{\"essential\":true}}}"}"#;
        let line = |text| Some(Line::parse(text).unwrap());
        let expected = ErrorAnswer {
            error: "interaction_required".into(),
            description: line("AADSTS50076: Due to a configuration change  Trace ID: 1"),
            codes: vec![50076],
            suberror: line("basic_action"),
            claims: Some(Claims(r#"{"access_token":{"capolids":{"essential":true}}}"#.into())),
            trace: line("a"),
            correlation: line("b"),
            timestamp: line("2026-01-01 00:00:00Z"),
        };
        assert_eq!(ErrorAnswer::parse(body), Ok(expected));
    }

    #[test]
    fn odd_members_do_not_hide_the_refusal() {
        let table: [(&str, &[u32]); 9] = [
            (r#"{"error":"invalid_grant"}"#, &[]),
            (r#"{"error":"invalid_grant","error_codes":["50126","1"]}"#, &[50126, 1]),
            (r#"{"error":"invalid_grant","error_codes":50126}"#, &[50126]),
            (r#"{"error":"invalid_grant","error_codes":[50126,-1,5]}"#, &[50126]),
            (r#"{"error":"invalid_grant","error_codes":[null,50126]}"#, &[]),
            (r#"{"error":"invalid_grant","error_codes":[4294967296]}"#, &[]),
            (r#"{"error":"invalid_grant","error_codes":{"a":1}}"#, &[]),
            (r#"{"error":"invalid_grant","error_codes":null,"claims":{"a":1},"trace_id":[1]}"#, &[]),
            (r#"{"error":"invalid_grant","claims":"[1]","timestamp":5,"suberror":""}"#, &[]),
        ];
        for (json, codes) in table {
            let answer = ErrorAnswer::parse(json.as_bytes()).expect(json);
            assert_eq!(
                (answer.codes.as_slice(), &answer.claims, &answer.suberror),
                (codes, &None, &None),
                "{json}"
            );
        }
    }

    #[test]
    fn what_names_no_error_is_no_refusal() {
        let long = format!(r#"{{"error":"{}"}}"#, "a".repeat(65));
        for json in [
            "",
            "{}",
            "[]",
            r#"{"error":5}"#,
            r#"{"error":""}"#,
            r#"{"error":"a b"}"#,
            r#"{"error":"a\n"}"#,
            &long,
        ] {
            assert_eq!(ErrorAnswer::parse(json.as_bytes()), Err(WireError::Form(What::Refusal)), "{json}");
        }
        let too_long = vec![b' '; super::super::LONGEST + 1];
        assert_eq!(ErrorAnswer::parse(&too_long), Err(WireError::TooLong(What::Refusal)));
    }

    #[test]
    fn the_registration_service_has_three_spellings_for_a_refusal() {
        let line = |text| Some(Line::parse(text).unwrap());
        let table = [
            (
                // [MS-DVRJ] 4.1.
                r#"{"ErrorType":"AuthenticationError","Message":"The enrollment request type (DomainJoin) is not allowed.","TraceId":"5a895a81-a4d6-41e9-8721-32a183c28d1a","Time":"02-24-2016 17:37:01Z"}"#,
                (
                    "AuthenticationError",
                    "The enrollment request type (DomainJoin) is not allowed.",
                    "5a895a81-a4d6-41e9-8721-32a183c28d1a",
                ),
            ),
            (
                r#"{"code":"Unauthorized","message":"No.","response":"ERROR_FAIL","target":"x","innererror":{"trace":"t","context":"c"}}"#,
                ("Unauthorized", "No.", "t"),
            ),
            (
                r#"{"code":"invalid_request","subcode":"error_missing_device","message":"No.","operation":"DeviceJoin","requestid":"r","time":"x"}"#,
                ("invalid_request", "No.", "r"),
            ),
        ];
        for (json, (kind, message, trace)) in table {
            let expected = RegistrationError { kind: line(kind), message: line(message), trace: line(trace) };
            assert_eq!(RegistrationError::parse(json.as_bytes()), Ok(expected), "{json}");
        }
        for json in ["{}", "[]", "", r#"{"code":null}"#] {
            assert_eq!(
                RegistrationError::parse(json.as_bytes()),
                Err(WireError::Form(What::Refusal)),
                "{json}"
            );
        }
    }
}
