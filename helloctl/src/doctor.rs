//! Whether this computer can use Hello; if not, why and what to do.

use std::fmt::Display;
use std::path::Path;

use hello_dbus::{BUS_ADDRESS, Unreachable};
use hello_words::{Text, tr};

use crate::exit::Exit;
use crate::text::{cell, remarked, wrapped};

/// A check as hellod tells it: its name, `ok`, `warn` or `fail`, what was found, and what to do about it.
pub(crate) type Check = (String, String, String, String);

/// The checks as a table, each remedy below its check, within the columns that everybody has.
pub(crate) fn table(checks: &[Check]) -> String {
    let rows: Vec<[String; 3]> =
        checks.iter().map(|(check, state, found, _)| [cell(check), cell(state), cell(found)]).collect();
    let lines = remarked(&rows).into_iter().zip(checks).map(|(line, (_, _, _, remedy))| {
        if remedy.is_empty() { line } else { format!("{line}\n{}", wrapped(&cell(remedy), "    ")) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How the doctor ends: a state that is not known is no good news.
pub(crate) fn verdict(checks: &[Check]) -> Exit {
    let fine = checks.iter().all(|(_, state, _, _)| matches!(state.as_str(), "ok" | "warn"));
    if fine { Exit::Done } else { Exit::Failed }
}

/// What can be seen without hellod, below `root`, when `why` keeps it away.
pub(crate) fn from_here(root: &Path, why: &Unreachable) -> Vec<Check> {
    let is_there = |path: &str| root.join(path.trim_start_matches('/')).exists();
    let socket = BUS_ADDRESS.trim_start_matches("unix:path=");
    let seen = |name: Text, path: &str, missing: Text, remedy: Text| -> Check {
        if is_there(path) { check(name, "ok", path, "") } else { check(name, "fail", missing, remedy) }
    };
    vec![
        seen(tr!("system bus"), socket, tr!("it does not run"), NO_BUS),
        seen(tr!("hellod"), DAEMON, tr!("it is not installed"), NOT_INSTALLED),
        seen(tr!("its service"), ACTIVATION, tr!("the system bus can't start it"), NOT_INSTALLED),
        if is_there(TPM) || !is_there(TPM_1) {
            seen(tr!("TPM"), TPM, tr!("there is none, or it is switched off"), NO_TPM)
        } else {
            check("TPM", "fail", tr!("there is one, but of the old kind 1.2"), OLD_TPM)
        },
        check(tr!("answer"), "fail", why, remedy(why)),
    ]
}

fn remedy(why: &Unreachable) -> Text {
    match why {
        Unreachable::NoBus(_) => tr!("See to the system bus first."),
        Unreachable::Impostor { .. } => {
            tr!("Type no PIN. 'busctl status org.hellod.Hello1' shows which program took the name.")
        }
        Unreachable::Hangs => {
            tr!(
                "'sudo journalctl -u hellod' says why. Restart it with 'sudo systemctl restart hellod', then try again."
            )
        }
        Unreachable::Malformed => tr!("Update helloctl and hellod to the same version."),
        Unreachable::NoDaemon | Unreachable::Refused(_) => {
            tr!(
                "'sudo systemctl status hellod' and 'sudo journalctl -u hellod' say why. If a line above failed, \
             see to that first."
            )
        }
    }
}

fn check(name: impl Display, state: &str, found: impl Display, remedy: impl Display) -> Check {
    (name.to_string(), state.into(), found.to_string(), remedy.to_string())
}

const DAEMON: &str = "/usr/libexec/hellod";
const ACTIVATION: &str = "/usr/share/dbus-1/system-services/org.hellod.Hello1.service";
const TPM: &str = "/dev/tpmrm0";
/// Where the kernel drives a TPM 1.2, it makes this and no resource manager.
const TPM_1: &str = "/dev/tpm0";

const NO_BUS: Text = tr!("Start it with 'sudo systemctl start dbus'. In a container \
                      there may be none; Hello can't work there.");
const NOT_INSTALLED: Text = tr!("Install the package 'hellod', which brings it.");
const NO_TPM: Text =
    tr!("Hello keeps the key in a chip called TPM 2.0. Switch it on in the firmware setup of the \
                      computer (it may be called TPM, fTPM, PTT or Security Device), then start again. Until \
                      then, sign in with your password as always.");
const OLD_TPM: Text =
    tr!("Hello needs TPM 2.0. Some computers can be switched to it in the firmware setup. Until \
                       then, sign in with your password as always.");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A root directory with some files, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, paths: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("helloctl-{}-{name}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            for path in paths {
                let path = root.join(path.trim_start_matches('/'));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(root)
        }

        fn states(&self) -> Vec<(String, String)> {
            let checks = from_here(&self.0, &Unreachable::NoDaemon);
            checks.into_iter().map(|(name, state, _, _)| (name, state)).collect()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_remedy_stands_below_its_check() {
        let checks = [
            check("TPM", "ok", "TPM 2.0 of ACME", ""),
            check("secure boot", "warn", "it is off", "Switch it on in the firmware setup."),
        ];
        let expected = "TPM          ok    TPM 2.0 of ACME\n\
                        secure boot  warn  it is off\n    Switch it on in the firmware setup.";
        assert_eq!(table(&checks), expected);
    }

    #[test]
    fn a_failed_or_unknown_state_fails_and_a_warning_does_not() {
        for (state, exit) in
            [("ok", Exit::Done), ("warn", Exit::Done), ("fail", Exit::Failed), ("odd", Exit::Failed)]
        {
            assert_eq!(verdict(&[check("a", "ok", "", ""), check("b", state, "", "")]), exit, "{state}");
        }
    }

    #[test]
    fn without_hellod_each_thing_that_is_missing_has_a_remedy() {
        let root = Root::with("bare", &[]);
        for (name, state, _, remedy) in from_here(&root.0, &Unreachable::NoDaemon) {
            assert_eq!(state, "fail", "{name}");
            assert!(!remedy.is_empty(), "{name}");
        }
    }

    #[test]
    fn without_hellod_what_is_there_is_seen() {
        let root = Root::with("whole", &["/run/dbus/system_bus_socket", DAEMON, ACTIVATION, TPM]);
        let states: Vec<String> = root.states().into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, ["ok", "ok", "ok", "ok", "fail"]);
    }

    #[test]
    fn an_old_tpm_is_told_apart_from_none() {
        let root = Root::with("old", &[TPM_1]);
        let checks = from_here(&root.0, &Unreachable::NoDaemon);
        assert!(checks.iter().any(|(_, _, found, _)| found.contains("1.2")));
    }
}
