//! What is hidden and what is not.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::super::pretend::{Pretend, answer};
use super::super::{Header, Hosts, Request};

/// What is told of a request with these, and of an answer.
async fn told(address: &str, headers: &[(Header, &str)], form: &str, answers: &str) -> Value {
    let hosts = Hosts::parse(["login.example"]).unwrap();
    let mut request = match form {
        "" => Request::get(&hosts, address),
        form => {
            Request::post(&hosts, address, "application/x-www-form-urlencoded", Zeroizing::new(form.into()))
        }
    }
    .unwrap();
    for (header, value) in headers {
        request = request.with(*header, Zeroizing::new((*value).to_owned())).unwrap();
    }
    let online = Pretend::saying([vec![answer(answers)]]);
    let (lines, mut told) = mpsc::channel(1);
    let tracing = online.trace(lines);
    assert!(online.fetch(request).await.is_ok() && tracing.is_some());
    serde_json::from_str(&told.recv().await.unwrap()).unwrap()
}

#[tokio::test]
async fn what_nobody_has_put_on_the_list_is_hidden_wherever_it_stands() {
    let token = "e30.e30.".to_owned() + &"s3cret".repeat(8);
    let bearer = format!("Bearer {token}");
    let line = told(
        "https://login.example/token?resource=graph&sso_nonce=s3cret#s3cret",
        &[(Header::Authorization, &bearer), (Header::Accept, "application/json")],
        "grant_type=password&username=dora&password=s3cret+s3cret&new=s3cret",
        &json!({"expires_in": 7, "pin_length": 6, "deep": [{"scope": "a", "new": "s3cret"}], "t": token})
            .to_string(),
    )
    .await;
    assert!(!line.to_string().contains("s3cret"), "{line}");
    let request = &line["request"];
    assert_eq!(request["address"], "https://login.example/token?resource=graph&sso_nonce=***");
    let body = json!({"grant_type": "password", "username": "dora", "password": "***", "new": "***"});
    assert_eq!(request["body"], body);
    assert_eq!(request["headers"]["accept"], "application/json");
    // A token keeps its form, with a signature of nothing.
    let hidden = format!("Bearer e30.e30.{}", "A".repeat(48));
    assert_eq!(request["headers"]["authorization"], json!(hidden));
    let answer = &line["answer"]["body"];
    assert_eq!((&answer["expires_in"], &answer["pin_length"]), (&json!(7), &json!(0)));
    assert_eq!(answer["deep"], json!([{"scope": "a", "new": "***"}]));
}

#[tokio::test]
async fn the_answer_to_whoever_says_who_they_are_is_nobody_elses() {
    let metadata = json!({"issuer": "https://login.example/"}).to_string();
    let open = told("https://login.example/metadata", &[], "", &metadata).await;
    assert_eq!(open["answer"]["body"]["issuer"], "https://login.example/");
    let own = told("https://login.example/metadata", &[(Header::DeviceCredential, "x")], "", &metadata).await;
    assert_eq!(own["answer"]["body"]["issuer"], "***");
}

#[tokio::test]
async fn nobody_is_told_any_more_after_the_end_and_a_few_at_most_at_a_time() {
    let online = Pretend::saying([vec![answer("{}")]]);
    let begin = || online.trace(mpsc::channel(1).0);
    let mut tracing: Vec<_> = std::iter::repeat_with(begin).take(super::MOST).collect();
    assert!(tracing.iter().all(Option::is_some) && begin().is_none());
    tracing.clear();
    assert!(begin().is_some());
}

#[test]
fn the_list_can_be_searched() {
    assert!(super::redact::SHOWN.is_sorted());
}
