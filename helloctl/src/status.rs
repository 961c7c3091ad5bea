//! The state of the device and of a person's PIN, in the manner of `dsregcmd /status`.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::text::cell;
use crate::utc::rfc3339;

/// The JSON object that hellod answers with as sections of `Name : value` lines, the colons below each other. What
/// this version does not know is shown after what it knows.
pub(crate) fn render(json: &str) -> Result<String, Failure> {
    let Ok(Value::Object(state)) = serde_json::from_str(json) else { return Err(Failure::StatusUnreadable) };
    let sections = sections(state);
    let names = sections.iter().flat_map(|(_, lines)| lines).map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or_default().max(NARROWEST);
    let shown = sections.iter().map(|(title, lines)| section(title, lines, width));
    Ok(shown.collect::<Vec<_>>().join("\n\n"))
}

type Lines = Vec<(String, String)>;

fn section(title: &str, lines: &Lines, width: usize) -> String {
    let rule = "-".repeat(title.chars().count());
    let mut text = format!("{title}\n{rule}");
    for (name, value) in lines {
        text.push_str(&format!("\n{name:>width$} : {value}"));
    }
    text
}

fn sections(mut state: Map<String, Value>) -> Vec<(String, Lines)> {
    let mut sections = Vec::new();
    for (key, title, first) in KNOWN {
        if let Some(value) = state.remove(*key) {
            sections.push(((*title).to_owned(), lines_of(key, value, first)));
        }
    }
    let mut rest = Lines::new();
    for (key, value) in state {
        match value {
            Value::Object(_) => sections.push((name_of(&key), lines_of(&key, value, &[]))),
            single => rest.push((name_of(&key), value_of(&key, &single))),
        }
    }
    if !rest.is_empty() {
        sections.push(("Other".into(), rest));
    }
    sections
}

/// The lines of a section: the fields of `first` in that order, then the others.
fn lines_of(key: &str, value: Value, first: &[&str]) -> Lines {
    let mut lines = Lines::new();
    match value {
        Value::Object(mut fields) => {
            for key in first {
                if let Some(value) = fields.remove(*key) {
                    add(&mut lines, &name_of(key), key, &value);
                }
            }
            for (key, value) in &fields {
                add(&mut lines, &name_of(key), key, value);
            }
        }
        single => lines.push((name_of(key), value_of(key, &single))),
    }
    lines
}

/// Adds a field; one that has fields itself, each with the names on the way to it.
fn add(lines: &mut Lines, name: &str, key: &str, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                add(lines, &format!("{name}.{}", name_of(key)), key, value);
            }
        }
        _ => lines.push((name.to_owned(), value_of(key, value))),
    }
}

/// `key_id` as `KeyId`; the names of policies are so already.
fn name_of(key: &str) -> String {
    let words = key.split(['_', ' ']).map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    });
    cell(&words.collect::<String>())
}

fn value_of(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Bool(true) => "YES".into(),
        Value::Bool(false) => "NO".into(),
        Value::String(text) if text.is_empty() => "none".into(),
        Value::String(text) => cell(text),
        Value::Number(number) => match number.as_i64() {
            Some(seconds) if is_moment(key) => rfc3339(seconds),
            _ => number.to_string(),
        },
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => {
            values.iter().map(|value| value_of(key, value)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(fields) if fields.is_empty() => "none".into(),
        Value::Object(_) => cell(&value.to_string()),
    }
}

/// Whether a number of this name counts seconds since 1970.
fn is_moment(key: &str) -> bool {
    matches!(key, "time" | "since" | "until")
        || ["_time", "_since", "_until", "_at"].iter().any(|end| key.ends_with(end))
}

/// Where the colon stands at least, as far in as dsregcmd has it.
const NARROWEST: usize = 20;

/// Sections that this version knows: key, title, and the order of the first fields.
const KNOWN: &[(&str, &str, &[&str])] = &[
    (
        "device",
        "Device",
        &[
            "joined",
            "provider",
            "tenant",
            "tenant_id",
            "domain",
            "device_id",
            "thumbprint",
            "certificate_since",
            "certificate_until",
            "joined_since",
            "joined_by",
            "tpm",
            "tpm_protected",
            "version",
        ],
    ),
    (
        "enrolment",
        "Enrolment",
        &[
            "user",
            "enrolled",
            "provider",
            "person",
            "object_id",
            "key_id",
            "directory_key_id",
            "algorithm",
            "protector",
            "pin",
            "fingers",
            "since",
        ],
    ),
    ("tries", "Tries", &["failed", "left", "delayed_until", "locked"]),
    ("sso", "Single sign-on", &[]),
    ("policy", "Policy", &["UsePassportForWork", "RequireSecurityDevice"]),
    ("last_sign_in", "Last sign-in", &["time", "service", "result", "gesture", "online"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_reads_as_sections_of_names_and_values() {
        let json = r#"{
            "last_sign_in": { "online": false, "service": "sudo", "time": 1709164799 },
            "enrolment": { "since": 0, "enrolled": true, "user": "alice", "gestures": ["pin", "finger"] },
            "device": { "joined": false, "tpm_protected": true, "device_id": null },
            "policy": { "MinimumPINLength": 6, "UsePassportForWork": true }
        }"#;
        let expected = "\
Device
------
              Joined : NO
            DeviceId : none
        TpmProtected : YES

Enrolment
---------
                User : alice
            Enrolled : YES
               Since : 1970-01-01T00:00:00Z
            Gestures : pin, finger

Policy
------
  UsePassportForWork : YES
    MinimumPINLength : 6

Last sign-in
------------
                Time : 2024-02-28T23:59:59Z
             Service : sudo
              Online : NO";
        assert_eq!(render(json).unwrap(), expected);
    }

    #[test]
    fn a_directory_reads_from_the_organisation_down_to_the_certificate() {
        let json = r#"{
            "device": {
                "certificate_until": 1709164799, "device_id": "9d53c6fa", "joined": true, "key_service": "https://x",
                "provider": "entra", "tenant": "Corp", "tenant_id": "6e1f0e84"
            },
            "enrolment": { "key_id": "k", "object_id": "0ce6", "person": "dora@corp.example", "provider": "entra" }
        }"#;
        let expected = "\
Device
------
              Joined : YES
            Provider : entra
              Tenant : Corp
            TenantId : 6e1f0e84
            DeviceId : 9d53c6fa
    CertificateUntil : 2024-02-28T23:59:59Z
          KeyService : https://x

Enrolment
---------
            Provider : entra
              Person : dora@corp.example
            ObjectId : 0ce6
               KeyId : k";
        assert_eq!(render(json).unwrap(), expected);
    }

    #[test]
    fn what_this_version_does_not_know_is_shown_all_the_same() {
        for (json, line) in [
            (r#"{"sso": {"primary_token": {"expires_at": 60, "scopes": []}}}"#, "PrimaryToken.Scopes : none"),
            (
                r#"{"sso": {"primary_token": {"expires_at": 60}}}"#,
                "PrimaryToken.ExpiresAt : 1970-01-01T00:01:00Z",
            ),
            (r#"{"moon": "full"}"#, "Moon : full"),
            (r#"{"last_sign_in": null}"#, "LastSignIn : none"),
            (r#"{"sso": {"trees": [{"a": 1}]}}"#, r#"Trees : {"a":1}"#),
            (r#"{"x": {"huge": 18446744073709551615, "time": 1.5}}"#, "Huge : 18446744073709551615"),
            (r#"{"x": {"evil": "a\u001b[2J\nb"}}"#, "Evil : a\u{fffd}[2J b"),
        ] {
            let shown = render(json).unwrap();
            assert!(shown.lines().any(|shown| shown.trim() == line), "{json} became {shown}");
        }
    }

    #[test]
    fn an_empty_state_is_no_failure_and_what_is_no_object_is_one() {
        assert_eq!(render("{}").unwrap(), "");
        for json in ["", "[]", "7", "{"] {
            assert!(matches!(render(json), Err(Failure::StatusUnreadable)), "{json}");
        }
    }
}
