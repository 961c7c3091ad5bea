//! The story in an organisation: a computer joins its directory, alice's PIN is registered there as dora's, and signs her in with
//! the directory, without it, and no more when it says no. The demo plays all of it; whoever sits at the terminal is alice then.

use hello_tests::{ALICE, Corp, DOMAIN, DORA, DORAS_PASSWORD, Terminal};
use serde_json::{Value, json};

use crate::curtain::Curtain;
use crate::stage::{RULE, RULES};
use crate::story::{Hand, PIN, PROMPT, SHELL, expect, shown, step};

/// What an organisation knows its people by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A tenant of Entra ID.
    Entra,
    /// An AD FS of its own.
    AdFs,
}

impl Provider {
    /// Reads the word for it.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "entra" => Some(Self::Entra),
            "adfs" => Some(Self::AdFs),
            _ => None,
        }
    }

    fn switches(self) -> Value {
        json!({ "no_tenant": self == Self::AdFs })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Entra => "Entra ID",
            Self::AdFs => "an AD FS of its own",
        }
    }

    /// For which application of the organisation's a token is fetched.
    fn resource(self) -> &'static str {
        match self {
            Self::Entra => "https://graph.microsoft.com",
            Self::AdFs => "https://app.corp.example",
        }
    }
}

/// Tells it from the beginning to the end. A step that fails ends it with a panic that says what was expected.
pub(crate) fn tell(curtain: &Curtain, hand: Hand, provider: Provider) {
    println!("{TITLE}");
    let corp = Corp::with(provider.switches());
    curtain.over(corp.lab.plug());
    let story = Story { corp: &corp, provider };
    story.joining();
    story.enrolment();
    story.signing_in();
    story.a_token();
    story.without_a_network();
    story.refused();
    if hand == Hand::Person {
        corp.lab.write(RULES, RULE, 0o644);
        let _polkit = corp.lab.polkit();
        step(
            9,
            &format!(
                "Now it is yours: you are alice, until you type exit. The PIN is {PIN}, the password {}.",
                ALICE.password
            ),
        );
        println!("   Try these, or break what you like:");
        println!("   sudo -k; sudo true      helloctl status      helloctl pin change      helloctl reset");
        println!("   helloctl token --resource {} --show", provider.resource());
        corp.lab.pty(ALICE.name, ["sh", "-c", SHELL]).hand_over();
    }
}

struct Story<'a> {
    corp: &'a Corp,
    provider: Provider,
}

impl Story<'_> {
    fn joining(&self) {
        let corp = self.corp;
        step(
            1,
            &format!(
                "An organisation, {DOMAIN}, with {}; and a computer with a security chip (TPM).",
                self.provider.name()
            ),
        );
        println!(
            "   What stands for Microsoft's side is a program of this project: nothing leaves this machine."
        );
        match self.provider {
            Provider::Entra => {
                step(
                    2,
                    "Root joins the computer, and dora signs in for that. Two keys are made in the chip for it.",
                );
                let answers = [
                    ("Your name there (name@domain): ", DORA),
                    ("Password of dora@corp.example: ", DORAS_PASSWORD),
                ];
                self.play("root", &["helloctl", "join", DOMAIN, "--sign-in", "password"], &answers);
            }
            Provider::AdFs => {
                step(
                    2,
                    "Root joins the computer. An AD FS takes a computer's own token, which a script has fetched before.",
                );
                corp.write_the_computers_token();
                self.play("root", &["helloctl", "join", DOMAIN, "--token-file", "/root/token"], &[]);
            }
        }
        assert_eq!(corp.devices().len(), 1, "the directory has one device now");
    }

    fn enrolment(&self) {
        step(
            3,
            "alice gets a PIN, and the directory its key. A code is shown, which dora types on her telephone: there she",
        );
        println!(
            "   signs in, with a second factor. Then the PIN is chosen. alice here is dora there, and the demo plays both."
        );
        let argv = ["helloctl", "enroll", "--user", ALICE.name];
        println!("   # {}", argv.join(" "));
        let mut terminal = self.corp.lab.pty("root", argv);
        let code = self.corp.approve(&mut terminal);
        println!("   On any device, open … and type the code     {code}");
        self.answers(&mut terminal, &[("New PIN: ", PIN), ("The same PIN again: ", PIN)]);
        let said = finished(terminal, "helloctl enroll");
        shown(said.lines().rfind(|line| line.contains("Done.")).unwrap_or_default());
        expect(&said, "Signed in as dora@corp.example", "the directory says who it is");
    }

    fn signing_in(&self) {
        step(
            4,
            "The ordinary sudo asks for the PIN. The chip signs twice: for the person, and for the computer around that.",
        );
        self.corp.asked();
        let said = self.sudo();
        expect(&said, "root\r\n", "the PIN lets sudo run the command as root");
        self.events("signed in with the PIN");
        step(5, "The directory has looked at both signatures, and said yes: in one request after the PIN.");
    }

    fn a_token(&self) {
        let resource = self.provider.resource();
        step(
            6,
            "What it has sent along serves alice's programs: a token for an application, without another question.",
        );
        let argv = ["helloctl", "token", "--resource", resource, "--show"];
        println!("   $ {}", argv.join(" "));
        let token = hello_tests::until("the tokens of the sign-in to be kept", hello_tests::PATIENCE, || {
            let said = self.corp.lab.run_as(ALICE.name, argv);
            said.success().then(|| said.stdout.clone())
        });
        expect(&token, "eyJ", "a token is printed");
        println!("   {}… ({} letters)", token.get(..24).unwrap_or_default(), token.trim().len());
    }

    fn without_a_network(&self) {
        step(
            7,
            "The cable is pulled. The chip checks the PIN all the same; for two weeks, unless the policy says otherwise.",
        );
        self.corp.order(&json!({"do": "fault", "path": "", "kind": "drop", "count": 9999}));
        expect(&self.sudo(), "root\r\n", "the PIN works without the directory");
        self.events("while the identity provider could not be reached");
        self.corp.order(&json!({"do": "clear-faults"}));
    }

    fn refused(&self) {
        step(
            8,
            "dora is disabled there. The right PIN is right, and lets nobody in: not now, and with the cable pulled neither.",
        );
        self.corp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": false}));
        let mut su = self.su();
        loop {
            su.expect(PROMPT);
            println!("   {PROMPT}[types {PIN}]");
            su.send_secret(PIN);
            // An AD FS does not say why it refuses: the PIN is asked for once more, in case the answer was only too old.
            if su.which(&[ONCE_MORE, NOT_IN], hello_tests::PATIENCE) == Some(1) {
                println!("   Your PIN was right, but {NOT_IN}.");
                break;
            }
            println!("   Your PIN was right, but {ONCE_MORE}.");
        }
        drop(su);
        self.corp.order(&json!({"do": "fault", "path": "", "kind": "drop", "count": 9999}));
        let mut su = self.su();
        su.expect(PROMPT);
        println!("   {PROMPT}[types {PIN}]");
        su.send_secret(PIN);
        su.expect(REFUSED);
        println!("   Your PIN was right, but {REFUSED}. (The cable is pulled.)");
        drop(su);
        self.corp.order(&json!({"do": "clear-faults"}));
        self.corp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": true}));
        expect(&self.sudo(), "root\r\n", "the next yes lets her in again");
        println!("   Enabled again, she is let in again.");
    }

    fn su(&self) -> Terminal {
        println!("   $ su alice");
        self.corp.su()
    }

    fn sudo(&self) -> String {
        self.corp.lab.run_as(ALICE.name, ["sudo", "-k"]);
        self.play(ALICE.name, &["sudo", "id", "-un"], &[(PROMPT, PIN)])
    }

    fn events(&self, sentence: &str) {
        let events = self.corp.lab.run_as(ALICE.name, ["helloctl", "events", "--limit", "1"]).ok().to_owned();
        expect(&events, sentence, &format!("helloctl events has {sentence:?}"));
        shown(&events);
    }

    fn play(&self, who: &str, argv: &[&str], lines: &[(&str, &str)]) -> String {
        println!("   {} {}", if who == "root" { '#' } else { '$' }, argv.join(" "));
        let mut terminal = self.corp.lab.pty(who, argv);
        self.answers(&mut terminal, lines);
        let before = terminal.output();
        let said = finished(terminal, argv.first().unwrap_or(&""));
        shown(said.get(before.len()..).unwrap_or_default());
        said
    }

    fn answers(&self, terminal: &mut Terminal, lines: &[(&str, &str)]) {
        for (prompt, answer) in lines {
            let seen = terminal.expect(prompt);
            shown(&without_the_square(&seen.before));
            println!("   {prompt}[types {answer}]");
            if prompt.contains('@') && prompt.starts_with("Your name") {
                terminal.send_line(answer);
            } else {
                terminal.send_secret(answer);
            }
        }
    }
}

/// What is for people, and not for the camera of a telephone.
fn without_the_square(text: &str) -> String {
    let words = |line: &&str| !line.contains(['█', '▀', '▄']) && !line.contains("The code holds for");
    text.lines().filter(words).collect::<Vec<_>>().join("\n")
}

fn finished(mut terminal: Terminal, name: &str) -> String {
    let (status, _) = terminal.finish();
    let said = terminal.output();
    assert!(status.success(), "{name} was to succeed, and ended with {status}; it said: {said:?}");
    said
}

const ONCE_MORE: &str = "your organisation wants to hear it once more";
const NOT_IN: &str = "your organisation does not let you in";
const REFUSED: &str = "your organisation has refused you";

const TITLE: &str = "\
Hello for Linux: a PIN that a security chip checks and an organisation's directory knows.
This is a machine of its own inside yours: your logins, files and services are untouched, and when it ends,
or at Ctrl-C, nothing of it is left.";
