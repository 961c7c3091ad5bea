use proptest::prelude::*;

use super::*;

fn subject() -> Subject {
    Subject::new("alice", "desk-7.corp.example", "6ba7b810-9dad-41d1-80b4-00c04fd430c8").unwrap()
}

fn value(octet: u8) -> AuthValue {
    AuthValue::new(Zeroizing::new([octet; 32]))
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn what_seals_is_hpke_as_rfc_9180_has_it() {
    // RFC 9180, A.1.1: the setup, and the first encryption.
    let enc = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431";
    let private = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
    let info = "4f6465206f6e2061204772656369616e2055726e";
    let sealed = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a";
    let opened = SUITE.open(
        &EncapsulatedSecret(hex(enc)),
        &hex(info),
        b"Count-0",
        &hex(sealed),
        &HpkePrivateKey::from(hex(private)),
    );
    assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
}

#[test]
fn a_value_comes_back_to_whoever_has_asked() {
    let custodian = Custodian::new().unwrap();
    let escrow = custodian.organisation().keep(&value(7), subject()).unwrap();
    let pending = escrow.request().unwrap();
    let shown = pending.request().code();
    assert!(shown.lines().all(|line| line.len() <= 47), "{shown}");
    let read = Request::parse(&shown.to_lowercase().replace(' ', "")).unwrap();
    assert_eq!(read.subject, subject());
    let answer = custodian.answer(&read).unwrap();
    assert!(answer.len() < 80, "{answer}");
    assert_eq!(pending.open(&answer).unwrap().expose(), &[7; 32]);
    // As it is read out.
    let spoken = answer.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap());
    assert_eq!(pending.open(&spoken.collect::<Vec<_>>().join("-")).unwrap().expose(), &[7; 32]);
}

#[test]
fn an_answer_opens_where_it_was_asked_for_and_nowhere_else() {
    let custodian = Custodian::new().unwrap();
    let escrow = custodian.organisation().keep(&value(7), subject()).unwrap();
    let (first, second) = (escrow.request().unwrap(), escrow.request().unwrap());
    let answer = custodian.answer(first.request()).unwrap();
    assert_eq!(second.open(&answer).err(), Some(EscrowError::AnotherAnswer));
    for typed in ["", "0", &answer[1..], &format!("{answer}0"), "no code"] {
        assert_eq!(first.open(typed).err(), Some(EscrowError::Incomplete), "{typed}");
    }
    let other = if answer.starts_with('0') { "1" } else { "0" };
    assert_eq!(first.open(&format!("{other}{}", &answer[1..])).err(), Some(EscrowError::AnotherAnswer));
    assert!(first.open(&answer).is_ok());
}

#[test]
fn another_organisation_and_another_name_open_nothing() {
    let (custodian, other) = (Custodian::new().unwrap(), Custodian::new().unwrap());
    let escrow = custodian.organisation().keep(&value(7), subject()).unwrap();
    let pending = escrow.request().unwrap();
    assert_eq!(other.answer(pending.request()), Err(EscrowError::AnotherKey));
    // Under another name, or with somebody else's value in it.
    let bob = Subject { account: "bob".into(), ..subject() };
    let of_bob = custodian.organisation().keep(&value(8), bob.clone()).unwrap();
    let renamed = Escrow { subject: bob, ..escrow.clone() };
    assert_eq!(custodian.answer(renamed.request().unwrap().request()), Err(EscrowError::Forged));
    let exchanged = Request { value: of_bob.sealed, ..pending.request().clone() };
    assert_eq!(custodian.answer(&exchanged), Err(EscrowError::Forged));
    // What was made for the other half.
    let turned = Request {
        value: pending.request().key.clone(),
        key: pending.request().value.clone(),
        ..pending.request().clone()
    };
    assert_eq!(custodian.answer(&turned), Err(EscrowError::Forged));
}

#[test]
fn names_that_fool_whoever_reads_them_are_none() {
    let long = "a".repeat(65);
    for name in
        ["", "alice on desk", "a\u{202e}ecila", "ali\u{200b}ce", "a\u{1b}[2J", "a\nb", "a\u{2028}b", &long]
    {
        assert_eq!(Subject::new(name, "desk", "device"), None, "{name:?}");
        assert_eq!(Subject::new("alice", name, "device"), None, "{name:?}");
    }
    assert!(Subject::new("j\u{f6}rg@corp.example", "b\u{fc}ro-7", "device").is_some());
}

#[test]
fn a_key_of_an_organisation_survives_its_file_and_the_policy() {
    let custodian = Custodian::new().unwrap();
    let read = Custodian::parse(&format!("{}\n", *custodian.text())).unwrap();
    assert_eq!(read.organisation(), custodian.organisation());
    let text = custodian.organisation().text();
    let organisation = Organisation::parse(&text).unwrap();
    for place in 0..text.len() {
        let other = if text[place..=place] == *"A" { "B" } else { "A" };
        let mistaken = format!("{}{other}{}", &text[..place], &text[place + 1..]);
        assert_eq!(Organisation::parse(&mistaken), None, "{mistaken}");
    }
    // A point of low order, for which nothing can be sealed.
    assert_eq!(Organisation::parse(&Organisation([0; 32]).text()), None);
    let mut halves = Custodian::new().unwrap();
    halves.1 = organisation.clone();
    assert!(Custodian::parse(&halves.text()).is_none(), "halves of two keys");
    assert_eq!(&organisation, custodian.organisation());
    let escrow = organisation.keep(&value(7), subject()).unwrap();
    assert!(read.answer(escrow.request().unwrap().request()).is_ok());
    for text in ["", "AAAA", "not a key", &"A".repeat(44)] {
        assert!(Organisation::parse(text).is_none() && Custodian::parse(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_request_or_refused(text in "\\PC{0,400}") {
        let _ = Request::parse(&text);
    }

    #[test]
    fn any_octets_are_a_request_or_refused(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Request::parse(&code::written(&[octets.as_slice(), &first_four(&octets)].concat()));
    }

    #[test]
    fn a_mistake_in_a_code_is_noticed(place: prop::sample::Index, digit in "[0-9A-HJKMNP-TV-Z]") {
        let escrow = Custodian::new().unwrap().organisation().keep(&value(7), subject()).unwrap();
        let shown = code::written_in_one(&code::read(&escrow.request().unwrap().request().code()).unwrap());
        let place = place.index(shown.len());
        prop_assume!(shown[place..=place] != digit);
        let mistaken = format!("{}{digit}{}", &shown[..place], &shown[place + 1..]);
        prop_assert_eq!(Request::parse(&mistaken), Err(EscrowError::Garbled));
    }

    #[test]
    fn names_fit_or_are_refused(account in "\\PC{0,40}", computer in "\\PC{0,100}") {
        let custodian = Custodian::new().unwrap();
        let subject = Subject::new(&account, &computer, "device");
        prop_assert!(subject.is_some() || !is_clean(&account) || !is_clean(&computer));
        let Some(subject) = subject else { return Ok(()) };
        let pending = custodian.organisation().keep(&value(7), subject).unwrap().request().unwrap();
        let read = Request::parse(&pending.request().code()).unwrap();
        prop_assert!(pending.open(&custodian.answer(&read).unwrap()).is_ok());
    }
}
