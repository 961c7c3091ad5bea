use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use hello_dbus::Shape;

use super::*;

/// A hellod that plays its steps and, when they are over, goes on with `then`.
struct Script {
    steps: VecDeque<Result<Step, Unreachable>>,
    then: fn() -> Step,
    answers: Vec<Answer>,
    /// The write ends that it was given.
    pipes: Vec<OwnedFd>,
    /// What it puts into each; nothing where it takes none.
    opens: &'static [u8],
}

impl Daemon for Script {
    fn answer(&mut self, answer: Answer) -> Result<Step, Unreachable> {
        self.answers.push(answer);
        self.steps.pop_front().unwrap_or_else(|| Ok((self.then)()))
    }

    fn hand_over(&mut self, pipe: OwnedFd) -> Result<Step, Unreachable> {
        if self.opens.is_empty() {
            return Err(Unreachable::Refused(hello_dbus::BusError::AccessDenied("no".into())));
        }
        secret_pipe::send(&pipe, self.opens).unwrap();
        self.pipes.push(pipe);
        self.steps.pop_front().unwrap_or_else(|| Ok((self.then)()))
    }
}

/// A person with a list of things to type, whose conversation fails after the last.
#[derive(Default)]
struct Person {
    types: VecDeque<&'static [u8]>,
    earlier: Option<&'static [u8]>,
    saw: Vec<String>,
    handed_on: Option<Vec<u8>>,
    said_the_unsaid: bool,
    /// Whether the program shows other words than hellod's.
    misled: bool,
}

impl Terminal for Person {
    fn ask_secret(&mut self, _: Role, text: &str) -> Result<Secret, NoReply> {
        self.saw.push(text.into());
        self.types.pop_front().map(|typed| Zeroizing::new(typed.to_vec())).ok_or(NoReply)
    }

    fn says(&self, _: Role, _: &str) -> bool {
        !self.misled
    }

    fn ask_word(&mut self, text: &str) -> Result<Secret, NoReply> {
        self.ask_secret(Role::Challenge, text)
    }

    fn show(&mut self, style: Style, text: &str) {
        self.saw.push(format!("{style:?}: {text}"));
    }

    fn say_the_unsaid(&mut self) {
        self.said_the_unsaid = true;
    }

    fn earlier_secret(&self) -> Option<Secret> {
        self.earlier.map(|earlier| Zeroizing::new(earlier.to_vec()))
    }

    fn hand_on_password(&mut self, password: &Secret) {
        self.handed_on = Some(password.to_vec());
    }
}

/// One conversation, and what was left of it.
struct Played {
    ending: Ending,
    left: Left,
    answers: Vec<Answer>,
    person: Person,
}

fn play(rules: &Rules, person: Person, steps: Vec<Step>) -> Played {
    play_on(rules, person, steps.into_iter().map(Ok).collect(), || Step::End(Outcome::Success))
}

fn play_on(
    rules: &Rules,
    mut person: Person,
    mut steps: VecDeque<Result<Step, Unreachable>>,
    then: fn() -> Step,
) -> Played {
    let first = steps.pop_front().unwrap().unwrap();
    let mut script = Script { steps, then, answers: Vec::new(), pipes: Vec::new(), opens: KEYRING };
    let (ending, left) = follow(&mut script, &mut person, rules, first);
    Played { ending, left, answers: script.answers, person }
}

const KEYRING: &[u8] = b"correct horse";

fn types(lines: &[&'static [u8]]) -> Person {
    Person { types: lines.iter().copied().collect(), ..Person::default() }
}

fn sign_in() -> Rules {
    let patience = Duration::from_secs(60);
    Rules { purpose: Purpose::Authenticate, first_pass: FirstPass::Ignored, patience, max_tries: 3 }
}

fn first_pass(first_pass: FirstPass) -> Rules {
    Rules { first_pass, ..sign_in() }
}

fn change() -> Rules {
    Rules { purpose: Purpose::ChangePin, ..sign_in() }
}

fn prompt(role: Role, shape: Shape) -> (OwnedFd, Step) {
    let (read, write) = secret_pipe::pair().unwrap();
    (
        read,
        Step::Prompt(Prompt {
            text: format!("{role:?}: "),
            secret: Some(write),
            role,
            shape,
            keeps_password: false,
            takes_nothing: false,
        }),
    )
}

fn pin_prompt() -> (OwnedFd, Step) {
    prompt(Role::Current, Shape::Digits)
}

fn word_prompt() -> Step {
    let text = "Type 'river': ".into();
    Step::Prompt(Prompt {
        text,
        secret: None,
        role: Role::Challenge,
        shape: Shape::Any,
        keeps_password: false,
        takes_nothing: false,
    })
}

fn message(style: Style, text: &str) -> Step {
    Step::Message { style, text: text.into() }
}

/// What came through a pipe; nothing where nothing was written.
fn received(pipe: &OwnedFd) -> Option<Vec<u8>> {
    secret_pipe::receive(pipe, Duration::ZERO).ok().map(|secret| secret.to_vec())
}

#[test]
fn a_wrong_pin_and_then_the_right_one_let_the_person_in() {
    let ((wrong, first), (right, second)) = (pin_prompt(), pin_prompt());
    let steps = vec![first, Step::Wait, message(Style::Error, "Wrong PIN."), second, Step::Wait];
    let played = play(&sign_in(), types(&[b"111111", b"271828"]), steps);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Success)));
    assert_eq!(received(&wrong).unwrap(), b"111111");
    assert_eq!(received(&right).unwrap(), b"271828");
    use Answer::{Continue, Secret};
    assert_eq!(played.answers, [Secret, Continue, Continue, Secret, Continue]);
    assert_eq!(played.person.saw, ["Current: ", "Error: Wrong PIN.", "Current: "]);
    assert_eq!(played.person.handed_on, None);
}

#[test]
fn an_empty_line_declines_and_leaves_no_password_behind() {
    let (pipe, first) = pin_prompt();
    let played = play(&sign_in(), types(&[b""]), vec![first]);
    assert!(matches!(played.ending, Ending::Password));
    assert_eq!(played.answers, [Answer::Declined]);
    assert_eq!(played.person.handed_on, None);
    assert_eq!(received(&pipe), None);
}

#[test]
fn a_password_is_handed_on_and_never_reaches_hellod() {
    let (pipe, first) = pin_prompt();
    let played = play(&sign_in(), types(&[b"hunter2"]), vec![first]);
    assert!(matches!(played.ending, Ending::Password));
    assert_eq!(played.answers, [Answer::Declined]);
    assert_eq!(played.person.handed_on.unwrap(), b"hunter2");
    assert_eq!(received(&pipe), None);
}

#[test]
fn a_password_after_a_wrong_pin_is_handed_on_and_the_wrong_pin_is_not() {
    let ((_wrong, first), (pipe, second)) = (pin_prompt(), pin_prompt());
    let played = play(&sign_in(), types(&[b"111111", b"hunter2"]), vec![first, second]);
    assert!(matches!(played.ending, Ending::Password));
    assert_eq!(played.person.handed_on.unwrap(), b"hunter2");
    assert_eq!(received(&pipe), None);
}

#[test]
fn a_hellod_that_answers_a_declined_prompt_with_success_lets_nobody_in() {
    let (_pipe, first) = pin_prompt();
    let played = play(&sign_in(), types(&[b"hunter2"]), vec![first, Step::End(Outcome::Success)]);
    assert!(matches!(played.ending, Ending::Password));
}

#[test]
fn where_a_pin_may_have_letters_nothing_is_ever_handed_on() {
    let (pipe, first) = prompt(Role::Current, Shape::Any);
    let played = play(&sign_in(), types(&[b"hunter2"]), vec![first, Step::End(Outcome::Refused)]);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Refused)));
    assert_eq!(received(&pipe).unwrap(), b"hunter2");
    assert_eq!(played.person.handed_on, None);
}

#[test]
fn digits_that_no_pipe_takes_go_nowhere() {
    const DIGITS: [u8; secret_pipe::MAX_SECRET + 1] = [b'7'; secret_pipe::MAX_SECRET + 1];
    let (pipe, first) = pin_prompt();
    let played = play(&sign_in(), types(&[&DIGITS]), vec![first]);
    assert!(matches!(played.ending, Ending::Password));
    assert_eq!(played.person.handed_on, None);
    assert_eq!(received(&pipe), None);
}

#[test]
fn messages_are_shown_in_the_order_they_come() {
    let steps = vec![message(Style::Info, "one"), Step::Wait, message(Style::Error, "two"), word_prompt()];
    let played = play(&sign_in(), types(&[b"river"]), steps);
    assert_eq!(played.person.saw, ["Info: one", "Error: two", "Type 'river': "]);
    assert_eq!(played.answers.last(), Some(&Answer::Text("river".into())));
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Success)));
}

#[test]
fn a_word_that_is_empty_too_long_or_no_text_declines() {
    const LONG: [u8; MAX_TEXT + 1] = [b'x'; MAX_TEXT + 1];
    for typed in [b"".as_slice(), &LONG, b"\xff\xfe"] {
        let played = play(&sign_in(), types(&[typed]), vec![word_prompt()]);
        assert_eq!(played.answers, [Answer::Declined]);
        assert!(matches!(played.ending, Ending::Password));
    }
}

#[test]
fn a_conversation_that_fails_ends_at_once() {
    for first in [pin_prompt().1, word_prompt()] {
        let played = play(&sign_in(), types(&[]), vec![first]);
        assert!(matches!(played.ending, Ending::NoReply));
        assert!(played.answers.is_empty());
    }
}

#[test]
fn a_step_that_is_not_understood_or_does_not_come_ends_the_conversation() {
    for lost in [Unreachable::Malformed, Unreachable::Hangs] {
        let steps = VecDeque::from([Ok(Step::Wait), Err(lost)]);
        let played = play_on(&sign_in(), types(&[]), steps, || Step::End(Outcome::Success));
        assert!(matches!(played.ending, Ending::Lost(Unreachable::Malformed | Unreachable::Hangs)));
    }
}

#[test]
fn a_pipe_without_a_reader_ends_the_conversation() {
    let (read, first) = pin_prompt();
    drop(read);
    let played = play(&sign_in(), types(&[b"271828"]), vec![first]);
    assert!(matches!(played.ending, Ending::PipeBroken));
    assert_eq!(played.person.handed_on, None);
}

#[test]
fn waiting_without_end_ends() {
    let steps = VecDeque::from([Ok(Step::Wait)]);
    let played = play_on(&sign_in(), types(&[]), steps, || Step::Wait);
    assert!(matches!(played.ending, Ending::Endless));
    assert_eq!(played.answers.len(), 1000);
}

#[test]
fn waiting_for_longer_than_the_timeout_ends() {
    let rules = Rules { patience: Duration::ZERO, ..sign_in() };
    let played = play(&rules, types(&[]), vec![Step::Wait, Step::Wait, Step::Wait]);
    assert!(matches!(played.ending, Ending::Endless));
    assert_eq!(played.answers.len(), 1);
}

#[test]
fn prompts_without_end_end() {
    let person = Person { types: vec![b"river".as_slice(); 1000].into(), ..Person::default() };
    let played = play_on(&sign_in(), person, VecDeque::from([Ok(word_prompt())]), word_prompt);
    assert!(matches!(played.ending, Ending::Endless));
    assert_eq!(played.person.saw.len(), 24);
}

#[test]
fn an_earlier_pin_serves_the_first_prompt_only() {
    let ((earlier, first), (typed, second)) = (pin_prompt(), pin_prompt());
    let person = Person { earlier: Some(b"111111"), ..types(&[b"271828"]) };
    let played = play(&first_pass(FirstPass::Tried), person, vec![first, second]);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Success)));
    assert_eq!(received(&earlier).unwrap(), b"111111");
    assert_eq!(received(&typed).unwrap(), b"271828");
    assert_eq!(played.person.saw, ["Current: "]);
}

#[test]
fn an_earlier_password_or_none_lets_the_person_be_asked() {
    for earlier in [None, Some(b"hunter2".as_slice()), Some(b"")] {
        let (pipe, first) = pin_prompt();
        let person = Person { earlier, ..types(&[b"271828"]) };
        let played = play(&first_pass(FirstPass::Tried), person, vec![first]);
        assert!(matches!(played.ending, Ending::Outcome(Outcome::Success)));
        assert_eq!(received(&pipe).unwrap(), b"271828");
        assert_eq!(played.person.handed_on, None);
    }
}

#[test]
fn use_first_pass_never_asks() {
    for earlier in [None, Some(b"hunter2".as_slice())] {
        let (_pipe, first) = pin_prompt();
        let person = Person { earlier, ..types(&[b"271828"]) };
        let played = play(&first_pass(FirstPass::Only), person, vec![first]);
        assert!(matches!(played.ending, Ending::Password));
        assert!(played.person.saw.is_empty());
        assert_eq!(played.person.handed_on, None);
    }
    let ((earlier, first), (_pipe, second)) = (pin_prompt(), pin_prompt());
    let person = Person { earlier: Some(b"111111"), ..types(&[b"271828"]) };
    let played = play(&first_pass(FirstPass::Only), person, vec![first, second]);
    assert!(matches!(played.ending, Ending::Password));
    assert_eq!(received(&earlier).unwrap(), b"111111");
    assert!(played.person.saw.is_empty());
    let played = play(&first_pass(FirstPass::Only), types(&[b"river"]), vec![word_prompt()]);
    assert!(played.person.saw.is_empty());
}

#[test]
fn a_change_asks_for_the_old_pin_and_twice_for_the_new_one() {
    let (old, first) = pin_prompt();
    let (new, second) = prompt(Role::New, Shape::Any);
    let (repeat, third) = prompt(Role::Repeat, Shape::Any);
    let person = types(&[b"271828", b"314159", b"314159"]);
    let played = play(&change(), person, vec![first, second, third]);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Success)));
    for (pipe, pin) in [(old, b"271828"), (new, b"314159"), (repeat, b"314159")] {
        assert_eq!(received(&pipe).unwrap(), pin);
    }
}

#[test]
fn in_a_change_a_password_goes_nowhere_and_hellod_says_how_it_goes_on() {
    let ((old, first), (again, second)) = (pin_prompt(), pin_prompt());
    let steps = vec![first, message(Style::Error, "That is no PIN."), second, Step::End(Outcome::Refused)];
    let played = play(&change(), types(&[b"hunter2", b"111111"]), steps);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::Refused)));
    assert_eq!(received(&old), None);
    assert_eq!(received(&again).unwrap(), b"111111");
    assert_eq!(played.person.handed_on, None);
}

#[test]
fn the_password_for_the_keyring_is_taken_from_the_pipe_after_a_success_and_after_nothing_else() {
    for outcome in [Outcome::Success, Outcome::Refused, Outcome::Unavailable] {
        let (_read, asked) = pin_prompt();
        let played = play(&sign_in(), types(&[b"271828"]), vec![Step::Outlet, asked, Step::End(outcome)]);
        let opened = played.left.opened.as_ref().map(|password| password.as_slice());
        assert_eq!(opened, (outcome == Outcome::Success).then_some(KEYRING), "{outcome:?}");
        assert_eq!(played.person.handed_on, None, "that is for later");
    }
    // Of whoever types the password instead, nothing is opened.
    let (_read, asked) = pin_prompt();
    let played = play(&sign_in(), types(&[b"pa55word"]), vec![Step::Outlet, asked]);
    assert!(matches!(played.ending, Ending::Password) && played.left.opened.is_none());
}

#[test]
fn a_pipe_that_nobody_takes_leaves_the_keyring_shut_and_lets_the_person_in() {
    let (_read, asked) = pin_prompt();
    let steps = [asked, Step::End(Outcome::Success)].map(Ok).into();
    let mut script =
        Script { steps, then: || Step::Wait, answers: Vec::new(), pipes: Vec::new(), opens: b"" };
    let (ending, left) = follow(&mut script, &mut types(&[b"271828"]), &sign_in(), Step::Outlet);
    assert!(matches!(ending, Ending::Outcome(Outcome::Success)) && left.opened.is_none());
    assert_eq!(script.answers, [Answer::Declined, Answer::Secret]);
}

#[test]
fn that_the_password_is_wanted_is_heard_at_the_prompt() {
    for wanted in [false, true] {
        let (_read, step) = pin_prompt();
        let Step::Prompt(prompt) = step else { panic!("no prompt") };
        let step = Step::Prompt(Prompt { keeps_password: wanted, ..prompt });
        let played = play(&sign_in(), types(&[b"pa55word"]), vec![step]);
        assert_eq!(played.left.wants_password, wanted);
    }
}

#[test]
fn nothing_is_an_answer_only_where_the_prompt_says_so_and_the_person_has_read_it() {
    for (takes_nothing, misled, answer) in [
        (true, false, Answer::Text(String::new())),
        (true, true, Answer::Declined),
        (false, false, Answer::Declined),
    ] {
        let (_pipe, step) = pin_prompt();
        let Step::Prompt(prompt) = step else { panic!("{step:?}") };
        let step = Step::Prompt(Prompt { takes_nothing, ..prompt });
        let played = play(&sign_in(), Person { misled, ..types(&[b""]) }, vec![step]);
        assert_eq!(played.answers, [answer], "{takes_nothing} {misled}");
        let is_in = matches!(played.ending, Ending::Outcome(Outcome::Success));
        assert_eq!(is_in, takes_nothing && !misled);
    }
}

#[test]
fn where_only_the_pin_counts_a_password_goes_nowhere_and_the_pin_is_asked_for_again() {
    for typed in [&b""[..], b"hunter2", &[b'1'; 600]] {
        let (_one, first) = pin_prompt();
        let (_other, second) = pin_prompt();
        let wrong = message(Style::Error, "Not the password.");
        let steps = vec![Step::OnlyPin, first, wrong, second, Step::End(Outcome::OnlyPin)];
        let played = play(&sign_in(), types(&[typed, b"271828"]), steps);
        assert!(matches!(played.ending, Ending::Outcome(Outcome::OnlyPin)), "{:?}", played.ending);
        let answers = [Answer::Continue, Answer::Declined, Answer::Continue, Answer::Secret];
        assert_eq!(played.answers, answers);
        assert!(played.person.handed_on.is_none() && played.left.only_pin);
        assert!(played.person.said_the_unsaid);
    }
}

#[test]
fn what_is_unsaid_is_said_at_the_end_unless_the_person_is_in() {
    for (outcome, is_said) in [
        (Outcome::Unavailable, true),
        (Outcome::TriesSpent, true),
        (Outcome::OnlyPin, true),
        (Outcome::Success, false),
    ] {
        let steps = vec![message(Style::Error, "Your PIN is locked."), Step::End(outcome)];
        let played = play(&sign_in(), types(&[]), steps);
        assert_eq!(played.person.said_the_unsaid, is_said, "{outcome:?}");
    }
}

#[test]
fn that_only_the_pin_counts_holds_for_the_rest_of_a_conversation_and_before_its_first_question() {
    let played = play(&sign_in(), types(&[]), vec![Step::OnlyPin, word_prompt()]);
    assert!(matches!(played.ending, Ending::NoReply) && played.left.only_pin);
    let wait = message(Style::Error, "Too many wrong PINs.");
    let steps = [Ok(Step::OnlyPin), Ok(wait), Err(Unreachable::Hangs)];
    let played = play_on(&sign_in(), types(&[]), steps.into(), || Step::Wait);
    assert!(matches!(played.ending, Ending::Lost(Unreachable::Hangs)) && played.left.only_pin);
}

#[test]
fn an_end_that_was_told_is_the_end_however_late_it_is_heard() {
    let rules = Rules { patience: Duration::ZERO, ..sign_in() };
    let played = play(&rules, types(&[]), vec![Step::Wait, Step::End(Outcome::NotEnrolled)]);
    assert!(matches!(played.ending, Ending::Outcome(Outcome::NotEnrolled)), "{:?}", played.ending);
}
