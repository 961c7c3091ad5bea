//! What a person met, in words: each call into libpam with what was asked, answered and told in it, and what it returned.

use std::fmt::Write as _;

use crate::actor::LOGIN_PROMPT;
use crate::record::{Ending, Event, Record, Step};

impl Record {
    /// As text. A call that works without a word is left out, but for those of authenticate; and so is login's own question for the
    /// name, which is no module's.
    #[must_use]
    pub fn story(&self) -> String {
        let (mut text, mut call) = (String::new(), String::new());
        for event in &self.events {
            // Writing to a text can't fail.
            let _ = match event {
                Event::Begun(step) => {
                    call.clear();
                    writeln!(call, "{}:", step.name())
                }
                Event::Asked { hidden: false, text, .. } if text == LOGIN_PROMPT => Ok(()),
                Event::Asked { hidden, answer, text, .. } => {
                    let answer = answer.as_deref().unwrap_or("(nobody answers)");
                    spoken(&mut call, if *hidden { "hidden" } else { "shown" }, &format!("{text}{answer}"))
                }
                Event::Told { error, text } => spoken(&mut call, if *error { "error" } else { "info" }, text),
                Event::Done { step, code, .. } => {
                    let says = *step == Step::Authenticate || !code.is_success() || call.lines().count() > 1;
                    if says {
                        text += &call;
                    }
                    if says { writeln!(text, "  {code}") } else { Ok(()) }
                }
                Event::SomebodyElse(name) => writeln!(text, "  as {name}"),
                Event::Delay(_) | Event::Traces(_) => Ok(()),
            };
        }
        match &self.ending {
            Ending::Well => text,
            ending => format!("{text}{call}  {ending:?}\n"),
        }
    }
}

/// A line, and below it those that it goes on with.
fn spoken(out: &mut String, how: &str, text: &str) -> std::fmt::Result {
    let mut how = how;
    for line in text.lines() {
        writeln!(out, "{}", format!("  {how:6} | {line}").trim_end())?;
        how = "";
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::code::Code;

    #[test]
    fn a_story_has_what_was_said_and_how_it_ended() {
        let done = |step, code| Event::Done { step, code, took: Duration::ZERO };
        let asked = |answer: Option<&str>| Event::Asked {
            hidden: true,
            answer: answer.map(str::to_owned),
            threads: 1,
            text: "No.\nPIN: ".into(),
        };
        let events = vec![
            Event::Begun(Step::Authenticate),
            asked(Some("<PIN>")),
            Event::Told { error: false, text: "Well\n\ndone.".into() },
            done(Step::Authenticate, Code::SUCCESS),
            Event::Begun(Step::Account),
            done(Step::Account, Code::SUCCESS),
            Event::Begun(Step::Change),
            asked(None),
            done(Step::Change, Code::AUTH_ERR),
        ];
        let record = Record { events, ..Record::default() };
        let story = "authenticate:\n  hidden | No.\n         | PIN: <PIN>\n  info   | Well\n         |\n         | done.\n  \
                     PAM_SUCCESS\nchange:\n  hidden | No.\n         | PIN: (nobody answers)\n  PAM_AUTH_ERR\n";
        assert_eq!(record.story(), story);
    }
}
