//! The rules: what each program needs of a module, as a check on what happened, with the words for whoever has to mend it.
//!
//! A check returns what was seen where the rule was broken. Times are those of the clock, plus what libpam wanted the program to wait,
//! plus a second for each question: the actors type at once, people don't.

use std::time::Duration;

use crate::actor::{LOGIN_PROMPT, SURVIVED_BY_SUDO, TYPING};
use crate::code::Code;
use crate::persona::Persona::{self, *};
use crate::persona::Scene;
use crate::record::{Ending, Event, Record, Step};

/// Something that a program needs.
pub struct Rule {
    /// Its name, for exceptions and tests.
    pub name: &'static str,
    /// Who needs it; nobody named means everybody.
    personas: &'static [Persona],
    /// What a module that keeps it does, and why.
    pub text: &'static str,
    broken: fn(Scene, &Record) -> Option<String>,
}

impl Rule {
    /// Whether the rule is one of that program's.
    #[must_use]
    pub fn concerns(&self, persona: Persona) -> bool {
        self.personas.is_empty() || self.personas.contains(&persona)
    }

    /// What was seen where it was broken.
    #[must_use]
    pub fn broken(&self, scene: Scene, record: &Record) -> Option<String> {
        (self.broken)(scene, record)
    }
}

/// All of them.
pub const RULES: [Rule; 24] = [
    Rule {
        name: "ends-well",
        personas: &[],
        text: "It never ends, kills or hangs the program that loaded it.",
        broken: ends_well,
    },
    Rule {
        name: "lets-in",
        personas: &[],
        text: "Whoever types the right thing comes in at once, and after a mistake at the next try.",
        broken: lets_in,
    },
    Rule {
        name: "keeps-out",
        personas: &[],
        text: "Whoever types something wrong, or nothing, stays out.",
        broken: keeps_out,
    },
    Rule {
        name: "no-thread",
        personas: &[],
        text: "It starts no thread: the program forks and drops rights, and libpam unloads the module under it.",
        broken: no_thread,
    },
    Rule {
        name: "no-traces",
        personas: &[],
        text: "It leaves no descriptor, no child and no signal otherwise than it found them.",
        broken: no_traces,
    },
    Rule {
        name: "quiet",
        personas: &[],
        text: "It writes to no terminal: what it has to say goes through the conversation.",
        broken: quiet,
    },
    Rule {
        name: "in-time",
        personas: &[],
        text: "Apart from the typing, no attempt takes longer than 30 seconds.",
        broken: in_time,
    },
    Rule {
        name: "hidden",
        personas: &[],
        text: "It asks for a secret in a field that hides it.",
        broken: hidden,
    },
    Rule {
        name: "plain-text",
        personas: &[],
        text: "Its words are plain text: no control characters, no pictures; screen readers read them aloud.",
        broken: plain_text,
    },
    Rule {
        name: "same-person",
        personas: &[],
        text: "Who is signed in is who was to be signed in.",
        broken: same_person,
    },
    Rule {
        name: "setcred",
        personas: &[],
        text: "pam_setcred(3) walks the stack as authenticate did, for each of its flags: a good sign-in stays good.",
        broken: setcred,
    },
    Rule {
        name: "takes-no-for-an-answer",
        personas: &[],
        text: "Where nobody answers (sudo -n, Escape) it asks no second time.",
        broken: takes_no,
    },
    Rule {
        name: "one-question",
        personas: &[Swaylock],
        text: "A right answer is all that it asks for: swaylock has one buffer, and aborts at a second question.",
        broken: one_question,
    },
    Rule {
        name: "one-enter-one-try",
        personas: &[Hyprlock, I3lock, Sddm],
        text: "It doesn't ask twice in the same words: the same answer is given to both, and a slip costs two tries.",
        broken: one_enter_one_try,
    },
    Rule {
        name: "asks-before-it-tells",
        personas: &[Sddm],
        text: "It tells nothing but errors before a question: SDDM 0.19 takes the rest for a change of the password, \
               answers no question any more, and has to be started anew.",
        broken: asks_before_it_tells,
    },
    Rule {
        name: "slower-than-50-ms",
        personas: &[Kscreenlocker, KscreenlockerFingerprint],
        text: "It takes longer than 50 ms: kscreenlocker takes anything quicker for broken, success too, and shuts the \
               service, after which not even the password unlocks.",
        broken: slower_than_50_ms,
    },
    Rule {
        name: "stays-available",
        personas: &[Kscreenlocker],
        text: "No attempt ends in PAM_AUTHINFO_UNAVAIL or PAM_MODULE_UNKNOWN: kscreenlocker shuts the service.",
        broken: stays_available,
    },
    Rule {
        name: "fails-slowly",
        personas: &[Kscreenlocker],
        text: "Of the failures at most three are quicker than 2 seconds: after more, kscreenlocker shuts the service.",
        broken: fails_slowly,
    },
    Rule {
        name: "waits-for-a-finger",
        personas: &[KscreenlockerFingerprint],
        text: "PAM_AUTHINFO_UNAVAIL comes later than after 250 ms, unless there truly is no reader.",
        broken: waits_for_a_finger,
    },
    Rule {
        name: "says-why",
        personas: &[Gdm],
        text: "It says something before PAM_AUTHINFO_UNAVAIL: GDM drops the service without a word.",
        broken: says_why,
    },
    Rule {
        name: "changes-what-expired",
        personas: &[Gdm, Lightdm, Sudo, SudoLogin, SudoRs, Login],
        text: "After PAM_NEW_AUTHTOK_REQD the forced change works: nobody gets in without it.",
        broken: changes_what_expired,
    },
    Rule {
        name: "silent",
        personas: &[Sudo, SudoLogin],
        text: "Under PAM_SILENT it tells nothing but, once, why it asks no more.",
        broken: silent,
    },
    Rule {
        name: "codes-of-sudo",
        personas: &[Sudo, SudoLogin],
        text: "It fails with PAM_AUTH_ERR, PAM_AUTHINFO_UNAVAIL, PAM_MAXTRIES or PAM_PERM_DENIED: others are fatal to sudo.",
        broken: codes_of_sudo,
    },
    Rule {
        name: "within-a-minute",
        personas: &[Login],
        text: "All the tries that login allows fit into its minute.",
        broken: within_a_minute,
    },
];

fn ends_well(_: Scene, record: &Record) -> Option<String> {
    let inside = record.events.iter().rev().find_map(|event| match event {
        Event::Begun(step) => Some(Some(step.name())),
        Event::Done { .. } => Some(None),
        _ => None,
    });
    let inside = inside.flatten();
    let place = inside.map_or("between two calls".to_owned(), |step| format!("in the middle of {step}"));
    match &record.ending {
        Ending::Well if inside.is_none() => None,
        Ending::Well => Some(format!("the program ended {place}")),
        Ending::Badly(how) => Some(format!("the program ended ({how}) {place}")),
        Ending::Never(patience) => Some(format!("the program hung for {patience:?} {place}")),
    }
}

fn lets_in(scene: Scene, record: &Record) -> Option<String> {
    let codes = record.codes(Step::Authenticate);
    let refused = |step| record.codes(step).into_iter().find(|code| !code.is_success());
    if !scene.lets_in() {
        return None;
    }
    if !codes.iter().any(|code| code.is_success()) {
        return Some(format!("stayed out: authenticate returned {}", listed(&codes)));
    }
    let account = refused(Step::Account).filter(|code| *code != Code::NEW_AUTHTOK_REQD);
    let (step, code) = account
        .map(|code| (Step::Account, code))
        .or_else(|| refused(Step::Session).map(|code| (Step::Session, code)))?;
    Some(format!("stayed out: {} returned {code}", step.name()))
}

fn keeps_out(scene: Scene, record: &Record) -> Option<String> {
    let codes = record.codes(Step::Authenticate);
    (!scene.lets_in() && codes.iter().any(|code| code.is_success()))
        .then(|| format!("came in: authenticate returned {}", listed(&codes)))
}

fn no_thread(_: Scene, record: &Record) -> Option<String> {
    let threads = |traces: &[String]| -> Option<usize> {
        traces.iter().find_map(|trace| trace.strip_prefix("threads ")?.parse().ok())
    };
    let mut before = None;
    for event in &record.events {
        let (now, when) = match event {
            Event::Traces(traces) => (threads(traces)?, "at the end".to_owned()),
            Event::Asked { threads, text, .. } => (*threads, format!("while it asked {text:?}")),
            _ => continue,
        };
        let before = *before.get_or_insert(now);
        if now != before {
            return Some(format!("{now} threads {when}, {before} before"));
        }
    }
    None
}

fn no_traces(_: Scene, record: &Record) -> Option<String> {
    let traces: Vec<&Vec<String>> = record
        .events
        .iter()
        .filter_map(|event| if let Event::Traces(traces) = event { Some(traces) } else { None })
        .collect();
    let [before, after] = traces.as_slice() else { return None };
    let count = |trace: &&String| !trace.starts_with("threads ");
    let came = after.iter().filter(count).filter(|trace| !before.contains(trace));
    let went = before.iter().filter(count).filter(|trace| !after.contains(trace));
    let differences: Vec<String> =
        came.map(|trace| format!("now {trace}")).chain(went.map(|trace| format!("before {trace}"))).collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

fn quiet(_: Scene, record: &Record) -> Option<String> {
    (!record.noise.is_empty()).then(|| format!("it wrote {:?}", record.noise))
}

fn in_time(_: Scene, record: &Record) -> Option<String> {
    let slow = record.attempts().into_iter().map(by_itself).find(|took| *took > Duration::from_secs(30))?;
    Some(format!("an attempt took {slow:?}"))
}

fn hidden(_: Scene, record: &Record) -> Option<String> {
    record.events.iter().find_map(|event| match event {
        Event::Asked { hidden: false, answer: Some(_), text, .. } if text != LOGIN_PROMPT => {
            Some(format!("what is typed at {text:?} is shown"))
        }
        _ => None,
    })
}

fn plain_text(_: Scene, record: &Record) -> Option<String> {
    let plain = |c: char| {
        c == '\n' || (!c.is_control() && !('\u{2190}'..='\u{2bff}').contains(&c) && c < '\u{1f000}')
    };
    record.events.iter().find_map(|event| match event {
        Event::Asked { text, .. } | Event::Told { text, .. } if !text.chars().all(plain) => {
            Some(format!("it says {text:?}"))
        }
        _ => None,
    })
}

fn same_person(_: Scene, record: &Record) -> Option<String> {
    record.events.iter().find_map(|event| match event {
        Event::SomebodyElse(name) => Some(format!("{name:?} is signed in")),
        _ => None,
    })
}

fn setcred(_: Scene, record: &Record) -> Option<String> {
    let code = record.codes(Step::Setcred).into_iter().find(|code| !code.is_success())?;
    Some(format!("setcred returned {code} after a success"))
}

fn takes_no(scene: Scene, record: &Record) -> Option<String> {
    // One question of each of two modules is the usual stack.
    const USUAL: usize = 2;
    let unanswered =
        record.events.iter().filter(|event| matches!(event, Event::Asked { answer: None, .. })).count();
    (scene == Scene::Cancelled && unanswered > USUAL).then(|| format!("asked {unanswered} times in vain"))
}

fn one_question(scene: Scene, record: &Record) -> Option<String> {
    if !matches!(scene, Scene::Right | Scene::Instead) {
        return None;
    }
    let asked = record.attempts().into_iter().map(questions).find(|asked| asked.len() > 1)?;
    Some(format!("it asked {asked:?}"))
}

fn one_enter_one_try(_: Scene, record: &Record) -> Option<String> {
    let twice = |asked: Vec<&str>| asked.windows(2).find(|two| two[0] == two[1]).map(|two| two[0].to_owned());
    record
        .attempts()
        .into_iter()
        .map(questions)
        .find_map(twice)
        .map(|text| format!("it asked {text:?} twice"))
}

fn asks_before_it_tells(_: Scene, record: &Record) -> Option<String> {
    record.attempts().into_iter().find_map(|attempt| {
        let told = |event: &Event| matches!(event, Event::Told { error: false, .. });
        let behind = attempt.iter().skip_while(|event| !told(event));
        let asked =
            behind.filter_map(|event| if let Event::Asked { text, .. } = event { Some(text) } else { None });
        asked.map(|text| format!("it told something before it asked {text:?}")).next()
    })
}

fn slower_than_50_ms(_: Scene, record: &Record) -> Option<String> {
    let (code, took) =
        record.attempts().into_iter().filter_map(ending).find(|(_, took)| took.as_millis() <= 50)?;
    Some(format!("it returned {code} after {} ms", took.as_millis()))
}

fn stays_available(_: Scene, record: &Record) -> Option<String> {
    let codes = record.codes(Step::Authenticate);
    let code =
        codes.into_iter().find(|code| [Code::AUTHINFO_UNAVAIL, Code::MODULE_UNKNOWN].contains(code))?;
    Some(format!("it returned {code}"))
}

fn fails_slowly(_: Scene, record: &Record) -> Option<String> {
    let endings = record.attempts().into_iter().filter_map(ending);
    let quick = endings.filter(|(code, took)| !code.is_success() && *took < Duration::from_secs(2)).count();
    (quick > 3).then(|| format!("{quick} failures took less than 2 seconds each"))
}

fn waits_for_a_finger(_: Scene, record: &Record) -> Option<String> {
    let (_, took) = record
        .attempts()
        .into_iter()
        .filter_map(ending)
        .find(|(code, took)| *code == Code::AUTHINFO_UNAVAIL && took.as_millis() <= 250)?;
    Some(format!("it returned PAM_AUTHINFO_UNAVAIL after {} ms", took.as_millis()))
}

fn says_why(_: Scene, record: &Record) -> Option<String> {
    record.attempts().into_iter().find_map(|attempt| {
        let (code, _) = ending(attempt)?;
        let told = attempt.iter().any(|event| matches!(event, Event::Told { .. }));
        (code == Code::AUTHINFO_UNAVAIL && !told).then(|| format!("it returned {code}, and had said nothing"))
    })
}

fn changes_what_expired(_: Scene, record: &Record) -> Option<String> {
    let code = record.codes(Step::Change).into_iter().find(|code| !code.is_success())?;
    Some(format!("the change returned {code}"))
}

fn silent(_: Scene, record: &Record) -> Option<String> {
    // Of each attempt.
    let mut may_tell = false;
    for event in &record.events {
        match event {
            Event::Begun(step) => may_tell = *step == Step::Authenticate,
            Event::Told { error: true, .. } if may_tell => may_tell = false,
            Event::Told { text, .. } => return Some(format!("it told {text:?}")),
            _ => {}
        }
    }
    None
}

fn codes_of_sudo(scene: Scene, record: &Record) -> Option<String> {
    // Who is cancelled may say so: sudo is about to end.
    let codes = record.codes(Step::Authenticate);
    let code = codes.into_iter().find(|code| !code.is_success() && !SURVIVED_BY_SUDO.contains(code))?;
    (scene != Scene::Cancelled).then(|| format!("it returned {code}"))
}

fn within_a_minute(_: Scene, record: &Record) -> Option<String> {
    let took: Duration = record.attempts().into_iter().filter_map(ending).map(|(_, took)| took).sum();
    (took > Duration::from_secs(60)).then(|| format!("they took {took:?}"))
}

/// How an attempt ended, and when, by the clock of a person.
fn ending(attempt: &[Event]) -> Option<(Code, Duration)> {
    let Some(Event::Done { code, .. }) = attempt.last() else { return None };
    let typing = TYPING * u32::try_from(questions(attempt).len()).unwrap_or(u32::MAX);
    Some((*code, by_itself(attempt) + typing))
}

/// How long an attempt took, apart from the typing.
fn by_itself(attempt: &[Event]) -> Duration {
    let time = |event: &Event| match event {
        Event::Done { took, .. } => *took,
        Event::Delay(wanted) => *wanted,
        _ => Duration::ZERO,
    };
    attempt.iter().map(time).sum()
}

fn questions(attempt: &[Event]) -> Vec<&str> {
    let mut texts = Vec::new();
    for event in attempt {
        if let Event::Asked { text, .. } = event {
            texts.push(text.as_str());
        }
    }
    texts
}

fn listed(codes: &[Code]) -> String {
    if codes.is_empty() {
        return "nothing".to_owned();
    }
    codes.iter().map(Code::to_string).collect::<Vec<_>>().join(", ")
}
