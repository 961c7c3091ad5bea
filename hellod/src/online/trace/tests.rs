//! What is hidden and what is not, and who is told.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::super::frame::FromOnline;
use super::super::pretend::{Pretend, answer};
use super::super::{Header, Hosts, Online, Request};
use super::redact::{SHOWN, address};
use super::{As, Whom};

fn request(address: &str, form: &str) -> Request {
    let hosts = Hosts::parse(["login.example"]).unwrap();
    match form {
        "" => Request::get(&hosts, address),
        form => {
            Request::post(&hosts, address, "application/x-www-form-urlencoded", Zeroizing::new(form.into()))
        }
    }
    .unwrap()
}

/// What is told of a request with these, and of an answer.
async fn told(address: &str, headers: &[(Header, &str)], form: &str, answers: &str) -> Value {
    let mut request = request(address, form);
    for (header, value) in headers {
        request = request.with(*header, Zeroizing::new((*value).to_owned())).unwrap();
    }
    let online = Pretend::saying([vec![answer(answers)]]);
    let (lines, mut told) = mpsc::channel(2);
    let tracing = online.trace(lines);
    assert!(online.fetch(request).await.is_ok() && tracing.is_some());
    line(&mut told).await
}

async fn line(told: &mut mpsc::Receiver<String>) -> Value {
    serde_json::from_str(&told.recv().await.unwrap()).unwrap()
}

#[tokio::test]
async fn what_nobody_has_put_on_the_list_is_hidden_wherever_it_stands() {
    let token = "e30.e30.".to_owned() + &"s3cret".repeat(8);
    let bearer = format!("Bearer {token}");
    let long = "s3cret!".repeat(8);
    let line = told(
        "https://login.example/token?resource=graph&sso_nonce=s3cret&s3cret#s3cret",
        &[(Header::Authorization, &bearer), (Header::Accept, "application/json")],
        &format!("grant_type=password&username=dora&password={long}&new=s3cret&refresh_token={token}"),
        &json!({
            "expires_in": 7, "pin_length": 6, "deep": [{"scope": "a", "new": "s3cret", "scope2": ["s3cret"]}],
            "access_token": token, "message": "type s3cret",
        })
        .to_string(),
    )
    .await;
    assert!(!line.to_string().contains("s3cret"), "{line}");
    let request = &line["request"];
    assert_eq!(request["address"], "https://login.example/token?resource=graph&sso_nonce=***&***=***");
    // A token keeps its form, with a signature of nothing; of a password not even the length is told.
    let hidden = format!("e30.e30.{}", "A".repeat(48));
    let body = json!({
        "grant_type": "password", "username": "dora", "password": "***", "new": "***", "refresh_token": hidden,
    });
    assert_eq!(request["body"], body);
    assert_eq!(request["headers"]["accept"], "application/json");
    assert_eq!(request["headers"]["authorization"], json!(format!("Bearer {hidden}")));
    let answer = &line["answer"]["body"];
    assert_eq!((&answer["expires_in"], &answer["pin_length"]), (&json!(7), &json!(0)));
    assert_eq!(answer["deep"], json!([{"scope": "a", "new": "***", "scope2": ["***"]}]));
    assert_eq!((&answer["access_token"], &answer["message"]), (&json!(hidden), &json!("***")));
}

#[test]
fn an_address_to_which_a_directory_sends_on_has_nobodys_name_in_it() {
    let sent_on = address("https://s3cret:s3cret@login.example/a?scope=b&code=s3cret&s3cret#s3cret");
    assert_eq!(sent_on, "https://login.example/a?scope=b&code=***&***=***");
    assert_eq!(address("s3cret"), "***");
}

#[test]
fn nothing_that_lets_anybody_in_is_on_the_list() {
    assert!(SHOWN.is_sorted(), "or it can't be searched");
    let secret = [
        "access_token",
        "assertion",
        "client_info",
        "client_secret",
        "code",
        "code_verifier",
        "ctx",
        "device_code",
        "flowtoken",
        "id_token",
        "message",
        "nonce",
        "password",
        "pin",
        "refresh_token",
        "request",
        "request_nonce",
        "session_key",
        "session_key_jwe",
        "signature",
        "sso_nonce",
        "state",
        "user_code",
        "x5c",
    ];
    for name in secret {
        assert!(!SHOWN.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn the_answer_to_whoever_says_who_they_are_is_nobody_elses() {
    let metadata = json!({"issuer": "https://login.example/"}).to_string();
    let open = told("https://login.example/metadata", &[], "", &metadata).await;
    assert_eq!(open["answer"]["body"]["issuer"], "https://login.example/");
    let own = told("https://login.example/metadata", &[(Header::DeviceCredential, "x")], "", &metadata).await;
    assert_eq!(own["answer"]["body"]["issuer"], "***");
    // Nor to the computer, whose ticket comes into the request elsewhere.
    for shown in [As::Device, As::Computer] {
        let online = Pretend::saying([]);
        let (lines, mut told) = mpsc::channel(2);
        let _tracing = online.trace(lines).unwrap();
        let telling = online.traces.request(&request("https://login.example/", ""), (Whom::Machine, shown));
        let FromOnline::Answer(response) = answer(&metadata) else { unreachable!() };
        telling.unwrap().end(&Ok(response));
        let line = line(&mut told).await;
        assert_eq!(line["answer"]["body"]["issuer"], "***", "{shown:?}");
        assert!(["device", "computer"].contains(&line["as"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn what_a_server_says_is_no_command_to_a_terminal() {
    let answers = json!({"error_description": "caf\u{e9} \u{9b}31m \u{202e} \u{7f} \u{1f600}"}).to_string();
    let online = Pretend::saying([vec![answer(&answers)]]);
    let (lines, mut told) = mpsc::channel(2);
    let _tracing = online.trace(lines).unwrap();
    assert!(online.fetch(request("https://login.example/", "a=b")).await.is_ok());
    let written = told.recv().await.unwrap();
    assert!(written.trim_end().bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{written}");
    let line: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(line["answer"]["body"].to_string(), answers);
}

fn answering() -> Online {
    Pretend::saying((0..4).map(|_| vec![answer("{}")]))
}

#[tokio::test]
async fn after_the_end_nobody_is_told_and_the_last_line_says_what_is_missing() {
    let online = answering();
    let (lines, mut told) = mpsc::channel(2);
    let tracing = online.trace(lines).unwrap();
    for _ in 0..3 {
        assert!(online.fetch(request("https://login.example/", "")).await.is_ok());
    }
    for _ in 0..2 {
        assert_eq!(line(&mut told).await["answer"]["status"], 200);
    }
    // One was too many for whoever reads, and one has no answer yet.
    let _under_way =
        online.traces.request(&request("https://login.example/", ""), (Whom::Machine, As::Nobody));
    drop(tracing);
    assert!(online.fetch(request("https://login.example/", "")).await.is_ok());
    assert_eq!(line(&mut told).await, json!({"end": true, "lost": 2}));
    assert!(told.recv().await.is_none());
}

#[tokio::test]
async fn what_is_called_off_is_told_too() {
    let online = answering();
    let (lines, mut told) = mpsc::channel(2);
    let _tracing = online.trace(lines).unwrap();
    drop(online.traces.request(&request("https://login.example/", ""), (Whom::Person(7), As::Nobody)));
    let line = line(&mut told).await;
    assert_eq!((&line["for"], line["answer"].is_null()), (&json!(7), true));
    assert!(line["failed"].as_str().unwrap().contains("called off"), "{line}");
}

#[tokio::test]
async fn a_few_are_told_at_a_time_and_who_is_gone_takes_no_place() {
    let online = answering();
    let begin = || {
        let (lines, told) = mpsc::channel(1);
        online.trace(lines).map(|tracing| (tracing, told))
    };
    let mut tracing: Vec<_> = std::iter::repeat_with(begin).take(super::MOST).collect();
    assert!(tracing.iter().all(Option::is_some) && begin().is_none());
    // Whoever listened is gone, and hellod has not noticed yet.
    let (_tracing, told) = tracing.pop().unwrap().unwrap();
    drop(told);
    assert!(begin().is_some());
}
