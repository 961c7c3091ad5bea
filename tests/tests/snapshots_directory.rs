//! What people are shown and asked where there is a directory, word for word, as in `snapshots.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use hello_tests::{ALICE, Album, Corp, DOMAIN, DORA, DORAS_PASSWORD, PIN, PROMPT, Sitting, Typed};
use serde_json::json;

const NAME: Typed<'_> = (DORA, DORA);
const NO_NAME: Typed<'_> = ("dora", "dora");
const RIGHT: Typed<'_> = ("<PIN>", PIN);
const PASSWORD: Typed<'_> = ("<dora's password>", DORAS_PASSWORD);
const OWN_PASSWORD: Typed<'_> = ("<password>", ALICE.password);
const WRONG_PASSWORD: Typed<'_> = ("<wrong password>", "not-hers");

#[test]
fn a_directory_is_joined_and_left_as_these_texts_say() {
    let corp = Corp::with(json!({}));
    let mut album = Album::open("directory", &[PIN, DORAS_PASSWORD, WRONG_PASSWORD.1]);
    let mut scene = |name: &str, title: &str, user: &str, command: &str, sit: &dyn Fn(Sitting) -> Sitting| {
        let sitting = Sitting::at(corp.lab.pty(user, command.split(' ')));
        album.keep(name, title, &[(vec![command.to_owned()], without_ids(&sit(sitting).end()))]);
    };
    let join = format!("helloctl join {DOMAIN}");
    let by_password = format!("{join} --sign-in password");
    let to_paste = "Your name there (name@domain): ";
    let of_dora = format!("Password of {DORA}: ");
    let approved = |sitting: Sitting| {
        let (sitting, code) = sitting.reads("The code holds for", code_in);
        corp.approve_code(&code);
        sitting
    };

    scene("join", "alice joins the computer.", "alice", &join, &|sitting| sitting);
    scene("join", "root mistypes the domain.", "root", "helloctl join corp.exmaple", &|sitting| sitting);
    scene("join", "root joins it, and mistypes name and password.", "root", &by_password, &|sitting| {
        let sitting = sitting.shown(to_paste, NO_NAME).shown(to_paste, NAME).hidden(&of_dora, WRONG_PASSWORD);
        sitting.shown(to_paste, NAME).hidden(&of_dora, PASSWORD)
    });
    scene("join", "root joins it once more.", "root", &join, &|sitting| sitting);
    scene("leave", "root takes it out.", "root", "helloctl leave", &|sitting| sitting);
    scene("leave", "root takes it out once more.", "root", "helloctl leave", &|sitting| sitting);
    scene("join", "root joins it by a code.", "root", &join, &approved);

    let enroll = "helloctl enroll --user alice";
    let chosen = |sitting: Sitting| sitting.hidden("New PIN: ", RIGHT).hidden("The same PIN again: ", RIGHT);
    scene("enroll", "alice gets a PIN for dora's account there.", "root", enroll, &|sitting| {
        chosen(approved(sitting))
    });
    let su = "su alice -c true";
    for (title, code, is_refused) in [
        ("A rule of the organisation keeps alice out.", 53003, true),
        ("Her account there is disabled.", 50057, true),
        ("The directory has disabled this computer.", 135_011, true),
        ("It wants her to prove more than that.", 50076, false),
    ] {
        // What was signed is refused, and not the question for a nonce before it.
        let status = corp.status(&ALICE);
        let path = format!("{}/oauth2/token", status["device"]["tenant_id"].as_str().unwrap());
        corp.order(&json!({"do": "fault", "path": path, "kind": "aadsts", "code": code, "count": 9}));
        scene("sign-in", title, "alice", su, &|sitting| {
            let sitting = sitting.hidden(PROMPT, RIGHT);
            if is_refused { sitting.hidden("Password: ", OWN_PASSWORD) } else { sitting }
        });
        corp.order(&json!({"do": "clear-faults"}));
        // And all is well again.
        let sitting = Sitting::at(corp.lab.pty("alice", su.split(' '))).hidden(PROMPT, RIGHT);
        assert!(sitting.end().ends_with("ends with 0\n"));
    }
    scene("unenroll", "alice's PIN is removed.", "root", "helloctl unenroll --user alice", &|sitting| {
        sitting
    });
    let again = Sitting::at(corp.lab.pty("root", enroll.split(' ')));
    assert!(chosen(approved(again)).end().ends_with("ends with 0\n"));
    corp.helloctl("root", &["leave"], &[]).ok();
    let title = "The computer has left the directory for which alice has her PIN.";
    scene("sign-in", title, "alice", su, &|sitting| sitting.hidden("Password: ", OWN_PASSWORD));
    album.close();
}

fn code_in(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("and type the code"));
    line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
}

/// Ids and codes are new each time.
fn without_ids(told: &str) -> String {
    let is_id = |word: &&str| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let words = told.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
    let told = words.filter(is_id).fold(told.to_owned(), |told, id| told.replace(id, "<an id>"));
    let code =
        told.lines().find_map(|line| line.split_once("and type the code")).map(|(_, code)| code.trim());
    match code.filter(|code| !code.is_empty()) {
        Some(code) => told.replace(code, "<the code>"),
        None => told,
    }
}
