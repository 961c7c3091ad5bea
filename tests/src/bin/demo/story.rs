//! The story: alice gets a PIN, mistypes it once, and signs in with it.

use hello_tests::{ALICE, Lab, Terminal};

use crate::curtain::Curtain;
use crate::stage;

/// Who plays alice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Whoever sits at the terminal.
    Person,
    /// The demo, which checks that everything comes out as it should.
    Played,
}

/// Tells it from the beginning to the end. A step that fails ends it with a panic that says what was expected.
pub(crate) fn tell(curtain: &Curtain, hand: Hand) {
    println!("{TITLE}");
    let lab = stage::empty();
    curtain.over(lab.plug());
    let (world, _polkit) = stage::set(lab);
    let story = Story { lab: &world.lab, hand };
    story.beginning();
    story.enrolment();
    story.sudo();
    story.looking_back();
    story.shell();
}

struct Story<'a> {
    lab: &'a Lab,
    hand: Hand,
}

impl Story<'_> {
    fn beginning(&self) {
        step(
            1,
            "A security chip (TPM) is on. Here it is made of software; in a laptop it is a part of the machine.",
        );
        step(2, "The system's own D-Bus and polkit run, and hellod, which alone talks to the chip.");
        let doctor = self.lab.run_as(ALICE.name, ["helloctl", "doctor"]);
        expect(&doctor.stdout, "Security chip      ok", "helloctl doctor finds the chip");
    }

    fn enrolment(&self) {
        let password = ALICE.password;
        step(
            3,
            "alice wants a PIN. First she proves with her password who she is: nobody else can set one up for her.",
        );
        if self.hand == Hand::Person {
            println!(
                "   You are alice. Your password is: {password}\n   Then choose a PIN of six digits or more, and remember it."
            );
        }
        let lines = [("Password: ", password), ("New PIN: ", PIN), ("The same PIN again: ", PIN)];
        let said = self.play(&["helloctl", "enroll"], &lines, "helloctl enroll");
        if self.hand == Hand::Played {
            expect(&said, "Done.", "the PIN is set up");
        }
        step(
            4,
            "The chip has made a key that never leaves it and that works only with this PIN. The PIN is stored nowhere.",
        );
    }

    fn sudo(&self) {
        step(
            5,
            "The ordinary sudo asks for the PIN. The chip counts wrong ones: 32 in a row lock it, and sudo may use half.",
        );
        if self.hand == Hand::Person {
            println!("   Type a wrong PIN first, and see; then the right one. The password goes, too.");
        }
        let said = self.play(&SUDO, &[(PROMPT, WRONG), (PROMPT, PIN)], "sudo");
        if self.hand == Hand::Played {
            expect(
                &said,
                "Wrong PIN. 15 tries left.",
                "the wrong PIN is refused, with the tries that are left",
            );
            expect(&said, "root\r\n", "the right PIN lets sudo run the command as root");
        }
        step(
            6,
            "At the right PIN the chip signed a fresh challenge, and hellod checked the signature: that is the sign-in.",
        );
    }

    fn looking_back(&self) {
        step(7, "Whoever looks after the machine sees what happened. No PIN is in it, not even its length.");
        let events = self.run(&["helloctl", "events"], "");
        let status = self.run(&["helloctl", "status"], STATUS);
        if self.hand == Hand::Played {
            for (event, what) in
                [("8200", "the enrolment"), ("6400", "the wrong PIN"), ("8400", "the sign-in")]
            {
                expect(&events, event, &format!("helloctl events shows {what}, event {event}"));
            }
            expect(&status, "Enrolled : YES", "helloctl status shows the PIN");
        }
    }

    fn shell(&self) {
        if self.hand == Hand::Played {
            return;
        }
        step(8, "Now it is yours: you are alice, until you type exit. Try these, or break what you like.");
        println!(
            "   sudo -k; sudo true      su - alice      helloctl status      helloctl pin change      helloctl unenroll"
        );
        self.terminal(&["sh", "-c", SHELL]).hand_over();
    }

    /// Runs a program that asks nothing, and shows what it prints, or of it only the lines that begin with one of the words.
    fn run(&self, argv: &[&str], words: &str) -> String {
        println!("   $ {}", argv.join(" "));
        let said = self.lab.run_as(ALICE.name, argv).ok().to_owned();
        let wanted = |line: &&str| {
            words.is_empty()
                || words.split(' ').any(|word| line.split(' ').find(|part| !part.is_empty()) == Some(word))
        };
        said.lines().filter(wanted).for_each(|line| println!("   {line}"));
        said
    }

    /// Runs a program that asks questions; the lines are what is answered where the demo plays alice.
    fn play(&self, argv: &[&str], lines: &[(&str, &str)], name: &str) -> String {
        println!("   $ {}", argv.join(" "));
        let mut terminal = self.terminal(argv);
        if self.hand == Hand::Person {
            let status = terminal.hand_over();
            assert!(status.success(), "{name} was to succeed, and ended with {status}");
            return terminal.output();
        }
        for (prompt, answer) in lines {
            let seen = terminal.expect(prompt);
            shown(&seen.before);
            println!("   {prompt}[types {answer}]");
            terminal.send_secret(answer);
        }
        let before = terminal.output();
        let (status, _) = terminal.finish();
        let said = terminal.output();
        shown(said.get(before.len()..).unwrap_or_default());
        assert!(status.success(), "{name} was to succeed, and ended with {status}; it said: {said:?}");
        said
    }

    fn terminal(&self, argv: &[&str]) -> Terminal {
        self.lab.pty(ALICE.name, argv)
    }
}

/// Announces a step.
pub(crate) fn step(number: u32, text: &str) {
    println!("{}{number}. {text}", if number == 2 { "" } else { "\n" });
}

/// What a program printed, without colours, rulers and empty lines.
pub(crate) fn shown(text: &str) {
    let lines = text.lines().map(plain).filter(|line| !line.is_empty() && !line.starts_with("===="));
    lines.for_each(|line| println!("   {line}"));
}

/// The line without what colours it (ECMA-48, 8.3.117).
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    rest.fold(first, |line, part| line + part).trim_end().to_owned()
}

/// Ends the demo where something was not said.
pub(crate) fn expect(said: &str, text: &str, what: &str) {
    assert!(said.contains(text), "expected that {what}: {text:?} in {said:?}");
}

const TITLE: &str = "\
Hello for Linux: a PIN that a security chip checks.
This is a machine of its own inside yours: your logins, files and services are untouched, and when it ends,
or at Ctrl-C, nothing of it is left.";

/// A shell for whoever sits at the terminal.
pub(crate) const SHELL: &str = "cd; TERM=xterm PS1='alice@demo:\\w\\$ ' exec bash --norc -i";
/// Of `helloctl status`, what the story is about.
const STATUS: &str = "Enrolled Protector Left Locked Result";
pub(crate) const PROMPT: &str = "PIN or password: ";
const SUDO: [&str; 3] = ["sudo", "id", "-un"];
pub(crate) const PIN: &str = "271828";
const WRONG: &str = "161803";
