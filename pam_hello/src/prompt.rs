//! The words of the prompt, where sudo has a say in them.

use std::fs::File;
use std::io::Read;

use hello_dbus::Role;

use crate::surface::Surface;

/// Whose words the prompt for the PIN uses.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// hellod's.
    Daemon,
    /// Those of a password. sudo(8) puts the prompt of `-p` in the place of a module's only where that is literally
    /// `Password: `, and whoever pipes the password in (`-S`, Ansible) waits for the prompt that he chose.
    Password,
}

impl Wording {
    /// What to show for a prompt of hellod's.
    pub(crate) fn apply(self, role: Role, text: &str) -> &str {
        match (self, role) {
            (Self::Password, Role::Current) => "Password: ",
            _ => text,
        }
    }
}

/// Chooses the words for `surface`.
pub(crate) fn wording(surface: &Surface) -> Wording {
    let sudo = matches!(surface.service.as_str(), "sudo" | "sudo-i");
    if sudo && (surface.tty.is_empty() || prompt_is_chosen(&own_command_line())) {
        Wording::Password
    } else {
        Wording::Daemon
    }
}

/// Whether a command line of sudo, its words each ended by a NUL, carries `-p`, `--prompt`, `-S` or `--stdin`. Reads
/// as sudo(8) does: options end at `--` or at the first word that is neither an option nor an assignment, and
/// whatever comes later belongs to the command.
fn prompt_is_chosen(command_line: &[u8]) -> bool {
    let mut words = command_line.split(|byte| *byte == 0).skip(1).peekable();
    while let Some(word) = words.next() {
        match Word::of(word) {
            Word::Chosen => return true,
            Word::Plain => {}
            Word::TakesNext => {
                words.next();
            }
            Word::MayTakeNext => {
                words.next_if(|next| !next.starts_with(b"-"));
            }
            Word::Last => return false,
        }
    }
    false
}

/// What a word of the command line means for the question above.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Chosen,
    Plain,
    TakesNext,
    MayTakeNext,
    Last,
}

impl Word {
    fn of(word: &[u8]) -> Self {
        match word {
            b"--" | b"-" => Self::Last,
            [b'-', b'-', long @ ..] => Self::of_long(long),
            [b'-', short @ ..] => Self::of_short(short),
            // `sudo LANG=C -p X command`
            assignment if assignment.iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0) => {
                Self::Plain
            }
            _ => Self::Last,
        }
    }

    /// Several flags in one word; one that takes an argument takes the rest of the word or, where there is none, the
    /// next.
    fn of_short(flags: &[u8]) -> Self {
        for (index, flag) in flags.iter().enumerate() {
            let last = index + 1 == flags.len();
            match flag {
                b'p' | b'S' => return Self::Chosen,
                // The argument of -h is optional for getopt, and sudo takes a following word for the host.
                b'h' if last => return Self::MayTakeNext,
                flag if WITH_ARGUMENT.contains(flag) && last => return Self::TakesNext,
                flag if WITH_ARGUMENT.contains(flag) || *flag == b'h' => return Self::Plain,
                _ => {}
            }
        }
        Self::Plain
    }

    fn of_long(word: &[u8]) -> Self {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or(word);
        // getopt_long(3) takes any beginning that is not ambiguous; "pr" could be --preserve-env.
        let is = |long: &[u8], least: usize| name.len() >= least && long.starts_with(name);
        if is(b"prompt", 3) || is(b"stdin", 2) {
            Self::Chosen
        } else if name.len() == word.len() && LONG_WITH_ARGUMENT.iter().any(|long| is(long, 1)) {
            Self::TakesNext
        } else {
            Self::Plain
        }
    }
}

/// The command line of the program that loaded this module. sudo is set-uid root, so nobody else can change it, and
/// what it decides is only how a prompt reads.
fn own_command_line() -> Vec<u8> {
    let mut bytes = Vec::new();
    match File::open("/proc/self/cmdline").and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

const WITH_ARGUMENT: &[u8] = b"CDgRrTtUu";

const LONG_WITH_ARGUMENT: &[&[u8]] = &[
    b"chdir",
    b"chroot",
    b"close-from",
    b"command-timeout",
    b"group",
    b"host",
    b"other-user",
    b"role",
    b"type",
    b"user",
];

/// No options of sudo's go beyond this many bytes of a command line.
const LONGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(line: &str) -> bool {
        prompt_is_chosen(line.replace(' ', "\0").as_bytes())
    }

    #[test]
    fn a_prompt_or_stdin_option_of_sudo_itself_counts() {
        for line in [
            "sudo -p X true",
            "sudo -pX true",
            "sudo -np X true",
            "sudo -nS true",
            "sudo -S true",
            "sudo -H -S -n -p [sudo] -u root /bin/sh -c echo",
            "sudo -u alice -p X true",
            "sudo -ualice -p X true",
            "sudo -nu alice -S true",
            "sudo --prompt X true",
            "sudo --prompt=X true",
            "sudo --pro=X true",
            "sudo --stdin true",
            "sudo --user alice --stdin true",
            "sudo --user=alice --stdin true",
            "sudo --us alice -S true",
            "sudo --u alice -S true",
            "sudo LANG=C -p X true",
            "sudo -h box -p X true",
            "sudo -C 3 -D / -g adm -R / -r role -T 5 -t type -U bob -p X true",
            "sudo -E -i -p X",
            "sudoedit -p X /etc/hosts",
        ] {
            assert!(chosen(line), "{line}");
        }
    }

    #[test]
    fn an_option_of_the_command_does_not() {
        for line in [
            "sudo mkdir -p x",
            "sudo -u root mkdir -p x",
            "sudo -n -- -p",
            "sudo -- mkdir -p x",
            "sudo -i mkdir -p x",
            "sudo -u -p true",
            "sudo -u -S true",
            "sudo -uS true",
            "sudo --user -p true",
            "sudo --preserve-env true -p x",
            "sudo --preserve-env=PS1 true -S",
            "sudo --pr true -p x",
            "sudo --host -S ssh -p 22",
            "sudo LANG=C mkdir -p x",
            "sudo =x -p y",
            "sudo -hbox ssh -p 22",
            "sudo - -p",
            "sudo",
            "",
            "-p X",
        ] {
            assert!(!chosen(line), "{line}");
        }
    }

    #[test]
    fn only_the_prompt_for_the_existing_pin_takes_the_words_of_a_password() {
        assert_eq!(Wording::Password.apply(Role::Current, "PIN or password: "), "Password: ");
        assert_eq!(Wording::Password.apply(Role::Challenge, "Type 'river': "), "Type 'river': ");
        assert_eq!(Wording::Daemon.apply(Role::Current, "PIN or password: "), "PIN or password: ");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_a_command_line(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = prompt_is_chosen(&bytes);
        }

        #[test]
        fn what_follows_the_end_of_the_options_changes_nothing(
            options in prop::collection::vec("-[a-zA-Z]{1,3}|--[a-z]{1,10}(=x)?|[A-Z]=x|x", 0..5),
            command in "[a-z]{1,8}( -{0,2}[a-zA-Z]{0,8}){0,5}",
        ) {
            let line = format!("sudo {}", options.join(" "));
            prop_assert_eq!(chosen(&format!("{line} -- x {command}")), chosen(&format!("{line} -- x")));
        }
    }
}
