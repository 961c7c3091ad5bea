//! The command line of the suite.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use surfaces::{Answer, Finding, Person, Persona, RULES, Record, Sandbox, Scene, Stage, play, sandbox};

const USAGE: &str = "\
Plays lockers, greeters and sudo against PAM modules, and says which rules were kept.

surfaces --user NAME (--stack FILE | --directory DIR) [--personas A,B] [--scenes A,B] [--verbose]
surfaces tell --user NAME (--stack FILE | --directory DIR) [--personas A,B]
surfaces rules

--stack FILE      the service file that every program gets, in a directory of its own
--directory DIR   the service files of the programs, such as /etc/pam.d
--verbose         the rules that were kept, too, and everything that happened

The secrets come from standard input, a line each: what lets NAME in, what doesn't, and, where
there is one, what lets NAME in instead (the password, where a PIN is asked for). `right`,
`mistyped` and `instead` are played only where the secret for them is given.

`tell` judges nothing. It says what a person meets who answers so: from standard input come two
lines for each answer, its name in what is told, and what is typed; a lone quotation mark types
the word that the question has between two. Whoever has no answer left walks away.

It ends with 0 when all rules were kept, 1 when one was broken, 2 when it couldn't play.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["act", persona, scene, name, directory] => act(persona, scene, name, Path::new(directory)),
        ["rules"] => Ok((rules(), true)),
        ["tell", words @ ..] => Order::read(words).and_then(|order| order.tell()),
        words => Order::read(words).and_then(|order| order.carry_out()),
    };
    let (text, code) = match ended {
        Ok((text, true)) => (text, ExitCode::SUCCESS),
        Ok((text, false)) => (text, ExitCode::FAILURE),
        Err(why) => (format!("{why}\n"), ExitCode::from(2)),
    };
    // Whoever would have read it is gone if this fails.
    let _ = io::stdout().write_all(text.as_bytes());
    code
}

/// What the suite starts for each scene.
fn act(persona: &str, scene: &str, name: &str, directory: &Path) -> Result<(String, bool), String> {
    let (Some(persona), Some(scene)) = (Persona::named(persona), Scene::named(scene)) else {
        return Err(USAGE.to_owned());
    };
    let mut lines = typed()?;
    let script = answers(&lines.split_off(lines.len().min(3)));
    play(persona, scene, &Person { script, ..person(name, lines) }, directory);
    Ok((String::new(), true))
}

fn typed() -> Result<Vec<String>, String> {
    let mut typed = String::new();
    io::stdin().read_to_string(&mut typed).map_err(|error| format!("standard input: {error}"))?;
    Ok(typed.lines().map(str::to_owned).collect())
}

fn person(name: &str, secrets: Vec<String>) -> Person {
    let mut secrets = secrets.into_iter();
    let mut secret = || secrets.next().unwrap_or_default();
    let (right, wrong, instead) = (secret(), secret(), secret());
    Person { name: name.to_owned(), right, wrong, instead, script: Vec::new() }
}

fn answers(lines: &[String]) -> Vec<Answer> {
    let answer = |lines: &[String]| Answer {
        name: lines.first().cloned().unwrap_or_default(),
        text: lines.get(1).cloned().unwrap_or_default(),
    };
    lines.chunks(2).map(answer).collect()
}

struct Order {
    user: String,
    stack: Option<String>,
    directory: Option<String>,
    personas: Vec<Persona>,
    scenes: Vec<Scene>,
    verbose: bool,
}

impl Order {
    fn read(words: &[&str]) -> Result<Self, String> {
        let mut order = Self {
            user: String::new(),
            stack: None,
            directory: None,
            personas: Persona::ALL.to_vec(),
            scenes: Scene::ALL.to_vec(),
            verbose: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--verbose" {
                order.verbose = true;
                continue;
            }
            let value = words.next().ok_or(USAGE)?;
            match *word {
                "--user" => order.user = (*value).to_owned(),
                "--stack" => order.stack = Some((*value).to_owned()),
                "--directory" => order.directory = Some((*value).to_owned()),
                "--personas" => order.personas = named(value, Persona::named)?,
                "--scenes" => order.scenes = named(value, Scene::named)?,
                _ => return Err(USAGE.to_owned()),
            }
        }
        let given = !order.user.is_empty() && order.stack.is_some() != order.directory.is_some();
        if given { Ok(order) } else { Err(USAGE.to_owned()) }
    }

    /// What somebody meets who answers as standard input says.
    fn tell(self) -> Result<(String, bool), String> {
        let person = Person { script: answers(&typed()?), ..person(&self.user, Vec::new()) };
        let stage = self.stage(person)?;
        let mut text = String::new();
        for persona in self.personas {
            let record = stage.play(persona, Scene::Script).map_err(|error| error.to_string())?;
            text += &format!("{}\n\n{}\n", persona.name(), record.story());
        }
        Ok((text, true))
    }

    fn stage(&self, person: Person) -> Result<Stage, String> {
        match (&self.stack, &self.directory) {
            (Some(stack), _) => {
                let text = std::fs::read_to_string(stack).map_err(|error| format!("{stack}: {error}"))?;
                Stage::with_stack(person, &text).map_err(|error| error.to_string())
            }
            (None, directory) => {
                let directory = directory.as_deref().unwrap_or("/etc/pam.d");
                Ok(Stage::with_directory(person, Path::new(directory)))
            }
        }
    }

    fn carry_out(self) -> Result<(String, bool), String> {
        let person = person(&self.user, typed()?);
        let possible = |scene: &Scene| match scene {
            Scene::Right | Scene::Mistyped => !person.right.is_empty(),
            Scene::Instead => !person.instead.is_empty(),
            Scene::Cancelled | Scene::Wrong => true,
            Scene::Script => false,
        };
        let scenes: Vec<Scene> = self.scenes.iter().copied().filter(possible).collect();
        let stage = self.stage(person)?;
        let (mut text, mut kept) = (String::new(), true);
        for persona in self.personas {
            if persona == Persona::Polkit && sandbox() == Sandbox::Partly {
                text += "note    polkit: no systemd here, so of its sandbox only the network and new privileges are shut\n";
            }
            for scene in &scenes {
                let (record, findings) = stage.judge(persona, *scene).map_err(|error| error.to_string())?;
                kept &= findings.iter().all(|finding| finding.broken.is_none());
                text += &verdict(&findings, self.verbose);
                if self.verbose {
                    text += &story(&record);
                }
            }
        }
        Ok((text, kept))
    }
}

fn named<T>(names: &str, of: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    names.split(',').map(|name| of(name).ok_or_else(|| format!("there is no {name}"))).collect()
}

/// A line for each rule that was broken; or one that says that none was.
fn verdict(findings: &[Finding], verbose: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let who = format!("{}/{} {}", finding.persona.name(), finding.scene.name(), finding.rule);
        // Writing to a text can't fail.
        let _ = match &finding.broken {
            Some(seen) => writeln!(text, "broken  {who}: {seen}. {}", finding.text),
            None if verbose => writeln!(text, "kept    {who}: {}", finding.text),
            None => Ok(()),
        };
    }
    match findings.first() {
        Some(first) if text.is_empty() => {
            format!("kept    {}/{}: all {} rules\n", first.persona.name(), first.scene.name(), findings.len())
        }
        _ => text,
    }
}

fn story(record: &Record) -> String {
    record.events.iter().map(|event| format!("        {event:?}\n")).collect()
}

fn rules() -> String {
    let mut text = String::new();
    for rule in &RULES {
        let everybody = Persona::ALL.into_iter().all(|persona| rule.concerns(persona));
        let names: Vec<_> =
            Persona::ALL.into_iter().filter(|persona| rule.concerns(*persona)).map(Persona::name).collect();
        let whose = if everybody { "all".to_owned() } else { names.join(", ") };
        // Writing to a text can't fail.
        let _ = writeln!(text, "{} ({whose}): {}", rule.name, rule.text);
    }
    text
}
