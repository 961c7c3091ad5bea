//! What happened between a program and a module, as it is written down line by line while it happens: whoever dies in the middle has
//! left a record up to there.

use std::time::Duration;

use crate::code::Code;

/// What happened, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The lines that the actor wrote.
    pub events: Vec<Event>,
    /// What came out on its terminal beside them.
    pub noise: String,
    /// How it ended.
    pub ending: Ending,
}

/// How an actor ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    #[default]
    Well,
    /// Otherwise; the words say how.
    Badly(String),
    /// Not at all, until it was killed.
    Never(Duration),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call into libpam begins.
    Begun(Step),
    /// It has ended.
    Done {
        /// Which.
        step: Step,
        /// With what.
        code: Code,
        /// After how long, by the clock.
        took: Duration,
    },
    /// The module asked.
    Asked {
        /// Whether what is typed is hidden.
        hidden: bool,
        /// What the person answered, by its name: what was typed is nobody's business. `None` where they didn't.
        answer: Option<String>,
        /// Threads of the process at that moment.
        threads: usize,
        /// Its words.
        text: String,
    },
    /// The module told something.
    Told {
        /// Whether as an error (`PAM_ERROR_MSG`).
        error: bool,
        /// Its words.
        text: String,
    },
    /// How long libpam wants the program to wait before it tells the failure.
    Delay(Duration),
    /// Who was signed in, where that isn't who was to be.
    SomebodyElse(String),
    /// What the process looks like, first before and then after everything.
    Traces(Vec<String>),
}

/// A call into libpam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// pam_authenticate(3).
    Authenticate,
    /// pam_acct_mgmt(3).
    Account,
    /// pam_chauthtok(3), for what has expired.
    Change,
    /// pam_setcred(3), whatever the flag.
    Setcred,
    /// pam_open_session(3) and pam_close_session(3).
    Session,
}

impl Step {
    const ALL: [Self; 5] = [Self::Authenticate, Self::Account, Self::Change, Self::Setcred, Self::Session];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Account => "account",
            Self::Change => "change",
            Self::Setcred => "setcred",
            Self::Session => "session",
        }
    }
}

impl Event {
    /// As a line; its mark is what modules don't print.
    pub(crate) fn line(&self) -> String {
        let fields = match self {
            Self::Begun(step) => vec!["begun".to_owned(), step.name().to_owned()],
            Self::Done { step, code, took } => {
                vec!["done".to_owned(), step.name().to_owned(), code.0.to_string(), micros(*took)]
            }
            Self::Asked { hidden, answer, threads, text } => {
                let mut fields =
                    vec!["asked".to_owned(), hidden.to_string(), threads.to_string(), escape(text)];
                fields.extend(answer.as_deref().map(escape));
                fields
            }
            Self::Told { error, text } => vec!["told".to_owned(), error.to_string(), escape(text)],
            Self::Delay(wanted) => vec!["delay".to_owned(), micros(*wanted)],
            Self::SomebodyElse(name) => vec!["somebody-else".to_owned(), escape(name)],
            Self::Traces(traces) => {
                let traces = traces.iter().map(|trace| escape(trace));
                ["traces".to_owned()].into_iter().chain(traces).collect()
            }
        };
        format!("{MARK}{}\n", fields.join("\t"))
    }

    /// What a line says; `None` when it is none of these.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.strip_prefix(MARK)?.split('\t').collect();
        let step = |name: &str| Step::ALL.into_iter().find(|step| step.name() == name);
        let event = match fields.as_slice() {
            ["begun", name] => Self::Begun(step(name)?),
            ["done", name, code, took] => {
                Self::Done { step: step(name)?, code: Code(code.parse().ok()?), took: duration(took)? }
            }
            ["asked", hidden, threads, text, answer @ ..] if answer.len() < 2 => Self::Asked {
                hidden: hidden.parse().ok()?,
                answer: answer.first().map(|answer| unescape(answer)),
                threads: threads.parse().ok()?,
                text: unescape(text),
            },
            ["told", error, text] => Self::Told { error: error.parse().ok()?, text: unescape(text) },
            ["delay", wanted] => Self::Delay(duration(wanted)?),
            ["somebody-else", name] => Self::SomebodyElse(unescape(name)),
            ["traces", traces @ ..] => Self::Traces(traces.iter().map(|trace| unescape(trace)).collect()),
            _ => return None,
        };
        Some(event)
    }
}

impl Record {
    /// From everything that an actor printed.
    pub(crate) fn read(stdout: &str, stderr: &str, ending: Ending) -> Self {
        let mut record = Self { events: Vec::new(), noise: stderr.to_owned(), ending };
        for line in stdout.lines() {
            match Event::read(line) {
                Some(event) => record.events.push(event),
                None => record.noise += line,
            }
        }
        record
    }

    /// What happened in each authenticate, its ending included.
    pub(crate) fn attempts(&self) -> Vec<&[Event]> {
        let begins = |event: &Event| matches!(event, Event::Begun(Step::Authenticate));
        let ends = |event: &Event| matches!(event, Event::Done { step: Step::Authenticate, .. });
        let mut attempts = Vec::new();
        for (at, _) in self.events.iter().enumerate().filter(|(_, event)| begins(event)) {
            let rest = &self.events[at..];
            let length = rest.iter().position(ends).map_or(rest.len(), |end| end + 1);
            attempts.push(&rest[..length]);
        }
        attempts
    }

    /// What the calls of that kind returned.
    pub(crate) fn codes(&self, wanted: Step) -> Vec<Code> {
        let code = |event: &Event| match event {
            Event::Done { step, code, .. } if *step == wanted => Some(*code),
            _ => None,
        };
        self.events.iter().filter_map(code).collect()
    }
}

const MARK: &str = "\u{1}surfaces\t";

fn micros(duration: Duration) -> String {
    duration.as_micros().to_string()
}

fn duration(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_micros)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads_back_as_what_was_written() {
        let events = [
            Event::Begun(Step::Authenticate),
            Event::Done { step: Step::Setcred, code: Code(9), took: Duration::from_micros(1234) },
            Event::Asked { hidden: true, answer: None, threads: 2, text: "No.\nPIN\\: \t".into() },
            Event::Asked { hidden: false, answer: Some("yes".into()), threads: 1, text: "Now?".into() },
            Event::Told { error: true, text: "\\n is no line".into() },
            Event::Delay(Duration::from_secs(2)),
            Event::SomebodyElse("alice".into()),
            Event::Traces(vec!["threads 1".into(), String::new()]),
        ];
        for event in events {
            assert_eq!(Event::read(event.line().trim_end_matches('\n')), Some(event));
        }
    }

    #[test]
    fn what_a_module_prints_is_noise() {
        let record = Record::read("a module was here\n\u{1}surfaces\tbegun\taccount\n", "", Ending::Well);
        assert_eq!(record.events, [Event::Begun(Step::Account)]);
        assert_eq!(record.noise, "a module was here");
    }
}
