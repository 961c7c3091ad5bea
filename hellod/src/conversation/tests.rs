use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_question_reaches_the_terminal_and_its_secret_the_flow() {
    let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
    let flow = tokio::spawn(async move {
        let reply = terminal.secret("PIN: ", Role::Current, Shape::Digits).await;
        let Ok(Reply::Secret(pipe)) = reply else { panic!("{reply:?}") };
        secret_pipe::receive(&pipe, Duration::from_secs(1)).unwrap()
    });
    let Step::Prompt(prompt) = conversation.next().await else { panic!("no prompt") };
    secret_pipe::send(&prompt.secret.unwrap(), b"271828").unwrap();
    conversation.answer(Answer::Secret).unwrap();
    assert_eq!(flow.await.unwrap().as_slice(), b"271828");
}

#[tokio::test]
async fn an_answer_to_another_question_is_out_of_turn_and_changes_nothing() {
    let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
    let flow = tokio::spawn(async move { terminal.text("Type river: ").await });
    assert_eq!(conversation.answer(Answer::Secret), Err(OutOfTurn));
    let Step::Prompt(_) = conversation.next().await else { panic!("no prompt") };
    assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
    assert_eq!(conversation.answer(Answer::Secret), Err(OutOfTurn));
    conversation.answer(Answer::Text("river".into())).unwrap();
    assert_eq!(conversation.answer(Answer::Text("again".into())), Err(OutOfTurn));
    assert_eq!(flow.await.unwrap().unwrap().as_deref(), Some("river"));
}

#[tokio::test]
async fn a_pipe_is_asked_for_only_of_who_knows_how_and_taken_only_then() {
    let (_, write) = secret_pipe::pair().unwrap();
    let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
    let flow = tokio::spawn(async move { terminal.outlet().await });
    assert_eq!(conversation.answer(Said::Outlet(write.try_clone().unwrap())), Err(OutOfTurn));
    assert!(matches!(conversation.next().await, Step::Outlet));
    assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
    conversation.answer(Said::Outlet(write)).unwrap();
    assert!(flow.await.unwrap().unwrap().is_some());
    let (mut terminal, _conversation) = pair(VERSION_WITH_OUTLET - 1);
    assert!(terminal.outlet().await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_answers_a_prompt_that_takes_it_and_no_other() {
    for (version, nothing) in
        [(VERSION_WITH_NOTHING, true), (VERSION_WITH_NOTHING, false), (VERSION_WITH_NOTHING - 1, true)]
    {
        let (mut terminal, mut conversation) = pair(version);
        let or = Or { nothing, ..Or::default() };
        let flow = tokio::spawn(async move { terminal.pin("PIN: ", Shape::Digits, or).await });
        let Step::Prompt(prompt) = conversation.next().await else { panic!("no prompt") };
        let takes = nothing && version == VERSION_WITH_NOTHING;
        assert_eq!(prompt.takes_nothing, takes);
        assert_eq!(conversation.answer(Answer::Text("x".into())), Err(OutOfTurn));
        let answered = conversation.answer(Answer::Text(String::new()));
        assert_eq!(answered, if takes { Ok(()) } else { Err(OutOfTurn) });
        if takes {
            assert!(matches!(flow.await.unwrap(), Ok(Reply::Nothing)));
        }
    }
}

#[tokio::test]
async fn only_the_pin_is_left_to_whoever_knows_what_that_means() {
    for version in [VERSION_WITH_ONLY_PIN, VERSION_WITH_ONLY_PIN - 1] {
        let (mut terminal, mut conversation) = pair(version);
        let flow = tokio::spawn(async move {
            terminal.leave_only_the_pin().await?;
            assert_eq!(terminal.is_for_the_pin_only(), version == VERSION_WITH_ONLY_PIN);
            terminal.pin("PIN: ", Shape::Digits, Or::default()).await
        });
        if version == VERSION_WITH_ONLY_PIN {
            assert!(matches!(conversation.next().await, Step::OnlyPin));
            conversation.answer(Answer::Continue).unwrap();
        }
        assert!(matches!(conversation.next().await, Step::Prompt(_)));
        conversation.answer(Answer::Declined).unwrap();
        assert!(matches!(flow.await.unwrap(), Ok(Reply::Declined)));
    }
}

#[test]
fn a_text_has_lines_of_sixty_columns_and_what_is_set_in_or_drawn_stays_whole() {
    for (text, shown) in [
        ("Wrong PIN.", "Wrong PIN."),
        ("", ""),
        ("a\n\nb\n", "a\n\nb\n"),
        (
            "Use your password, or sign in once with your PIN at a console.\u{a0}[6402]",
            "Use your password, or sign in once with your PIN at a\nconsole. [6402]",
        ),
        (
            "It works as before. Choose another one soon: helloctl pin change\nNow.",
            "It works as before. Choose another one soon:\n  helloctl pin change\nNow.",
        ),
        (
            "Use your password.\n  sudo helloctl reset --user somebody-with-a-name-that-is-longer-than-that",
            "Use your password.\n  sudo helloctl reset --user somebody-with-a-name-that-is-longer-than-that",
        ),
    ] {
        assert_eq!(fitted(text), shown);
    }
    let asks = "Type the word at the beginning of this line for your PIN, or Enter: ";
    let asked = question(asks, Role::Word, Shape::Any).text;
    assert_eq!(asked, "Type the word at the beginning of this line for your PIN, or\nEnter: ");
    let word = "x".repeat(70);
    assert_eq!(fitted(&format!("{word} {word} y")), format!("{word}\n{word}\ny"));
    let drawn = format!("{}\n", "█ ".repeat(40));
    assert_eq!(fitted(&drawn), drawn);
}

#[tokio::test(start_paused = true)]
async fn what_stays_open_stays_open_until_it_is_answered_or_nobody_is_there() {
    for answers in [true, false] {
        let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        let asked = async { terminal.until_answered("Enter ends it: ").await };
        let answered = async {
            let step = conversation.next().await;
            assert!(matches!(step, Step::Prompt(_)), "{step:?}");
            tokio::time::sleep(10 * PATIENCE).await;
            if answers {
                conversation.answer(Answer::Text(String::new())).unwrap();
            }
            drop(conversation);
        };
        assert_eq!(tokio::join!(asked, answered).0, if answers { Ok(()) } else { Err(Gone) });
    }
}

#[tokio::test(start_paused = true)]
async fn a_flow_at_work_is_waited_for_and_a_flow_that_died_ends_unavailable() {
    let (terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
    assert!(matches!(conversation.next().await, Step::Wait));
    conversation.answer(Answer::Continue).unwrap();
    drop(terminal);
    assert!(matches!(conversation.next().await, Step::End(Outcome::Unavailable)));
    assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_left_or_stays_silent_is_gone() {
    let (mut terminal, conversation) = pair(VERSION_WITH_OUTLET);
    drop(conversation);
    assert_eq!(terminal.show(Style::Info, "hello").await, Err(Gone));
    let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
    let flow = tokio::spawn(async move { terminal.text("Type river: ").await });
    let _prompt = conversation.next().await;
    assert_eq!(flow.await.unwrap(), Err(Gone));
}

/// What a flow does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Secret,
    Text,
    Show,
}

async fn play(mut terminal: Terminal, acts: Vec<Act>, outcome: Option<Outcome>) {
    for act in acts {
        let heard = match act {
            Act::Secret => terminal.secret("PIN: ", Role::Current, Shape::Digits).await.map(drop),
            Act::Text => terminal.text("Type river: ").await.map(drop),
            Act::Show => terminal.show(Style::Info, "hello").await,
        };
        assert_eq!(heard, Ok(()));
    }
    if let Some(outcome) = outcome {
        terminal.end(outcome).await;
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Continue),
        Just(Answer::Secret),
        Just(Answer::Declined),
        ".{0,8}".prop_map(Answer::Text)
    ]
}

proptest! {
    #[test]
    fn whatever_is_answered_only_the_flow_ends_it_and_only_with_its_own_word(
        acts in prop::collection::vec(prop_oneof![Just(Act::Secret), Just(Act::Text), Just(Act::Show)], 0..6),
        outcome in prop::option::of(prop_oneof![Just(Outcome::Success), Just(Outcome::Refused)]),
        answers in prop::collection::vec(answer(), 0..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let left = acts.len();
        let (step, left) = runtime.block_on(async move {
            let (terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
            let flow = tokio::spawn(play(terminal, acts, outcome));
            let (mut left, mut step) = (left, conversation.next().await);
            for answer in answers {
                let fits = match (&step, &answer) {
                    (Step::Prompt(prompt), Answer::Secret) => prompt.secret.is_some(),
                    (Step::Prompt(prompt), Answer::Text(_)) => prompt.secret.is_none(),
                    (Step::Prompt(_), Answer::Declined) => true,
                    (Step::Message { .. } | Step::Wait, Answer::Continue) => true,
                    _ => false,
                };
                assert_eq!(conversation.answer(answer).is_ok(), fits, "{step:?}");
                if fits {
                    left -= usize::from(matches!(step, Step::Prompt(_) | Step::Message { .. }));
                    step = conversation.next().await;
                }
            }
            flow.abort();
            (step, left)
        });
        if let Step::End(end) = step {
            prop_assert_eq!((end, left), (outcome.unwrap_or(Outcome::Unavailable), 0));
        }
    }
}

#[test]
fn a_yes_is_whole_or_how_it_begins_and_anything_else_is_none() {
    for yes in ["yes", "y", " YES ", "Y"] {
        assert_eq!(said(yes), Some(true), "{yes:?}");
    }
    for no in ["no", "n", "No"] {
        assert_eq!(said(no), Some(false), "{no:?}");
    }
    for neither in ["", " ", "ye", "yes please", "1", "ja"] {
        assert_eq!(said(neither), None, "{neither:?}");
    }
}
