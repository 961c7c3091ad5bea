//! What happened lately.

use hello_words::tr;
use serde_json::{Value, json};

use crate::text::{cell, columns, remarked};
use crate::utc::rfc3339;

/// An event as hellod tells it: seconds since 1970, id, account, service, sentence.
pub(crate) type Event = (i64, String, String, String, String);

/// The events, oldest first: for somebody at a terminal each with its sentence below it, else each in a line, for what looks through
/// lines.
pub(crate) fn table(events: &[Event], is_read: bool) -> String {
    if events.is_empty() {
        return tr!("Nothing has happened yet.").to_string();
    }
    let rows: Vec<[String; 5]> = events
        .iter()
        .map(|(time, id, user, service, sentence)| {
            [rfc3339(*time), known(id), known(user), known(service), cell(sentence)]
        })
        .collect();
    if is_read { remarked(&rows) } else { columns(&rows) }.join("\n")
}

/// The events as a JSON array.
pub(crate) fn as_json(events: &[Event]) -> String {
    let events: Vec<Value> = events
        .iter()
        .map(|(time, id, user, service, sentence)| {
            json!({ "time": time, "id": id, "user": user, "service": service, "sentence": sentence })
        })
        .collect();
    format!("{:#}", Value::from(events))
}

fn known(word: &str) -> String {
    if word.is_empty() { "-".into() } else { cell(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> [Event; 2] {
        let event = |time, id: &str, user: &str, service: &str, sentence: &str| {
            (time, id.into(), user.into(), service.into(), sentence.into())
        };
        [
            event(1_709_164_799, "8001", "alice", "", "A PIN was set."),
            event(1_735_689_600, "5001", "bob", "su\u{1b}[2Jdo", "Signed in\nby PIN."),
        ]
    }

    #[test]
    fn events_stand_in_columns_with_their_time_in_utc() {
        let lines = "2024-02-28T23:59:59Z  8001  alice  -         A PIN was set.\n\
                     2025-01-01T00:00:00Z  5001  bob    su\u{fffd}[2Jdo  Signed in by PIN.";
        assert_eq!(table(&events(), false), lines);
        let below = "2024-02-28T23:59:59Z  8001  alice  -\n    A PIN was set.\n\
                     2025-01-01T00:00:00Z  5001  bob    su\u{fffd}[2Jdo\n    Signed in by PIN.";
        assert_eq!(table(&events(), true), below);
    }

    #[test]
    fn no_events_are_told_in_words_and_as_an_empty_array() {
        assert_eq!(table(&[], true), "Nothing has happened yet.");
        assert_eq!(as_json(&[]), "[]");
    }

    #[test]
    fn json_keeps_every_field_as_it_came() {
        let parsed: Value = serde_json::from_str(&as_json(&events())).unwrap();
        assert_eq!(parsed[1]["time"], 1_735_689_600);
        assert_eq!(parsed[1]["service"], "su\u{1b}[2Jdo");
        assert_eq!(parsed[0]["sentence"], "A PIN was set.");
    }
}
