//! A scripted hellod and a scripted person.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;

use zeroize::Zeroizing;

use super::*;

/// Leads along a script and notes the answers.
#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<Step>>,
    answers: RefCell<Vec<Answer>>,
    cancelled: RefCell<bool>,
    waits_for_ever: bool,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: RefCell::new(steps.into_iter().collect()), ..Self::default() }
    }
}

impl Leader for Script {
    async fn answer(&self, answer: Answer) -> Result<Step, Unreachable> {
        self.answers.borrow_mut().push(answer);
        if self.waits_for_ever {
            sleep(hello_dbus::LONG_POLL).await;
            return Ok(Step::Wait);
        }
        self.steps.borrow_mut().pop_front().ok_or(Unreachable::Malformed)
    }

    async fn cancel(&self) -> Result<(), Unreachable> {
        *self.cancelled.borrow_mut() = true;
        Ok(())
    }
}

/// Types along a list, and then nothing ever again.
#[derive(Default)]
struct Person {
    types: VecDeque<&'static str>,
    asked: Vec<(String, Echo)>,
    shown: Vec<(Style, String)>,
    is_script: bool,
    token: Option<&'static str>,
}

impl Person {
    fn typing(types: impl IntoIterator<Item = &'static str>) -> Self {
        Self { types: types.into_iter().collect(), ..Self::default() }
    }
}

impl Terminal for Person {
    fn show(&mut self, style: Style, text: &str) -> io::Result<()> {
        self.shown.push((style, text.to_owned()));
        Ok(())
    }

    async fn ask(&mut self, question: &str, echo: Echo) -> io::Result<Line> {
        self.asked.push((question.to_owned(), echo));
        match self.types.pop_front() {
            Some("") => Ok(Line::Nothing),
            Some(text) if text.len() > secret_pipe::MAX_LONG_SECRET => Ok(Line::TooLong),
            Some(text) => Ok(Line::Typed(Zeroizing::new(text.into()))),
            None => pending().await,
        }
    }

    fn can_ask_again(&self) -> bool {
        !self.is_script
    }

    fn keytab(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        Ok(Some(Zeroizing::new(b"keys".to_vec())))
    }

    fn token(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.token.take().map(|token| Zeroizing::new(token.into()))
    }
}

fn secret(role: Role, shape: Shape) -> (Step, OwnedFd) {
    let (read, write) = secret_pipe::pair().unwrap();
    (
        Step::Prompt(Prompt {
            text: "PIN: ".into(),
            secret: Some(write),
            role,
            shape,
            keeps_password: false,
            takes_nothing: false,
        }),
        read,
    )
}

fn word() -> Step {
    Step::Prompt(Prompt {
        text: "Word: ".into(),
        secret: None,
        role: Role::Challenge,
        shape: Shape::Any,
        keeps_password: false,
        takes_nothing: false,
    })
}

fn message(style: Style) -> Step {
    Step::Message { style, text: "news".into() }
}

fn received(pipe: &OwnedFd) -> Option<Vec<u8>> {
    secret_pipe::receive_long(pipe, Duration::from_millis(1)).ok().map(|secret| secret.to_vec())
}

fn ending(outcome: Outcome, told: bool) -> Ending {
    Ending { outcome, told }
}

#[tokio::test(start_paused = true)]
async fn a_pin_goes_through_its_pipe_and_a_word_through_the_answer() {
    let (first, pipe) = secret(Role::Current, Shape::Digits);
    let script = Script::of([Step::Wait, message(Style::Info), word(), Step::End(Outcome::Success)]);
    let mut person = Person::typing(["271828", " river "]);
    let ended = follow(&script, first, &mut person, pending()).await;
    assert_eq!(ended.unwrap(), ending(Outcome::Success, false));
    assert_eq!(received(&pipe).unwrap(), b"271828");
    let answers = [Answer::Secret, Answer::Continue, Answer::Continue, Answer::Text("river".into())];
    assert_eq!(*script.answers.borrow(), answers);
    assert_eq!(person.asked, [("PIN: ".into(), Echo::Hidden), ("Word: ".into(), Echo::Shown)]);
    assert_eq!(person.shown, [(Style::Info, "news".into())]);
    assert!(!*script.cancelled.borrow());
}

#[tokio::test(start_paused = true)]
async fn an_empty_pin_declines_and_nothing_enters_the_pipe() {
    let (first, pipe) = secret(Role::New, Shape::Any);
    let script = Script::of([Step::End(Outcome::Password)]);
    let ended = follow(&script, first, &mut Person::typing([""]), pending()).await;
    assert_eq!(ended.unwrap(), ending(Outcome::Password, false));
    assert_eq!(*script.answers.borrow(), [Answer::Declined]);
    assert_eq!(received(&pipe), None);
}

#[tokio::test(start_paused = true)]
async fn a_password_typed_for_a_pin_of_digits_stays_here_and_the_person_is_asked_again() {
    let (first, pipe) = secret(Role::Current, Shape::Digits);
    let script = Script::of([Step::End(Outcome::Success)]);
    let mut person = Person::typing(["hunter2", "271828"]);
    let ended = follow(&script, first, &mut person, pending()).await;
    assert_eq!(ended.unwrap().outcome, Outcome::Success);
    assert_eq!(received(&pipe).unwrap(), b"271828");
    assert_eq!(person.shown.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_a_pin_declines_after_three_tries_and_from_a_script_at_once() {
    for (is_script, asked) in [(false, 3), (true, 1)] {
        let (first, pipe) = secret(Role::Current, Shape::Digits);
        let script = Script::of([Step::End(Outcome::Password)]);
        let long: &str = Box::leak("7".repeat(secret_pipe::MAX_SECRET + 1).into_boxed_str());
        let mut person = Person { is_script, ..Person::typing([long, "a", "b", "c"]) };
        let ended = follow(&script, first, &mut person, pending()).await;
        assert_eq!(ended.unwrap().outcome, Outcome::Password);
        assert_eq!(person.asked.len(), asked);
        assert_eq!(*script.answers.borrow(), [Answer::Declined]);
        assert_eq!(received(&pipe), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pin_asked_for_without_a_pipe_is_never_typed() {
    for role in [Role::Current, Role::New, Role::Repeat] {
        let first = Step::Prompt(Prompt {
            text: "PIN: ".into(),
            secret: None,
            role,
            shape: Shape::Any,
            keeps_password: false,
            takes_nothing: false,
        });
        let script = Script::default();
        let mut person = Person::typing(["271828"]);
        let ended = follow(&script, first, &mut person, pending()).await;
        assert!(matches!(ended, Err(Failure::Hellod(Unreachable::Malformed))), "{role:?}");
        assert!(person.asked.is_empty());
        assert!(*script.cancelled.borrow());
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_from_the_future_ends_the_conversation_and_cancels_it() {
    let script = Script::default();
    let ended = follow(&script, message(Style::Info), &mut Person::default(), pending()).await;
    assert!(matches!(ended, Err(Failure::Hellod(Unreachable::Malformed))));
    assert!(*script.cancelled.borrow());
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_at_a_prompt_cancels_the_conversation() {
    let (first, _pipe) = secret(Role::New, Shape::Any);
    let script = Script::default();
    let soon = sleep(Duration::from_secs(3));
    let ended = follow(&script, first, &mut Person::default(), soon).await;
    assert!(matches!(ended, Err(Failure::Interrupted)));
    assert!(script.answers.borrow().is_empty());
    assert!(*script.cancelled.borrow());
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_while_hellod_is_at_work_cancels_the_conversation() {
    let script = Script { waits_for_ever: true, ..Script::default() };
    let soon = sleep(Duration::from_secs(3));
    let ended = follow(&script, Step::Wait, &mut Person::default(), soon).await;
    assert!(matches!(ended, Err(Failure::Interrupted)));
    assert!(*script.cancelled.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_hellod_that_waits_for_ever_is_given_up_after_two_minutes() {
    let script = Script { waits_for_ever: true, ..Script::default() };
    let began = Instant::now();
    let ended = follow(&script, Step::Wait, &mut Person::default(), pending()).await;
    assert!(matches!(ended, Err(Failure::Stalled)));
    assert!(*script.cancelled.borrow());
    assert!((PATIENCE..PATIENCE + Duration::from_secs(3)).contains(&began.elapsed()));
    let answers = script.answers.borrow();
    assert!(answers.iter().all(|answer| *answer == Answer::Continue));
}

#[tokio::test(start_paused = true)]
async fn only_words_after_the_last_prompt_tell_how_it_ended() {
    let (prompt, _pipe) = secret(Role::Current, Shape::Any);
    let script = Script::of([prompt, Step::End(Outcome::Refused)]);
    let mut person = Person::typing(["271828"]);
    let ended = follow(&script, message(Style::Info), &mut person, pending()).await;
    assert_eq!(ended.unwrap(), ending(Outcome::Refused, false));

    let script = Script::of([Step::Wait, Step::End(Outcome::Refused)]);
    let ended = follow(&script, message(Style::Error), &mut Person::default(), pending()).await;
    assert_eq!(ended.unwrap(), ending(Outcome::Refused, true));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_hellod_gave_up_is_declined_so_that_the_next_step_says_why() {
    let (first, pipe) = secret(Role::Current, Shape::Any);
    drop(pipe);
    let script = Script::of([message(Style::Error), Step::End(Outcome::Unavailable)]);
    let ended = follow(&script, first, &mut Person::typing(["271828"]), pending()).await;
    assert_eq!(ended.unwrap(), ending(Outcome::Unavailable, true));
    assert_eq!(*script.answers.borrow(), [Answer::Declined, Answer::Continue]);
}
