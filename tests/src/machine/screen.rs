//! The screen of a machine, its keyboard, and whoever sits before it.
//!
//! What is on the screen is known from inside: GDM says what PAM has asked, logind which session is locked. The pictures are
//! for people.

use std::fs;
use std::time::{Duration, Instant};

use super::{Machine, PATIENCE};
use crate::Person;
use crate::programs::target_directory;
use crate::wait::pause;

impl Machine {
    /// Presses keys together, by the names that QEMU has for them: `ret`, `meta_l-l`.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.rested = false;
        let said = self.monitor.command(&format!("sendkey {keys}"));
        assert_eq!(said, "", "from QEMU");
    }

    /// Types letters and digits into the field on the screen, and Enter.
    #[track_caller]
    pub fn type_line(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '-' => self.press("minus"),
                letter => self.press(&letter.to_string()),
            }
            wait(Duration::from_millis(300));
        }
        self.press("ret");
    }

    /// Keeps a picture of the screen in `target/machines/screens`, once nothing moves any more.
    #[track_caller]
    pub fn picture(&mut self, name: &str) {
        if !self.rested {
            self.rest();
        }
        self.keep_picture(name);
    }

    fn keep_picture(&self, name: &str) {
        let all = target_directory().join("machines/screens");
        fs::create_dir_all(&all).expect("the build directory can be written");
        fs::copy(self.place.0.join(SCREEN), all.join(format!("{name}.png"))).expect("there is room");
    }

    /// Waits until GDM shows the field for what PAM asks next, which has to be this.
    #[track_caller]
    pub fn field(&mut self, prompt: &str) {
        self.questions += 1;
        let question = format!("{{ {QUESTIONS}; }} | sed -n {}p | grep .", self.questions);
        let asked = self.inside("a question of PAM at GDM", &question);
        if asked != prompt.trim_end() {
            let said = self.sh(LATELY);
            panic!("question {} is {asked:?} and not {prompt:?}; {}", self.questions, said.stdout);
        }
        // The shell first shows whatever PAM has to say, for as long as it takes to read it.
        self.rest();
    }

    /// Waits until that person's desktop is there.
    #[track_caller]
    pub fn desktop(&mut self, person: &Person) {
        self.inside("a session at the seat", &session(person));
        // Its names are on the bus before anything is drawn. The unit is active once the shell says that it is ready.
        let shell =
            format!("{} systemctl --user is-active org.gnome.Shell@wayland.service", in_desktop(person));
        self.inside("the desktop", &shell);
        // Until then the greeter is on the screen, and hears the keys.
        self.inside("the greeter to leave", "! loginctl list-sessions --no-legend | grep -w greeter");
        self.rest();
    }

    /// Locks the session, and raises the curtain before the field.
    #[track_caller]
    pub fn lock(&mut self, person: &Person) {
        // A shell that is not done with its start does not hear it.
        let lock = format!("loginctl lock-session $({})", session(person));
        self.inside("the lock screen", &format!("{lock}; sleep 2; {}", locked(person, true)));
        self.rest();
        self.press("esc");
    }

    /// Waits until the session is locked, or is not.
    #[track_caller]
    pub fn until_locked(&mut self, person: &Person, is_locked: bool) {
        self.inside(if is_locked { "locked" } else { "unlocked" }, &locked(person, is_locked));
        if !is_locked {
            // Of what was asked before, some was for nobody: a machine that wakes up asks, and once more when the curtain is raised.
            let asked = self.sh(&format!("{{ {QUESTIONS}; }} | wc -l"));
            self.questions = asked.ok().trim().parse().expect("wc(1) counts");
        }
    }

    /// Ends the person's session with all that runs in it, and waits for the greeter that comes then.
    #[track_caller]
    pub fn leave_desktop(&mut self, person: &Person) {
        let lists = self.lists();
        self.sh(&format!("loginctl terminate-user {}", person.name)).ok();
        self.inside("their last program to end", &format!("! pgrep --uid {}", person.name));
        self.greeter(lists);
    }

    /// Starts lines of sh(1) as the person, where their desktop starts programs, once it can show them polkit's questions.
    #[track_caller]
    pub fn start_in_desktop(&mut self, person: &Person, unit: &str, lines: &str) {
        let agent = format!("Registered Authentication Agent for unix-session:$({}) ", session(person));
        self.inside("polkit's agent", &format!("journalctl --boot --unit=polkit | grep -F \"{agent}\""));
        let start = format!("systemd-run --user --quiet --unit={unit} sh -c '{lines}'");
        self.sh(&format!("{} {start}", in_desktop(person))).ok();
    }

    /// Answers the window in which the desktop asks for polkit.
    #[track_caller]
    pub fn answer_polkit(&mut self, picture: &str, secret: &str) {
        // Once PAM has asked, the helper of polkit's waits for what is typed, on its standard input (proc_pid_syscall(5)).
        let waits = "grep '^0 0x0 ' /proc/$(pgrep --full '[p]olkit-agent-helper-1')/syscall";
        self.inside("polkit's question", waits);
        self.picture(picture);
        self.type_line(secret);
        self.inside("polkit's answer", "! pgrep --full '[p]olkit-agent-helper-1'");
    }

    /// Waits until the journal has a line of the person's unit with this text.
    #[track_caller]
    pub fn says(&mut self, unit: &str, text: &str) {
        self.inside(
            text,
            &format!("journalctl --boot --output=cat _SYSTEMD_USER_UNIT={unit}.service | grep -F '{text}'"),
        );
    }

    /// Whether the keyring that the person's programs keep their secrets in is open.
    #[track_caller]
    pub fn keyring_is_open(&mut self, person: &Person) -> bool {
        // What is open already is opened without asking anybody. (There is a property, too, but a keyring that was made at
        // this sign-in is no object on the bus before the next.)
        let said = self.sh(&format!("{} {SECRETS} Unlock ao 1 {KEYRING}", busctl(person, "call")));
        said.ok() == format!("aoo 1 \"{KEYRING}\" \"/\"")
    }

    /// Closes that keyring.
    #[track_caller]
    pub fn close_keyring(&mut self, person: &Person) {
        self.sh(&format!("{} {SECRETS} Lock ao 1 {KEYRING}", busctl(person, "call"))).ok();
    }

    /// Waits until the greeter is drawn that follows so many.
    #[track_caller]
    pub(super) fn greeter(&mut self, before: usize) {
        self.inside("a greeter", "loginctl list-sessions --no-legend | grep -w greeter");
        self.inside("the list", &format!("test $({LISTS}) -gt {before}"));
        self.rest();
    }

    #[track_caller]
    pub(super) fn lists(&mut self) -> usize {
        self.sh(LISTS).stdout.trim().parse().expect("grep(1) counts")
    }

    /// Waits until lines of sh(1) succeed, and returns what they print.
    #[track_caller]
    pub(super) fn inside(&mut self, what: &str, lines: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.sh(lines);
            if output.success() {
                return output.ok().to_owned();
            }
            if Instant::now() > deadline {
                let said = self.sh(LATELY);
                panic!("waited {PATIENCE:?} in vain: {what}: {output:?}; {}", said.stdout);
            }
            wait(Duration::from_millis(500));
        }
    }

    /// Waits until nothing has moved on the screen for some seconds.
    #[track_caller]
    pub(super) fn rest(&mut self) {
        let file = self.place.0.join(SCREEN);
        let deadline = Instant::now() + PATIENCE;
        let (mut before, mut since) = (Vec::new(), Instant::now());
        let mut to = 2;
        while since.elapsed() < Duration::from_secs(4) {
            if Instant::now() > deadline {
                self.keep_picture("restless");
                panic!("the screen does not come to rest; restless.png has it");
            }
            wait(Duration::from_millis(500));
            let said = self.monitor.command(&format!("screendump {} -f png", file.display()));
            assert_eq!(said, "", "from QEMU");
            let now = fs::read(&file).expect("QEMU has written it");
            let is_dark = now.len() < EMPTY;
            if is_dark {
                // A locked screen may have gone to sleep. The mouse wakes it, and answers nothing; to and fro, lest it comes to an edge.
                let said = self.monitor.command(&format!("mouse_move {to} {to}"));
                to = -to;
                assert_eq!(said, "", "from QEMU");
            }
            if is_dark || now != before {
                (before, since) = (now, Instant::now());
            }
        }
        self.rested = true;
    }
}

/// Lines of sh(1) that print the number of the person's session at the screen.
fn session(person: &Person) -> String {
    format!(
        "loginctl list-sessions --no-legend | awk '$3 == \"{}\" && $4 == \"seat0\" {{ print $1 }}' | grep .",
        person.name
    )
}

/// Lines of sh(1) that succeed when that session is locked, or when it is not.
fn locked(person: &Person, is_locked: bool) -> String {
    let hint = if is_locked { "yes" } else { "no" };
    format!("loginctl show-session --property=LockedHint $({}) | grep -x LockedHint={hint}", session(person))
}

/// What begins a command of the person's that finds their session's bus.
fn in_desktop(person: &Person) -> String {
    let Person { name, uid, .. } = person;
    format!("runuser -u {name} -- env XDG_RUNTIME_DIR=/run/user/{uid}")
}

/// busctl(1) on the bus of the person's session.
fn busctl(person: &Person, verb: &str) -> String {
    format!("{} busctl --user {verb}", in_desktop(person))
}

fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        pause();
    }
}

const SCREEN: &str = "screen.png";
/// A picture with less in it is of the black between two screens, which may last.
const EMPTY: usize = 8 << 10;
/// What PAM has asked for and not shown, one line each, out of what GDM says when it is told to say everything. The journal
/// grows with that, and so only what is new of it is read.
const QUESTIONS: &str = "journalctl --boot --output=cat --cursor-file=/run/lab-cursor | \
    sed -n \"s/.*GdmSessionWorker: received pam message of type 1 with payload '\\(.*\\)'$/\\1/p\" | sed 's/ *$//' \
    >> /run/lab-questions; cat /run/lab-questions";
/// What was said lately, without the many lines of service managers.
const LATELY: &str =
    "journalctl --boot --output=short --lines=600 | grep -v ' systemd\\[' | tail --lines=120";
/// How often a greeter has asked what it asks when it draws the list of people.
const LISTS: &str = "journalctl --boot --identifier=gdm3 | grep -c 'timed login details'";
const SECRETS: &str = "org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service";
const KEYRING: &str = "/org/freedesktop/secrets/collection/login";
