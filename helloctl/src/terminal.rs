//! The person's terminal, or the script in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use hello_dbus::Style;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::credentials::{self, Credentials};
use crate::echo::Silence;
use crate::failure::Failure;
use crate::lines::{Line, Lines};
use crate::screen;
use crate::text::plain;

/// Whether what is typed may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// A word from the screen.
    Shown,
    /// A secret.
    Hidden,
}

/// Where a conversation is held.
pub(crate) trait Terminal {
    /// Shows a line of text.
    fn show(&mut self, style: Style, text: &str) -> io::Result<()>;

    /// Asks one question. Giving up the future in the middle must leave the terminal as it was.
    async fn ask(&mut self, question: &str, echo: Echo) -> io::Result<Line>;

    /// Whether a person sits there who can be asked again; a script's next line answers the next question.
    fn can_ask_again(&self) -> bool;

    /// The token of a directory that came along, once.
    fn token(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// The keys that this computer shares with its domain.
    fn keytab(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure>;
}

/// The terminal that this program was started on.
pub(crate) struct Console {
    lines: Lines,
    questions: File,
    kind: Kind,
    credentials: Credentials,
}

#[derive(Debug)]
enum Kind {
    Person(Silence),
    Script,
}

impl Console {
    /// The controlling terminal where standard input is a terminal; else standard input, a line for each question.
    pub(crate) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self {
                lines: Lines::from(stdin.as_fd().try_clone_to_owned()?.into()),
                questions: io::stderr().as_fd().try_clone_to_owned()?.into(),
                kind: Kind::Script,
                credentials: Credentials::default(),
            });
        }
        // Without a controlling terminal the one on standard input can still be spoken to.
        let tty = controlling_terminal().or_else(|_| stdin.as_fd().try_clone_to_owned().map(File::from))?;
        Self::on(tty)
    }

    /// With what hellod may ask of this program and not of the person.
    pub(crate) fn with(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    fn on(tty: File) -> io::Result<Self> {
        let silence = Silence::default();
        silence.watch_job_control()?;
        Ok(Self {
            lines: Lines::from(tty.try_clone()?),
            questions: tty,
            kind: Kind::Person(silence),
            credentials: Credentials::default(),
        })
    }
}

/// `/dev/tty`, which is the person even where the standard streams are not.
pub(crate) fn controlling_terminal() -> io::Result<File> {
    let flags = OFlags::NOCTTY.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty")
}

impl Terminal for Console {
    fn show(&mut self, style: Style, text: &str) -> io::Result<()> {
        match style {
            Style::Info | Style::Call => screen::result(plain(text)).map_err(io::Error::other),
            Style::Error => {
                screen::complaint(plain(text));
                Ok(())
            }
        }
    }

    async fn ask(&mut self, question: &str, echo: Echo) -> io::Result<Line> {
        let question = plain(question);
        match (&self.kind, echo) {
            (Kind::Person(silence), Echo::Hidden) => {
                let _silent = silence.prompt(&self.questions, &question)?;
                self.lines.next().await
            }
            (Kind::Person(_), Echo::Shown) => {
                self.questions.write_all(question.as_bytes())?;
                self.lines.next().await
            }
            (Kind::Script, _) => {
                writeln!(self.questions, "{}", question.trim_end())?;
                self.lines.next().await
            }
        }
    }

    fn can_ask_again(&self) -> bool {
        matches!(self.kind, Kind::Person(_))
    }

    fn token(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.credentials.token.take()
    }

    fn keytab(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        self.credentials.keytab.take().map(|path| credentials::keytab(&path)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    /// A terminal of its own: the end of the person, and that of the program.
    fn terminal() -> (File, File) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let path = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let program = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
        rustix::fs::fcntl_setfl(&person, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        (File::from(person), program)
    }

    fn echoes(tty: &File) -> bool {
        tcgetattr(tty).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Reads the screen until `end` stands there: a terminal hands over what was written in its own time.
    async fn seen(person: &mut File, end: &str) -> String {
        let mut screen = String::new();
        while !screen.ends_with(end) {
            let mut part = [0; 64];
            match person.read(&mut part) {
                Ok(count) => screen.push_str(str::from_utf8(&part[..count]).unwrap()),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        screen
    }

    /// Types once the program asks, because what is typed ahead of a silent prompt is forgotten.
    async fn type_when_asked(person: &mut File, question: &str, keys: &str) -> bool {
        assert_eq!(seen(person, question).await, question);
        let echo = echoes(person);
        person.write_all(keys.as_bytes()).unwrap();
        echo
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_secret_is_read_without_echo_and_the_echo_comes_back() {
        let (mut person, program) = terminal();
        let mut console = Console::on(program.try_clone().unwrap()).unwrap();
        let (line, echo) = tokio::join!(
            console.ask("PIN: ", Echo::Hidden),
            type_when_asked(&mut person, "PIN: ", "271828\n")
        );
        assert_eq!(line.unwrap(), Line::Typed(Zeroizing::new(b"271828".to_vec())));
        assert!(!echo);
        assert!(echoes(&program));
        assert_eq!(seen(&mut person, "\r\n").await, "\r\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_word_that_may_be_seen_is_echoed() {
        let (mut person, program) = terminal();
        let mut console = Console::on(program).unwrap();
        let (line, echo) = tokio::join!(
            console.ask("Word: ", Echo::Shown),
            type_when_asked(&mut person, "Word: ", "river\n")
        );
        assert_eq!(line.unwrap(), Line::Typed(Zeroizing::new(b"river".to_vec())));
        assert!(echo);
        assert_eq!(seen(&mut person, "\r\n").await, "river\r\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn giving_up_in_the_middle_of_a_secret_brings_the_echo_back() {
        let (mut person, program) = terminal();
        let mut console = Console::on(program.try_clone().unwrap()).unwrap();
        let asking = console.ask("PIN: ", Echo::Hidden);
        assert!(tokio::time::timeout(Duration::from_millis(20), asking).await.is_err());
        assert!(echoes(&program));
        assert_eq!(seen(&mut person, "\r\n").await, "PIN: \r\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn keys_pressed_before_a_silent_prompt_do_not_answer_it() {
        let (mut person, program) = terminal();
        let mut console = Console::on(program).unwrap();
        person.write_all(b"early\n").unwrap();
        assert_eq!(seen(&mut person, "\r\n").await, "early\r\n");
        let (line, _) =
            tokio::join!(console.ask("PIN: ", Echo::Hidden), type_when_asked(&mut person, "PIN: ", "late\n"));
        assert_eq!(line.unwrap(), Line::Typed(Zeroizing::new(b"late".to_vec())));
    }
}
