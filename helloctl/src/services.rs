//! What each program that asks through PAM would ask for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hello_words::{Text, tr};
use rustix::process::geteuid;

use crate::text::{cell, remarked};

/// A service as hellod tells it: its name, the gesture, and why no more.
pub(crate) type Offer = (String, String, String);

/// A program that authenticates through PAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its file below pam.d.
    pub(crate) name: String,
    /// The line of pam_hello, where there is one.
    pub(crate) module: Option<Control>,
    /// Whether pam_fprintd takes fingers there, too.
    fprintd: bool,
    /// Whether none of its modules asks anybody anything.
    is_quiet: bool,
}

/// What its auth lines have.
#[derive(Debug, Clone, Copy)]
struct Lines {
    module: Option<Control>,
    fprintd: bool,
    is_quiet: bool,
}

/// What the line of the module makes of what it returns (pam.conf(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control {
    /// Whether the password is asked for where the person would rather type it, or Hello can't be used.
    unavailable_goes_on: bool,
    /// Whether it is where policy says that it is not to be.
    denied_goes_on: bool,
}

impl Control {
    /// Of the word, or the words in brackets, behind the type of a line.
    fn of(control: &str) -> Self {
        let goes_on = |code: &str| {
            let action = |name: &str| {
                let words = control.trim_matches(['[', ']']).split_whitespace();
                words
                    .filter_map(|word| word.split_once('='))
                    .find(|(key, _)| *key == name)
                    .map(|(_, action)| action)
            };
            match control {
                "required" | "requisite" => false,
                "sufficient" | "optional" => true,
                _ => !matches!(action(code).or(action("default")), Some("die" | "bad") | None),
            }
        };
        Self { unavailable_goes_on: goes_on("authinfo_unavail"), denied_goes_on: goes_on("perm_denied") }
    }
}

/// The services below `root` that authenticate, in the order of their names. Of two files of one name that in /etc counts
/// (pam.d(5)).
pub(crate) fn installed(root: &Path) -> Vec<Service> {
    let folders = FOLDERS.map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with("common-") && !name.contains('.') && !name.contains('~'))
        .collect();
    names.sort();
    names.dedup();
    let services = names.into_iter().filter_map(|name| {
        auth_lines(&folders, &name, DEEPEST).map(|Lines { module, fprintd, is_quiet }| Service {
            name,
            module,
            fprintd,
            is_quiet,
        })
    });
    services.collect()
}

/// The auth lines of a file, and of those that it takes in (pam.d(5)); nothing where there are none.
fn auth_lines(folders: &[PathBuf], name: &str, depth: u32) -> Option<Lines> {
    let deeper = depth.checked_sub(1)?;
    let text = folders.iter().find_map(|folder| fs::read_to_string(folder.join(name)).ok())?;
    let found = text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(file) = line.strip_prefix("@include") {
            return auth_lines(folders, file.trim(), deeper);
        }
        let rest = line.trim_start_matches('-').strip_prefix("auth")?.trim_start();
        let (control, what) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some(words) => words,
            None => rest.split_once(char::is_whitespace)?,
        };
        if matches!(control, "include" | "substack") {
            return auth_lines(folders, what.split_whitespace().next()?, deeper);
        }
        let is_it = what.contains(MODULE) && !what.contains("keep_password");
        Some(Lines {
            module: is_it.then(|| Control::of(control)),
            fprintd: what.contains(FPRINTD),
            is_quiet: QUIET.iter().any(|module| what.contains(module)),
        })
    });
    found.reduce(|before, line| Lines {
        module: before.module.or(line.module),
        fprintd: before.fprintd || line.fprintd,
        is_quiet: before.is_quiet && line.is_quiet,
    })
}

/// What is to be known of the person's account beside the table. hellod can't look, because root alone reads the shadow file; passwd(1)
/// tells each of themselves.
pub(crate) fn locked_account() -> Option<Text> {
    // root has no PIN.
    if geteuid().is_root() {
        return None;
    }
    let mut passwd = Command::new(PASSWD);
    let status =
        passwd.arg("-S").env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    is_locked(&String::from_utf8_lossy(&status.stdout)).then_some(LOCKED)
}

/// Whether passwd(1) says so: the name, and then a letter.
fn is_locked(status: &str) -> bool {
    status.split_whitespace().nth(1) == Some("L")
}

impl Service {
    /// What it asks for, by what hellod says of it and by the line of the module.
    pub(crate) fn row(&self, (_, gesture, why): &Offer) -> Row {
        let control = self.module.unwrap_or(Control { unavailable_goes_on: true, denied_goes_on: true });
        let takes_it = |asks: Text| (asks.into(), TAKES_IT.into());
        let plainly = |asks: Text| (asks.into(), String::new());
        let because = |asks: Text| (asks.into(), why.clone());
        let (asks, why) = match (gesture.as_str(), control) {
            ("pin", Control { unavailable_goes_on: true, .. }) => plainly(tr!("PIN or password")),
            ("pin-or-finger", Control { unavailable_goes_on: true, .. }) => {
                plainly(tr!("PIN, finger or password"))
            }
            ("only-pin", Control { denied_goes_on: true, .. }) => takes_it(tr!("PIN, then password")),
            ("only-pin-or-finger", Control { denied_goes_on: true, .. }) => {
                takes_it(tr!("PIN or finger, then password"))
            }
            ("pin" | "only-pin", _) => plainly(tr!("PIN")),
            ("pin-or-finger" | "only-pin-or-finger", _) => plainly(tr!("PIN or finger")),
            ("finger", Control { unavailable_goes_on: true, .. }) => plainly(tr!("finger, then password")),
            ("finger", _) => plainly(tr!("finger")),
            ("no-finger", Control { unavailable_goes_on: true, .. }) => because(PASSWORD),
            ("password", Control { unavailable_goes_on: true, .. }) => because(PASSWORD),
            ("nothing", Control { denied_goes_on: true, .. }) => because(PASSWORD),
            ("no-finger" | "password" | "nothing", _) => because(tr!("nothing")),
            (other, _) => (other.to_owned(), why.clone()),
        };
        let why = if why.is_empty() && self.fprintd { FINGERS_PAST_IT.into() } else { why };
        let is_hellos = gesture.contains("pin") || gesture == "finger";
        Row { is_hellos, cells: [cell(&self.name), cell(&asks), cell(&why)] }
    }

    /// The same of one without the module.
    pub(crate) fn row_without_hello(&self) -> Row {
        let (asks, why) = if self.fprintd {
            (tr!("password or finger"), FINGERS_PAST_IT.to_string())
        } else if self.is_quiet {
            (tr!("nothing"), String::new())
        } else {
            (PASSWORD, NOT_IN_ITS_FILE.to_string())
        };
        let cells = [cell(&self.name), cell(&asks.to_string()), cell(&why)];
        Row { is_hellos: false, cells }
    }
}

/// The services as a table: first those that ask for a PIN or a finger.
pub(crate) fn table(rows: Vec<Row>) -> String {
    let header = [tr!("PAM SERVICE"), tr!("ASKS FOR"), tr!("REMARK")].map(String::from);
    let (with, without): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_hellos);
    let cells = with.into_iter().chain(without).map(|row| row.cells);
    let rows: Vec<_> = [header].into_iter().chain(cells).collect();
    remarked(&rows).join("\n")
}

/// A line of the table.
pub(crate) struct Row {
    /// Whether Hello asks there.
    is_hellos: bool,
    cells: [String; 3],
}

const PASSWORD: Text = tr!("password");
/// Where policy and the file disagree.
const TAKES_IT: Text = tr!("policy wants no password; see 'helloctl pam enable --passwordless'");
/// Why a service without the module asks for the password.
const NOT_IN_ITS_FILE: Text = tr!("pam_hello is not in its PAM file; see 'helloctl pam enable'");
/// Why a finger there is worth less.
const FINGERS_PAST_IT: Text =
    tr!("pam_fprintd lets fingers in there without the security chip; see pam_hello(8)");
/// Of an account whose password is locked.
const LOCKED: Text = tr!(
    "The password of your account is locked. Where 'passwd -l' has done so, no program that runs as root \
     takes your PIN or a finger."
);
const PASSWD: &str = "/usr/bin/passwd";
/// Modules that let in or don't, and ask nobody.
const QUIET: [&str; 3] = ["pam_rootok.so", "pam_permit.so", "pam_deny.so"];
const FOLDERS: [&str; 2] = ["etc/pam.d", "usr/lib/pam.d"];
const MODULE: &str = "pam_hello.so";
const FPRINTD: &str = "pam_fprintd.so";
/// More files in files than anybody has.
const DEEPEST: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_asks_where_the_module_is_in_its_auth_lines_or_in_a_file_that_these_take_in() {
        let root = std::env::temp_dir().join(format!("helloctl-services-{}", std::process::id()));
        let directory = root.join("etc/pam.d");
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [
            ("common-auth", "auth [success=1 default=ignore] pam_hello.so\nauth required pam_deny.so\n"),
            ("sudo", "# auth pam_hello.so\n@include common-auth\n"),
            ("polkit-1", "auth substack common-auth\n"),
            ("own", "-auth\tsufficient\tpam_hello.so timeout=5\n"),
            ("cron", "account required pam_hello.so\nauth required pam_unix.so # pam_hello.so\n"),
            ("kept", "auth optional pam_hello.so keep_password\n"),
            ("round", "@include round\nauth include gone\n"),
            ("sudo.dpkg-old", "@include common-auth\n"),
            ("passwd", "password required pam_unix.so\n"),
            ("runuser", "auth sufficient pam_rootok.so\n"),
            ("kde-fingerprint", "auth required pam_shells.so\nauth required pam_fprintd.so max-tries=1\n"),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        let vendors = root.join("usr/lib/pam.d");
        fs::create_dir_all(&vendors).unwrap();
        fs::write(vendors.join("sudo"), "auth required pam_unix.so\n").unwrap();
        fs::write(vendors.join("vendor"), "auth include common-auth\n").unwrap();
        let found = installed(&root);
        fs::remove_dir_all(&root).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|service| {
                (service.name.as_str(), service.module.is_some(), service.fprintd, service.is_quiet)
            })
            .collect();
        let expected = [
            ("cron", false, false, false),
            ("kde-fingerprint", false, true, false),
            ("kept", false, false, false),
            ("own", true, false, false),
            ("polkit-1", true, false, false),
            ("runuser", false, false, true),
            ("sudo", true, false, false),
            ("vendor", true, false, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_asked_for_is_what_hellod_says_and_what_the_line_makes_of_it() {
        let hello = "success=1 default=ignore";
        let closed = "success=1 user_unknown=ignore default=die";
        let passwordless = "success=1 perm_denied=die default=ignore";
        for (control, gesture, asks) in [
            (hello, "pin", "PIN or password"),
            (hello, "only-pin", "PIN, then password"),
            (hello, "only-pin-or-finger", "PIN or finger, then password"),
            (hello, "password", "password"),
            (closed, "pin", "PIN"),
            (closed, "only-pin", "PIN"),
            (closed, "password", "nothing"),
            (passwordless, "pin", "PIN or password"),
            (passwordless, "pin-or-finger", "PIN, finger or password"),
            (passwordless, "only-pin", "PIN"),
            (passwordless, "only-pin-or-finger", "PIN or finger"),
            (passwordless, "password", "password"),
            (passwordless, "nothing", "nothing"),
            (hello, "nothing", "password"),
            ("sufficient", "only-pin", "PIN, then password"),
            ("required", "pin", "PIN"),
            ("required", "finger", "finger"),
            ("required", "no-finger", "nothing"),
            (passwordless, "finger", "finger, then password"),
            (passwordless, "no-finger", "password"),
            (closed, "no-finger", "nothing"),
        ] {
            let module = Some(Control::of(control));
            let service = Service { name: "sudo".into(), module, fprintd: false, is_quiet: false };
            let [_, says, _] = service.row(&("sudo".into(), gesture.into(), String::new())).cells;
            assert_eq!(says, asks, "{control}: {gesture}");
        }
    }

    #[test]
    fn a_service_that_takes_fingers_without_the_chip_is_said_to() {
        let offer = |gesture: &str| ("sudo".to_owned(), gesture.to_owned(), String::new());
        for module in [None, Some(Control::of("success=1 default=ignore"))] {
            let service = Service { name: "sudo".into(), module, fprintd: true, is_quiet: false };
            let [_, asks, why] = match module {
                Some(_) => service.row(&offer("pin")),
                None => service.row_without_hello(),
            }
            .cells;
            assert!(why.contains("without the security chip"), "{asks} {why}");
        }
    }

    #[test]
    fn passwd_tells_whether_an_account_is_locked() {
        assert!(is_locked("alice L 2024-10-04 0 99999 7 -1\n"));
        for status in ["alice P 2024-10-04 0 99999 7 -1\n", "alice NP", "L", ""] {
            assert!(!is_locked(status), "{status:?}");
        }
    }

    #[test]
    fn what_asks_for_the_pin_comes_first() {
        let row =
            |name: &str, asks: &str, is_hellos| Row { is_hellos, cells: [name, asks, ""].map(str::to_owned) };
        let shown = table(vec![row("cron", "password", false), row("sudo", "PIN, finger or password", true)]);
        let rows = shown.lines().filter(|line| !line.starts_with(' '));
        let lines: Vec<_> = rows.map(str::split_whitespace).map(|mut words| words.next()).collect();
        assert_eq!(lines, [Some("PAM"), Some("sudo"), Some("cron")]);
    }
}
