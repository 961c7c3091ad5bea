//! A transcript of joining, played again: what a directory has said is read as it was.

use serde_json::Value;

use super::Tenant;
use crate::identity::{Directory, Domain, Freshness};
use crate::online::pretend::Pretend;
use crate::wire::{JoinAnswer, Upn};

/// Written by `helloctl join --trace`, against the stand-in. One from a real tenant that fails belongs beside it.
const JOIN: &str = include_str!("join.jsonl");

#[tokio::test]
async fn a_transcript_plays_again_what_a_directory_has_said() {
    let lines: Vec<Value> = JOIN.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answers: Vec<&Value> = lines.iter().map(|line| &line["answer"]["body"]).collect();
    let online = Pretend::answering(answers.iter().copied().take(3));
    let domain = Domain::parse("corp.example").unwrap();
    let directory = Directory::Entra(Tenant::of(&online, &domain).await.unwrap().unwrap());
    let dora = Upn::parse("dora@corp.example").unwrap();
    let sign_in = directory.sign_in(&online, Freshness::AsTheTenantHasIt);
    let permit = sign_in.by_password(&dora, "whatever it was").await.unwrap();
    let person = directory.person(&permit.claims).unwrap();
    assert!(person.upn.as_str() == dora.as_str() && directory.has(&person.id));
    let registered = JoinAnswer::parse(answers[3].to_string().as_bytes());
    assert!(registered.is_ok(), "{:?}", registered.err());
}
