//! Lines for the journal, in the form that PAM modules share and under AUTHPRIV (pam_syslog(3)).

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::panic;
use std::sync::Once;

use hello_dbus::Unreachable;

use crate::talk::Ending;

/// Where this call of the module writes. openlog(3) is left alone, because its state is the program's; and a journal
/// that is away, or too busy to take a line at once, goes without it.
#[derive(Debug)]
pub(crate) struct Log {
    debug: bool,
    prefix: String,
}

impl Log {
    /// For one call: `kind` is that of the service file's line, `auth` or `chauthtok`.
    pub(crate) fn of(kind: &str, service: &str, debug: bool) -> Self {
        Self { debug, prefix: format!("pam_hello({service}:{kind}): ") }
    }

    /// What the administrator should see.
    pub(crate) fn warn(&self, text: &str) {
        write(Level::Warning, &self.prefix, text);
    }

    /// What he sees where he wrote `debug`. Never anything of what was typed, nor how long it was.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            write(Level::Debug, &self.prefix, text);
        }
    }

    /// How a conversation ended. hellod keeps the account of who signed in how, so only what hellod can't know is
    /// a warning.
    pub(crate) fn ending(&self, user: &str, ending: &Ending) {
        match ending {
            Ending::Outcome(outcome) => self.debug(&format!("{user}: {outcome:?}")),
            Ending::Password => self.debug(&format!("{user}: no PIN was typed")),
            Ending::NoReply => self.debug(&format!("{user}: the program's conversation failed")),
            Ending::PipeBroken => self.warn("hellod went away while the PIN was typed"),
            Ending::Endless => self.warn("hellod does not come to an end"),
            Ending::Lost(unreachable) => self.unreachable(unreachable),
        }
    }

    /// Why hellod could not be spoken to. That it isn't there is no news on a machine that does not use it.
    pub(crate) fn unreachable(&self, unreachable: &Unreachable) {
        match unreachable {
            Unreachable::NoBus(_) | Unreachable::NoDaemon => self.debug(&unreachable.to_string()),
            _ => self.warn(&unreachable.to_string()),
        }
    }
}

/// Makes a panic write its place to the journal and nothing to the terminal of the program. The standard library's
/// own report would also read the environment. This module carries its own copy of that library, so the program's
/// panics are not touched.
pub(crate) fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            write(Level::Warning, "pam_hello: ", &format!("panicked at {place}"));
        }));
    });
}

/// The severities in use (RFC 3164, 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Warning = 4,
    Debug = 7,
}

fn write(level: Level, prefix: &str, text: &str) {
    // The line is lost where nobody takes it: signing in does not depend on the journal.
    let _ = send(line(level, prefix, text).as_bytes());
}

/// One line as syslog takes it, without control characters that could forge another. It has no time: whoever receives
/// it knows that as well, and local time would be read from the environment.
fn line(level: Level, prefix: &str, text: &str) -> String {
    let priority = AUTHPRIV << 3 | level as u8;
    let program = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    let line = format!("<{priority}>{}[{}]: {prefix}{text}", program.trim_end(), std::process::id());
    line.chars().filter(|char| !char.is_control()).collect()
}

/// Never waits: whoever reads the journal may lag, and sudo must not wait for that.
fn send(line: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect("/dev/log")?;
    socket.send(line).map(|_| ())
}

/// The facility of PAM modules (RFC 3164, 4.1.1).
const AUTHPRIV: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_priority_of_authpriv_the_program_and_the_form_of_a_pam_module() {
        let line = line(Level::Warning, "pam_hello(sudo:auth): ", "hellod does not answer");
        assert!(line.starts_with("<84>"), "{line}");
        assert!(line.ends_with("]: pam_hello(sudo:auth): hellod does not answer"), "{line}");
        assert!(line.contains(&format!("[{}]", std::process::id())), "{line}");
    }

    #[test]
    fn a_line_can_not_be_broken_in_two() {
        let line = line(Level::Debug, "pam_hello(sudo:auth): ", "x\n<84>sudo: forged\u{0}\u{1b}[2J");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
