//! An actor: one process that does to a module what one program does, writes down what happens, and judges nothing.

use std::cell::RefCell;
use std::ffi::CString;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::syslog::{Facility, Priority, Severity, syslog};

use crate::code::Code;
use crate::ffi::{Call, Converse, Handle, Item, Message, Style};
use crate::persona::{Persona, Scene};
use crate::record::{Event, Step};
use crate::traces;

/// Who sits in front of the program, and what they know.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Login name.
    pub name: String,
    /// What lets them in.
    pub right: String,
    /// What doesn't.
    pub wrong: String,
    /// What does, too; empty where there is nothing of the kind.
    pub instead: String,
    /// What they answer in [`Scene::Script`].
    pub script: Vec<Answer>,
}

/// Something to be typed, and its name in what is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its name.
    pub name: String,
    /// What is typed; [`Answer::READ`] where that stands in the question.
    pub text: String,
}

impl Answer {
    /// Typed is the word that the question has between quotation marks.
    pub const READ: &'static str = "\"";

    /// What is typed to that question.
    fn to(&self, question: &str) -> String {
        let read = (self.text == Self::READ).then(|| question.split('"').nth(1)).flatten();
        read.unwrap_or(&self.text).to_owned()
    }
}

/// Plays the scene, with the service files of the directory.
pub fn play(persona: Persona, scene: Scene, person: &Person, directory: &Path) {
    let play = || {
        log(persona, scene);
        let actor = Actor { persona, scene, person, directory, desk: Rc::default() };
        write(&Event::Traces(traces::of_this_process()));
        actor.play();
        write(&Event::Traces(traces::of_this_process()));
    };
    if persona == Persona::Hyprlock {
        // It has one thread that draws, and one for PAM.
        std::thread::scope(|threads| threads.spawn(play).join()).unwrap_or_default();
    } else {
        play();
    }
}

struct Actor<'a> {
    persona: Persona,
    scene: Scene,
    person: &'a Person,
    directory: &'a Path,
    desk: Rc<RefCell<Desk>>,
}

/// What is between the person and the program.
#[derive(Default)]
struct Desk {
    /// How often the person has typed something, over all tries.
    typed: u32,
    /// Questions in this try.
    asked: u32,
    /// The words of the last one.
    last: Option<String>,
    /// What was typed last.
    buffer: Option<Answer>,
    /// Whether something was told in this try that is no error.
    told: bool,
    /// How long libpam wants the program to wait after this try.
    delay: Duration,
}

impl Actor<'_> {
    fn play(&self) {
        let mut handle = self.start();
        let tries = match self.scene {
            // Whoever types the right thing need not type it again.
            Scene::Right | Scene::Instead => 1,
            Scene::Mistyped | Scene::Cancelled | Scene::Wrong | Scene::Script => self.persona.tries(),
        };
        for attempt in 0..tries {
            let Some(open) = handle.as_mut() else { return };
            let start = Instant::now();
            let code = self.authenticate(open);
            if code.is_success() {
                let user = open.user().unwrap_or_default();
                if user != self.person.name {
                    write(&Event::SomebodyElse(user));
                }
                let unlocks = self.persona == Persona::Gdm && self.scene != Scene::Script;
                if self.go_on(open) && unlocks {
                    drop(handle);
                    self.unlock();
                }
                return;
            }
            let desk = self.desk.borrow();
            let took = start.elapsed() + desk.delay + TYPING * desk.asked;
            drop(desk);
            if self.gives_up(code, took) || attempt + 1 == tries {
                return;
            }
            if self.persona == Persona::Login {
                open.set(Item::User, None);
            }
            if !self.persona.reuses_its_handle() {
                drop(handle);
                handle = self.start();
            }
        }
    }

    fn authenticate(&self, handle: &mut Handle) -> Code {
        let mut desk = self.desk.borrow_mut();
        desk.asked = 0;
        desk.last = None;
        desk.told = false;
        desk.delay = Duration::ZERO;
        drop(desk);
        step(handle, Step::Authenticate, Call::Authenticate, self.flags())
    }

    fn start(&self) -> Option<Handle> {
        let person = Typist {
            types: self.types(),
            name: self.person.name.clone(),
            persona: self.persona,
            desk: Rc::clone(&self.desk),
        };
        // login doesn't know yet who comes.
        let user = (self.persona != Persona::Login).then_some(self.person.name.as_str());
        let started = Handle::start(self.persona.service(), user, self.directory, Box::new(person));
        let mut handle = match started {
            Ok(handle) => handle,
            Err(code) => {
                write(&Event::Begun(Step::Authenticate));
                write(&Event::Done { step: Step::Authenticate, code, took: Duration::ZERO });
                return None;
            }
        };
        match self.persona {
            Persona::Login => {
                handle.set(Item::UserPrompt, Some(LOGIN_PROMPT));
                handle.set(Item::Tty, Some("tty1"));
            }
            Persona::Gdm | Persona::Lightdm => {
                handle.set(Item::UserPrompt, Some("Username:"));
                handle.set(Item::Tty, Some("tty7"));
                handle.set(Item::XDisplay, Some(":0"));
            }
            Persona::Sudo | Persona::SudoLogin | Persona::SudoRs => {
                handle.set(Item::RUser, Some(&self.person.name));
                handle.set(Item::Tty, Some("/dev/pts/0"));
            }
            Persona::I3lock => handle.set(Item::Tty, Some(":0")),
            Persona::Polkit => handle.set(Item::RUser, Some(&self.person.name)),
            _ => {}
        }
        Some(handle)
    }

    fn types(&self) -> Types {
        let answer = |name: &str, text: &String| Answer { name: name.to_owned(), text: text.clone() };
        let (right, wrong) = (answer("right", &self.person.right), answer("wrong", &self.person.wrong));
        match self.scene {
            Scene::Right => Types::Always(right),
            Scene::Mistyped => Types::First(wrong, right),
            Scene::Instead => Types::Always(answer("instead", &self.person.instead)),
            Scene::Wrong => Types::Always(wrong),
            Scene::Cancelled => Types::Nothing,
            Scene::Script => Types::Each(self.person.script.clone()),
        }
    }

    fn flags(&self) -> u32 {
        match self.persona {
            Persona::Sudo | Persona::SudoLogin => SILENT,
            Persona::Gdm | Persona::SudoRs => DISALLOW_NULL_AUTHTOK,
            _ => 0,
        }
    }

    /// What the program makes of a failure.
    fn gives_up(&self, code: Code, after: Duration) -> bool {
        // Nobody stays in front of a program that they walked away from.
        let gone = self.types().is_done(self.desk.borrow().typed);
        let broken = match self.persona {
            Persona::Kscreenlocker => {
                after <= Duration::from_millis(50)
                    || [Code::AUTHINFO_UNAVAIL, Code::MODULE_UNKNOWN].contains(&code)
            }
            Persona::KscreenlockerFingerprint => after <= Duration::from_millis(250),
            Persona::Gdm => [Code::AUTHINFO_UNAVAIL, Code::MODULE_UNKNOWN].contains(&code),
            Persona::Sudo | Persona::SudoLogin | Persona::SudoRs => !SURVIVED_BY_SUDO.contains(&code),
            Persona::Login => code == Code::ABORT || code == Code::MAXTRIES,
            _ => false,
        };
        gone || broken
    }

    /// From a success to the session, and out of it. Whether everything went well.
    fn go_on(&self, handle: &mut Handle) -> bool {
        let silent = self.flags() & SILENT;
        if matches!(
            self.persona,
            Persona::Swaylock | Persona::I3lock | Persona::Kscreenlocker | Persona::KscreenlockerFingerprint
        ) {
            return step(handle, Step::Setcred, Call::Setcred, REFRESH_CRED).is_success();
        }
        if self.persona == Persona::Hyprlock {
            return true;
        }
        let account = step(handle, Step::Account, Call::Account, silent);
        let admitted = match account {
            Code::NEW_AUTHTOK_REQD if self.persona != Persona::Polkit => {
                step(handle, Step::Change, Call::Chauthtok, silent | CHANGE_EXPIRED_AUTHTOK)
            }
            code => code,
        };
        if !admitted.is_success() || self.persona == Persona::Polkit {
            return admitted.is_success();
        }
        let established = if self.persona.is_sudo() { REINITIALIZE_CRED } else { ESTABLISH_CRED } | silent;
        [
            (Step::Setcred, Call::Setcred, established),
            (Step::Session, Call::Open, silent),
            (Step::Session, Call::Close, silent),
            (Step::Setcred, Call::Setcred, DELETE_CRED | silent),
        ]
        .into_iter()
        .all(|(name, call, flags)| step(handle, name, call, flags).is_success())
    }

    /// GDM's way back into a session that is there: the account's state is asked for, and doesn't matter.
    fn unlock(&self) {
        let Some(mut handle) = self.start() else { return };
        if self.authenticate(&mut handle).is_success() {
            let _ = handle.call(Call::Account, 0);
            step(&mut handle, Step::Setcred, Call::Setcred, REINITIALIZE_CRED);
        }
    }
}

enum Types {
    Always(Answer),
    /// Once the one, then the other.
    First(Answer, Answer),
    /// One after the other, and then nothing.
    Each(Vec<Answer>),
    Nothing,
}

impl Types {
    fn next(&self, typed: &mut u32) -> Option<Answer> {
        *typed += 1;
        match self {
            Self::Always(answer) => Some(answer.clone()),
            Self::First(answer, _) if *typed == 1 => Some(answer.clone()),
            Self::First(_, answer) => Some(answer.clone()),
            Self::Each(answers) => answers.get(usize::try_from(*typed).ok()?.checked_sub(1)?).cloned(),
            Self::Nothing => None,
        }
    }

    /// Whether nothing is typed any more.
    fn is_done(&self, typed: u32) -> bool {
        match self {
            Self::Always(_) | Self::First(..) => false,
            Self::Each(answers) => usize::try_from(typed).is_ok_and(|typed| typed >= answers.len()),
            Self::Nothing => true,
        }
    }
}

/// The program's conversation, and the person behind it.
struct Typist {
    types: Types,
    name: String,
    persona: Persona,
    desk: Rc<RefCell<Desk>>,
}

impl Typist {
    fn answer(&self, message: &Message) -> Result<Answer, Code> {
        let mut desk = self.desk.borrow_mut();
        if message.style == Style::Shown && message.text == LOGIN_PROMPT {
            return Ok(Answer { name: "name".to_owned(), text: self.name.clone() });
        }
        desk.asked += 1;
        if desk.asked > ENDURANCE {
            return Err(Code::CONV_ERR);
        }
        let before = desk.last.replace(message.text.clone());
        match self.persona {
            // What was typed is used up: there is nothing to answer a second question with (pam.c).
            Persona::Swaylock if before.is_some() => Err(Code::ABORT),
            // The same words get the same answer, other words make a new field.
            Persona::Hyprlock if before.as_ref() == Some(&message.text) => {
                desk.buffer.clone().ok_or(Code::CONV_ERR)
            }
            // The forms of a change of the password, which it expects since it was told something, don't fit the question (0.19).
            Persona::Sddm if desk.told => Err(Code::CONV_ERR),
            // What was typed before there was a question (Display::slotRequestChanged, conv_callback).
            Persona::Sddm | Persona::I3lock if before.is_some() => desk.buffer.clone().ok_or(Code::CONV_ERR),
            _ => {
                let typed = self.types.next(&mut desk.typed);
                desk.buffer.clone_from(&typed);
                typed.ok_or(Code::CONV_ERR)
            }
        }
    }
}

impl Converse for Typist {
    fn converse(&mut self, messages: &[Message]) -> Result<Vec<Option<CString>>, Code> {
        let mut replies = Vec::new();
        for message in messages {
            match message.style {
                Style::Hidden | Style::Shown => {
                    let answer = self.answer(message);
                    write(&Event::Asked {
                        hidden: message.style == Style::Hidden,
                        answer: answer.as_ref().ok().map(|answer| answer.name.clone()),
                        threads: traces::threads(),
                        text: message.text.clone(),
                    });
                    replies.push(CString::new(answer?.to(&message.text)).ok());
                }
                Style::Error | Style::Text | Style::Other => {
                    let error = message.style == Style::Error;
                    self.desk.borrow_mut().told |= !error;
                    write(&Event::Told { error, text: message.text.clone() });
                    replies.push(None);
                }
            }
        }
        Ok(replies)
    }

    fn delay(&mut self, wanted: Duration) {
        // Written down, and not waited for: the verdict counts it as time all the same.
        write(&Event::Delay(wanted));
        self.desk.borrow_mut().delay += wanted;
    }
}

fn step(handle: &mut Handle, step: Step, call: Call, flags: u32) -> Code {
    write(&Event::Begun(step));
    let start = Instant::now();
    let code = handle.call(call, flags);
    write(&Event::Done { step, code, took: start.elapsed() });
    code
}

/// Every one of these programs has logged something before it asks, and the C library keeps the socket: it is not the module's.
fn log(persona: Persona, scene: Scene) {
    let words = format!("surfaces: {} begins, scene {}", persona.name(), scene.name());
    // Where there is no journal, nobody keeps a socket.
    let _ = syslog(Priority::new(Severity::LOG_INFO, Facility::LOG_AUTH), &words);
}

/// At once, so that it is there whatever the module does next.
fn write(event: &Event) {
    let mut stdout = io::stdout().lock();
    // Whoever reads it is gone if this fails.
    let _ = stdout.write_all(event.line().as_bytes()).and_then(|()| stdout.flush());
}

/// How long a person looks at a question and types; the actors don't.
pub(crate) const TYPING: Duration = Duration::from_secs(1);

pub(crate) const LOGIN_PROMPT: &str = "login: ";

/// Questions after which anybody walks away.
const ENDURANCE: u32 = 12;

/// The codes after which sudo asks again; any other is fatal to it (plugins/sudoers/auth/pam.c).
pub(crate) const SURVIVED_BY_SUDO: [Code; 4] =
    [Code::AUTH_ERR, Code::AUTHINFO_UNAVAIL, Code::MAXTRIES, Code::PERM_DENIED];

const SILENT: u32 = 0x8000;
const DISALLOW_NULL_AUTHTOK: u32 = 0x1;
const ESTABLISH_CRED: u32 = 0x2;
const DELETE_CRED: u32 = 0x4;
const REINITIALIZE_CRED: u32 = 0x8;
const REFRESH_CRED: u32 = 0x10;
const CHANGE_EXPIRED_AUTHTOK: u32 = 0x20;
